"""`driftd history`: what was found and done, from the daemon's records; also while it runs."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from driftd.cli.options import DatabaseOption, DataDirOption, Output, OutputOption

if TYPE_CHECKING:
    from collections.abc import Sequence

    from driftd.cli.documents import ChainVerification, History


TenantOption = Annotated[str | None, typer.Option("--tenant", help="Only findings of this tenant.")]
NamespaceOption = Annotated[
    str | None, typer.Option("--namespace", "-n", help="Only findings about objects of this namespace.")
]
KindOption = Annotated[str | None, typer.Option("--kind", help="Only findings about objects of this kind.")]
SinceOption = Annotated[
    str | None, typer.Option("--since", help="Seen open since: 90m, 12h, 7d, 2026-11-22 or 2026-11-22T08:00Z.")
]
DirectionOption = Annotated[
    list[str] | None,
    typer.Option("--direction", help="Only loosens, tightens, mixed, neutral or unknown. May be repeated."),
]
LimitOption = Annotated[
    int | None,
    typer.Option(
        "--limit",
        min=1,
        max=100_000,
        help="At most so many, the newest first.",
        show_default="50; with --ndjson 100000",
    ),
]
NdjsonOption = Annotated[bool, typer.Option("--ndjson", help="One JSON object a line, for an archive or a log system.")]
EvidenceOption = Annotated[
    bool, typer.Option("--evidence", help="With --ndjson: instead, every row of the hash chain, as it was hashed.")
]
VerifyOption = Annotated[
    bool, typer.Option("--verify", help="Instead, walk the hash chain of the evidence and say if it is whole.")
]
AnchorOption = Annotated[
    str | None,
    typer.Option("--anchor", help="With --verify: a head noted elsewhere (log, lease), as number:hash."),
]


def history(
    *,
    data_dir: DataDirOption = None,
    database: DatabaseOption = None,
    tenant: TenantOption = None,
    namespace: NamespaceOption = None,
    kind: KindOption = None,
    since: SinceOption = None,
    direction: DirectionOption = None,
    limit: LimitOption = None,
    ndjson: NdjsonOption = False,
    evidence: EvidenceOption = False,
    verify: VerifyOption = False,
    anchor: AnchorOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show what was found and done.

    Each life of a finding with what driftd wrote because of it, newest first. Reads the records only, so it may run
    beside the daemon.

    Exit code 0; with --verify 1 for a chain that is not whole; 2 for wrong usage; 3 when the records cannot be read.
    """
    from driftd.cli import show
    from driftd.cli.clock import CommandClock
    from driftd.cli.exits import Exit
    from driftd.cli.failures import CommandError, failures_told
    from driftd.cli.records import (
        Filter,
        anchor_of,
        database_of,
        directions_of,
        export_evidence,
        export_lives,
        moment_since,
        read_history,
        verify_chain,
    )

    with failures_told("history"):
        if anchor is not None and not verify:
            raise CommandError("--anchor belongs to --verify", Exit.USAGE)
        if evidence and not ndjson:
            raise CommandError("--evidence belongs to --ndjson", Exit.USAGE)
        filters = (tenant, namespace, kind, since, direction, limit)
        if evidence and any(one not in (None, []) for one in filters):
            raise CommandError("--evidence is the whole chain: it goes with no filter", Exit.USAGE)
        file = database_of(data_dir, database)
        most = limit or (100_000 if ndjson else 50)
        asked = Filter(
            tenant, namespace, kind, moment_since(since, CommandClock().now()), directions_of(direction), most
        )
        if verify:
            checked = verify_chain(file, anchor_of(anchor))
        elif evidence:
            export_evidence(file, typer.echo)
        elif ndjson:
            export_lives(file, asked, typer.echo)
        else:
            found = read_history(file, asked)
    if verify:
        _print_chain(checked, output)
        raise typer.Exit(Exit.CLEAN if checked.intact else Exit.DRIFT)
    if ndjson:
        return
    if output is not Output.TABLE:
        show.emit(found, output)
        return
    _print_lives(found)
    _print_acts(found)


def _print_chain(checked: "ChainVerification", output: Output) -> None:
    from driftd.cli import show

    if output is not Output.TABLE:
        show.emit(checked, output)
        return
    if checked.intact:
        show.lines([(f"intact: {checked.rows} rows, head {checked.head.seq}:{checked.head.hash}", "green")])
    else:
        show.lines([(f"NOT INTACT at row {checked.first_bad}: {checked.problem}", "bold red")])


def _print_lives(found: "History") -> None:
    from driftd.cli import show

    rows: list[Sequence[str]] = []
    styles = []
    for life in found.lives:
        finding, name = life.finding, life.finding.object
        where = f"{name.kind} {name.namespace}/{name.name}" if name.namespace else f"{name.kind} {name.name}"
        told = finding.changes[0].sentence if finding.changes else finding.summary
        more = len(finding.changes) - 1 + finding.omitted if finding.changes else 0
        said = f"{told} (and {more} more)" if more else told
        rows.append(
            (
                _short(life.opened),
                "open" if life.closed is None else _seconds(life.open_seconds),
                finding.type.value,
                where,
                "" if finding.claimed_by is None else finding.claimed_by.who,
                life.closed_by,
                said if not finding.effect or finding.effect in said else f"{said}; {finding.effect}",
            )
        )
        styles.append("" if life.closed is not None else show.SEVERITY_STYLES[finding.severity.value])
    if rows:
        show.table(("OPENED", "FOR", "FINDING", "OBJECT", "CLAIMED BY", "CLOSED BY", "WHAT"), rows, styles)
    older = "; older ones matched as well (--limit)" if found.more else ""
    show.note(f"{len(rows)} findings in {found.database}{older}")


def _print_acts(found: "History") -> None:
    from driftd.cli import show

    rows = [(_short(one.at), one.act, one.subject, one.by, one.reason) for one in found.acts]
    if rows:
        show.table(("AT", "DECIDED", "ABOUT", "BY", "REASON"), rows)


def _short(stamp: str) -> str:
    return datetime.fromisoformat(stamp).strftime("%Y-%m-%d %H:%M:%S")


def _seconds(seconds: float) -> str:
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"
