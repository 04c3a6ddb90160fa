"""The queue of scopes to judge: each at most once, fair between tenants, urgent before routine."""

import asyncio
import heapq
from collections.abc import Callable
from dataclasses import dataclass

from driftd.engine.turns import Turns
from driftd.values import Scope

URGENT_IN_A_ROW = 16
"""After so many urgent scopes one routine scope gets its turn, if any waits: noise must not keep it for ever."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """A scope taken for judging. `since` is the monotonic second of the oldest mark it answers."""

    scope: Scope
    since: float
    trigger: str


class DirtyScopes:
    """Marks come from everywhere, workers take. A scope that is being judged is given out again only when done.

    Two lanes: `urgent` (something changed) goes before routine marks (start, audit, model), of which one is given out
    after every sixteen urgent ones. Within a lane tenants take turns, so that one tenant's noise delays another's
    repair by at most one scope a worker.

    Args:
        tenant_of: the tenant whose turn a scope's judging counts as.
        monotonic: seconds that never step back.
    """

    def __init__(self, tenant_of: Callable[[Scope], str], monotonic: Callable[[], float]) -> None:
        self._tenant_of = tenant_of
        self._monotonic = monotonic
        self._lanes: tuple[Turns[Scope, Ticket], Turns[Scope, Ticket]] = (Turns(), Turns())
        self._home: dict[Scope, tuple[int, str]] = {}
        self._taken: dict[Scope, Ticket | None] = {}
        self._later: list[tuple[float, int, Scope, str]] = []
        self._due: dict[Scope, float] = {}
        self._count = 0
        self._urgent_in_a_row = 0
        self._wake = asyncio.Event()

    def __len__(self) -> int:
        return sum(map(len, self._lanes))

    @property
    def idle(self) -> bool:
        """Nothing waits, nothing is being judged (marks for later do not count)."""
        return not len(self) and not self._taken

    def mark(self, scope: Scope, trigger: str, *, urgent: bool = True) -> None:
        """Have the scope judged; a mark on a waiting scope is absorbed, on a taken one remembered."""
        ticket = Ticket(scope, self._monotonic(), trigger)
        if scope in self._taken:
            self._taken[scope] = self._taken[scope] or ticket
            return
        lane = 0 if urgent else 1
        home = self._home.get(scope)
        if home is not None:
            if home[0] <= lane:
                return
            ticket = self._lanes[home[0]].drop(home[1], scope) or ticket
        self._put(lane, ticket)

    def mark_later(self, scope: Scope, trigger: str, seconds: float) -> None:
        """The same after a pause; of several pauses of one scope the earliest counts."""
        due = self._monotonic() + seconds
        if due >= self._due.get(scope, float("inf")):
            return
        self._due[scope] = due
        self._count += 1
        heapq.heappush(self._later, (due, self._count, scope, trigger))
        self._wake.set()

    async def take(self) -> Ticket:
        """Wait for the next scope whose turn it is. Cancel-safe."""
        while True:
            pause = self._release_due()
            ticket = self._next()
            if ticket is not None:
                self._home.pop(ticket.scope, None)
                self._taken[ticket.scope] = None
                return ticket
            self._wake.clear()
            try:
                async with asyncio.timeout(pause):
                    await self._wake.wait()
            except TimeoutError:
                continue

    def done(self, scope: Scope) -> None:
        """The worker's last word on a scope it took: marks made meanwhile take effect now."""
        again = self._taken.pop(scope)
        if again is not None:
            self._put(0, again)

    def _next(self) -> Ticket | None:
        urgent, routine = self._lanes
        first = (routine, urgent) if self._urgent_in_a_row >= URGENT_IN_A_ROW else (urgent, routine)
        for lane in first:
            found = lane.next()
            if found is not None:
                self._urgent_in_a_row = self._urgent_in_a_row + 1 if lane is urgent else 0
                return found[1]
        return None

    def _put(self, lane: int, ticket: Ticket) -> None:
        tenant = self._tenant_of(ticket.scope)
        self._home[ticket.scope] = (lane, tenant)
        self._lanes[lane].put(tenant, ticket.scope, ticket)
        self._wake.set()

    def _release_due(self) -> float | None:
        """Move marks that are due into the urgent lane; the seconds to the next one, None without any."""
        now = self._monotonic()
        while self._later and self._later[0][0] <= now:
            due, _, scope, trigger = heapq.heappop(self._later)
            if self._due.get(scope) == due:  # else an earlier pause has taken its place
                del self._due[scope]
                self.mark(scope, trigger)
        return self._later[0][0] - now if self._later else None
