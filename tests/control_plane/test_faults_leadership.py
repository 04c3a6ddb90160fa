"""The lease is lost, taken, deleted, or outlived in a frozen process: at most one replica's hand is on the cluster."""

import asyncio
import signal
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from driftd.lab import Lab
from tests.oracle.replay import Record
from tests.support.daemon import Daemon
from tests.support.faulty import EPOCH, OPEN, PATIENCE, Scene, allow_all, scene
from tests.support.shared_stage import restored
from tests.support.stage import copy_models

pytestmark = [
    pytest.mark.control_plane,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(300),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def first(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    async with scene(lab, tmp_path_factory.mktemp("leader") / "data", proxied=False) as one:
        yield one


@pytest_asyncio.fixture(loop_scope="module")
async def leader(first: Scene) -> Scene:
    await first.begin()
    return first


def epochs(records: list[Record]) -> set[int]:
    """The epochs under which objects were written; deletions carry none."""
    return {int(record.request["metadata"]["annotations"][EPOCH]) for record in records if _is_put(record)}  # type: ignore[index]


def _is_put(record: Record) -> bool:
    return record.verb in {"create", "update"}


async def test_a_deleted_lease_costs_a_term_and_nothing_else(leader: Scene) -> None:
    before = await leader.epoch()
    await leader.kube.delete("Lease", "driftd", "driftd")
    await leader.kube.merge("NetworkPolicy", "acme-prod", "default-deny", OPEN)
    await leader.leads(above=before)
    found = await leader.sound()
    assert found.kinds()["leadership.taken"] >= 2


async def test_a_lease_that_somebody_takes_stops_all_writes_until_it_runs_out(leader: Scene) -> None:
    before = await leader.epoch()
    now = datetime.now(UTC)
    stamp = now.isoformat(timespec="microseconds").replace("+00:00", "Z")
    await leader.kube.merge(
        "Lease",
        "driftd",
        "driftd",
        {"spec": {"holderIdentity": "intruder", "leaseDurationSeconds": 3, "renewTime": stamp, "acquireTime": stamp}},
    )
    await asyncio.sleep(1.0)  # the next renewal tells the leader
    await leader.mark()
    await leader.kube.create(allow_all("acme-prod", "hole"))
    await leader.kube.merge("NetworkPolicy", "globex-prod", "default-deny", OPEN)
    await asyncio.sleep(0.8)
    assert leader.attempts() == [], "nobody leads, so nobody writes"
    await leader.leads(above=before)
    found = await leader.sound()
    assert min(epochs(leader.writes())) > before
    assert found.about("hole", "acme-prod")
    first_write = min(record.received for record in leader.writes())
    assert first_write - now > timedelta(seconds=2.5), "a foreign term is respected to its end"


async def test_a_leader_frozen_past_its_lease_wakes_up_with_its_hands_tied(leader: Scene, tmp_path: Path) -> None:
    config = Path(await leader.lab.service_account_kubeconfig("driftd", "driftd"))
    second = Daemon(kubeconfig=config, models=leader.models, data=tmp_path / "second", identity="two")
    before = await leader.epoch()
    async with second:
        assert await leader.epoch() == before, "a second replica waits its turn"
        leader.daemon.send(signal.SIGSTOP)
        await leader.kube.merge("NetworkPolicy", "acme-prod", "default-deny", OPEN)
        await leader.kube.create(allow_all("acme-prod", "hole"))
        await leader.leads(above=before)
        after = await leader.epoch()
        await leader.canonical()
        assert epochs(leader.writes()) == {after}
        await leader.mark()
        leader.daemon.send(signal.SIGCONT)
        for name in ("web-egress", "api-ingress", "default-deny"):
            await leader.kube.merge("NetworkPolicy", "acme-prod", name, OPEN)
            await asyncio.sleep(0.3)
        await leader.canonical()
        assert epochs(leader.writes()) == {after}, "the old leader wrote after it was replaced"
        assert leader.loosened() == []
        assert not second.unhandled()
    await leader.leads(above=after)
    await leader.kube.delete("NetworkPolicy", "acme-prod", "web-ingress")
    found = await leader.sound()
    assert found.about("web-ingress", "acme-prod")


async def test_a_new_leader_that_is_behind_writes_nothing_until_its_source_brings_the_model_of_the_lease(
    leader: Scene, tmp_path: Path
) -> None:
    behind = copy_models(tmp_path / "models")
    plans = behind / "plans.yaml"
    assert 'pods: "' in plans.read_text()
    plans.write_text(plans.read_text().replace('pods: "', 'pods: "1'))
    config = Path(await leader.lab.service_account_kubeconfig("driftd", "driftd"))
    patient = {"DRIFTD_MODEL__SETTLE_SECONDS": "120"}
    second = Daemon(kubeconfig=config, models=behind, data=tmp_path / "two", identity="two", env=patient)
    before = await leader.epoch()
    async with second:
        await leader.daemon.stop()
        await leader.leads(above=before)
        await leader.kube.merge("NetworkPolicy", "acme-prod", "default-deny", OPEN)
        await asyncio.sleep(2.0)
        assert leader.attempts() == [], "it cannot tell whether its model is older or newer than that of the lease"
        restored(behind)
        await leader.canonical(30.0)
        assert {record.key.name for record in leader.writes()} == {"default-deny"}
        assert not second.unhandled()
    await leader.daemon.start(ready=False)
    await leader.daemon.wait_ready(PATIENCE)


async def test_a_leader_frozen_for_a_moment_goes_on_where_it_was(leader: Scene) -> None:
    leader.daemon.send(signal.SIGSTOP)
    await leader.kube.delete("NetworkPolicy", "acme-prod", "default-deny")
    await asyncio.sleep(0.8)
    leader.daemon.send(signal.SIGCONT)
    await leader.sound()
    assert leader.repairs().total() == 1
