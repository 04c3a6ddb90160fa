"""The difference of two matrices: pair by pair, and block by block of outside addresses, what opens and what closes."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from driftd.policy.reach import NONE, External, Flow, Matrix, PortSet, Ranges, block, blocks, of_ranges


class Change(StrEnum):
    """What becomes of a pair."""

    OPENS = "opens"
    CLOSES = "closes"
    CHANGES = "changes"


@dataclass(frozen=True, slots=True)
class Ends:
    """An interval: what passes in every reading, and what passes in some."""

    must: PortSet
    may: PortSet

    def less(self, other: "Ends") -> "Ends":
        """What is here and not there, at either end."""
        return Ends(self.must - other.must, self.may - other.may)

    def __bool__(self) -> bool:
        return bool(self.may) or bool(self.must)


NOTHING = Ends(NONE, NONE)


@dataclass(frozen=True, slots=True)
class Shift:
    """One interval turning into another; they differ."""

    before: Ends
    after: Ends

    @property
    def opened(self) -> Ends:
        return self.after.less(self.before)

    @property
    def closed(self) -> Ends:
        return self.before.less(self.after)

    @property
    def change(self) -> Change:
        if not self.before:
            return Change.OPENS
        return Change.CLOSES if not self.after else Change.CHANGES


@dataclass(frozen=True, slots=True)
class PairChange:
    """An ordered pair of groups between which something changes."""

    source: str
    target: str
    shift: Shift


@dataclass(frozen=True, slots=True)
class OutsideShift:
    """A group and outside addresses between which the same changes."""

    group: str
    flow: Flow
    blocks: tuple[str, ...]
    shift: Shift


def pair_changes(before: Matrix, after: Matrix) -> tuple[PairChange, ...]:
    """Pairs that differ, by name."""
    old = {(cell.source, cell.target): Ends(cell.must, cell.may) for cell in before.cells}
    new = {(cell.source, cell.target): Ends(cell.must, cell.may) for cell in after.cells}
    return tuple(
        PairChange(*ends, Shift(was, now))
        for ends in sorted(old.keys() | new.keys())
        if (was := old.get(ends, NOTHING)) != (now := new.get(ends, NOTHING))
    )


def outside_changes(before: Matrix, after: Matrix) -> tuple[OutsideShift, ...]:
    """Outside addresses that differ, those with equal differences together."""
    old, new = _by_group(before), _by_group(after)
    return tuple(
        change for group, flow in sorted(old.keys() | new.keys()) for change in _outside(group, flow, old, new)
    )


_Parts = dict[tuple[str, Flow], list[tuple[Ranges, Ends]]]


def _by_group(found: Matrix) -> _Parts:
    parts: _Parts = {}
    for one in found.external:
        parts.setdefault((one.group, one.flow), []).append((_ranges(one), Ends(one.must, one.may)))
    return parts


def _outside(group: str, flow: Flow, old: _Parts, new: _Parts) -> Iterator[OutsideShift]:
    together: dict[Shift, Ranges] = {}
    was, now = old.get((group, flow), []), new.get((group, flow), [])
    for ranges, ends in was:
        rest = ranges
        for others, then in now:
            common = ranges & others
            if common:
                rest = rest - others
                _add(together, Shift(ends, then), common)
        _add(together, Shift(ends, NOTHING), rest)
    for ranges, ends in now:
        rest = ranges
        for others, _ in was:
            rest = rest - others
        _add(together, Shift(NOTHING, ends), rest)
    for shift, ranges in together.items():
        yield OutsideShift(group, flow, blocks(ranges), shift)


def _add(together: dict[Shift, Ranges], shift: Shift, ranges: Ranges) -> None:
    if ranges and shift.before != shift.after:
        together[shift] = together[shift] | ranges if shift in together else ranges


def _ranges(one: External) -> Ranges:
    return of_ranges(span for cidr in one.blocks for span in block(cidr).spans)
