"""Spans and relations hold, at every point of their line, what sets of points would."""

from collections.abc import Callable
from itertools import pairwise
from operator import and_, or_

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driftd.policy.reach import ALL, PortSet
from driftd.policy.reach.addresses import IPV4, IPV6, blocks, of_ranges
from driftd.policy.reach.ports import of_spans
from driftd.policy.reach.relation import Relation, combine, joint, of_pairs
from driftd.policy.reach.spans import Spans, common, less, merged

LAST = 14
ENDS = st.integers(0, LAST)
LOOSE = st.lists(st.tuples(ENDS, ENDS).map(lambda ends: (min(ends), max(ends))), max_size=4)
PAIRS = st.lists(st.tuples(LOOSE.map(of_spans), st.integers(-3, 7)), max_size=5)


def points(spans: Spans) -> set[int]:
    return {point for low, high in spans for point in range(low, high + 1)}


def canonical(spans: Spans) -> bool:
    return all(low <= high for low, high in spans) and all(one[1] + 1 < other[0] for one, other in pairwise(spans))


def at(relation: Relation, point: int) -> int:
    [bits] = [bits for ports, bits in relation if point in ports]
    return bits


@given(LOOSE, LOOSE)
@settings(max_examples=150)
def test_the_algebra_of_spans_is_that_of_sets(left: list[tuple[int, int]], right: list[tuple[int, int]]) -> None:
    one, other = merged(left), merged(right)
    assert points(one) == points(tuple(left))
    assert points(common(one, other)) == points(one) & points(other)
    assert points(less(one, other)) == points(one) - points(other)
    assert all(canonical(found) for found in (one, common(one, other), less(one, other)))


@given(PAIRS)
@settings(max_examples=150)
def test_a_relation_has_at_each_point_whom_any_of_its_rectangles_has_there(
    pairs: list[tuple[PortSet, int]],
) -> None:
    found = of_pairs(pairs)
    for point in range(LAST + 2):
        wanted = 0
        for ports, bits in pairs:
            wanted |= bits if point in ports else 0
        assert at(found, point) == wanted
    _is_canonical(found)


@pytest.mark.parametrize("operation", [and_, or_, lambda left, right: left & ~right])
@given(PAIRS, PAIRS)
@settings(max_examples=100)
def test_two_relations_combine_point_by_point(
    operation: Callable[[int, int], int], one: list[tuple[PortSet, int]], other: list[tuple[PortSet, int]]
) -> None:
    left, right = of_pairs(one), of_pairs(other)
    found = combine(left, right, operation)
    for point in range(LAST + 2):
        assert at(found, point) == operation(at(left, point), at(right, point))
        assert [part[1:] for part in joint(left, right) if point in part[0]] == [(at(left, point), at(right, point))]
    _is_canonical(found)


def _is_canonical(relation: Relation) -> None:
    """Equal relations are equal tuples: parts ascend, no two have one bitset, and together they are all traffic."""
    whole = of_spans(span for ports, _ in relation for span in ports.spans)
    assert whole == ALL
    assert len({bits for _, bits in relation}) == len(relation)
    firsts = [ports.spans[0][0] for ports, _ in relation]
    assert firsts == sorted(firsts)


def test_the_last_address_of_one_family_is_no_neighbour_of_the_first_of_the_other() -> None:
    both = of_ranges((*IPV4.spans, *IPV6.spans))
    assert len(both.spans) == 2
    assert blocks(both) == ("0.0.0.0/0", "::/0")
    assert both.edges() == ()
