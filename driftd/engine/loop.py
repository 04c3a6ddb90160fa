"""The scope loop: changes mark scopes dirty, workers judge them; one poisoned scope stops no other."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable

import structlog

from driftd.cluster import Mirror
from driftd.drift import KindState
from driftd.engine.cycle import Cycle
from driftd.engine.dirty import DirtyScopes, Ticket
from driftd.engine.inforce import NEW_MODEL, InForce
from driftd.telemetry import Metrics, Trace, Traces, names
from driftd.values import CLUSTER, Clock, Live, ObjectRef, Resource, Scope, scope_of

_log = structlog.get_logger()

POISON_FIRST_SECONDS = 1.0
POISON_LAST_SECONDS = 300.0

_EVENTFUL = frozenset({"repaired", "drift"})
"""Ends of a cycle whose trace is kept, whatever the share of others."""


class ScopeLoop:
    """Feeds the queue from the mirror and works it off while this replica leads.

    A scope whose cycle raises is logged and tried again after a growing pause; the others go on.
    """

    def __init__(
        self,
        *,
        mirror: Mirror,
        cycle: Cycle,
        in_force: Callable[[], InForce | None],
        workers: int,
        clock: Clock,
        metrics: Metrics,
        traces: Traces,
    ) -> None:
        self._mirror = mirror
        self._cycle = cycle
        self._in_force = in_force
        self._workers = workers
        self._clock = clock
        self._metrics = metrics
        self._traces = traces
        self._cycles = itertools.count(1)
        self._poison: dict[Scope, float] = {}
        self._unjudged: set[Scope] = set()
        self._swept = False
        self.dirty = DirtyScopes(self._tenant_of, clock.monotonic)
        mirror.subscribe(self._changed)
        mirror.subscribe_states(self._state_changed)

    @property
    def swept(self) -> bool:
        """Whether every scope has been judged once in this term."""
        return self._swept

    def begin(self) -> None:
        """A term begins: what an earlier one has seen says nothing of what stands now."""
        self._unjudged.clear()
        self._swept = False

    def sweep(self, trigger: str) -> None:
        """Have every scope of the model judged, behind whatever is urgent."""
        model = self._in_force()
        if model is None:
            return
        for scope in model.scopes():
            self._unjudged.add(scope)
            self.dirty.mark(scope, trigger, urgent=False)

    async def run(self) -> None:
        """Work until cancelled. A cycle under way is not torn apart: its writes are finished or refused first."""
        async with asyncio.TaskGroup() as group:
            for number in range(self._workers):
                group.create_task(self._work(), name=f"scope-worker-{number}")

    async def _work(self) -> None:
        while True:
            ticket = await self.dirty.take()
            self._metrics.queue.set(len(self.dirty))
            try:
                await _uninterrupted(self._judge(ticket))
            finally:
                self.dirty.done(ticket.scope)

    async def _judge(self, ticket: Ticket) -> None:
        began = self._clock.monotonic()
        trace = self._begun(ticket)
        try:
            end = await self._cycle.run(ticket, trace)
        except Exception as error:  # noqa: BLE001 - the supervisor: one poisoned scope must not stop the others
            pause = min(POISON_LAST_SECONDS, self._poison.get(ticket.scope, POISON_FIRST_SECONDS / 2) * 2)
            self._poison[ticket.scope] = pause
            _log.exception("cycle.failed", scope=str(ticket.scope), again_in=pause)
            self._metrics.cycles.labels("failed").inc()
            trace.end("failed", eventful=True, failed=type(error).__name__)
            self.dirty.mark_later(ticket.scope, "retry", pause)
            return
        trace.end(end.outcome, eventful=end.outcome in _EVENTFUL)
        self._poison.pop(ticket.scope, None)
        if end.seen and ticket.scope in self._unjudged:
            self._unjudged.remove(ticket.scope)
            if not self._unjudged:
                self._swept = True
                self._metrics.last_pass.set(self._clock.now().timestamp())
        if end.again is not None:
            self.dirty.mark_later(ticket.scope, "retry", end.again)
        self._metrics.cycles.labels(end.outcome).inc()
        self._metrics.cycle_seconds.observe(self._clock.monotonic() - began)

    def _begun(self, ticket: Ticket) -> Trace:
        """The trace of a cycle. One that a new model asks for is linked to how that model came."""
        model = self._in_force()
        return self._traces.begin(
            names.RECONCILE,
            {
                names.CYCLE: next(self._cycles),
                names.NAMESPACE: ticket.scope.namespace,
                names.TRIGGER: ticket.trigger,
            },
            links=(model.trace,) if model is not None and ticket.trigger == NEW_MODEL else (),
        )

    def _tenant_of(self, scope: Scope) -> str:
        model = self._in_force()
        return model.tenant_of(scope) if model else ""

    def _changed(self, ref: ObjectRef, _before: Live | None, _after: Live | None) -> None:
        model = self._in_force()
        scope = scope_of(ref)
        if model is not None and (scope == CLUSTER or model.governed(scope) is not None):
            self.dirty.mark(scope, f"{ref.kind} changed")

    def _state_changed(self, resource: Resource, state: KindState, _why: str) -> None:
        if state is KindState.READY:
            self.sweep(f"{resource.kind} ready")


async def _uninterrupted(work: Awaitable[None]) -> None:
    """Await to the end even when cancelled meanwhile; the cancellation is raised afterwards."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await task
        raise
