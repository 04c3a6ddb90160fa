"""How labs begin and end: side by side, killed with their owner, left running, resumed."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from driftd.cli.documents import schema_of
from driftd.lab import KnownLabs, Lab, LabError, LabNotFoundError, LabOptions, PartFailedError
from driftd.lab.owner import is_alive
from tests.support.json_schema import errors
from tests.support.lab_requests import api

SMALL = LabOptions(controller_manager=False)

OWNING_PROGRAM = """
import asyncio
from driftd.lab import Lab, LabOptions

async def main():
    async with Lab.start(options=LabOptions(controller_manager=False)) as lab:
        print(lab.data_dir, *lab.pids.values(), flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""


async def until(holds: Callable[[], bool], seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not become so in time"
        await asyncio.sleep(0.05)


async def test_kill_9_of_the_program_that_started_a_lab_leaves_neither_process_nor_data(lab: Lab) -> None:
    with subprocess.Popen([sys.executable, "-c", OWNING_PROGRAM], stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        folder, *numbers = program.stdout.readline().split()
        pids = [int(number) for number in numbers]
        assert len(pids) == 2
        assert all(map(is_alive, pids))
        program.kill()
        await until(lambda: not any(map(is_alive, pids)))
        await until(lambda: not Path(folder).exists())


async def test_labs_side_by_side_share_nothing(lab: Lab) -> None:
    async with Lab.start(options=SMALL) as other:
        assert other.server != lab.server
        assert other.data_dir != lab.data_dir
        async with api(lab.kubeconfig) as admin:
            here = await admin.get("/api/v1/namespaces/kube-system")
        async with api(other.kubeconfig) as admin:
            there = await admin.get("/api/v1/namespaces/kube-system")
        assert here["metadata"]["uid"] != there["metadata"]["uid"]
        pids = list(other.pids.values())
    assert not any(map(is_alive, pids))
    assert not other.data_dir.exists()


async def test_a_data_folder_of_ones_own_stays_and_is_resumed_with_its_objects(lab: Lab, tmp_path: Path) -> None:
    async with Lab.start("kept", tmp_path / "data", options=SMALL) as first, api(first.kubeconfig) as admin:
        made = await admin.create("/api/v1/namespaces", {"metadata": {"name": "kept"}})
    assert not any(map(is_alive, first.pids.values()))
    async with Lab.start("kept", tmp_path / "data", options=SMALL) as second, api(second.kubeconfig) as admin:
        found = await admin.get("/api/v1/namespaces/kept")
    assert found["metadata"]["uid"] == made["metadata"]["uid"]


async def test_a_lab_that_cannot_start_says_why_and_leaves_nothing(lab: Lab, tmp_path: Path) -> None:
    wrong = LabOptions(controller_manager=False, apiserver_flags=("--no-such-flag",))
    with pytest.raises(PartFailedError, match="unknown flag: --no-such-flag") as told:
        await Lab.launch(data_dir=tmp_path / "data", options=wrong)
    assert told.value.part == "kube-apiserver"
    async with Lab.start(data_dir=tmp_path / "data", options=SMALL) as mended:
        assert await mended.apiserver.is_ready()


async def test_a_lab_left_running_is_found_and_ended_by_another_process(lab: Lab, tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from driftd.cli.lab import app; app()"]
    environ = {**os.environ, "XDG_STATE_HOME": str(tmp_path)}

    def run(*arguments: str) -> tuple[int, str, str]:
        done = subprocess.run(
            [*command, *arguments], env=environ, capture_output=True, text=True, check=False, timeout=110
        )
        return done.returncode, done.stdout, done.stderr

    async def cli(*arguments: str) -> Any:
        code, said, told = await asyncio.to_thread(run, *arguments)
        assert code == 0, told
        document = json.loads(said)
        assert errors(document, schema_of(document["kind"])) == []
        return document

    kubeconfig = tmp_path / "here" / "kubeconfig"
    kubeconfig.parent.mkdir()
    document = await cli("up", "--name", "one", "--kubeconfig", str(kubeconfig), "-o", "json")
    pids = list(document["pids"].values())
    try:
        fields = {"name", "kubeconfig", "server", "audit_log", "data_dir", "pids", "nodes"}
        assert set(document) == {"apiVersion", "kind", *fields}
        assert document["nodes"] == {}
        assert document["kubeconfig"] == str(kubeconfig)
        assert all(map(is_alive, pids))
        async with api(kubeconfig) as admin:
            assert (await admin.get("/api/v1/namespaces/default"))["metadata"]["name"] == "default"
        assert Path(document["audit_log"]).stat().st_size > 0
        again = await cli("up", "--name", "one", "-o", "json")
        assert again["pids"] == document["pids"]
        (state,) = (await cli("status", "-o", "json"))["labs"]
        assert (state["name"], state["state"]) == ("one", "running")
    finally:
        assert (await cli("down", "--all", "-o", "json"))["ended"] == ["one"]
    assert not any(map(is_alive, pids))
    assert not Path(document["data_dir"]).exists()
    code, said, told = await asyncio.to_thread(run, "down", "--name", "one")
    assert (code, said) == (3, "")
    assert "There is no lab 'one' here" in told
    assert (await asyncio.to_thread(run, "up", "--name", "../x"))[0] == 2


async def test_what_a_crash_left_of_a_lab_is_shown_as_dead_and_resumed_or_removed(lab: Lab, tmp_path: Path) -> None:
    labs = KnownLabs(tmp_path, options=SMALL)
    try:
        document = await labs.up("one", os.environ, lambda _: None)
        os.kill(document.pids["supervisor"], 9)
        await until(lambda: not any(map(is_alive, document.pids.values())))
        assert (await labs.state("one")).state == "dead"
        resumed = await labs.up("one", os.environ, lambda _: None)
        assert (await labs.state("one")).state == "running"
        os.kill(resumed.pids["kube-apiserver"], 9)
        await until(lambda: not is_alive(resumed.pids["kube-apiserver"]))
        degraded = await labs.state("one")
        assert (degraded.state, degraded.parts["kube-apiserver"]) == ("degraded", "ended")
        os.kill(resumed.pids["supervisor"], 9)
        await until(lambda: not is_alive(resumed.pids["supervisor"]))
    finally:
        await labs.down("one")
    assert labs.names() == ()
    with pytest.raises(LabNotFoundError, match="Known: none"):
        await labs.down("one")
    with pytest.raises(LabError, match="is no name for a lab"):
        await labs.up("Bad Name", os.environ, lambda _: None)


async def test_a_port_that_a_stranger_takes_first_is_replaced_by_another(lab: Lab) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        taken = stranger.getsockname()[1]

        class Unlucky(Lab):
            """Gets the stranger's port at its first try for each part."""

            tries = 0

            async def _ports(self, count: int) -> list[int]:
                self.tries += 1
                ports = await super()._ports(count)
                return [taken, *ports[1:]] if self.tries in {1, 3} else ports

        async with Unlucky.start(options=SMALL) as unlucky:
            assert isinstance(unlucky, Unlucky)
            assert unlucky.tries == 4
            assert await unlucky.apiserver.is_ready()
            assert str(taken) not in unlucky.server + unlucky.etcd.url
