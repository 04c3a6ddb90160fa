"""Tampering to page: from the tamperer's request to the destination's acceptance, by class of page.

The destination is the stand-in for PagerDuty, over TLS. Windows are the shipped ones; only pages are never rolled up
into a storm, or the bench's own would be. What must stay open is opened where the model only reports.
"""

import asyncio
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from driftd.settings import Settings
from tests.bench.figures import median, percentile
from tests.bench.ground import Ground
from tests.support.daemon import Daemon
from tests.support.faulty import allow_all
from tests.support.pagerduty import StandIn
from tests.support.stage import Body

SLACK_SECONDS = 2.0
_PATIENCE_SECONDS = 30.0
_WINDOWS = {
    name: float(getattr(Settings.model_fields["paging"].default, f"{name}_seconds"))
    for name in ("crossing", "loosening", "tightening")
}
_PLAN = "  plan: shared\n"


@dataclass(frozen=True)
class Sample:
    """One tampering; `accepted` is when its page was, None if it never was."""

    namespace: str
    began: float
    accepted: float | None = None


@dataclass
class Arrivals:
    """When the first page of a class about a namespace was accepted, in monotonic seconds."""

    at: dict[tuple[str, str], float]

    async def take(self, _request: web.Request, one: StandIn, accept: Callable[[], web.Response]) -> web.StreamResponse:
        """What the stand-in does with a request: accept it, and look at the clock."""
        known, answer = len(one.events), accept()
        for event in one.events[known:]:
            payload: dict[str, Any] = event.get("payload") or {}
            details = payload.get("custom_details") or {}
            self.at.setdefault((payload.get("class", ""), details.get("namespace", "")), time.monotonic())
        return answer

    async def of(self, cls: str, sample: Sample) -> Sample:
        """The sample with its page, waited for."""
        deadline = sample.began + _WINDOWS[cls] + _PATIENCE_SECONDS
        while (cls, sample.namespace) not in self.at and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        return Sample(sample.namespace, sample.began, self.at.get((cls, sample.namespace)))


async def page(ground: Ground) -> None:
    """A few seconds more than the longest window, and some for each crossing."""
    tenants = ground.namespaces // 2
    crossings, loosenings, tightenings = (12, 8, 4) if tenants >= 25 else (3, 2, 2)
    places = iter(range(tenants))
    models = _reporting(ground, 1 + crossings + loosenings + tightenings)
    arrivals = Arrivals({})
    async with StandIn(ground.scratch, handling=arrivals.take) as stand_in:
        env = {
            "DRIFTD_PAGING__PAGERDUTY_KEY": next(iter(stand_in.keys)),
            "DRIFTD_PAGING__PAGERDUTY_URL": stand_in.url,
            "DRIFTD_PAGING__CA_FILE": str(stand_in.ca_file),
            "DRIFTD_PAGING__STORM_PAGES": "1000",
        }
        async with ground.daemon(models=models, env=env) as daemon:
            await _allow_all(ground, next(places), 0)  # the far end of every crossing
            await _judged(daemon)
            tight = [await _cut(ground, next(places)) for _ in range(tightenings)]
            loose = [await _open_within(ground, next(places)) for _ in range(loosenings)]
            across = []
            for place in _taken(places, crossings):
                for number in (0, 1):  # left open where the model only reports, repaired where it enforces
                    across.append(await arrivals.of("crossing", await _allow_all(ground, place, number)))
            _tell(ground, "crossing", across, "half of them repaired at once, half left open")
            for cls, samples in (("loosening", loose), ("tightening", tight)):
                _tell(ground, cls, [await arrivals.of(cls, one) for one in samples], "left open, all at once")


def _reporting(ground: Ground, tenants: int) -> Path:
    """The platform with the first environment of so many tenants in report mode; two tenants share nothing."""
    models = ground.scratch / "models-paged"
    shutil.copytree(ground.models, models)
    for number in range(tenants):
        file = models / "environments" / f"t{number:05d}.yaml"
        file.write_text(file.read_text().replace(_PLAN, f"{_PLAN}  remediation: {{mode: report}}\n", 1))
    return models


async def _judged(daemon: Daemon) -> None:
    """Until something has been judged: the world that judges is made once, and no page of the bench waits for it."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not any(event.get("event") == "drift.judged" for event in daemon.events()):
        assert time.monotonic() < deadline, f"nothing was judged within {_PATIENCE_SECONDS:g} s\n{daemon.tail()}"
        await asyncio.sleep(0.2)


def _taken(places: Iterator[int], count: int) -> list[int]:
    return [next(places) for _ in range(count)]


async def _allow_all(ground: Ground, tenant: int, number: int) -> Sample:
    namespace = f"t{tenant:05d}-e{number}"
    return await _create(ground, namespace, allow_all(namespace, "hole"))


async def _open_within(ground: Ground, tenant: int) -> Sample:
    """Every pod of the environment may talk to every other."""
    namespace = f"t{tenant:05d}-e0"
    body = allow_all(namespace, "hole")
    body["spec"] |= {"ingress": [{"from": [{"podSelector": {}}]}], "egress": [{"to": [{"podSelector": {}}]}]}
    return await _create(ground, namespace, body)


async def _cut(ground: Ground, tenant: int) -> Sample:
    """A service may call nobody any more."""
    namespace = f"t{tenant:05d}-e0"
    began = time.monotonic()
    await ground.kube.delete("NetworkPolicy", namespace, "api-egress")
    return Sample(namespace, began)


async def _create(ground: Ground, namespace: str, body: Body) -> Sample:
    began = time.monotonic()
    await ground.kube.create(body)
    return Sample(namespace, began)


def _tell(ground: Ground, cls: str, samples: list[Sample], how: str) -> None:
    times = [one.accepted - one.began for one in samples if one.accepted is not None]
    window = _WINDOWS[cls]
    name = f"page: {cls}, window {window:g} s"
    note = f"{len(times)} samples, {how}"
    if times:
        ground.note(f"{name}: p50", median(times), "s", note=note)
        ground.note(
            f"{name}: p99", percentile(times, 0.99), "s", window + SLACK_SECONDS, note=f"max {max(times):.2f} s"
        )
    ground.note(f"{name}: never accepted", len(samples) - len(times), "", 0)
