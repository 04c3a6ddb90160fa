"""Tampering to healed, as the API server's audit log stamps both requests."""

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from tests.bench.figures import median, percentile
from tests.bench.ground import SETTLE_SECONDS, Ground, Tail
from tests.bench.processes import cpu_seconds
from tests.bench.tampering import TAMPERINGS, Tampering, touched
from tests.oracle.tallies import Heal, tamper_to_heal
from tests.support.kube import Kube
from tests.support.pace import at_a_pace
from tests.support.stage import DRIFTD

ADMIN, LOADER = "admin", "loader"
PAUSE_SECONDS = 0.1
LOOK_SECONDS = 0.01
CHANGES_PER_SECOND = 20
PATIENCE_SECONDS = 20.0


async def heal(ground: Ground, samples: int, pid: int) -> None:
    """Idle: nothing else happens on the cluster."""
    await asyncio.sleep(SETTLE_SECONDS)
    before = cpu_seconds(pid)
    heals = await sampled(ground.kube, ground.tail(), samples, _names(ground)[::2])
    each = (cpu_seconds(pid) - before) / samples * 1000
    times = _account(ground, "heal, idle", heals, p50=20.0, p99=100.0)
    ground.note(
        "heal, idle: CPU of the daemon for each", each, "ms", note="all its work in that time, GC and audits too"
    )
    for kind, found in sorted(times.items()):
        ground.note(f"heal, idle: {kind} p50", median(found), "ms", note=f"p99 {percentile(found, 0.99):.1f} ms")


async def heal_under_load(ground: Ground, samples: int, pid: int) -> None:
    """The same while other namespaces change 20 times a second, every other change a tampering that must be healed."""
    names = _names(ground)
    before = cpu_seconds(pid), time.monotonic()
    async with _load(ground, names[1::2]) as count:
        heals = await sampled(ground.kube, ground.tail(), samples, names[::2])
        done, seconds = count(), time.monotonic() - before[1]
    share = (cpu_seconds(pid) - before[0]) / seconds * 100
    _account(ground, "heal, 20 changes a second elsewhere", heals, p50=None, p99=250.0)
    ground.note("load: changes a second", done / seconds, "/s", note="half of them tamperings")
    ground.note("load: CPU of the daemon", share, "%", note="of one core")


def _names(ground: Ground) -> list[str]:
    names = list(ground.compiled.governed)
    random.Random(7).shuffle(names)
    return names


async def sampled(kube: Kube, tail: Tail, samples: int, names: Sequence[str]) -> list[Heal]:
    """One tampering after another, each when the one before is answered: a slow machine makes no queue of its own."""
    for number in range(samples):
        name = names[number % len(names)]
        await TAMPERINGS[number % len(TAMPERINGS)](kube, name, number)
        await _answered(tail, name)
        await asyncio.sleep(PAUSE_SECONDS)
    return await _all_healed(tail)


async def _answered(tail: Tail, namespace: str) -> None:
    """Wait for a write of driftd to this namespace."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        for record in tail.read():
            if record.user == DRIFTD and record.is_write and namespace in {record.key.namespace, record.key.name}:
                return
        await asyncio.sleep(LOOK_SECONDS)


async def _all_healed(tail: Tail) -> list[Heal]:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        tail.read()
        heals = tamper_to_heal(tail.records, DRIFTD, {ADMIN})
        if all(one.last for one in heals) or time.monotonic() > deadline:
            return heals
        await asyncio.sleep(1.0)


@asynccontextmanager
async def _load(ground: Ground, names: Sequence[str]) -> "AsyncIterator[Callable[[], int]]":
    """Changes at a steady rate by somebody else, until the block ends."""
    kubeconfig = Path(ground.lab.kubeconfig_for(LOADER, ("system:masters",)))
    async with Kube.connect(kubeconfig) as kube:

        async def change(number: int) -> None:
            tampering: Tampering = touched if number % 2 else TAMPERINGS[number // 2 % len(TAMPERINGS)]
            await tampering(kube, names[number % len(names)], number)

        async with at_a_pace(CHANGES_PER_SECOND, change) as count:
            yield count


def _account(
    ground: Ground, name: str, heals: Sequence[Heal], *, p50: float | None, p99: float
) -> dict[str, list[float]]:
    """Figures over all; returns the times of each kind, in ms."""
    by_kind: dict[str, list[float]] = defaultdict(list)
    for one in heals:
        if one.healed_after is not None:
            by_kind[f"{one.key.resource} {one.tamper.verb}"].append(one.healed_after.total_seconds() * 1000)
    times = [one for found in by_kind.values() for one in found]
    slowest = sorted(((one, kind) for kind, found in by_kind.items() for one in found), reverse=True)[:5]
    note = f"{len(times)} samples; max {max(times):.0f} ms"
    ground.note(f"{name}: p50", median(times), "ms", p50, note=note)
    note = "; ".join(f"{kind} {one:.0f}" for one, kind in slowest)
    ground.note(f"{name}: p99", percentile(times, 0.99), "ms", p99, note=f"slowest: {note}")
    ground.note(f"{name}: never healed", len(heals) - len(times), "", 0)
    return by_kind
