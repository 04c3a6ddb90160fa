"""What traces cost: the processor time of a whole audit pass with a collector named, against without."""

import asyncio
import statistics
from pathlib import Path

from tests.bench.ground import SETTLE_SECONDS, Ground
from tests.bench.processes import cpu_seconds, pid_of
from tests.support.collector import Collector
from tests.support.daemon import Daemon

_RELIST_SECONDS = 5
_WATCHED_SECONDS = 30.0
_TURNS = 3


async def tracing(ground: Ground, data: Path) -> None:
    """Passes of daemons in turn without and with traces, so that a machine that slows down slows both."""
    without: list[float] = []
    traced: list[float] = []
    async with Collector() as collector:
        on = {"DRIFTD_TELEMETRY__OTLP_ENDPOINT": collector.endpoint}
        for _ in range(_TURNS):
            without.append(await _pass_seconds(ground, data, {}))
            traced.append(await _pass_seconds(ground, data, on))
        sent = len(collector.spans)
    off, with_traces = statistics.median(without), statistics.median(traced)
    scopes = len(ground.compiled.governed)
    note = f"median of {_TURNS}; {scopes} scopes; {sent} spans came"
    ground.note("audit pass: CPU without traces", off * 1000, "ms", note=note)
    ground.note("audit pass: CPU with traces, against without", with_traces / off, "x", 1.05, note=note)


async def _pass_seconds(ground: Ground, data: Path, env: dict[str, str]) -> float:
    settings = {"DRIFTD_AUDIT__RELIST_SECONDS": str(_RELIST_SECONDS), **env}
    async with ground.daemon(data=data, env=settings) as daemon:
        await asyncio.sleep(SETTLE_SECONDS)
        began, cycles = cpu_seconds(pid_of(daemon)), await _cycles(daemon)
        await asyncio.sleep(_WATCHED_SECONDS)
        spent, judged = cpu_seconds(pid_of(daemon)) - began, await _cycles(daemon) - cycles
    passes = judged / (len(ground.compiled.governed) + 1)
    assert passes > 1, f"{judged} cycles in {_WATCHED_SECONDS} s: no whole pass"
    return spent / passes


async def _cycles(daemon: Daemon) -> float:
    lines = (await daemon.metrics()).splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith("driftd_cycles_total{"))
