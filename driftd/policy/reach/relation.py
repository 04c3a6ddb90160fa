"""Relations between traffic and endpoints: for every traffic point, the set of endpoints, in canonical form.

A relation is a partition of all traffic into port sets, each with a bitset of endpoints; no two parts share a
bitset, so equal relations are equal tuples. Bitsets are Python integers; a negative one is a set without an end
(all but finitely many endpoints), which keeps "everyone" true for endpoints that come later.
"""

from collections.abc import Callable, Iterable
from functools import lru_cache
from operator import and_, or_
from typing import Final, TypeAlias

from driftd.policy.reach.ports import ALL, NONE, PORTED, PortSet

Relation: TypeAlias = tuple[tuple[PortSet, int], ...]

FULL: Final[Relation] = ((ALL, -1),)
EMPTY: Final[Relation] = ((ALL, 0),)


def of_pairs(pairs: Iterable[tuple[PortSet, int]]) -> Relation:
    """The union of rectangles (ports x endpoints), in any order and overlapping."""
    by_ports: dict[PortSet, int] = {}
    for ports, bits in pairs:
        by_ports[ports] = _union(by_ports.get(ports, 0), bits)
    parts: dict[int, PortSet] = {0: ALL}
    for ports, bits in by_ports.items():
        if not bits or not ports:
            continue
        refined: dict[int, PortSet] = {}
        for have, traffic in parts.items():
            inside = traffic & ports
            if inside:
                _add(refined, _union(have, bits), inside)
            rest = traffic - inside if inside else traffic
            if rest:
                _add(refined, have, rest)
        parts = refined
    return _canonical(parts)


def _union(have: int, more: int) -> int:
    """The union; where one side is empty the other one itself and no copy: a bitset of 10,000 classes is 1.3 KB."""
    return have | more if have and more else have or more


def _add(parts: dict[int, PortSet], bits: int, ports: PortSet) -> None:
    have = parts.get(bits)
    parts[bits] = ports if have is None else have | ports


def _canonical(parts: dict[int, PortSet]) -> Relation:
    if len(parts) == 1:
        return tuple((ports, bits) for bits, ports in parts.items())
    return tuple(sorted(((ports, bits) for bits, ports in parts.items()), key=_first))


def _first(part: tuple[PortSet, int]) -> int:
    return part[0].spans[0][0]


def combine(left: Relation, right: Relation, operation: Callable[[int, int], int]) -> Relation:
    """The relation whose endpoints at each traffic point are `operation` of both sides' endpoints there."""
    parts: dict[int, PortSet] = {}
    for left_ports, left_bits in left:
        for right_ports, right_bits in right:
            ports = left_ports & right_ports
            if ports:
                _add(parts, operation(left_bits, right_bits), ports)
    return _canonical(parts)


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
            found = found | ports
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
    parts: dict[tuple[int, int], PortSet] = {}
    for before_ports, before_bits in before:
        for after_ports, after_bits in after:
            ports = before_ports & after_ports
            if ports:
                have = parts.get((before_bits, after_bits))
                parts[before_bits, after_bits] = ports if have is None else have | ports
    return tuple((ports, *bits) for bits, ports in parts.items())


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
