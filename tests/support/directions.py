"""The direction of a change as the naive evaluators have it: flow by flow, the answer before and the answer after."""

from collections.abc import Iterable

from driftd.values import Direction
from tests.oracle.worlds import Allowed

_RANK = {Allowed.NO: 0, Allowed.OPEN: 1, Allowed.YES: 2}


def direction(flows: Iterable[tuple[Allowed, Allowed]]) -> Direction:
    """What all of them say together."""
    signs = {(_RANK[now] > _RANK[was]) - (_RANK[now] < _RANK[was]) for was, now in flows}
    if 1 in signs:
        return Direction.MIXED if -1 in signs else Direction.LOOSENS
    return Direction.TIGHTENS if -1 in signs else Direction.NEUTRAL
