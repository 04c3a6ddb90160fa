"""The scope loop: what has been judged in a term, and what not yet."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

from driftd.engine.cycle import Cycle, CycleEnd
from driftd.engine.dirty import Ticket
from driftd.engine.inforce import NEW_MODEL
from driftd.engine.loop import ScopeLoop
from driftd.telemetry import Metrics, Traces
from driftd.values import Scope
from tests.support.live import until
from tests.support.records import SteppingClock
from tests.support.spans import InMemory

SCOPES = (Scope("acme-prod"), Scope("globex-prod"))


class InForce:
    trace = ""

    def scopes(self) -> tuple[Scope, ...]:
        return SCOPES

    def tenant_of(self, scope: Scope) -> str:
        return scope.namespace


class Mirror:
    """Tells of nothing."""

    def subscribe(self, _hear: Any) -> None: ...

    def subscribe_states(self, _hear: Any) -> None: ...


@dataclass
class Cycles:
    """Judges a scope when it is let to."""

    may: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, _ticket: Ticket, _trace: object) -> CycleEnd:
        await self.may.wait()
        return CycleEnd("clean")


def loop_of(cycles: Cycles, in_force: Callable[[], InForce] = InForce, traces: Traces | None = None) -> ScopeLoop:
    return ScopeLoop(
        mirror=cast("Any", Mirror()),
        cycle=cast("Cycle", cycles),
        in_force=cast("Any", in_force),
        workers=2,
        clock=SteppingClock(),
        metrics=Metrics(),
        traces=traces or Traces(InMemory()),
    )


async def test_every_term_has_judged_all_only_when_it_has_judged_all_itself() -> None:
    cycles = Cycles()
    loop = loop_of(cycles)
    async with asyncio.timeout(5):
        for _ in range(2):
            loop.begin()
            loop.sweep("leadership")
            assert not loop.swept
            working = asyncio.create_task(loop.run())
            await asyncio.sleep(0.01)
            assert not loop.swept, "an earlier term's looks are not this one's"
            cycles.may.set()
            await until(lambda: loop.swept)
            cycles.may.clear()
            working.cancel()
            await asyncio.wait({working})


async def test_cycles_are_counted_and_those_that_a_new_model_asks_for_lead_to_how_it_came() -> None:
    spans, model = InMemory(sample=True), InForce()
    traces = Traces(spans)
    came = traces.begin("driftd.model.load", {})
    came.end("accepted", eventful=True)
    model.trace = came.id
    cycles = Cycles()
    cycles.may.set()
    loop = loop_of(cycles, lambda: model, traces)
    loop.begin()
    loop.dirty.mark(SCOPES[0], NEW_MODEL)
    loop.dirty.mark(SCOPES[1], "audit", urgent=False)
    async with asyncio.timeout(5):
        working = asyncio.create_task(loop.run())
        await until(lambda: len([one for one in spans.made if one.ended]) == 3)
        working.cancel()
        await asyncio.wait({working})
    first, second = spans.made[1:]
    assert (first.links, second.links) == ([came.root], [])
    assert [one.attributes["driftd.cycle.id"] for one in (first, second)] == [1, 2]
