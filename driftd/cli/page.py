"""`driftd page`: what was paged, from the daemon's records; with --test, whether pages arrive."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from driftd.cli.options import DatabaseOption, DataDirOption, Output, OutputOption

if TYPE_CHECKING:
    from collections.abc import Sequence

    from driftd.cli.documents import PageTrial


def page(
    *,
    test: Annotated[
        bool, typer.Option("--test", help="Tell every destination of a page and of its end, and say what they answer.")
    ] = False,
    data_dir: DataDirOption = None,
    database: DatabaseOption = None,
    tenant: Annotated[str | None, typer.Option("--tenant", help="Only pages about this tenant.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="At most so many, the newest first.")] = 50,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show who was paged about what.

    Each page with the events that destinations were sent, newest first; also where no destination is set. With --test,
    destinations come from the settings (`DRIFTD_PAGING__...`), as the daemon has them.

    Exit code 0; with --test 1 when a destination does not accept; 2 for wrong usage; 3 when the records cannot be read.
    """
    from driftd.cli import show
    from driftd.cli.exits import Exit
    from driftd.cli.failures import failures_told

    with failures_told("page"):
        if test:
            from driftd.cli.page_trial import tried

            trial = tried()
        else:
            from driftd.cli.records import database_of, read_pages

            found = read_pages(database_of(data_dir, database), tenant, limit)
    if test:
        _print_trial(trial, output)
        raise typer.Exit(Exit.CLEAN if trial.accepted else Exit.DRIFT)
    if output is not Output.TABLE:
        show.emit(found, output)
        return
    _print_pages(found.pages)


def _print_pages(pages: "Sequence[dict[str, Any]]") -> None:
    from driftd.cli import show

    rows = []
    for one in pages:
        told = [f"{row['destination']}: {_reached(row)}" for row in one["deliveries"]]
        where = one["muted"] or (f"in {one['storm']}" if one["storm"] else "; ".join(told) or "recorded")
        rows.append((one["opened"][:19].replace("T", " "), one["state"], one["urgency"], where, one["summary"]))
    if rows:
        show.table(("OPENED", "STATE", "URGENCY", "TOLD", "WHAT"), rows)
    show.note(f"{len(rows)} pages")


def _reached(delivery: dict[str, Any]) -> str:
    if delivery["refused"]:
        return f"refused ({delivery['refused']})"
    if delivery["superseded"]:
        return "told of a later one"
    return "resolved" if delivery["resolved"] else "told"


def _print_trial(trial: "PageTrial", output: Output) -> None:
    from driftd.cli import show

    if output is not Output.TABLE:
        show.emit(trial, output)
        return
    rows = [
        (
            one.destination,
            one.action,
            "accepted" if one.accepted else "NOT ACCEPTED",
            f"{one.milliseconds:.0f}",
            one.why,
        )
        for one in trial.tries
    ]
    show.table(("DESTINATION", "EVENT", "ANSWER", "MS", "WHY"), rows)
