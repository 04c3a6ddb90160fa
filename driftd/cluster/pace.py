"""Time and chance for loops that wait: a clock, a sleep, a random number, all handed in; and the backoff they share."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from driftd.values import Clock


@dataclass(frozen=True, slots=True)
class Pace:
    """How a loop knows time, waits and jitters. `random` gives a number in [0, 1)."""

    clock: Clock
    sleep: Callable[[float], Awaitable[None]]
    random: Callable[[], float]

    def between(self, low: float, high: float) -> float:
        """A random number of seconds in the range."""
        return low + (high - low) * self.random()


@dataclass(slots=True)
class Backoff:
    """Exponential waiting with full jitter: 0.8 s doubling to 30 s, forgotten after two healthy minutes.

    The figures are client-go's for its reflectors (`tools/cache/reflector.go`): many watchers that lose one server
    must not come back in step.
    """

    pace: Pace
    first: float = 0.8
    cap: float = 30.0
    healthy_after: float = 120.0
    _step: float = field(default=0.0, init=False)
    _last: float = field(default=0.0, init=False)

    def next(self, at_least: float = 0.0) -> float:
        """Seconds to wait now; never less than what a server asked for."""
        now = self.pace.clock.monotonic()
        if self._step == 0.0 or now - self._last > self.healthy_after:
            self._step = self.first
        wait = self._step * (1.0 + self.pace.random())
        self._step = min(self._step * 2, self.cap)
        self._last = now + wait
        return max(min(wait, self.cap), at_least)

    async def wait(self, at_least: float = 0.0) -> None:
        await self.pace.sleep(self.next(at_least))
