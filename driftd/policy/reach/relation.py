"""Relations between traffic and endpoints: for every traffic point, the set of endpoints, in canonical form.

A relation is a partition of all traffic into port sets, each with a bitset of endpoints; no two parts share a
bitset, so equal relations are equal tuples. Bitsets are Python integers; a negative one is a set without an end
(all but finitely many endpoints), which keeps "everyone" true for endpoints that come later.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache, reduce
from operator import and_, or_
from typing import Final, TypeAlias

from driftd.policy.reach.ports import ALL, LAST, NONE, PORTED, PortSet, of_spans
from driftd.policy.reach.spans import Span

Relation: TypeAlias = tuple[tuple[PortSet, int], ...]

FULL: Final[Relation] = ((ALL, -1),)
EMPTY: Final[Relation] = ((ALL, 0),)
_FEW: Final = 64
"""Spans of ports that are remembered together."""
_FEW_PLACES: Final = 8
_POOLED: Final = 4096
"""Bitsets that are looked up to be shared."""
_Parts: TypeAlias = tuple[tuple[PortSet, tuple[int, ...]], ...]


def of_pairs(pairs: Iterable[tuple[PortSet, int]]) -> Relation:
    """The union of rectangles (ports x endpoints), in any order and overlapping."""
    by_ports: dict[PortSet, int] = {}
    for ports, bits in pairs:
        if bits:
            by_ports[ports] = _union(by_ports.get(ports, 0), bits)
    members = list(by_ports.values())
    parts: list[tuple[PortSet, int]] = []
    for ports, holders in _refined(tuple(by_ports)):
        bits = 0
        for holder in holders:
            bits = _union(bits, members[holder])
        parts.append((ports, bits))
    return _gathered(parts)


def _union(have: int, more: int) -> int:
    """The union; where one side is empty the other one itself and no copy: a bitset of 10,000 classes is 1.3 KB."""
    return have | more if have and more else have or more


def _refined(sets: tuple[PortSet, ...]) -> _Parts:
    """All traffic cut by some sets of it: each part, by its first point, with the numbers of the sets that hold it."""
    few = sum([len(ports.spans) for ports in sets]) <= _FEW
    return _refined_once(sets) if few else _cut(sets)


@lru_cache(maxsize=8_192)
def _refined_once(sets: tuple[PortSet, ...]) -> _Parts:
    """Remembered, because the ports that rules speak of are few, whomever they are for; large sets are a stranger's."""
    return _cut(sets)


def _cut(sets: tuple[PortSet, ...]) -> _Parts:
    edges = {0, LAST + 1, *[edge for ports in sets for low, high in ports.spans for edge in (low, high + 1)]}
    cuts = sorted(edges)
    place = {edge: index for index, edge in enumerate(cuts)}
    holders = [0] * (len(cuts) - 1)
    for number, ports in enumerate(sets):
        for low, high in ports.spans:
            for at in range(place[low], place[high + 1]):
                holders[at] |= 1 << number
    found: dict[int, list[Span]] = {}
    for at, numbers in enumerate(holders):
        found.setdefault(numbers, []).append((cuts[at], cuts[at + 1] - 1))
    return tuple((of_spans(spans), tuple(positions(numbers))) for numbers, spans in found.items())


def _gathered(parts: Sequence[tuple[PortSet, int]]) -> Relation:
    """The relation of disjoint parts that are in order of their first points; those with equal endpoints become one."""
    found: dict[int, list[PortSet]] = {}
    for ports, bits in parts:
        found.setdefault(bits, []).append(ports)
    if len(found) == len(parts):
        return tuple(parts)
    return tuple(
        (one[0] if len(one) == 1 else of_spans(span for ports in one for span in ports.spans), bits)
        for bits, one in found.items()
    )


