"""Relations between traffic and endpoints: for every traffic point, the set of endpoints, in canonical form.

A relation is a partition of all traffic into port sets, each with a bitset of endpoints; no two parts share a
bitset, so equal relations are equal tuples. Bitsets are Python integers; a negative one is a set without an end
(all but finitely many endpoints), which keeps "everyone" true for endpoints that come later.
"""

from collections.abc import Callable, Iterable
from functools import lru_cache
from operator import and_, or_
from typing import Final, TypeAlias

from driftd.policy.reach.ports import ALL, LAST, NONE, PORTED, PortSet, of_spans, spanned
from driftd.policy.reach.spans import Span

Relation: TypeAlias = tuple[tuple[PortSet, int], ...]

FULL: Final[Relation] = ((ALL, -1),)
EMPTY: Final[Relation] = ((ALL, 0),)


def of_pairs(pairs: Iterable[tuple[PortSet, int]]) -> Relation:
    """The union of rectangles (ports x endpoints), in any order and overlapping."""
    by_ports: dict[PortSet, int] = {}
    for ports, bits in pairs:
        if bits:
            by_ports[ports] = _union(by_ports.get(ports, 0), bits)
    covers = [(low, high + 1, bits) for ports, bits in by_ports.items() for low, high in ports.spans]
    edges = sorted({0, LAST + 1, *[cover[0] for cover in covers], *[cover[1] for cover in covers]})
    place = {edge: index for index, edge in enumerate(edges)}
    pieces = [0] * (len(edges) - 1)
    for low, end, bits in covers:
        for at in range(place[low], place[end]):
            pieces[at] = _union(pieces[at], bits)
    return _gathered((bits, [(edges[at], edges[at + 1] - 1)]) for at, bits in enumerate(pieces))


def _union(have: int, more: int) -> int:
    """The union; where one side is empty the other one itself and no copy: a bitset of 10,000 classes is 1.3 KB."""
    return have | more if have and more else have or more


def _gathered(parts: Iterable[tuple[int, list[Span]]]) -> Relation:
    """The relation of disjoint parts that are in order of their first points; those with equal endpoints become one."""
    found: dict[int, list[Span]] = {}
    for bits, spans in parts:
        have = found.get(bits)
        if have is None:
            found[bits] = spans
        else:
            have += spans
    if len(found) == 1:
        return tuple((ALL, bits) for bits in found)
    return tuple((of_spans(spans) if len(spans) > 1 else spanned((spans[0],)), bits) for bits, spans in found.items())


def _overlaps(left: Relation, right: Relation) -> dict[tuple[int, int], list[Span]]:
    """The traffic in which a part of one relation, by its number, meets one of the other; in order of first points."""
    mine, theirs = _line(left), _line(right)
    found: dict[tuple[int, int], list[Span]] = {}
    start = j = 0
    for _, high, one in mine:
        while start <= high:
            _, other_high, other = theirs[j]
            last = min(high, other_high)
            found.setdefault((one, other), []).append((start, last))
            start = last + 1
            if last == other_high:
                j += 1
    return found


def _line(relation: Relation) -> list[tuple[int, int, int]]:
    """The spans of all parts in order, each with the number of its part: they leave no gap."""
    return sorted([(low, high, part) for part, (ports, _) in enumerate(relation) for low, high in ports.spans])


def combine(left: Relation, right: Relation, operation: Callable[[int, int], int]) -> Relation:
    """The relation whose endpoints at each traffic point are `operation` of both sides' endpoints there."""
    return _gathered(
        (operation(left[one][1], right[other][1]), spans) for (one, other), spans in _overlaps(left, right).items()
    )


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


@lru_cache(maxsize=65_536)
def kinds(ports: PortSet) -> tuple[bool, bool]:
    """Whether a set of traffic holds any with ports, and any without."""
    return bool(ports & PORTED), bool(ports - PORTED)


def joint(before: Relation, after: Relation) -> tuple[tuple[PortSet, int, int], ...]:
    """The common refinement: every traffic part with its endpoints before and after."""
    if before is after:
        return tuple((ports, bits, bits) for ports, bits in before)
    return tuple(
        (spanned(tuple(spans)), before[one][1], after[other][1])
        for (one, other), spans in _overlaps(before, after).items()
    )


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
