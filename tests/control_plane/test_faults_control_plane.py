"""The control plane breaks under driftd: its API server and its etcd are killed, frozen, and forget the past."""

import asyncio
import secrets
import shutil
import signal
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from driftd.lab import Lab
from tests.support.control_plane import run_apart
from tests.support.faulty import OPEN, PATIENCE, Scene, allow_all, scene
from tests.support.proxy import Fate, Request, is_repair

pytestmark = [
    pytest.mark.control_plane,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(300),
]


@pytest.fixture(scope="module")
def own_lab(lab: Lab) -> Iterator[Lab]:
    """A control plane that these tests may break; asking for `lab` first settles whether one can be had."""
    own = run_apart(Lab.launch(f"faults-{secrets.token_hex(2)}"))
    yield own
    run_apart(own.close())


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def line(own_lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    async with scene(own_lab, tmp_path_factory.mktemp("plane") / "data") as one:
        yield one


@pytest_asyncio.fixture(loop_scope="module")
async def wired(line: Scene) -> Scene:
    await line.begin()
    return line


async def harm(one: Scene) -> None:
    await one.kube.merge("NetworkPolicy", "acme-prod", "default-deny", OPEN)
    await one.kube.create(allow_all("globex-prod", "hole"))
    await one.kube.delete("LimitRange", "acme-prod", "limits")


async def newest_version(one: Scene) -> int:
    listed = await one.kube.request("GET", "api/v1/configmaps?limit=1")
    return int(listed["metadata"]["resourceVersion"])


async def is_repaired(one: Scene) -> None:
    found = await one.sound(seconds=60.0)
    types = {past.seen.finding.type.value for past in found.about("hole")}
    assert types - {"blocked"} == {"unexpected"}, "one that has just started may refuse twice: it knows no roles yet"
    assert found.about("default-deny", "acme-prod")
    assert found.about("limits", "acme-prod")


@pytest.mark.parametrize("after", [False, True], ids=["before it hears of the write", "after it acted"])
async def test_an_api_server_killed_in_the_middle_of_a_write_is_waited_for(wired: Scene, *, after: bool) -> None:
    harmed, died = asyncio.Event(), asyncio.Event()

    async def kill(_request: Request) -> Fate:
        await harmed.wait()
        await wired.lab.apiserver.kill()
        died.set()
        return Fate.CUT

    if after:
        wired.proxy.rule(is_repair, after=kill, nth=2)
    else:
        wired.proxy.rule(is_repair, before=kill, nth=2)
    await harm(wired)
    harmed.set()
    await asyncio.wait_for(died.wait(), 15)
    await wired.lab.apiserver.start()
    await is_repaired(wired)


async def test_a_frozen_api_server_is_neither_gone_nor_believed(wired: Scene) -> None:
    frozen = asyncio.Event()

    async def freeze(_request: Request) -> Fate:
        if not frozen.is_set():
            await wired.lab.apiserver.freeze()
            frozen.set()
        return Fate.PASS

    wired.proxy.rule(is_repair, before=freeze)
    await wired.kube.merge("NetworkPolicy", "acme-prod", "default-deny", OPEN)
    await asyncio.wait_for(frozen.wait(), 15)
    await asyncio.sleep(8.0)  # longer than the lease, longer than the bound on a write
    await wired.lab.apiserver.thaw()
    await harm(wired)
    await is_repaired(wired)
    assert wired.daemon.process is not None
    assert wired.daemon.process.poll() is None


async def test_an_etcd_killed_in_the_middle_of_a_write_is_waited_for(wired: Scene) -> None:
    harmed, died = asyncio.Event(), asyncio.Event()

    async def kill(_request: Request) -> Fate:
        if not died.is_set():
            await harmed.wait()
            await wired.lab.etcd.kill()
            died.set()
        return Fate.PASS

    wired.proxy.rule(is_repair, before=kill, nth=2)
    await harm(wired)
    harmed.set()
    await asyncio.wait_for(died.wait(), 15)
    await asyncio.sleep(2.0)
    await wired.lab.etcd.start()
    await wired.lab.apiserver.wait_ready()
    await is_repaired(wired)


async def test_what_changed_while_driftd_was_away_and_etcd_forgot_is_found_by_one_list(wired: Scene) -> None:
    wired.daemon.send(signal.SIGSTOP)
    wired.proxy.cut()
    await harm(wired)
    await wired.kube.delete("NetworkPolicy", "acme-prod", "web-ingress")
    for number in range(5):
        await wired.kube.create(allow_all("default", f"noise-{number}"))
    await wired.lab.compact()
    await wired.lab.apiserver.stop()
    await wired.lab.apiserver.start()
    wired.daemon.send(signal.SIGCONT)
    await is_repaired(wired)
    why = [str(event.get("why")) for event in wired.daemon.events() if event["event"] == "cluster.kind.state"]
    assert any("410" in reason for reason in why), "nothing was forgotten: this test proves nothing"
    found = await wired.evidence()
    assert "missing" in {past.seen.finding.type.value for past in found.about("web-ingress", "acme-prod")}
    assert not [record for record in wired.writes() if record.key.namespace == "default"]


async def test_a_new_daemon_finds_what_a_compacted_etcd_no_longer_tells(wired: Scene) -> None:
    await wired.daemon.stop()
    await harm(wired)
    await wired.lab.compact()
    await wired.daemon.start(ready=False)
    await wired.daemon.wait_ready(PATIENCE)
    await is_repaired(wired)


async def test_an_etcd_put_back_from_a_backup_is_noticed_listed_afresh_and_healed(wired: Scene) -> None:
    lab, folder = wired.lab, wired.lab.data_dir / "etcd"
    wired.daemon.send(signal.SIGSTOP)
    await harm(wired)
    await lab.etcd.freeze()  # what lies on its disk now is what a power cut would leave: a backup
    shutil.copytree(folder, wired.data / "backup")
    await lab.etcd.thaw()
    wired.daemon.send(signal.SIGCONT)
    await is_repaired(wired)
    for number in range(200):  # let the versions run on, well past those of the backup
        await wired.kube.merge("ConfigMap", "default", "kube-root-ca.crt", {"metadata": {"labels": {"n": str(number)}}})
    before = await wired.epoch()
    version = await newest_version(wired)

    wired.daemon.send(signal.SIGSTOP)
    for part in (lab.controller_manager, lab.apiserver, lab.etcd):
        await part.kill()
    shutil.rmtree(folder)
    shutil.copytree(wired.data / "backup", folder)
    for part in (lab.etcd, lab.apiserver, lab.controller_manager):
        await part.start()
    assert await wired.epoch() <= before
    assert await newest_version(wired) < version, "the versions did not go back: this test proves nothing"
    await wired.mark()
    wired.daemon.send(signal.SIGCONT)
    await is_repaired(wired)  # in its term, where all of that took less than the lease; else in a new one
    assert await wired.kube.find("NetworkPolicy", "globex-prod", "hole") is None