def _overlaps(left: Relation, right: Relation) -> list[tuple[PortSet, int, int]]:
    """Wherever parts of both meet: the traffic, and the endpoints of either; in order of first points."""
    both = (*left, *right)
    return [
        (ports, both[one][1], both[other][1]) for ports, (one, other) in _refined(tuple([ports for ports, _ in both]))
    ]


def combine(left: Relation, right: Relation, operation: Callable[[int, int], int]) -> Relation:
    """The relation whose endpoints at each traffic point are `operation` of both sides' endpoints there."""
    return _gathered([(ports, operation(one, other)) for ports, one, other in _overlaps(left, right)])


def join(left: Relation, right: Relation) -> Relation:
    """Union."""
    if left is EMPTY or right is FULL:
        return right
    if right is EMPTY or left is FULL:
        return left
    return combine(left, right, or_)


def meet(left: Relation, right: Relation) -> Relation:
    """Intersection."""
    if left is FULL or right is EMPTY:
        return right
    if right is FULL or left is EMPTY:
        return left
    return combine(left, right, and_)


def minus(left: Relation, right: Relation) -> Relation:
    """What is on the left and not on the right."""
    if right is EMPTY or left is EMPTY:
        return left
    if right is FULL:
        return EMPTY
    return combine(left, right, _without)


def _without(left: int, right: int) -> int:
    return left & ~right


def at(relation: Relation, bit: int) -> PortSet:
    """The traffic that one endpoint has in the relation."""
    found = NONE
    for ports, bits in relation:
        if bits >> bit & 1:
            found = found | ports if found else ports
    return found


Reached: TypeAlias = tuple[int, int]
"""Endpoints over traffic with ports, and over the rest: by these two alone most pairs are known to exchange nothing."""


def reached(relation: Relation) -> Reached:
    """The endpoints that have any traffic in the relation."""
    ported = rest = 0
    for ports, bits in relation:
        if bits:
            with_ports, without = kinds(ports)
            ported = _union(ported, bits) if with_ports else ported
            rest = _union(rest, bits) if without else rest
    return ported, rest


def kinds(ports: PortSet) -> tuple[bool, bool]:
    """Whether a set of traffic holds any with ports, and any without."""
    return _kinds(ports) if ports.few else _kinds.__wrapped__(ports)


@lru_cache(maxsize=65_536)
def _kinds(ports: PortSet) -> tuple[bool, bool]:
    return bool(ports & PORTED), bool(ports - PORTED)


class Same:
    """Equal bitsets as one object: rows of thousands of classes speak of the same few, and one may be 1.3 KB long."""

    def __init__(self) -> None:
        self._bits: dict[int, int] = {}

    def relation(self, found: Relation) -> Relation:
        """The same relation, made of what others are made of as well."""
        if found is FULL or found is EMPTY:
            return found
        if len(self._bits) > _POOLED:
            self._bits.clear()  # what is kept is kept by those who have it
        known = self._bits.setdefault
        return tuple([(ports, known(bits, bits)) for ports, bits in found])


def joint(before: Relation, after: Relation) -> tuple[tuple[PortSet, int, int], ...]:
    """The common refinement: every traffic part with its endpoints before and after."""
    if before is after:
        return tuple((ports, bits, bits) for ports, bits in before)
    return tuple(_overlaps(before, after))


def of_positions(places: Sequence[int]) -> int:
    """The bitset of some positions."""
    if len(places) < _FEW_PLACES:
        return reduce(or_, [1 << place for place in places], 0)
    found = bytearray(max(places) // 8 + 1)
    for place in places:
        found[place >> 3] |= 1 << (place & 7)
    return int.from_bytes(found, "little")


def positions(bits: int) -> list[int]:
    """The positions of a finite bitset, ascending."""
    found: list[int] = []
    if not bits:
        return found
    base = (bits & -bits).bit_length() - 1
    bits >>= base
    while bits:
        low = bits & -bits
        found.append(base + low.bit_length() - 1)
        bits ^= low
    return found
