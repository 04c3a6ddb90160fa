"""Sets of integers as closed spans on one line, in canonical form: ascending, disjoint, not adjacent."""

from collections.abc import Iterable
from typing import TypeAlias

Span: TypeAlias = tuple[int, int]
Spans: TypeAlias = tuple[Span, ...]


def merged(spans: Iterable[Span]) -> Spans:
    """The points in any of the spans, which may overlap and come in any order."""
    found: list[Span] = []
    for low, high in sorted(spans):
        if found and low <= found[-1][1] + 1:
            if high > found[-1][1]:
                found[-1] = (found[-1][0], high)
        else:
            found.append((low, high))
    return tuple(found)


def common(left: Spans, right: Spans) -> Spans:
    """The points in both sets."""
    found: list[Span] = []
    i = j = 0
    while i < len(left) and j < len(right):
        low = max(left[i][0], right[j][0])
        high = min(left[i][1], right[j][1])
        if low <= high:
            found.append((low, high))
        if left[i][1] < right[j][1]:
            i += 1
        else:
            j += 1
    return tuple(found)


def less(left: Spans, right: Spans) -> Spans:
    """The points on the left that are not on the right."""
    found: list[Span] = []
    for low, high in left:
        start = low
        for other_low, other_high in right:
            if other_high < start:
                continue
            if other_low > high:
                break
            if other_low > start:
                found.append((start, other_low - 1))
            start = other_high + 1
        if start <= high:
            found.append((start, high))
    return tuple(found)
