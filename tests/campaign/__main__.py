"""`python -m tests.campaign`: long seeded searches for a sequence of faults that driftd does not survive.

Prints progress, writes docs/campaign.md, exits 1 if an invariant broke. `--seed S --round N` plays one round again.
"""

import argparse
import asyncio
import secrets
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from driftd.lab import Lab
from tests.campaign.crashes import every_point
from tests.campaign.faults import GENTLE, HARSH, Fault
from tests.campaign.pages import PAGE
from tests.campaign.report import Figures, write
from tests.campaign.rounds import Tale, play
from tests.support.faulty import Scene, scene
from tests.support.kube import Kube

ACTORS = ("mallory", "trudy")


@asynccontextmanager
async def ground(lab: Lab, folder: Path) -> AsyncIterator[tuple[Scene, tuple[Kube, ...]]]:
    """driftd behind a proxy, the administrator, and the others who tamper."""
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(scene(lab, folder))
        others = [
            await stack.enter_async_context(Kube.connect(Path(lab.kubeconfig_for(name, ("system:masters",)))))
            for name in ACTORS
        ]
        yield one, (one.kube, *others)


async def rounds(
    lab: Lab, folder: Path, seed: str, numbers: range, *, faults: tuple[Fault, ...] = HARSH, deadline: float = 1e12
) -> list[Tale]:
    """Play rounds one after the other on one cluster; after a failure the daemon begins afresh."""
    tales: list[Tale] = []
    left = list(numbers)
    while left and time.monotonic() < deadline:
        async with ground(lab, folder / f"from-{left[0]}") as (one, actors):
            while left and time.monotonic() < deadline:
                number = left.pop(0)
                tale = await play(one, f"{seed}/{number}", actors, faults)
                tales.append(tale)
                _say(number, tale)
                if tale.failure:
                    break
    return tales


def _say(number: int, tale: Tale) -> None:
    mark = "FAILED" if tale.failure else "ok"
    faults = ", ".join(tale.faults) or "no fault"
    print(
        f"round {number:4}  {mark:6} {tale.seconds:5.1f} s  {len(tale.tamperings)} tamperings, "
        f"{tale.findings} findings, {tale.writes} writes  [{faults}]",
        flush=True,
    )
    if tale.failure:
        seed, _, round_ = tale.seed.rpartition("/")
        print(f"  {tale.failure}\n  did: {tale.tamperings}", flush=True)
        print(f"  again: python -m tests.campaign --seed {seed} --round {round_}", flush=True)


async def campaign(arguments: argparse.Namespace) -> int:
    seed = arguments.seed or secrets.token_hex(4)
    deadline = time.monotonic() + arguments.minutes * 60
    numbers = range(arguments.rounds) if arguments.round is None else range(arguments.round, arguments.round + 1)
    print(f"seed {seed}: {len(numbers)} rounds, at most {arguments.minutes:g} minutes", flush=True)
    began = time.monotonic()
    points_until = began + arguments.minutes * 60 / 2
    with tempfile.TemporaryDirectory(prefix="driftd-campaign-") as scratch:
        async with Lab.start(f"campaign-{secrets.token_hex(2)}") as lab:
            points = []
            if arguments.round is None:
                points = await every_point(
                    lab, Path(scratch) / "points", limit=6 if arguments.quick else 100, deadline=points_until
                )
            tales = await rounds(
                lab, Path(scratch), seed, numbers, faults=GENTLE if arguments.gentle else HARSH, deadline=deadline
            )
    figures = Figures(datetime.now(UTC), seed, time.monotonic() - began, tales, points)
    if arguments.round is None and not arguments.quick:
        write(PAGE, figures)
        print(f"wrote {PAGE}")
    print(figures.verdict)
    return 1 if figures.failures else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.campaign", description=__doc__)
    parser.add_argument("--seed", help="a word; a random one unless said")
    parser.add_argument("--rounds", type=int, help="rounds to play (200; 5 with --quick)")
    parser.add_argument("--round", type=int, help="play this one round again")
    parser.add_argument("--minutes", type=float, default=60.0, help="begin no round after so many minutes")
    parser.add_argument("--quick", action="store_true", help="a short run that writes no page")
    parser.add_argument("--gentle", action="store_true", help="leave the control plane alone")
    arguments = parser.parse_args()
    arguments.rounds = arguments.rounds or (5 if arguments.quick else 200)
    return asyncio.run(campaign(arguments))


if __name__ == "__main__":
    sys.exit(main())
