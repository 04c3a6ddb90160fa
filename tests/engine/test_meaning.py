"""Judging goes on beside the loop, is remembered, and gives up on models that are too large."""

import asyncio

from driftd.drift import Difference
from driftd.drift.findings import Teller
from driftd.drift.meaning import UNJUDGED
from driftd.drift.state import LiveScope
from driftd.engine import Meaning
from driftd.values import Direction, Finding, FindingType, ObjectRef, Scope
from tests.support.stage import MODELS, compiled_models

COMPILED = compiled_models(MODELS)
ACME = COMPILED.governed["acme-prod"]
REF = ObjectRef("networking.k8s.io", "NetworkPolicy", "acme-prod", "default-deny")
GONE = Difference(FindingType.MISSING, REF, ACME.objects[REF], None)


def finding() -> Finding:
    return Teller(COMPILED, ACME, Scope("acme-prod")).tell(GONE, UNJUDGED)


async def judged(policies: int) -> tuple[Meaning, list[Finding]]:
    told: list[Finding] = []

    async def take(found: Finding) -> None:
        told.append(found)

    meaning = Meaning(compiled=lambda: COMPILED, policies=policies, judged=take, decided=lambda _scope: None)
    running = asyncio.create_task(meaning.run())
    meaning.offer(finding(), GONE)
    async with asyncio.timeout(20):
        while not (told or meaning.idle):
            await asyncio.sleep(0.01)
    running.cancel()
    return meaning, told


async def test_an_offered_finding_comes_back_with_its_direction() -> None:
    _, told = await judged(2000)
    assert [found.direction for found in told] == [Direction.LOOSENS]
    assert told[0].id == finding().id


async def test_what_was_judged_once_is_known_at_the_next_comparison() -> None:
    meaning, _ = await judged(2000)
    known = meaning.recall(ACME, LiveScope(Scope("acme-prod"), {}), [GONE])
    assert known[REF].direction is Direction.LOOSENS


async def test_a_model_that_is_too_large_stays_unknown() -> None:
    meaning, told = await judged(3)
    assert told == []
    assert meaning.recall(ACME, LiveScope(Scope("acme-prod"), {}), [GONE]) == {}
