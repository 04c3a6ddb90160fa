"""`driftd matrix`: who can reach whom, as a table, a heat map or a document; or where live state and model differ."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from driftd.cli.flows.options import (
    DialectOption,
    WorldKubeconfigOption,
    WorldManifestsOption,
    WorldModelsOption,
    names_the_model,
)
from driftd.cli.options import ContextOption

if TYPE_CHECKING:
    from collections.abc import Iterable

    from driftd.cli.worlds.asking import Wanted


class By(StrEnum):
    """What a row stands for."""

    WORKLOAD = "workload"
    ENVIRONMENT = "environment"
    TENANT = "tenant"


class MatrixOutput(StrEnum):
    """How the matrix is written."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"
    SVG = "svg"


ByOption = Annotated[By, typer.Option("--by", help="What a row stands for; an environment is a namespace.")]
MatrixOutputOption = Annotated[MatrixOutput, typer.Option("--output", "-o", help="How to print the matrix.")]
AgainstOption = Annotated[
    Path | None,
    typer.Option("--against", exists=True, file_okay=False, help="Show only where live state and this model differ."),
]
AllProtocolsOption = Annotated[
    bool, typer.Option("--all-protocols", help="Also ICMP and the rest, where the dialect leaves them open.")
]


def matrix(
    command: typer.Context,
    *,
    models: WorldModelsOption = None,
    manifests: WorldManifestsOption = None,
    kubeconfig: WorldKubeconfigOption = None,
    context: ContextOption = None,
    by: ByOption = By.WORKLOAD,
    against: AgainstOption = None,
    dialect: DialectOption = None,
    all_protocols: AllProtocolsOption = False,
    output: MatrixOutputOption = MatrixOutput.TABLE,
) -> None:
    """Tell who can reach whom.

    Pairs that are not listed have no connections. Outside addresses come as disjoint blocks, told apart as far as
    policies do. JSON holds both ends of every answer: what surely passes, and what may.

    Asked are the files of --manifests, the cluster of --kubeconfig or --context, or the model of --models. Where none
    of these is given: in a pod its cluster, elsewhere the model in ./models. The line `source` on stderr says which.

    Exit code 0: answered, and with --against no difference. 1: differences. 2: wrong usage. 3: something could not be
    read.
    """
    from driftd.cli.comparing import quiet_logs
    from driftd.cli.failures import failures_told
    from driftd.cli.worlds.asking import runs_in_a_pod, wanted

    quiet_logs()
    with failures_told("matrix"):
        question = wanted(
            models=models or against,
            manifests=manifests,
            kubeconfig=kubeconfig,
            context=context,
            dialect=dialect,
            only_models=names_the_model(command),
            in_pod=runs_in_a_pod(),
        )
        if against is not None:
            code = _against(question, against, by, output, undefined=all_protocols)
        else:
            code = _matrix(question, by, output, undefined=all_protocols)
    raise typer.Exit(code)


def _matrix(question: "Wanted", by: By, output: MatrixOutput, *, undefined: bool) -> int:
    from driftd.cli import show
    from driftd.cli.exits import Exit
    from driftd.cli.flows import tables
    from driftd.cli.flows.borders import Borders
    from driftd.cli.flows.sized import in_size, matrix_in_size
    from driftd.cli.options import Output
    from driftd.cli.worlds.asking import tell, world_of
    from driftd.policy.reach import Grouping

    world = in_size(world_of(question), undefined=undefined)
    grouping = Grouping(by.value)
    borders = Borders(grouping, world.tenancy, drawn=world.owned)
    found = matrix_in_size(world, grouping, undefined=undefined)
    match output:
        case MatrixOutput.TABLE:
            nodes = world.snapshot.core.endpoints.nodes
            rows = tables.matrix_rows(found, borders, nodes, undefined=undefined)
            show.table(tables.HEADERS, rows, ["red" if row[3] else "" for row in rows])
            if tables.left_out(found) and not undefined:
                _left_out(world.dialect)
            _perhaps(row[2] for row in rows)
            alone = tables.isolated(found, undefined=undefined)
            if alone:
                show.note(show.printable(f"without any connection: {', '.join(alone)}"))
        case MatrixOutput.SVG:
            from driftd.cli.flows.heat_map import heat_map
            from driftd.cli.flows.matrix_chart import matrix_chart

            typer.echo(heat_map(matrix_chart(found, borders, world, undefined=undefined)))
        case MatrixOutput.JSON | MatrixOutput.YAML:
            show.emit(tables.matrix_document(world, found, borders), Output(output.value))
    if not found.groups:
        show.note("no pods or workloads were read: there is nobody to reach or to be reached")
    tell(world, "matrix")
    return Exit.UNKNOWN if world.unread else Exit.CLEAN


def _perhaps(connections: "Iterable[str]") -> None:
    """What the word means, where it stands in a table."""
    from driftd.cli import show

    if any("perhaps " in one for one in connections):
        show.note("perhaps: the dialect leaves it open, or a rule is not understood; take it for allowed")


def _left_out(dialect: str) -> None:
    from driftd.cli import show

    show.note(
        f"the {dialect} dialect leaves ICMP and protocols besides TCP, UDP and SCTP open where NetworkPolicy "
        "isolates; these are left out here (--all-protocols shows them)"
    )


def _against(question: "Wanted", against: Path, by: By, output: MatrixOutput, *, undefined: bool) -> int:
    from driftd.cli import show
    from driftd.cli.exits import Exit
    from driftd.cli.failures import CommandError
    from driftd.cli.flows.causes import AGAINST
    from driftd.cli.flows.difference_rows import HEADERS, change_chart, change_rows
    from driftd.cli.flows.differences import difference
    from driftd.cli.flows.documents import ReachabilityDifference
    from driftd.cli.options import Output
    from driftd.cli.worlds.asking import tell, world_of
    from driftd.cli.worlds.entitled import entitled
    from driftd.cli.worlds.modelled import directory_model
    from driftd.documents import GapEntry
    from driftd.policy.reach import Grouping

    if not question.live:
        raise CommandError(
            "--against compares live state: give --kubeconfig or --manifests too, and no --models", Exit.USAGE
        )
    both = entitled(world_of(question), directory_model(against))
    found = difference(both.model, both.live, Grouping(by.value), AGAINST, undefined=undefined)
    match output:
        case MatrixOutput.TABLE:
            rows, styles = change_rows(found)
            if rows:
                show.table(HEADERS, rows, styles)
                _perhaps(row[3] for row in rows)
            if found.hidden and not undefined:
                _left_out(both.live.dialect)
            show.note("+ passes in the live state only; - passes in the model only")
        case MatrixOutput.SVG:
            from driftd.cli.flows.heat_map import heat_map

            subtitle = f"{both.live.source} against {both.model.source}; by {by}; dialect {both.live.dialect}"
            typer.echo(heat_map(change_chart(found, "Where live state and model differ", subtitle, both.live)))
        case MatrixOutput.JSON | MatrixOutput.YAML:
            document = ReachabilityDifference(
                live=both.live.source,
                model=both.model.source,
                by=by.value,
                dialect=both.live.dialect,
                groups=found.groups,
                pairs=found.pairs,
                outside=found.outside,
                unread=tuple(GapEntry(where=one.where, why=one.why) for one in both.live.unread),
                notes=(*both.live.snapshot.notes(), *both.live.remarks),
            )
            show.emit(document, Output(output.value))
    tell(both.live, "matrix")
    show.note(show.printable(f"against: {both.model.source}"))
    if both.live.unread:
        return Exit.UNKNOWN
    return Exit.DRIFT if found.told else Exit.CLEAN
