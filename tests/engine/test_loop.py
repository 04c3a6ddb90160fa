"""The scope loop: what has been judged in a term, and what not yet."""

import asyncio
from dataclasses import dataclass, field
from typing import Any, cast

from driftd.engine.cycle import Cycle, CycleEnd
from driftd.engine.dirty import Ticket
from driftd.engine.loop import ScopeLoop
from driftd.telemetry import Metrics, Traces
from driftd.values import Scope
from tests.support.live import until
from tests.support.records import SteppingClock
from tests.support.spans import InMemory

SCOPES = (Scope("acme-prod"), Scope("globex-prod"))


class InForce:
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


async def test_every_term_has_judged_all_only_when_it_has_judged_all_itself() -> None:
    cycles = Cycles()
    loop = ScopeLoop(
        mirror=cast("Any", Mirror()),
        cycle=cast("Cycle", cycles),
        in_force=cast("Any", InForce),
        workers=2,
        clock=SteppingClock(),
        metrics=Metrics(),
        traces=Traces(InMemory()),
    )
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
