"""What traces and metrics cost: the processor time of a whole audit pass with both, against with neither.

With both means: a collector is named and takes spans, and somebody scrapes as often as Prometheus does.
"""

import asyncio
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.bench import unmeasured
from tests.bench.ground import SETTLE_SECONDS, Ground
from tests.bench.processes import cpu_seconds, pid_of
from tests.support.collector import Collector
from tests.support.daemon import RUN, Daemon

_RELIST_SECONDS = 5
_SCRAPES = 2
_SCRAPE_SECONDS = 15.0
_TURNS = 3


async def tracing(ground: Ground, data: Path) -> None:
    """Passes of daemons in turn with neither and with both, so that a machine that slows down slows both."""
    neither: list[float] = []
    both: list[float] = []
    async with Collector() as collector:
        on = {"DRIFTD_TELEMETRY__OTLP_ENDPOINT": collector.endpoint}
        for _ in range(_TURNS):
            neither.append(await _pass_seconds(ground, data, {}, unmeasured.RUN, scraped=False))
            both.append(await _pass_seconds(ground, data, on, RUN, scraped=True))
        sent = len(collector.spans)
    without, with_both = statistics.median(neither), statistics.median(both)
    scopes = len(ground.compiled.governed)
    note = f"median of {_TURNS}; {scopes} scopes; {sent} spans came"
    ground.note("audit pass: CPU without traces and metrics", without * 1000, "ms", note=note)
    ground.note("audit pass: CPU with both, against without", with_both / without, "x", 1.05, note=note)


async def _pass_seconds(
    ground: Ground, data: Path, env: Mapping[str, str], program: Sequence[str], *, scraped: bool
) -> float:
    settings = {"DRIFTD_AUDIT__RELIST_SECONDS": str(_RELIST_SECONDS), **env}
    async with ground.daemon(data=data, env=settings, program=program) as daemon:
        await asyncio.sleep(SETTLE_SECONDS)
        began, cycles = cpu_seconds(pid_of(daemon)), await _cycles(daemon)
        for _ in range(_SCRAPES):
            await asyncio.sleep(_SCRAPE_SECONDS)
            if scraped:
                await daemon.metrics()
        spent, judged = cpu_seconds(pid_of(daemon)) - began, await _cycles(daemon) - cycles
    passes = judged / (len(ground.compiled.governed) + 1)
    assert passes > 1, f"{judged} cycles in {_SCRAPES * _SCRAPE_SECONDS} s: no whole pass"
    return spent / passes


async def _cycles(daemon: Daemon) -> float:
    lines = (await daemon.metrics()).splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith("driftd_cycles_total{"))
