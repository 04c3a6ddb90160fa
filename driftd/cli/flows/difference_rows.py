"""Changes as rows of a table, and as a heat map: what opens in orange, what closes in blue."""

from typing import Final

from driftd.cli.flows.differences import Difference, Told
from driftd.cli.flows.documents import FlowChange
from driftd.cli.flows.heat_map import NODES, OUTSIDE, Chart, Key, Square
from driftd.cli.flows.matrix_chart import short_ports
from driftd.cli.worlds.world import World
from driftd.policy.reach import Ranges, block, of_ranges

HEADERS: Final = ("", "FROM", "TO", "CONNECTIONS", "BY")
_OPENS: Final = "#f7b98b"
_CLOSES: Final = "#9cc8ea"
_BOTH: Final = "#f2e29a"


def change_rows(found: Difference) -> tuple[list[tuple[str, ...]], list[str]]:
    """A row for what opens and one for what closes; the styles of the rows."""
    rows: list[tuple[str, ...]] = []
    styles: list[str] = []
    for one in found.told:
        causes = "; ".join(f"{cause.sentence}" for cause in one.entry.causes)
        for sign, said in (("+", one.opened), ("-", one.closed)):
            if said:
                crossing = one.crosses and sign == "+"
                rows.append((sign, one.source, one.target, said + (" (crosses tenants)" if crossing else ""), causes))
                styles.append("bold red" if crossing else "red" if sign == "+" else "blue")
    return rows, styles


def change_chart(found: Difference, title: str, subtitle: str, world: World) -> Chart:
    """The chart of a difference."""
    nodes = world.snapshot.core.endpoints.nodes
    sums: dict[tuple[str, str], list[Told]] = {}
    for one in found.told:
        sums.setdefault(_ends(one, nodes), []).append(one)
    squares = tuple(_square(ends, told) for ends, told in sorted(sums.items()))
    named = {name for ends in sums for name in ends}
    groups = tuple(name for name in found.groups if name in named) or found.groups[:20]
    legend = (
        Key(_OPENS, "+ passes more"),
        Key(_CLOSES, "\N{MINUS SIGN} passes less"),
        Key(_BOTH, "\N{PLUS-MINUS SIGN} both"),
        Key("#ffffff", "opens across a border between tenants", framed=True),
        Key("#fbfbfb", "no difference"),
    )
    beyond = (NODES, OUTSIDE) if nodes else (OUTSIDE,)
    return Chart(title, f"{subtitle}; only groups that differ", groups, squares, beyond, legend)


def _ends(one: Told, nodes: Ranges) -> tuple[str, str]:
    if isinstance(one.entry, FlowChange):
        return one.source, one.target
    ranges = of_ranges(span for cidr in one.entry.blocks for span in block(cidr).spans)
    rim = NODES if nodes.covers(ranges) else OUTSIDE
    return (one.entry.group, rim) if one.entry.direction == "egress" else (rim, one.entry.group)


def _square(ends: tuple[str, str], told: list[Told]) -> Square:
    opened, closed = (any(words) for words in ([one.opened for one in told], [one.closed for one in told]))
    fill = _BOTH if opened and closed else _OPENS if opened else _CLOSES
    first = told[0].shift
    moved = first.opened if opened else first.closed
    sign = "\N{PLUS-MINUS SIGN}" if opened and closed else "+" if opened else "\N{MINUS SIGN}"
    words = [f"+ {one.opened}" for one in told if one.opened]
    words += [f"\N{MINUS SIGN} {one.closed}" for one in told if one.closed]
    return Square(
        source=ends[0],
        target=ends[1],
        fill=fill,
        short=sign + (short_ports(moved.must) or short_ports(moved.may)),
        told=f"{ends[0]} \N{RIGHTWARDS ARROW} {ends[1]}: {'; '.join(words)}",
        framed=any(one.crosses and one.opened for one in told),
    )
