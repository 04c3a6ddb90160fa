"""What a matrix looks like as a heat map: the wider the opening, the darker; hatched where it depends."""

from typing import Final

from driftd.cli.flows.borders import Borders
from driftd.cli.flows.heat_map import NODES, OUTSIDE, Chart, Key, Square
from driftd.cli.flows.words import UNDEFINED, shown
from driftd.cli.worlds.world import World
from driftd.policy.reach import NONE, PORTED, Flow, Matrix, PortSet, Ranges, block, of_ranges

_FEW: Final = "#d3e6f5"
_MANY: Final = "#8fc1e3"
_ALL: Final = "#4d9fd6"
_PERHAPS: Final = "#ffffff"
_WIDE: Final = 16
"""More ports than that are many."""


def matrix_chart(found: Matrix, borders: Borders, world: World, *, undefined: bool) -> Chart:
    """The chart of a matrix."""
    squares: list[Square] = []
    nodes = world.snapshot.core.endpoints.nodes
    for cell in found.cells:
        crossing = borders.crossed(cell.source, cell.target)
        square = _square((cell.source, cell.target), cell.must, cell.may, undefined=undefined, framed=crossing)
        if square is not None:
            squares.append(square)
    for ends, (must, may) in sorted(beyond(found, nodes).items()):
        square = _square(ends, must, may, undefined=undefined, framed=False)
        if square is not None:
            squares.append(square)
    legend = (
        Key(_FEW, f"some ports (up to {_WIDE})"),
        Key(_MANY, "many ports"),
        Key(_ALL, "every port"),
        Key(_PERHAPS, "perhaps: the dialect leaves it open, or a rule is not understood", hatched=True),
        Key(_PERHAPS, "crosses a border between tenants", framed=True),
        Key("#fbfbfb", "nothing passes"),
    )
    left = "" if undefined else "; TCP, UDP and SCTP"
    subtitle = f"{world.source}; by {found.by}; dialect {found.dialect}{left}"
    return Chart("Who can reach whom", subtitle, found.groups, tuple(squares), _rims(nodes), legend)


def short_ports(ports: PortSet) -> str:
    """A few letters for a cell."""
    if not ports:
        return ""
    if ports >= PORTED:
        return "all"
    pieces = (ports & PORTED).pieces() or ports.pieces()
    numbers = [one for _, part in pieces for one in part.split(",")]
    if len(set(numbers)) > 3 or any(len(one) > 11 for one in numbers):
        return f"{len(numbers)} ranges" if any("-" in one for one in numbers) else f"{len(numbers)} ports"
    if "all" in numbers:
        return " ".join(f"{name}" if part == "all" else f"{name} {part}" for name, part in pieces)
    named = "" if {name for name, _ in pieces} <= {"TCP", "UDP"} else f"{pieces[0][0]} "
    return named + " ".join(dict.fromkeys(numbers))


def _square(ends: tuple[str, str], must: PortSet, may: PortSet, *, undefined: bool, framed: bool) -> Square | None:
    told = shown(must, may, undefined=undefined)
    if not told:
        return None
    open_ends = may - must if undefined else may - must - UNDEFINED
    short = short_ports(must) or f"{short_ports(open_ends)}?"
    fill = _shade(must) if must else _PERHAPS
    source, target = ends
    return Square(
        source, target, fill, short, f"{source} \N{RIGHTWARDS ARROW} {target}: {told}", bool(open_ends), framed
    )


def _shade(ports: PortSet) -> str:
    if ports >= PORTED:
        return _ALL
    width = sum(high - low + 1 for low, high in ports.spans)
    return _FEW if width <= _WIDE else _MANY


def _rims(nodes: Ranges) -> tuple[str, ...]:
    return (NODES, OUTSIDE) if nodes else (OUTSIDE,)


def beyond(found: Matrix, nodes: Ranges) -> dict[tuple[str, str], tuple[PortSet, PortSet]]:
    """Addresses that no pod holds as two ends, nodes and all others: what some of them may exchange with a group."""
    sums: dict[tuple[str, str], tuple[PortSet, PortSet]] = {}
    for one in found.external:
        ranges = of_ranges(span for cidr in one.blocks for span in block(cidr).spans)
        for rim, there in ((NODES, ranges & nodes), (OUTSIDE, ranges - nodes)):
            if there:
                ends = (one.group, rim) if one.flow is Flow.EGRESS else (rim, one.group)
                must, may = sums.get(ends, (NONE, NONE))
                sums[ends] = (must | one.must, may | one.may)
    return sums
