"""What changes between two worlds, with its causes: the heart of `impact` and of `matrix --against`."""

from dataclasses import dataclass, replace
from typing import Final

from driftd.cli.flows.borders import Borders
from driftd.cli.flows.causes import Causes, Tense
from driftd.cli.flows.changes import Ends, OutsideShift, PairChange, Shift, outside_changes, pair_changes
from driftd.cli.flows.documents import FlowChange, OutsideChange
from driftd.cli.flows.sized import is_large, matrix_in_size
from driftd.cli.flows.words import UNDEFINED, block_words, interval, port_words
from driftd.cli.worlds.world import World
from driftd.policy.reach import Flow, Grouping, Ranges, align, block, of_ranges

_EXPLAINED: Final = 500
"""Changes whose causes are looked for; beyond that only the changes are told."""


@dataclass(frozen=True, slots=True)
class Told:
    """One change as it is told: its ends in words, what opens and closes in words, and its entry in the document."""

    source: str
    target: str
    opened: str
    closed: str
    crosses: bool
    shift: Shift
    entry: FlowChange | OutsideChange


@dataclass(frozen=True, slots=True)
class Difference:
    """Everything that changes. `hidden` counts pairs that differ only in what no policy could have said."""

    groups: tuple[str, ...]
    told: tuple[Told, ...]
    hidden: int

    @property
    def pairs(self) -> tuple[FlowChange, ...]:
        return tuple(one.entry for one in self.told if isinstance(one.entry, FlowChange))

    @property
    def outside(self) -> tuple[OutsideChange, ...]:
        return tuple(one.entry for one in self.told if isinstance(one.entry, OutsideChange))

    @property
    def opens(self) -> bool:
        return any(one.opened for one in self.told)

    @property
    def closes(self) -> bool:
        return any(one.closed for one in self.told)


def one_lineage(before: World, after: World) -> World:
    """`after` so that what it shares with `before` is the same object in both."""
    if before.snapshot.core is after.snapshot.core:
        return after
    return replace(after, snapshot=align(after.snapshot, onto=before.snapshot))


def difference(before: World, after: World, by: Grouping, tense: Tense, *, undefined: bool) -> Difference:
    """Compare two worlds of one lineage and one dialect.

    Without `undefined`, changes are left out that concern nothing but traffic which NetworkPolicy does not define and
    which only may pass, or whether the nodes may reach pods that came or went.
    """
    large = is_large(before) or is_large(after)
    old = matrix_in_size(before, by, undefined=undefined, large=large)
    new = matrix_in_size(after, by, undefined=undefined, large=large)
    borders = Borders(by, after.tenancy, drawn=after.owned)
    lasting = set(old.groups) & set(new.groups)
    nodes = after.snapshot.core.endpoints.nodes
    found: list[tuple[PairChange | OutsideShift, tuple[str, str]]] = []
    hidden = 0
    changes: list[PairChange | OutsideShift] = [*pair_changes(old, new), *outside_changes(old, new)]
    for one in changes:
        words = (moved_words(one.shift.opened, undefined=undefined), moved_words(one.shift.closed, undefined=undefined))
        kubelet = isinstance(one, OutsideShift) and one.group not in lasting and _only_nodes(one, nodes)
        if any(words) and (undefined or not kubelet):
            found.append((one, words))
        else:
            hidden += 1
    causes = Causes(before, after, by, tense)
    told = tuple(
        _told(one, words, borders, causes if index < _EXPLAINED else None) for index, (one, words) in enumerate(found)
    )
    return Difference(tuple(sorted({*old.groups, *new.groups})), told, hidden)


def moved_words(ends: Ends, *, undefined: bool) -> str:
    """What opened, or closed, in words; empty where there is nothing to tell."""
    perhaps = ends.may - ends.must
    if not undefined:
        perhaps = perhaps - UNDEFINED
    parts = [port_words(ends.must)] if ends.must and (undefined or ends.must - UNDEFINED or not perhaps) else []
    parts += [f"perhaps {port_words(perhaps)}"] if perhaps else []
    return "; ".join(parts)


def _only_nodes(one: OutsideShift, nodes: Ranges) -> bool:
    ranges = of_ranges(span for cidr in one.blocks for span in block(cidr).spans)
    return nodes.covers(ranges) and not one.shift.opened.must and not one.shift.closed.must


def _told(one: PairChange | OutsideShift, words: tuple[str, str], borders: Borders, causes: Causes | None) -> Told:
    if isinstance(one, PairChange):
        pair = _pair(one, borders, causes)
        return Told(one.source, one.target, *words, pair.crosses_tenants, one.shift, pair)
    ends = (one.group, block_words(one.blocks))
    source, target = ends if one.flow is Flow.EGRESS else ends[::-1]
    return Told(source, target, *words, False, one.shift, _outside(one, causes))


def _pair(one: PairChange, borders: Borders, causes: Causes | None) -> FlowChange:
    shift = one.shift
    return FlowChange(
        source=one.source,
        target=one.target,
        change=shift.change.value,
        crosses_tenants=borders.crossed(one.source, one.target),
        before=interval(shift.before.must, shift.before.may),
        after=interval(shift.after.must, shift.after.may),
        opened=interval(shift.opened.must, shift.opened.may),
        closed=interval(shift.closed.must, shift.closed.may),
        causes=causes.of_pair(one) if causes else (),
    )


def _outside(one: OutsideShift, causes: Causes | None) -> OutsideChange:
    shift = one.shift
    return OutsideChange(
        group=one.group,
        direction="egress" if one.flow is Flow.EGRESS else "ingress",
        blocks=one.blocks,
        change=shift.change.value,
        before=interval(shift.before.must, shift.before.may),
        after=interval(shift.after.must, shift.after.may),
        opened=interval(shift.opened.must, shift.opened.may),
        closed=interval(shift.closed.must, shift.closed.may),
        causes=causes.of_outside(one) if causes else (),
    )
