"""One round of a campaign: tamperings by several actors under random faults, then what must be so whatever happened."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random

import aiohttp

from tests.campaign.faults import Fault, revive
from tests.campaign.tamperings import Tampering, commit, draw
from tests.support.faulty import PATIENCE, Scene
from tests.support.kube import Kube

IDLE_SECONDS = 1.0
"""How long driftd must keep its hands still once all is well."""


class InvariantBroken(AssertionError):
    """A round ended in a state that no sequence of faults may lead to."""


@dataclass
class Tale:
    """What happened in a round, for people and for the figures."""

    seed: str
    tamperings: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    writes: int = 0
    findings: int = 0
    seconds: float = 0.0
    failure: str = ""


async def play(one: Scene, seed: str, actors: Sequence[Kube], faults: Sequence[Fault]) -> Tale:
    """One round. The tale's `failure` is empty if every invariant held.

    The same seed draws the same tamperings and faults in the same order; how they meet in time is the machine's.
    """
    chance, tale = Random(seed), Tale(seed)
    began = time.monotonic()
    try:
        await one.begin()
        since = datetime.now(UTC)
        plans = [[draw(chance) for _ in range(chance.randrange(1, 4))] for _ in actors]
        troubles = [chance.choice(faults) for _ in range(chance.choice((0, 1, 1, 2)))]
        tale.faults = [fault.__name__ for fault in troubles]
        done = await _at_once(one, chance, plans, actors, troubles)
        tale.tamperings = [str(tampering) for tampering in done]
        await _quiet(one)
        await _judge(one, done, since, tale)
    except AssertionError as error:
        tale.failure = f"{type(error).__name__}: {error}"[:4000]
    tale.seconds = time.monotonic() - began
    return tale


async def _at_once(
    one: Scene,
    chance: Random,
    plans: Sequence[Sequence[Tampering]],
    actors: Sequence[Kube],
    troubles: Sequence[Fault],
) -> list[Tampering]:
    """All hands at the same time; the tamperings that were committed."""
    pauses = [[chance.random() / 2 for _ in plan] for plan in plans]
    sources = [Random(chance.random()) for _ in troubles]

    async def act(actor: Kube, plan: Sequence[Tampering], waits: Sequence[float]) -> list[Tampering]:
        done = []
        for tampering, wait in zip(plan, waits, strict=True):
            await asyncio.sleep(wait)
            if await _through_trouble(tampering, actor):
                done.append(tampering)
        return done

    async def trouble() -> None:
        for fault, source in zip(troubles, sources, strict=True):
            await fault(one, source)

    async with asyncio.TaskGroup() as group:
        hands = [group.create_task(act(*hand)) for hand in zip(actors, plans, pauses, strict=True)]
        group.create_task(trouble())
    return [tampering for hand in hands for tampering in hand.result()]


async def _through_trouble(tampering: Tampering, actor: Kube) -> bool:
    """The API server may be away just then: an administrator tries again."""
    for _ in range(60):
        try:
            return await commit(tampering, actor)
        except AssertionError as error:
            if getattr(error, "status", 0) < 429:
                raise
        except (aiohttp.ClientError, OSError, TimeoutError):
            pass  # no answer: whether it was done shows at the next try
        await asyncio.sleep(0.5)
    raise InvariantBroken(f"the API server was away for too long to {tampering}")


async def _quiet(one: Scene) -> None:
    """Nothing in the way any more, and a daemon that runs."""
    one.proxy.rules.clear()
    one.proxy.thaw()
    one.proxy.slow(0)
    one.proxy.refuse(refusing=False)
    await revive(one)
    await one.daemon.wait_ready(PATIENCE)
    for namespace in ("acme-prod", "globex-prod", "initech-prod"):
        for body in await one.kube.list("NetworkPolicy", namespace):
            if body["metadata"].get("finalizers") and body["metadata"]["name"].startswith("rogue-"):
                await _release(one, namespace, body["metadata"]["name"])


async def _release(one: Scene, namespace: str, name: str) -> None:
    """Who put a finalizer takes it off again, once driftd has emptied and condemned what it holds."""

    async def harmless() -> bool:
        body = await one.kube.find("NetworkPolicy", namespace, name)
        held = body is not None and "deletionTimestamp" in body["metadata"]
        return body is None or (held and not body["spec"].get("ingress") and not body["spec"].get("egress"))

    await one.until(f"{name} is empty and held by its finalizer alone", harmless, 60.0)
    if await one.kube.find("NetworkPolicy", namespace, name) is not None:
        await one.kube.merge("NetworkPolicy", namespace, name, {"metadata": {"finalizers": None}})


async def _judge(one: Scene, done: Sequence[Tampering], since: datetime, tale: Tale) -> None:
    found = await one.sound(seconds=60.0)
    mine = one.writes()
    tale.writes = len(mine)
    fresh = [past for past in found.findings if past.seen.confirmed >= since]
    tale.findings = len(fresh)
    told = {(past.seen.finding.ref.kind, past.seen.finding.ref.namespace, past.seen.finding.ref.name) for past in fresh}
    healed = {(record.key.resource, record.key.namespace, record.key.name) for record in mine}
    for tampering in done:
        place = (tampering.kind, tampering.namespace, tampering.name)
        if tampering.what == "add":
            named = {name for kind, namespace, name in told if (kind, namespace) == place[:2] and "rogue-" in name}
            if not named:
                raise InvariantBroken(f"no finding tells of a policy that somebody added to {tampering.namespace}")
        elif place not in told and _was_put_right(tampering, healed):
            raise InvariantBroken(f"repaired without a finding: {tampering}")
        elif place not in told:
            raise InvariantBroken(f"no finding tells of: {tampering}")
    await one.mark()
    await asyncio.sleep(IDLE_SECONDS)
    idle = Counter(f"{record.verb} {record.key}" for record in one.writes())
    if idle:
        raise InvariantBroken(f"a second pass wrote: {dict(idle)}")


def _was_put_right(tampering: Tampering, healed: set[tuple[str, str, str]]) -> bool:
    return any(name == tampering.name and namespace == tampering.namespace for _, namespace, name in healed)
