"""The figures of the reachability engine, from a process of its own: its memory is one of them."""

import asyncio
import csv
import os
import sys
from pathlib import Path

from tests.bench.figures import Figure

_SCRIPT = Path(__file__).with_name("bench_reach.py")


async def reach(pods: int) -> list[Figure]:
    """Run the bench of that room and read its lines: name, value, unit, goal."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench.bench_reach", str(pods), stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"{_SCRIPT.name} ended with {process.returncode}")
    load = os.getloadavg()[0]
    return [
        Figure(f"reach: {name}", float(value), unit, float(goal) if goal else None, load=load)
        for name, value, unit, goal in csv.reader(out.decode().splitlines())
    ]
