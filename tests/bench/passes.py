"""The compare pass over stored objects, and beside it the way GitOps tools compare: GET and dry-run apply each."""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime

import orjson

from driftd.cluster.wire import ObjectReader
from driftd.compile import GovernedNamespace
from driftd.drift import LiveScope, compare
from driftd.policy.kinds import digests_under, kinds_under
from driftd.values import Desired, Live, ObjectRef, Scope
from tests.bench.ground import Ground, each
from tests.support.kube import Kube
from tests.support.stage import DRIFTD

_TRIES = 3
ADMIN = "admin"
Objects = Mapping[ObjectRef, Live]
Readers = Mapping[tuple[str, str], ObjectReader]


async def passes(ground: Ground, objects: int) -> None:
    """About so many objects of all kinds, whole namespaces. The best of three passes counts; GitOps runs once."""
    governed = _chosen(ground, objects)
    readers = _readers(ground)
    held = await _fetched(ground, governed, readers)
    count = sum(len(found) for found in held.values())
    tail = ground.tail()
    cold = [_timed(ground, governed, lambda name: _digested(held[name], readers)) for _ in range(_TRIES)]
    warm = [_timed(ground, governed, held.__getitem__) for _ in range(_TRIES)]
    requests = sum(record.user in {ADMIN, DRIFTD} for record in tail.read())
    cold_wall, cold_cpu = min(cold)
    warm_wall, warm_cpu = min(warm)
    wall = await _gitops(ground, governed)
    scale = f"{count} objects of all kinds"
    ground.note("compare pass, cold: CPU", cold_cpu, "s", 1.0, note=scale)
    ground.note("compare pass, warm: CPU", warm_cpu, "s", 0.1, note=scale)
    ground.note("compare passes: API requests", requests, "", 0)
    ground.note(
        "GET and dry-run apply, 16 in parallel", wall, "s", note=f"{scale}; {count / wall:.0f} objects a second"
    )
    ground.note(
        "cold pass: times less wall time than that", wall / cold_wall, "x", 12, at_least=True, note=f"{cold_wall:.3f} s"
    )
    ground.note(
        "warm pass: times less wall time than that",
        wall / warm_wall,
        "x",
        140,
        at_least=True,
        note=f"{warm_wall:.3f} s",
    )


def _chosen(ground: Ground, objects: int) -> list[GovernedNamespace]:
    chosen: list[GovernedNamespace] = []
    count = 0
    for one in ground.compiled.governed.values():
        if count >= objects:
            break
        chosen.append(one)
        count += len(one.objects)
    return chosen


def _readers(ground: Ground) -> Readers:
    digest = digests_under(ground.compiled.coverage)
    kinds = kinds_under(ground.compiled.dialect).values()
    return {(kind.resource.group, kind.resource.kind): ObjectReader(kind.resource, digest) for kind in kinds}


async def _fetched(
    ground: Ground, governed: list[GovernedNamespace], readers: Readers
) -> dict[str, dict[ObjectRef, Live]]:
    held: dict[str, dict[ObjectRef, Live]] = {one.name: {} for one in governed}
    for reader in readers.values():
        for body in await ground.kube.list(reader.resource.kind):
            live = reader.live(orjson.dumps(body))
            home = live.ref.namespace or live.ref.name
            if home in held:
                held[home][live.ref] = live
    return held


def _digested(found: Objects, readers: Readers) -> Objects:
    """The objects with digests made anew from their bytes: parsed, canonicalised, hashed."""
    return {ref: replace(live, digest=readers[ref.group, ref.kind].digest_of(live.raw)) for ref, live in found.items()}


def _timed(
    ground: Ground, governed: list[GovernedNamespace], objects_of: Callable[[str], Objects]
) -> tuple[float, float]:
    """Wall and CPU seconds of one comparison of everything; it must be clean, or it would measure something else."""
    today = datetime.now(UTC).date()
    wall, cpu = time.perf_counter(), time.process_time()
    findings = 0
    for one in governed:
        live = LiveScope(scope=Scope(one.name), objects=objects_of(one.name))
        findings += len(compare(ground.compiled, one, live, today).findings)
    spent = time.perf_counter() - wall, time.process_time() - cpu
    assert findings == 0, f"{findings} findings on a cluster that ought to be canonical"
    return spent


async def _gitops(ground: Ground, governed: list[GovernedNamespace]) -> float:
    """Wall seconds for GET and a server-side dry-run apply of every object."""
    everything = [desired for one in governed for desired in one.objects.values()]

    async def one(desired: Desired) -> None:
        ref = desired.ref
        await ground.kube.get(ref.kind, ref.namespace, ref.name)
        await ground.kube.request(
            "PATCH",
            Kube.path(ref.kind, ref.namespace, ref.name) + "?dryRun=All&fieldManager=gitops&force=true",
            body=desired.body(),
            content_type="application/apply-patch+yaml",
        )

    began = time.monotonic()
    await each(everything, one, hands=16)
    return time.monotonic() - began
