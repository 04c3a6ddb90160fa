"""The least a node must do: run a pod, let somebody in, say what it printed, and leave nothing behind."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from driftd.lab import Lab, LabOptions
from driftd.lab.owner import is_alive
from tests.support.kube import Kube
from tests.support.node import Footprint, pod, running

pytestmark = [pytest.mark.node, pytest.mark.timeout(300)]

OWNING_PROGRAM = """
import asyncio
from driftd.lab import Lab, LabOptions

async def main():
    async with Lab.start(options=LabOptions(nodes=1)) as lab:
        print(lab.server.split(".")[2], lab.data_dir, flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""


def footprint(lab: Lab) -> Footprint:
    return Footprint.of(lab.data_dir, f"driftd-lab-{lab.server.split('.')[2]}")


async def gone(trace: Footprint, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while trace.left():
        assert time.monotonic() < deadline, trace.left()
        await asyncio.sleep(0.1)


async def test_a_pod_runs_says_what_it_printed_lets_somebody_in_and_nothing_of_its_node_stays(
    able: None, tmp_path: Path
) -> None:
    async with (
        Lab.start(data_dir=tmp_path / "lab", options=LabOptions(nodes=1)) as lab,
        Kube.connect(lab.kubeconfig) as kube,
    ):
        await kube.create(pod("default", "one", "sh", "-c", "echo hello; exec pod pause"))
        await running(kube, "default", "one")
        said = await lab.pods.exec("default", "one", "sh", "-c", "echo out; echo err >&2; exit 7")
        assert (said.code, said.out, said.err) == (7, "out\n", "err\n")
        assert await lab.pods.logs("default", "one") == "hello\n"
        trace = footprint(lab)
        assert trace.left()
        server = lab.apiserver.log
    assert trace.left() == []
    assert "Unable to delete lease" not in server.read_text(), "it lost its own address before it ended"


@asynccontextmanager
async def owned_by_a_program() -> AsyncIterator[tuple[subprocess.Popen[str], Footprint, Path]]:
    with subprocess.Popen([sys.executable, "-c", OWNING_PROGRAM], stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        try:
            number, folder = (await asyncio.to_thread(program.stdout.readline)).split()
            yield program, Footprint.of(Path(folder), f"driftd-lab-{number}"), Path(folder)
        finally:
            program.kill()


async def test_kill_9_of_the_program_that_started_nodes_leaves_nothing_of_them(able: None) -> None:
    async with owned_by_a_program() as (program, trace, folder):
        assert trace.left()
        program.kill()
        await gone(trace)
        assert not folder.exists()


async def test_kill_9_of_the_supervisor_leaves_nothing_of_its_nodes(able: None) -> None:
    async with owned_by_a_program() as (_, trace, folder):
        (supervisor,) = [int(pid) for pid in _supervisors() if f"{folder}\0" in _command_line(pid)]
        os.kill(supervisor, signal.SIGKILL)
        await gone(trace)
        assert not is_alive(supervisor)


def _supervisors() -> list[str]:
    return [
        path.name
        for path in Path("/proc").iterdir()
        if path.name.isdigit() and "supervisor.py" in _command_line(path.name)
    ]


def _command_line(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""
