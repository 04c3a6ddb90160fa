"""Findings of live workloads: kept while nothing is known, closed when they are over, and no fault ends the watch."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from functools import cache
from typing import TypeVar

from driftd.cluster import POD, WORKLOADS, Mirror, Pace, WorkloadMirror
from driftd.compile import Compiled, Exempt, compile_model
from driftd.drift import Comparison, KindState, World
from driftd.engine import OpenFindings, WorkloadDrift
from driftd.policy.reach import Pod
from driftd.telemetry import Metrics
from driftd.values import Finding, FindingType, ObjectRef, Scope
from tests.support.cluster import spec_digest
from tests.support.model_texts import environment, model

_Answer = TypeVar("_Answer")
SHOP = Scope("shop")
TODAY = date(2026, 11, 22)
THIEF = Pod("shop", "thief", {"app.kubernetes.io/name": "web"}, service_account="thief")


@cache
def compiled() -> Compiled:
    return compile_model(model(shop=environment("shop", "acme"), desk=environment("desk", "globex")))


class _Clock:
    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()


@dataclass
class Judge:
    """A world without a thread; `faults` are raised first."""

    world: World = field(default_factory=lambda: World(compiled()))
    faults: list[Exception] = field(default_factory=list)

    async def ask(self, question: Callable[[World], _Answer]) -> _Answer:
        if self.faults:
            raise self.faults.pop()
        return question(self.world)

    def reconsider(self, namespaces: frozenset[str] | None = None) -> None:
        del namespaces


@dataclass
class Stand:
    workloads: WorkloadMirror
    drift: WorkloadDrift
    judge: Judge
    findings: OpenFindings
    told: list[Scope]
    opened: list[Finding]

    def ready(self) -> None:
        for one in WORKLOADS:
            self.workloads.mark(one, KindState.READY)

    def put(self, pod: Pod | None) -> None:
        """What a watch would: the pod as it is now, or gone."""
        self.workloads._put(POD, ("shop", "thief"), pod)

    def found(self, model_: Compiled | None = None) -> tuple[Finding, ...]:
        return self.drift.added_to(Comparison(SHOP), model_ or compiled(), TODAY).findings

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not holds():
                await asyncio.sleep(0.01)


@asynccontextmanager
async def standing(judge: Judge | None = None) -> AsyncIterator[Stand]:
    pace = Pace(_Clock(), lambda _seconds: asyncio.sleep(0.001), random.random)
    workloads, metrics = WorkloadMirror(lambda _namespace: True), Metrics()
    findings, told, opened = OpenFindings(metrics), list[Scope](), list[Finding]()
    judge = judge or Judge()

    async def updated(_finding: Finding) -> None:
        return

    drift = WorkloadDrift(
        workloads=workloads,
        mirror=Mirror(spec_digest, pace),
        compiled=compiled,
        judge=judge,
        findings=findings,
        changed=told.append,
        updated=updated,
        opened=opened.append,
        pace=pace,
        metrics=metrics,
    )
    task = asyncio.create_task(drift.run())
    try:
        yield Stand(workloads, drift, judge, findings, told, opened)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_pod_that_takes_what_is_not_its_own_is_told_once_and_forgotten_when_it_goes() -> None:
    async with standing() as stand:
        stand.ready()
        stand.put(THIEF)
        await stand.until(lambda: bool(stand.found()))
        assert [one.type for one in stand.found()] == [FindingType.RELABELLED]
        assert stand.told == [SHOP]
        assert [one.id for one in stand.opened] == [one.id for one in stand.found()]
        stand.put(None)
        await stand.until(lambda: not stand.found())
        assert stand.told == [SHOP, SHOP]


async def test_nothing_is_judged_before_everything_can_be_seen() -> None:
    async with standing() as stand:
        stand.put(THIEF)
        await asyncio.sleep(0.1)
        assert not stand.drift.judged
        assert stand.drift.not_ready == ("Pod", "Service", "EndpointSlice")
        assert stand.found() == ()
        stand.ready()
        await stand.until(lambda: bool(stand.found()))
        assert stand.drift.judged


async def test_what_is_open_stays_open_while_pods_cannot_be_seen() -> None:
    async with standing() as stand:
        stand.ready()
        stand.put(THIEF)
        await stand.until(lambda: bool(stand.found()))
        (finding,) = stand.found()
    async with standing() as after:  # a new term: nothing is known but what the store has
        sift = after.findings.sift(SHOP, [finding], ())
        after.findings.take(SHOP, sift)
        assert after.found() == (finding,)
        after.ready()
        await after.until(lambda: after.drift.judged)
        assert after.found() == ()
        assert after.told == [SHOP]  # so that its cycle closes it


async def test_a_judgement_that_fails_is_made_again() -> None:
    async with standing(Judge(faults=[RuntimeError("odd")])) as stand:
        stand.ready()
        stand.put(THIEF)
        await stand.until(lambda: bool(stand.found()))


async def test_an_exemption_names_the_object_and_is_heeded() -> None:
    async with standing() as stand:
        stand.ready()
        stand.put(THIEF)
        await stand.until(lambda: bool(stand.found()))
        ref = ObjectRef("", "Pod", "shop", "thief")
        for until, count in ((date(2026, 11, 22), 0), (date(2026, 11, 21), 1)):
            exempt = Exempt(ref, until, "me", "why")
            found = stand.found(replace(compiled(), exemptions=(exempt,)))
            assert len(found) == count


async def test_for_how_long_nothing_comes_to_a_judgement_can_be_asked() -> None:
    faults: list[Exception] = [ValueError("odd pod")] * 100_000
    async with standing(Judge(faults=faults)) as one:
        assert one.drift.stuck_seconds == 0.0, "what cannot be seen is another trouble"
        one.ready()
        one.put(THIEF)
        await one.until(lambda: one.drift.stuck_seconds > 0.1)
        faults.clear()
        await one.until(lambda: one.drift.stuck_seconds == 0.0 and len(one.found()) == 1)
