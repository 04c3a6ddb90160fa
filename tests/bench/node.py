"""The pod's memory on a node: the image, the chart, its limit, and a platform of which it makes the last tenth itself.

The rest is there before it, put there by the administrator: what the memory is at its highest depends on how much there
is and that something differs, not on who made it.
"""

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from driftd.lab import Lab, LabOptions, lacks
from tests.bench.figures import Figure, median, percentile
from tests.bench.ground import SETTLE_SECONDS, Tail, put
from tests.bench.heal import sampled
from tests.oracle.tallies import Heal
from tests.support.helm import NoHelmError
from tests.support.hosted import NAMESPACE, Hosted, install_big, view
from tests.support.image import kept_archive
from tests.support.kube import Body, Kube
from tests.support.platform import write_platform
from tests.support.pod_process import Memory, memory_of
from tests.support.stage import DRIFTD, compiled_models

GOAL_MB = 180.0
TAMPERINGS = 96
_OWN_SHARE = 10
_SECONDS = 900.0
_QUIET_SECONDS = 5.0
_WEIGHED_EVERY_SECONDS = 0.25
_MEGABYTE = 2**20
"""As the other benches have it."""


async def node(namespaces: int, scratch: Path, say: Callable[[str], None]) -> list[Figure]:
    """Memory at the highest of an install, at rest, and after tamperings; nothing, with a word, where there is none."""
    try:
        for lack in lacks(os.environ):
            pytest.skip(lack)
        archive, present = kept_archive()
        note = "" if present else "an image of earlier sources"
        models = scratch / "node-models"
        names = write_platform(models, namespaces)
        async with (
            Lab.start(options=LabOptions(nodes=1), say=say) as lab,
            Kube.connect(lab.kubeconfig) as kube,
        ):
            say(f"putting {namespaces - namespaces // _OWN_SHARE} of {namespaces} namespaces there")
            compiled = await asyncio.to_thread(compiled_models, models)
            await put(kube, compiled, names[namespaces // _OWN_SHARE :])
            tail = Tail.of(lab)
            home = await install_big(lab, archive, lambda root: write_platform(root, namespaces))
            return await _Bench(view(home, kube), tail, names, note, say).measured()
    except (pytest.skip.Exception, NoHelmError) as lack:
        say(f"node: not measured: {lack}")
        return []


@dataclass
class _Bench:
    one: Hosted
    tail: Tail
    names: Sequence[str]
    note: str
    say: Callable[[str], None]
    figures: list[Figure] = field(default_factory=list)

    async def measured(self) -> list[Figure]:
        policies = f"{len(self.names) * 10:,} policies"
        first = await self._install(f"{policies}, a tenth of them made by itself")
        await self.one.kube.delete("Pod", NAMESPACE, first["metadata"]["name"])
        pod = await self.one.ready_pod(unlike=first["metadata"]["uid"], seconds=_SECONDS)
        await asyncio.sleep(SETTLE_SECONDS)
        self._weigh(pod, f"{policies}, at rest")
        await self._heal(1)
        self._weigh(pod, "after a tampering was healed and judged")
        times = [one.healed_after.total_seconds() * 1000 for one in await self._heal(TAMPERINGS) if one.healed_after]
        self._weigh(pod, f"after {TAMPERINGS} more")
        self._tell("tampering to healed, p50", median(times), "ms")
        self._tell("tampering to healed, p99", percentile(times, 0.99), "ms")
        self._tell("tamperings never healed", TAMPERINGS - len(times), "", 0.0)
        await self.one.canonical(_SECONDS)
        self._tell("restarts within its limit of 256 MiB", _restarts(first) + await self._restarts_now(), "", 0.0)
        return self.figures

    async def _install(self, what: str) -> Body:
        """The first start, with much to make; the pod as it then is."""
        started = time.monotonic()
        async with self._weighed() as found:
            await self.one.ready_pod(seconds=_SECONDS)
            await self._quiet()
            self._tell(f"install: {what}", time.monotonic() - started, "s")
            await self.one.canonical(_SECONDS)
        self._tell("install: highest of all but file cache", max(one.held for one in found) / _MEGABYTE, "MB")
        self._tell("install: highest resident memory", max(one.resident for one in found) / _MEGABYTE, "MB")
        return await self.one.ready_pod()

    async def _heal(self, count: int) -> list[Heal]:
        heals = await sampled(self.one.kube, Tail.of(self.one.lab), count, self.names)
        await asyncio.sleep(SETTLE_SECONDS)  # what is judged is judged after it was healed
        return heals

    async def _quiet(self) -> None:
        """Wait until driftd has written nothing for a while."""
        last = time.monotonic()
        while time.monotonic() < last + _QUIET_SECONDS:
            if any(one.user == DRIFTD and one.is_write and one.key.namespace != NAMESPACE for one in self.tail.read()):
                last = time.monotonic()
            await asyncio.sleep(0.5)

    async def _restarts_now(self) -> int:
        return _restarts(await self.one.ready_pod())

    @asynccontextmanager
    async def _weighed(self) -> AsyncIterator[list[Memory]]:
        """What the pod takes, looked at again and again until the block ends."""
        found: list[Memory] = []

        async def look() -> None:
            while True:
                pod = await self.one.pod()
                with contextlib.suppress(OSError):  # its process has not begun, or has ended
                    if pod is not None:
                        found.append(memory_of(pod))
                await asyncio.sleep(_WEIGHED_EVERY_SECONDS)

        async with asyncio.TaskGroup() as group:
            looking = group.create_task(look())
            try:
                yield found
            finally:
                looking.cancel()

    def _weigh(self, pod: Body, when: str) -> None:
        memory = memory_of(pod)
        self._tell(f"resident memory, {when}", memory.resident / _MEGABYTE, "MB", GOAL_MB)
        self._tell(f"all but file cache, {when}", memory.held / _MEGABYTE, "MB")

    def _tell(self, name: str, value: float, unit: str, goal: float | None = None) -> None:
        load = os.getloadavg()[0]
        self.figures.append(Figure(f"pod on a node: {name}", value, unit, goal, note=self.note, load=load))
        self.say(f"{name}: {value:.4g} {unit}")


def _restarts(pod: Body) -> int:
    """How often its container began anew."""
    return sum(int(status["restartCount"]) for status in pod["status"]["containerStatuses"])
