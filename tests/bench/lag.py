"""How long the loop waits while the world of a model is built in its thread: python -m tests.bench.lag [namespaces].

Prints the wait for a turn, and a round through another thread such as the store's, each at Python's own switch interval
and at the daemon's, in turns; and the processor time for which the garbage collector stops everything.
"""

import asyncio
import gc
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from driftd.app.daemon import COLLECTED_AFTER, SWITCHED_AFTER
from driftd.compile import Compiled
from driftd.drift import World
from tests.support.platform import write_platform
from tests.support.stage import compiled_models

_SLEEP = 0.002
_PYTHONS_OWN = 0.005
_ROUNDS = 3


async def measured(compiled: Compiled, interval: float) -> str:
    """One world is built; the waits meanwhile."""
    sys.setswitchinterval(interval)
    loop, waits, rounds = asyncio.get_running_loop(), list[float](), list[float]()
    with ThreadPoolExecutor(1) as store:
        began = time.perf_counter()
        building = asyncio.create_task(asyncio.to_thread(_built, compiled))
        while not building.done():
            at = time.perf_counter()
            await asyncio.sleep(_SLEEP)
            waits.append(time.perf_counter() - at - _SLEEP)
            at = time.perf_counter()
            await loop.run_in_executor(store, time.perf_counter)
            rounds.append(time.perf_counter() - at)
        cpu, stops = await building
    return (
        f"interval {interval * 1000:g} ms: built in {time.perf_counter() - began:.1f} s ({cpu:.1f} s CPU); "
        f"wait for a turn {_told(waits)}; round through a thread {_told(rounds)}; "
        f"longest stop of the collector {stops * 1000:.0f} ms CPU"
    )


def _built(compiled: Compiled) -> tuple[float, float]:
    stops: list[float] = []

    def collecting(phase: str, _info: dict[str, int]) -> None:
        if phase == "start":
            stops.append(time.thread_time())
        else:
            stops[-1] = time.thread_time() - stops[-1]

    gc.callbacks.append(collecting)
    began = time.thread_time()
    World(compiled)
    gc.callbacks.remove(collecting)
    return time.thread_time() - began, max(stops, default=0.0)


def _told(seconds: list[float]) -> str:
    ranked = sorted(seconds)
    p50, p99 = (ranked[min(len(ranked) - 1, int(len(ranked) * share))] * 1000 for share in (0.5, 0.99))
    return f"p50 {p50:.1f} p99 {p99:.1f} longest {ranked[-1] * 1000:.0f} ms"


def main() -> None:
    """Measure, in turns: what else runs on the machine then falls on both."""
    namespaces = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    with tempfile.TemporaryDirectory() as folder:
        write_platform(Path(folder), namespaces)
        compiled = compiled_models(Path(folder))
    gc.set_threshold(*COLLECTED_AFTER)
    gc.collect()
    gc.freeze()
    for _ in range(_ROUNDS):
        for interval in (_PYTHONS_OWN, SWITCHED_AFTER):
            print(asyncio.run(measured(compiled, interval)), flush=True)


if __name__ == "__main__":
    main()
