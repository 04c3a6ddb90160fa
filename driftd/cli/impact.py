"""`driftd impact`: which flows an edit of a model or of manifests opens, closes or changes, and by what."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from driftd.cli.flows.options import DialectOption

if TYPE_CHECKING:
    from driftd.cli.flows.impact_document import Impact


class ImpactOutput(StrEnum):
    """How the impact is written."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"
    MARKDOWN = "markdown"
    SVG = "svg"


class ImpactBy(StrEnum):
    """What a row stands for."""

    WORKLOAD = "workload"
    ENVIRONMENT = "environment"
    TENANT = "tenant"


OldArgument = Annotated[str, typer.Argument(help="Before: a directory, or REV:path of the git repository here.")]
NewArgument = Annotated[str, typer.Argument(help="After: the same.")]
ImpactByOption = Annotated[ImpactBy, typer.Option("--by", help="What a row stands for.")]
ImpactOutputOption = Annotated[ImpactOutput, typer.Option("--output", "-o", help="How to print the impact.")]
ImpactProtocolsOption = Annotated[
    bool, typer.Option("--all-protocols", help="Also ICMP and the rest, where the dialect leaves them open.")
]


def impact(
    old: OldArgument,
    new: NewArgument,
    *,
    by: ImpactByOption = ImpactBy.WORKLOAD,
    dialect: DialectOption = None,
    all_protocols: ImpactProtocolsOption = False,
    output: ImpactOutputOption = ImpactOutput.TABLE,
) -> None:
    """Tell which flows an edit opens, closes or changes.

    OLD and NEW are two revisions of a model, or of any Kubernetes manifests: directories, or REV:path such as
    main:models. `-o markdown` is fit for a comment on a pull request.

    Exit code 0: nothing opens. 1: something opens. 2: wrong usage, or a model with errors. 3: it could not be told.
    """
    from driftd.cli.comparing import quiet_logs
    from driftd.cli.exits import Exit
    from driftd.cli.failures import failures_told

    quiet_logs()
    with failures_told("impact"):
        found = _found(old, new, by, dialect, undefined=all_protocols)
    _print(found, by, output)
    raise typer.Exit(Exit.UNKNOWN if found.unknown else Exit.DRIFT if found.opens else Exit.CLEAN)


def _found(old: str, new: str, by: ImpactBy, dialect: str | None, *, undefined: bool) -> "Impact":
    from driftd.cli import show
    from driftd.cli.flows.causes import IMPACT
    from driftd.cli.flows.differences import difference, one_lineage
    from driftd.cli.flows.impact_document import Impact, unread_changes
    from driftd.cli.flows.tomorrow import tomorrow
    from driftd.cli.worlds.revisions import tree_of, worlds_of
    from driftd.policy.reach import Dialect, Grouping, open_connections

    with show.progress("reading both revisions") as say:
        before, after = worlds_of(tree_of(old), tree_of(new), Dialect(dialect) if dialect else None)
        say("comparing")
        after = one_lineage(before, after)
        differing = difference(before, after, Grouping(by.value), IMPACT, undefined=undefined)
        future = tomorrow(before, after)
    unread, same = unread_changes(before, after)
    remarks = [*same, *dict.fromkeys((*before.snapshot.notes(), *after.snapshot.notes()))]
    remarks += dict.fromkeys((*before.remarks, *after.remarks))
    if differing.closes:
        remarks.append(open_connections(after.dialect))
    if differing.hidden:
        remarks.append(
            f"{differing.hidden} pairs differ only in what no policy decides (ICMP and other protocols that the "
            f"{after.dialect} dialect leaves open, nodes and pods that came or went); --all-protocols shows them"
        )
    return Impact(before, after, differing, future, unread, tuple(remarks))


def _print(found: "Impact", by: ImpactBy, output: ImpactOutput) -> None:
    from driftd.cli import show
    from driftd.cli.flows.impact_document import impact_document
    from driftd.cli.options import Output

    match output:
        case ImpactOutput.JSON | ImpactOutput.YAML:
            show.emit(impact_document(found), Output(output.value))
        case ImpactOutput.MARKDOWN:
            from driftd.cli.flows.markdown import impact_markdown

            typer.echo(impact_markdown(found), nl=False)
        case ImpactOutput.SVG:
            from driftd.cli.flows.difference_rows import change_chart
            from driftd.cli.flows.heat_map import heat_map

            subtitle = f"{found.before.source} to {found.after.source}; by {by}; dialect {found.after.dialect}"
            typer.echo(heat_map(change_chart(found.difference, "What the edit changes", subtitle, found.after)))
        case ImpactOutput.TABLE:
            _table(found)
    for one in found.unread:
        show.note(show.printable(f"driftd impact: could not tell: {one}"))
    for remark in found.remarks:
        show.note(show.printable(remark))
    show.note(show.printable(f"source: {found.before.source} to {found.after.source}; dialect {found.after.dialect}"))
    show.note(found.verdict)


def _table(found: "Impact") -> None:
    from driftd.cli import show
    from driftd.cli.flows.difference_rows import HEADERS, change_rows
    from driftd.values import Direction

    rows, styles = change_rows(found.difference)
    if rows:
        show.table(HEADERS, rows, styles)
    if not found.difference.opens and found.tomorrow.direction in (Direction.LOOSENS, Direction.MIXED):
        show.lines([("opens for pods that could be made:", "red")])
        show.lines([(show.printable(f"  {one}"), "red") for one in found.tomorrow.examples])
