"""The supervisor with programs of a second's size: what holds for `sleep` holds for an API server."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from driftd.lab.errors import LabError, SupervisorGoneError
from driftd.lab.layout import Layout
from driftd.lab.owner import Owner, is_alive

SLEEP = ["sleep", "600"]


def folder(path: Path) -> Layout:
    layout = Layout(path / "lab")
    layout.create()
    return layout


@asynccontextmanager
async def supervised(layout: Layout, *, ephemeral: bool = False) -> AsyncIterator[Owner]:
    owner = await Owner.launch(layout, ephemeral=ephemeral, stop_grace=2)
    try:
        yield owner
    finally:
        owner.abandon()


async def run(owner: Owner, layout: Layout, name: str, argv: list[str] = SLEEP, rank: int = 0) -> int:
    answer = await owner.ask("start", seconds=5, part=name, argv=argv, rank=rank, log=str(layout.log(name)))
    pid = answer["pid"]
    assert isinstance(pid, int)
    return pid


async def until(holds: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not become so in time"
        await asyncio.sleep(0.02)


async def test_a_part_is_stopped_and_started_again_with_the_same_command_line(tmp_path: Path) -> None:
    layout = folder(tmp_path)
    async with supervised(layout) as owner:
        first = await run(owner, layout, "part")
        stopped = await owner.ask("stop", seconds=10, part="part", grace=5)
        assert stopped["code"] == -signal.SIGTERM
        assert not is_alive(first)
        second = (await owner.ask("start", seconds=5, part="part"))["pid"]
        assert second != first
        assert is_alive(second)


async def test_a_part_that_ignores_sigterm_is_killed_after_its_grace(tmp_path: Path) -> None:
    layout = folder(tmp_path)
    stubborn = ["sh", "-c", "trap '' TERM; echo deaf; while :; do sleep 0.1; done"]
    async with supervised(layout) as owner:
        pid = await run(owner, layout, "part", stubborn)
        await until(lambda: b"deaf" in layout.log("part").read_bytes())
        assert (await owner.ask("stop", seconds=10, part="part", grace=0.3))["code"] == -signal.SIGKILL
        assert not is_alive(pid)


async def test_a_frozen_part_can_be_thawed_stopped_or_killed(tmp_path: Path) -> None:
    layout = folder(tmp_path)
    async with supervised(layout) as owner:
        for end in ("stop", "kill"):
            pid = await run(owner, layout, "part")
            await owner.ask("signal", seconds=5, part="part", signal="SIGSTOP")
            assert (await owner.status()).parts["part"].state == "frozen"
            await owner.ask("signal", seconds=5, part="part", signal="SIGCONT")
            assert (await owner.status()).parts["part"].state == "running"
            await owner.ask("signal", seconds=5, part="part", signal="SIGSTOP")
            await owner.ask(end, seconds=10, part="part", grace=5)
            assert not is_alive(pid)


async def test_the_end_of_a_part_is_seen_with_its_exit_code(tmp_path: Path) -> None:
    layout = folder(tmp_path)
    async with supervised(layout) as owner:
        await run(owner, layout, "part", ["sh", "-c", "echo last words; exit 7"])
        await until(lambda: layout.log("part").read_bytes() == b"last words\n")
        await asyncio.sleep(0.2)
        state = (await owner.status()).parts["part"]
        assert (state.code, state.pid) == (7, None)
        assert layout.log("part").read_text() == "last words\n"


async def test_parts_are_stopped_highest_rank_first(tmp_path: Path) -> None:
    layout, said = folder(tmp_path), tmp_path / "order"
    async with supervised(layout) as owner:
        for name, rank in (("etcd", 0), ("manager", 2), ("server", 1)):
            script = f"trap 'echo {name} >> {said}; exit 0' TERM; echo up; while :; do sleep 0.05; done"
            await run(owner, layout, name, ["sh", "-c", script], rank)
            await until(lambda name=name: b"up" in layout.log(name).read_bytes())  # type: ignore[misc]
        await owner.shutdown(remove=False, grace=5)
    assert said.read_text().split() == ["manager", "server", "etcd"]


async def test_shutdown_leaves_no_process_and_removes_data_only_when_told(tmp_path: Path) -> None:
    layout = folder(tmp_path)
    for remove in (False, True):
        async with supervised(layout) as owner:
            pid, status = await run(owner, layout, "part"), await owner.status()
            await owner.shutdown(remove=remove, grace=5)
            assert not is_alive(pid)
            assert not is_alive(status.pid)
            assert layout.root.exists() is not remove


async def test_kill_9_of_the_supervisor_takes_its_parts_along(tmp_path: Path) -> None:
    layout = folder(tmp_path)
    async with supervised(layout) as owner:
        parts = [await run(owner, layout, name) for name in ("one", "two")]
        await owner.ask("signal", seconds=5, part="two", signal="SIGSTOP")
        os.kill((await owner.status()).pid, signal.SIGKILL)
        await until(lambda: not any(map(is_alive, parts)))
        with pytest.raises(SupervisorGoneError, match="not running"):
            await owner.status()


OWNING_PROGRAM = """
import asyncio, sys
from pathlib import Path
from driftd.lab.layout import Layout
from driftd.lab.owner import Owner

