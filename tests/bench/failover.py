"""Leader killed to healing again: two replicas on one PostgreSQL, the shipped lease, SIGKILL."""

import asyncio
import time
from datetime import UTC, datetime

import pytest

from tests.bench.figures import median
from tests.bench.ground import Ground, Tail
from tests.support.daemon import Daemon
from tests.support.faulty import OPEN
from tests.support.postgres import Server, postgres
from tests.support.replicas import SHIPPED_LEASE, holder
from tests.support.stage import DRIFTD

TIMES = 5
SLACK_SECONDS = 2.0
_POLICY = "api-egress"
_PATIENCE_SECONDS = 60.0


async def failover(ground: Ground) -> None:
    """Five times; skipped, with a word, where there is no PostgreSQL."""
    try:
        with postgres() as server:
            times = await _killed(ground, server)
    except pytest.skip.Exception as lack:
        ground.say(f"failover: not measured: {lack}")
        return
    lease = SHIPPED_LEASE.duration
    note = f"lease {lease:g} s; {len(times)} samples, median {median(times):.1f} s"
    ground.note("failover: leader killed to healing again, longest", max(times), "s", lease + SLACK_SECONDS, note=note)


async def _killed(ground: Ground, server: Server) -> list[float]:
    env = {"DRIFTD_STORE__URL": server.new_database()}
    replicas = {name: ground.daemon(identity=name, env=env) for name in ("one", "two")}
    times = []
    async with replicas["one"], replicas["two"]:
        for number in range(TIMES):
            await asyncio.sleep(number * SHIPPED_LEASE.retry / TIMES)  # at different moments between two renewals
            times.append(await _once(ground, replicas, number))
    return times


async def _once(ground: Ground, replicas: dict[str, Daemon], number: int) -> float:
    """Seconds from the death of the leader to the end of the write that heals what was opened right after it."""
    leader = replicas[await holder(ground.kube)]
    namespace = list(ground.compiled.governed)[number]
    tail = ground.tail()
    died = datetime.now(UTC)
    await leader.kill()
    await ground.kube.merge("NetworkPolicy", namespace, _POLICY, OPEN)
    healed = await _healed(tail, namespace)
    await leader.start()  # it stands by now
    return (healed - died).total_seconds()


async def _healed(tail: Tail, namespace: str) -> datetime:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline:
        for record in tail.read():
            about = (record.key.namespace, record.key.name) == (namespace, _POLICY)
            if about and record.user == DRIFTD and record.is_write and record.succeeded:
                return record.done
        await asyncio.sleep(0.02)
    raise AssertionError(f"nobody healed {namespace} within {_PATIENCE_SECONDS:g} s")
