"""The database goes away under a running daemon: repairs go on, the journal keeps account, the last DELETE waits."""

import asyncio
import json
import math
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import pytest_asyncio

from driftd.lab import Lab
from tests.support.control_plane import lacking
from tests.support.faulty import OPEN, PATIENCE, Scene, allow_all, locked, scene
from tests.support.stage import Body

pytestmark = [
    pytest.mark.control_plane,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(300),
]


WIDE: Body = {
    "spec": {
        "egress": [{"to": [{"ipBlock": {"cidr": f"203.0.{n}.0/24"}}], "ports": [{"port": n}]} for n in range(1, 200)]
    }
}
"""A merge patch whose report is long: it fills a journal quickly."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def direct(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    async with scene(lab, tmp_path_factory.mktemp("store") / "data", proxied=False) as one:
        yield one


@pytest_asyncio.fixture(loop_scope="module")
async def calm(direct: Scene) -> Scene:
    await direct.begin()
    return direct


def database(one: Scene) -> Path:
    return one.data / "driftd.sqlite"


async def heals_without_its_database(one: Scene, name: str) -> None:
    """A hole is closed, a rogue policy emptied; its deletion waits."""
    await one.kube.merge("NetworkPolicy", "acme-prod", "default-deny", OPEN)
    await one.kube.create(allow_all("globex-prod", name))

    async def closed() -> bool:
        rogue = await one.kube.find("NetworkPolicy", "globex-prod", name)
        assert rogue is not None, "the final DELETE must wait for the database"
        emptied = not rogue["spec"].get("ingress") and not rogue["spec"].get("egress")
        return emptied and not [ref for ref in await one.differing() if name not in ref]

    await one.until("the hole is closed and the rogue policy empty", closed, 40.0)
    await asyncio.sleep(1.5)
    assert await closed()
    assert "delete" not in {record.verb for record in one.writes()}


async def has_it_all(one: Scene, name: str) -> None:
    found = await one.sound()
    assert await one.kube.find("NetworkPolicy", "globex-prod", name) is None
    (hole,) = [past for past in found.about("default-deny", "acme-prod") if past.seen.finding.id not in one.known][:1]
    assert hole.writes
    assert all(write.outcome is not None for write in hole.writes)
    assert [past.seen.finding.type.value for past in found.about(name)] == ["unexpected"]
    assert found.kinds()["store.recovered"] >= 1


@contextmanager
def small_disk(folder: Path, mebibytes: int) -> Iterator[Path]:
    """A file system of its own, so small that a test can fill it."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        lacking("root", "mounting a small file system takes root, and a kernel that allows it")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


async def pages_of_the_store(one: Scene, count: int) -> bool:
    found = await one.metric('driftd_pages_open{class="store",urgency="warning"}')
    return (0 if math.isnan(found) else found) == count


def fill(ballast: Path) -> None:
    """Leave no byte free."""
    with ballast.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            with suppress(OSError):
                while True:
                    file.write(b"x" * size)


async def test_on_a_full_disk_the_reserved_journal_carries_on_and_is_replayed_when_there_is_room(
    lab: Lab, tmp_path: Path
) -> None:
    # First in this file: a daemon of its own cannot lead beside the one that the other tests share.
    with small_disk(tmp_path / "disk", 40) as disk:
        data, log = disk / "data", tmp_path / "one.log"
        data.mkdir()
        log.touch()
        (data / "one.log").symlink_to(log)  # what a daemon prints goes elsewhere than what it keeps
        async with scene(lab, data, proxied=False) as full:
            fill(disk / "ballast")

            async def away() -> bool:
                await full.kube.merge("NetworkPolicy", "acme-prod", "web-egress", OPEN)
                await full.canonical(30.0)
                return await full.metric("driftd_store_ok") == 0

            await full.until("the store says that it is away", away, 60.0)
            await heals_without_its_database(full, "hole-d")
            (disk / "ballast").unlink()
            await has_it_all(full, "hole-d")
            assert await full.metric("driftd_store_ok") == 1


async def test_a_journal_that_is_full_stops_no_repair_and_its_losses_are_told(lab: Lab, tmp_path: Path) -> None:
    # A daemon of its own, so before those that share one.
    env = {"DRIFTD_STORE__JOURNAL_MEBIBYTES": "1", "DRIFTD_PAGING__RESOLVE_SECONDS": "2"}
    async with scene(lab, tmp_path / "data", proxied=False, env=env) as full:
        with locked(database(full)):

            async def filled() -> bool:
                await full.kube.merge("NetworkPolicy", "acme-prod", "web-egress", WIDE)
                await full.canonical(30.0)
                return await full.metric("driftd_records_lost_total") > 0

            await full.until("the journal is full", filled, 120.0)
            await heals_without_its_database(full, "hole-f")
            await full.until("a second page is open", lambda: pages_of_the_store(full, 2), 20.0)

        async def back() -> bool:
            return await full.metric("driftd_store_ok") == 1

        await full.until("the store is back", back, 60.0)
        await full.until("both pages are over", lambda: pages_of_the_store(full, 0), 120.0)

        async def closed() -> bool:
            return not [one for one in (await full.evidence()).findings if full._is_new(one)]

        await full.until("every finding is closed", closed, 60.0)
        found = await full.evidence()
        assert found.chain.ok
        lost = await full.metric("driftd_records_lost_total")
        recovered = [json.loads(row.payload) for row in found.rows if row.kind == "store.recovered"]
        assert [one["lost"] for one in recovered if "lost" in one] == [str(int(lost))]


async def test_while_the_database_is_locked_repairs_go_on_and_the_journal_is_replayed(calm: Scene) -> None:
    with locked(database(calm)):
        await heals_without_its_database(calm, "hole-a")
    await has_it_all(calm, "hole-a")


async def test_a_database_that_is_replaced_by_a_directory_is_put_back_and_nothing_waits(calm: Scene) -> None:
    before = (await calm.evidence()).chain.head
    away = calm.data / "away"
    away.mkdir()
    for file in calm.data.glob("driftd.sqlite*"):
        file.rename(away / file.name)
    database(calm).mkdir()
    await calm.kube.merge("NetworkPolicy", "acme-prod", "default-deny", OPEN)
    await calm.kube.create(allow_all("globex-prod", "hole-b"))
    await calm.canonical(60.0)
    found = await calm.sound()
    assert found.chain.head.seq > before.seq, "the rows from before are there again"
    assert found.kinds()["store.restored"] == 1
    assert found.about("hole-b")


async def test_a_kill_while_the_database_is_locked_loses_nothing_of_the_journal(calm: Scene) -> None:
    with locked(database(calm)):
        await heals_without_its_database(calm, "hole-c")
        await calm.daemon.kill()
        await calm.daemon.start(ready=False)
        await calm.kube.merge("NetworkPolicy", "acme-prod", "web-egress", OPEN)

        async def healed() -> bool:
            return not [ref for ref in await calm.differing() if "hole-c" not in ref]

        await calm.until("a daemon without a past still repairs", healed, 90.0)
        assert await calm.kube.find("NetworkPolicy", "globex-prod", "hole-c") is not None
    await calm.daemon.wait_ready(PATIENCE)
    await has_it_all(calm, "hole-c")
