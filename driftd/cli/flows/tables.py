"""The matrix as a document and as rows of a table."""

from driftd.cli.flows.borders import Borders
from driftd.cli.flows.documents import MatrixCell, OutsideCell, ReachabilityMatrix
from driftd.cli.flows.words import block_words, hidden, interval, shown
from driftd.cli.worlds.world import World
from driftd.documents import GapEntry
from driftd.policy.reach import Flow, Matrix, Ranges, block, of_ranges

HEADERS = ("FROM", "TO", "CONNECTIONS", "")
CROSSING = "crosses tenants"


def matrix_document(world: World, found: Matrix, borders: Borders) -> ReachabilityMatrix:
    """Every cell, with both ends of its interval."""
    return ReachabilityMatrix(
        source=world.source,
        by=found.by.value,
        dialect=found.dialect,
        groups=found.groups,
        cells=tuple(
            MatrixCell(
                source=cell.source,
                target=cell.target,
                crosses_tenants=borders.crossed(cell.source, cell.target),
                connections=interval(cell.must, cell.may),
            )
            for cell in found.cells
        ),
        outside=tuple(
            OutsideCell(
                group=one.group,
                direction="egress" if one.flow is Flow.EGRESS else "ingress",
                blocks=one.blocks,
                connections=interval(one.must, one.may),
            )
            for one in found.external
        ),
        unread=tuple(GapEntry(where=one.where, why=one.why) for one in world.unread),
        notes=(*world.snapshot.notes(), *world.remarks),
    )


def matrix_rows(found: Matrix, borders: Borders, nodes: Ranges, *, undefined: bool) -> list[tuple[str, str, str, str]]:
    """Pairs of groups first, then what passes to and from outside the cluster, and its nodes."""
    rows: list[tuple[str, str, str, str]] = []
    for cell in found.cells:
        text = shown(cell.must, cell.may, undefined=undefined)
        if text:
            mark = CROSSING if borders.crossed(cell.source, cell.target) else ""
            rows.append((cell.source, cell.target, text, mark))
    for one in found.external:
        text = shown(one.must, one.may, undefined=undefined)
        if text:
            outside = block_words(one.blocks)
            if nodes.covers(of_ranges(span for cidr in one.blocks for span in block(cidr).spans)):
                outside += " (nodes)"
            ends = (one.group, outside) if one.flow is Flow.EGRESS else (outside, one.group)
            rows.append((*ends, text, ""))
    return rows


def left_out(found: Matrix) -> bool:
    """Whether rows are left out for traffic that NetworkPolicy does not define."""
    intervals = [(one.must, one.may) for one in found.cells] + [(one.must, one.may) for one in found.external]
    return any(hidden(must, may) for must, may in intervals)


def isolated(found: Matrix, *, undefined: bool) -> tuple[str, ...]:
    """Groups that exchange nothing with anybody."""
    busy = {
        name
        for cell in found.cells
        if shown(cell.must, cell.may, undefined=undefined)
        for name in (cell.source, cell.target)
    }
    busy |= {one.group for one in found.external if shown(one.must, one.may, undefined=undefined)}
    return tuple(name for name in found.groups if name not in busy)
