"""What the differences of a comparison mean: judged together, in the world that the daemon judges with."""

from collections.abc import Mapping, Sequence
from typing import Final

from driftd.compile import Compiled
from driftd.drift import Difference, Judgement, World
from driftd.drift.meaning import judgeable
from driftd.policy.reach import Dialect
from driftd.values import FindingType, ObjectRef

MOST: Final = 400
"""Differences that are judged; each is held against all others, and takes milliseconds. The rest stays UNKNOWN."""


def meanings(compiled: Compiled, differences: Sequence[Difference]) -> Mapping[ObjectRef, Judgement]:
    """What each difference does, alone and with the others; those that are left out are not known.

    Left out is what costs too much, what no policy of its kind can be shaped like, and of very many the last: objects
    that are missing come after those that are there. No live pods are looked at: what is known of pods is the model.
    """
    readable = [one for one in differences if judgeable(one, Dialect(compiled.dialect))]
    chosen = sorted(readable, key=lambda one: one.type is FindingType.MISSING)[:MOST]
    return World(compiled).judge(chosen) if chosen else {}
