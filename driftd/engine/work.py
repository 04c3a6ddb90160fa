"""What one cycle of a scope has gathered so far."""

from collections import Counter
from dataclasses import dataclass, field

from driftd.drift import Difference
from driftd.telemetry import Trace
from driftd.values import Finding, Live, ObjectRef, Outcome


@dataclass(slots=True)
class Work:
    """Filled by the rounds of a cycle, written down at its end. `since` is the monotonic second of the oldest mark.

    `raced` are objects that others make, change and delete faster than driftd writes: what is open of them stays so.
    """

    trace: Trace
    since: float
    outcomes: list[Outcome] = field(default_factory=list)
    repaired: set[ObjectRef] = field(default_factory=set)
    opened: dict[str, Finding] = field(default_factory=dict)
    differences: dict[str, Difference] = field(default_factory=dict)
    proved: frozenset[ObjectRef] = frozenset()
    whole: dict[ObjectRef, Live] = field(default_factory=dict)
    again: list[float] = field(default_factory=list)
    fights: list[ObjectRef] = field(default_factory=list)
    conflicts: Counter[ObjectRef] = field(default_factory=Counter)
    raced: frozenset[ObjectRef] = frozenset()

    @property
    def pause(self) -> float | None:
        """Seconds after which the scope wants another look, None for never."""
        return min(self.again, default=None)

    @property
    def exemplar(self) -> dict[str, str] | None:
        """What leads from a histogram's bucket to the trace of one of its cycles."""
        return {"trace_id": self.trace.id} if self.trace.id else None
