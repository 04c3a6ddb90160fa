"""Figures of processes: memory, start, the help page."""

import asyncio
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from tests.bench.ground import SETTLE_SECONDS, Ground
from tests.support.daemon import Daemon

MEGABYTE = 1024.0
"""Kilobytes of /proc in one."""


def resident_mb(pid: int) -> float:
    """VmRSS, as `ps` shows it."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / MEGABYTE
    raise ProcessLookupError(pid)


def cpu_seconds(pid: int) -> float:
    """User and system time of a running process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def pid_of(daemon: Daemon) -> int:
    assert daemon.process is not None
    return daemon.process.pid


async def empty_memory(ground: Ground) -> float:
    """Resident memory with a model and a cluster that hold nothing."""
    empty = ground.scratch / "empty"
    async with ground.daemon(models=empty):  # compiles the bytecode, which takes memory of its own
        pass
    async with ground.daemon(models=empty) as daemon:
        await asyncio.sleep(SETTLE_SECONDS)
        found = resident_mb(pid_of(daemon))
    ground.note("memory: nothing governed", found, "MB")
    return found


def memory(ground: Ground, daemon: Daemon, empty: float, when: str, total: float) -> None:
    """Resident memory now, beside that of the empty one."""
    found = resident_mb(pid_of(daemon))
    ground.note(f"memory: {when}", found, "MB", total)
    ground.note(f"memory: {when}, growth", found - empty, "MB", 50.0 if total < 200 else None)


async def cold_start(ground: Ground, goal: float, times: int) -> None:
    """Process start to /readyz: on an empty data folder, and again on the same one (a restart)."""
    first: list[tuple[float, float]] = []
    again: list[tuple[float, float]] = []
    for number in range(times):
        data = ground.scratch / f"start-{number}"
        for found in (first, again):
            daemon = ground.daemon(data=data)
            began = time.monotonic()
            async with daemon:
                found.append((time.monotonic() - began, cpu_seconds(pid_of(daemon))))
    for name, found in (("cold start", first), ("restart", again)):
        ground.note(
            f"{name}: every scope judged",
            statistics.median(wall for wall, _ in found),
            "s",
            goal,
            note=f"CPU {statistics.median(cpu for _, cpu in found):.2f} s; median of {times}",
        )


def help_page(ground: Ground) -> None:
    """`driftd --help` of an installation (bytecode compiled), median of 11."""
    env = {**os.environ, "PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(ground.scratch / "bytecode")}
    found = []
    for _ in range(11):
        began = time.monotonic()
        subprocess.run([sys.executable, "-m", "driftd", "--help"], env=env, check=True, stdout=subprocess.DEVNULL)
        found.append(time.monotonic() - began)
    ground.note("driftd --help", statistics.median(found), "s", 0.3, note="median of 11")
