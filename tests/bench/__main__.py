"""`python -m tests.bench`: driftd's figures on a real control plane, as a table and as build/bench.json."""

import argparse
import asyncio
import contextlib
import shutil
import sys
import tempfile
import traceback
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from tests.bench.failover import failover
from tests.bench.figures import Figure, keep, show
from tests.bench.ground import SETTLE_SECONDS, Ground, ground
from tests.bench.heal import heal, heal_under_load
from tests.bench.image import image
from tests.bench.node import node
from tests.bench.page import page
from tests.bench.passes import passes
from tests.bench.processes import cold_start, empty_memory, help_page, memory, pid_of
from tests.bench.reach import reach
from tests.bench.tracing import tracing

BENCHES = {
    "help": "driftd --help",
    "memory": "resident memory, empty and full",
    "start": "process start to every scope judged",
    "compare": "compare passes, beside GET and dry-run apply",
    "heal": "tampering to healed, idle",
    "load": "tampering to healed, 20 changes a second elsewhere",
    "trace": "audit passes with traces and metrics, against with neither",
    "page": "tampering to page accepted, by class",
    "failover": "leader killed to healing again, two replicas",
    "image": "size of the image",
    "reach": "the reachability engine",
    "node": "the pod on a node: its memory",
}
APART = {"image", "reach", "node"}
"""What needs no control plane, or one of its own."""
ON_THE_PLATFORM = BENCHES.keys() - APART - {"help"}
BUILD = Path(__file__).resolve().parents[2] / "build"


@dataclass(frozen=True)
class Size:
    """How big a run is, and the goals that depend on it."""

    namespaces: int
    samples: int
    objects: int
    starts: int
    pods: int
    start_goal: float
    memory_goal: float


SIZES = {
    "quick": Size(20, 48, 200, 1, 1000, 5.0, 150.0),
    "full": Size(1000, 564, 10_000, 3, 10_000, 5.0, 150.0),
    "large": Size(5000, 564, 10_000, 1, 10_000, 25.0, 400.0),
}


async def on_a_cluster(wanted: set[str], size: Size, ground: Ground) -> None:
    """The benches that need the control plane, in the order that disturbs them least."""
    if "help" in wanted:
        help_page(ground)
    empty = await empty_memory(ground) if "memory" in wanted else 0.0
    if not wanted & ON_THE_PLATFORM:
        return
    ground.say(f"installing the platform: {size.namespaces} namespaces")
    await ground.install()
    data = ground.scratch / "settled"
    async with ground.daemon(data=data):  # what the install left undone (accounts that Kubernetes made first)
        ground.say("installed")
    if "start" in wanted:
        await cold_start(ground, size.start_goal, size.starts)
    if wanted & {"memory", "heal", "load"}:
        await while_it_runs(wanted, size, ground, data, empty)
    if "trace" in wanted:
        await tracing(ground, data)
    if "failover" in wanted:
        await failover(ground)
    if "compare" in wanted:
        async with ground.daemon(data=data):  # nothing differs when it is ready
            pass
        await passes(ground, size.objects)
    if "page" in wanted:  # last: it leaves open what it opened
        await page(ground)


async def while_it_runs(wanted: set[str], size: Size, ground: Ground, data: Path, empty: float) -> None:
    """The benches of one daemon that has settled."""
    async with ground.daemon(data=data) as daemon:
        await asyncio.sleep(SETTLE_SECONDS)
        policies = f"{size.namespaces * 10:,} policies"
        if "memory" in wanted:
            memory(ground, daemon, empty, policies, size.memory_goal)
        if "heal" in wanted:
            await heal(ground, size.samples, pid_of(daemon))
        if "load" in wanted:
            await heal_under_load(ground, size.samples, pid_of(daemon))
        if "memory" in wanted and wanted & {"heal", "load"}:
            memory(ground, daemon, empty, f"{policies}, after the tampering", size.memory_goal)
        faults = daemon.unhandled()
    shutil.copy(ground.lab.audit_log, ground.scratch / "audit.log")
    if faults:
        raise AssertionError(f"driftd failed on the way: {faults[:3]}")


async def measured(wanted: set[str], size: Size, console: Console, kept: Path | None) -> tuple[list[Figure], bool]:
    """All figures that could be had, and whether nothing failed on the way. `kept` takes the daemon's logs and data."""
    figures: list[Figure] = []
    whole = True
    with tempfile.TemporaryDirectory(prefix="driftd-bench-") as folder:
        scratch = kept or Path(folder)
        try:
            if wanted - APART:
                async with ground(size.namespaces, scratch, console.log) as one:
                    with contextlib.ExitStack() as last:
                        last.callback(lambda: figures.extend(one.figures))
                        await on_a_cluster(wanted, size, one)
            if "reach" in wanted:
                figures += await reach(size.pods)
            if "image" in wanted:
                figures += await asyncio.to_thread(image, console.log)
            if "node" in wanted:
                figures += await node(size.namespaces, scratch, console.log)
        except Exception:  # noqa: BLE001 - what was measured before is shown all the same
            traceback.print_exc()
            whole = False
    return figures, whole


def main() -> int:
    """Exit 0 when everything was measured, whatever the goals; 1 otherwise."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("bench", nargs="*", help="; ".join(f"{name}: {what}" for name, what in BENCHES.items()))
    parser.add_argument("--quick", action="store_true", help="small sizes: does the bench itself work?")
    parser.add_argument("--large", action="store_true", help="50,000 policies in 5,000 namespaces")
    parser.add_argument("--output", type=Path, default=BUILD / "bench.json")
    parser.add_argument("--keep", type=Path, help="an empty folder for models, logs, data and the audit log of the run")
    given = parser.parse_args()
    unknown = set(given.bench) - BENCHES.keys()
    if unknown:
        parser.error(f"no bench called {', '.join(sorted(unknown))}; there are {', '.join(BENCHES)}")
    size = SIZES["quick" if given.quick else "large" if given.large else "full"]
    console = Console(stderr=False, width=None if sys.stdout.isatty() else 160)
    figures, whole = asyncio.run(measured(set(given.bench) or set(BENCHES), size, console, given.keep))
    keep(figures, given.output)
    show(figures, console)
    return 0 if whole else 1


if __name__ == "__main__":
    sys.exit(main())
