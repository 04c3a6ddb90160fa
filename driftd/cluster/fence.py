"""Whether a write may leave now: who leads, in which epoch, and for how long that surely holds (D10)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class FenceState:
    """`remaining` are the seconds until leadership ends if no renewal succeeds; 0 when not leading."""

    leading: bool
    epoch: int
    remaining: float


Fence: TypeAlias = Callable[[], FenceState]
"""Asked directly before each write, never remembered."""

NOT_LEADING = FenceState(leading=False, epoch=0, remaining=0.0)
