"""The pod's memory on a node: the image, the chart, its limit, and a platform that it installs there itself."""

import os
import time
from collections.abc import Callable

import pytest

from driftd.lab import Lab, LabOptions, lacks
from tests.bench.figures import Figure
from tests.support.helm import NoHelmError
from tests.support.hosted import Home, hosted, installed_big, resident_bytes
from tests.support.image import kept_archive
from tests.support.kube import Body
from tests.support.platform import write_platform

GOAL_MB = 180.0
_SECONDS = 1800.0
_OPENED: Body = {"spec": {"egress": [{}], "ingress": [{}]}}


async def node(namespaces: int, say: Callable[[str], None]) -> list[Figure]:
    """Resident memory with everything in place, and after a tampering; nothing, with a word, where it cannot be had."""
    try:
        for lack in lacks(os.environ):
            pytest.skip(lack)
        archive, present = kept_archive()
        async with Lab.start(options=LabOptions(nodes=1), say=say) as lab:
            # Nothing else runs in this loop: what the installation holds it up for is nobody's loss.
            with installed_big(lab, archive, lambda root: write_platform(root, namespaces)) as home:
                return await _measured(home, namespaces, "" if present else "an image of earlier sources")
    except (pytest.skip.Exception, NoHelmError) as lack:
        say(f"node: not measured: {lack}")
        return []


async def _measured(home: Home, namespaces: int, note: str) -> list[Figure]:
    policies = f"{namespaces * 10:,} policies"
    found: list[Figure] = []

    def told(name: str, value: float, unit: str, goal: float | None = None) -> None:
        found.append(Figure(f"pod on a node: {name}", value, unit, goal, note=note, load=os.getloadavg()[0]))

    started = time.monotonic()
    async with hosted(home, seconds=_SECONDS) as one:
        told(f"{policies} made by itself, from the install on", time.monotonic() - started, "s")
        told(f"resident memory, {policies}", resident_bytes(await one.ready_pod()) / 1e6, "MB", GOAL_MB)
        started = time.monotonic()
        await one.kube.merge("NetworkPolicy", "t00000-e0", "default-deny", _OPENED)
        await one.canonical(_SECONDS)
        body = await one.ready_pod()
        told("resident memory, after a tampering was healed and judged", resident_bytes(body) / 1e6, "MB", GOAL_MB)
        (restarts,) = [status["restartCount"] for status in body["status"]["containerStatuses"]]
        told("restarts within its limit of 256 MiB", restarts, "restarts", 0.0)
    return found
