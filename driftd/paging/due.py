"""Steps that wait to be told, the next one first, without a look at the others. Pure: time is an argument."""

import heapq

from driftd.paging.step import Name, Order, Step


class Due:
    """At most one step a life, each told no sooner than its time.

    Both heaps keep entries of steps that are none any more: an entry counts while it says what `_steps` says.
    """

    def __init__(self) -> None:
        self._steps: dict[Name, tuple[Step, float]] = {}
        self._ready: list[tuple[Order, Name]] = []
        self._later: list[tuple[float, Name]] = []

    def __len__(self) -> int:
        return len(self._steps)

    def put(self, name: Name, step: Step | None, earliest: float) -> None:
        """The step of this life is this one from now on, if any."""
        if step is None:
            self._steps.pop(name, None)
            return
        known = self._steps.get(name)
        self._steps[name] = step, earliest
        if known is None or (known[0].order, known[1]) != (step.order, earliest):
            heapq.heappush(self._later, (earliest, name))

    def first(self, now: float) -> Step | None:
        """The step to tell at this moment."""
        while self._later and self._later[0][0] <= now:
            at, name = heapq.heappop(self._later)
            if name in self._steps and self._steps[name][1] == at:
                heapq.heappush(self._ready, (self._steps[name][0].order, name))
        while self._ready:
            order, name = self._ready[0]
            step, earliest = self._steps.get(name, (None, 0.0))
            if step is not None and step.order == order and earliest <= now:
                return step
            heapq.heappop(self._ready)
        return None

    def earliest(self, now: float) -> float | None:
        """When there is a step to tell: now, later, or never."""
        if self.first(now) is not None:
            return now
        while self._later:
            at, name = self._later[0]
            if name in self._steps and self._steps[name][1] == at:
                return at
            heapq.heappop(self._later)
        return None

    def clear(self) -> None:
        """Nothing is to be told any more."""
        self._steps.clear()
        self._ready.clear()
        self._later.clear()