async def main():
    layout = Layout(Path(sys.argv[1]))
    layout.create()
    owner = await Owner.launch(layout, ephemeral=True, stop_grace=2)
    for name in ("one", "two"):
        await owner.ask("start", seconds=5, part=name, argv=["sleep", "600"], rank=0, log=str(layout.log(name)))
    if sys.argv[2] == "detach":
        await owner.detach()
    status = await owner.status()
    print(status.pid, *(part.pid for part in status.parts.values()), flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


async def test_kill_9_of_the_owner_ends_everything_and_removes_temporary_data(tmp_path: Path) -> None:
    program = [sys.executable, "-c", OWNING_PROGRAM, str(tmp_path / "lab"), "stay"]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        pids = [int(pid) for pid in process.stdout.readline().split()]
        assert len(pids) == 3
        assert all(map(is_alive, pids))
        process.kill()
        await until(lambda: not any(map(is_alive, pids)))
    assert not (tmp_path / "lab").exists()


async def test_a_detached_lab_outlives_kill_9_of_its_owner_and_can_be_ended_by_another(tmp_path: Path) -> None:
    program = [sys.executable, "-c", OWNING_PROGRAM, str(tmp_path / "lab"), "detach"]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        pids = [int(pid) for pid in process.stdout.readline().split()]
        process.kill()
    other = Owner(Layout(tmp_path / "lab"))
    await asyncio.sleep(0.2)
    assert all(map(is_alive, pids))
    assert (await other.status()).detached
    await other.shutdown(remove=True, grace=5)
    assert not any(map(is_alive, pids))


async def test_a_folder_in_use_is_refused_to_a_second_lab(tmp_path: Path) -> None:
    layout = folder(tmp_path)
    async with supervised(layout) as owner:
        pid = await run(owner, layout, "part")
        with pytest.raises(SupervisorGoneError, match="another lab is running in"):
            await Owner.launch(layout, ephemeral=True, stop_grace=1)
        assert is_alive(pid)
        assert (await owner.status()).parts["part"].state == "running"


async def test_labs_side_by_side_never_share_a_port_whether_it_is_open_or_not(tmp_path: Path) -> None:
    one, two = folder(tmp_path / "one"), folder(tmp_path / "two")
    async with supervised(one) as first, supervised(two) as second:
        taken = [port for owner in (first, second) for _ in range(20) for port in await ports(owner, 5)]
        assert len(set(taken)) == len(taken) == 200
        lowest_ephemeral = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
        assert max(taken) < lowest_ephemeral


async def ports(owner: Owner, count: int) -> list[int]:
    answer = await owner.ask("ports", seconds=5, count=count)
    return [int(port) for port in answer["ports"]]


async def test_a_port_that_somebody_listens_on_is_not_handed_out(tmp_path: Path) -> None:
    layout = folder(tmp_path)
    async with supervised(layout) as owner:
        (port,) = await ports(owner, 1)
        await owner.shutdown(remove=False, grace=1)
    with socket.create_server(("127.0.0.1", port)):
        async with supervised(layout) as owner:
            assert port not in await ports(owner, 2000)


async def test_a_data_folder_with_a_path_longer_than_a_socket_address_works(tmp_path: Path) -> None:
    layout = folder(tmp_path / ("long" * 30) / ("longer" * 20))
    async with supervised(layout) as owner:
        assert (await owner.status()).parts == {}


async def test_what_cannot_be_done_is_said_in_words(tmp_path: Path) -> None:
    layout = folder(tmp_path)
    async with supervised(layout) as owner:
        with pytest.raises(LabError, match="there is no such part"):
            await owner.ask("stop", seconds=5, part="nothing", grace=1)
        with pytest.raises(LabError, match="No such file or directory"):
            await run(owner, layout, "part", ["/no/such/program"])
        with pytest.raises(LabError, match="unknown request"):
            await owner.ask("dance", seconds=5)
        await run(owner, layout, "part")
        with pytest.raises(LabError, match="running already"):
            await owner.ask("start", seconds=5, part="part")


async def test_two_labs_never_have_the_same_network_and_a_network_is_free_again_when_its_lab_is_gone(
    tmp_path: Path,
) -> None:
    async with supervised(folder(tmp_path / "a")) as one, supervised(folder(tmp_path / "b")) as other:
        mine = (await one.ask("network", seconds=5, count=256))["number"]
        theirs = (await other.ask("network", seconds=5, count=256))["number"]
        assert mine != theirs
        await one.shutdown(remove=False, grace=2)
        assert (await other.ask("network", seconds=5, count=256))["number"] <= mine


async def test_what_was_asked_for_the_end_is_run_when_every_part_is_gone_even_after_a_kill(tmp_path: Path) -> None:
    layout, told = folder(tmp_path), tmp_path / "told"
    async with supervised(layout) as owner:
        pid = await run(owner, layout, "part")
        look = f"[ -e /proc/{pid} ] && echo alive > {told} || echo gone > {told}"
        await owner.ask("at_end", seconds=5, argv=["sh", "-c", look])
    assert told.read_text() == "gone\n"
