"""Two replicas in pods on two nodes: one leads, the other stands by, and either may be killed, frozen or replaced.

The chart's own lease of 15 s and PostgreSQL from a Secret; what a leader sends can be held on its way.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime

import pytest
import pytest_asyncio

from driftd.cluster import LeaseSettings
from driftd.lab import Lab
from tests.oracle.replay import Record
from tests.support.control_plane import lacking
from tests.support.faulty import EPOCH, OPEN, allow_all
from tests.support.helm import NoHelmError
from tests.support.hosted import NAMESPACE
from tests.support.hosted_replicas import Around, HostedReplicas, hosted_replicas, name_of, replicas_on_nodes
from tests.support.image import image_archive
from tests.support.kube import Body, Kube, KubeError
from tests.support.late_writes import MAILER, WORKER, Held, change_model
from tests.support.pod_process import kill_process, stopped
from tests.support.proxy import Fate, Request
from tests.support.stage import DRIFTD

pytestmark = [pytest.mark.node, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(600)]

LEASE_SECONDS = LeaseSettings().duration
SLACK_SECONDS = 6.0
"""Above the lease until it heals again. The goal of 2 s is the bench's to hold: here the machine has other work."""
OPENED = ("acme-prod", "default-deny")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def around(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Around]:
    try:
        async with replicas_on_nodes(lab, image_archive(), tmp_path_factory.mktemp("replicas")) as one:
            yield one
    except NoHelmError as error:
        lacking("helm", str(error))


@pytest_asyncio.fixture(loop_scope="module")
async def two(around: Around) -> AsyncIterator[HostedReplicas]:
    async with hosted_replicas(around) as found:
        yield found
        found.proxy.rules.clear()


def write_of(verb: str, where: tuple[str, str]) -> Callable[[Request], bool]:
    """Repairs of one NetworkPolicy; a create is known by what it carries."""
    namespace, name = where
    path = Kube.path("NetworkPolicy", namespace)

    def matches(request: Request) -> bool:
        return (
            request.is_repair
            and request.verb == verb
            and path in request.path
            and name in f"{request.path}{request.body.decode()}"
        )

    return matches


async def may_be_evicted(two: HostedReplicas, pod: Body) -> bool:
    """What the API server says of it, nothing being done."""
    meta = {"name": name_of(pod), "namespace": NAMESPACE}
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": meta}
    path = Kube.path("Pod", NAMESPACE, name_of(pod), "/eviction?dryRun=All")
    try:
        await two.kube.request("POST", path, body=eviction)
    except KubeError as error:
        if error.status != 429:
            raise
        return False
    return True


async def test_each_replica_has_a_node_and_either_may_be_evicted(two: HostedReplicas) -> None:
    pods = await two.both()
    assert {pod["spec"]["nodeName"] for pod in pods} == {node.name for node in two.lab.nodes}
    budget = await two.kube.get("PodDisruptionBudget", NAMESPACE, "driftd")
    assert budget["spec"]["maxUnavailable"] == 1

    async def allowed() -> bool:
        return all([await may_be_evicted(two, pod) for pod in pods])

    await two.until("one of two may be away", allowed)
    await two.kube.merge("NetworkPolicy", *OPENED, OPEN)
    await two.sound()


async def test_a_leader_killed_while_its_repair_is_under_way_is_followed_within_its_lease(two: HostedReplicas) -> None:
    leader, standby = await two.both()
    await two.until("the leader renews its lease", lambda: renewed(two, leader))
    repair = Held(Fate.CUT)
    two.proxy.rule(write_of("PUT", OPENED), before=repair)
    await two.kube.merge("NetworkPolicy", *OPENED, OPEN)
    await asyncio.wait_for(repair.here.wait(), 30)
    died = datetime.now(UTC)
    kill_process(leader)
    path = Kube.path("Pod", NAMESPACE, name_of(leader))
    await two.kube.request("DELETE", path, body={"gracePeriodSeconds": 0})  # else the kubelet starts it again
    repair.released.set()
    await two.led_by(standby, 60.0)
    await two.canonical(60.0)
    await two.sound()

    (heal,) = [heal for heal in two.heals() if (heal.key.namespace, heal.key.name) == OPENED]
    assert heal.last is not None
    last, taken = lease_writes(two, leader)[-1], lease_writes(two, standby)[0]
    took, waited = (heal.last.done - died).total_seconds(), (taken.received - last.done).total_seconds()
    print(f"\nhealed {took:.1f} s after kill -9; the lease was taken {waited:.1f} s after it was renewed last")
    assert waited > LEASE_SECONDS - 0.5, "a lease is nobody's else before it has run out"
    assert took < LEASE_SECONDS + SLACK_SECONDS
    await two.both(without=[leader])


def lease_writes(two: HostedReplicas, holder: Body) -> list[Record]:
    """The lease as this pod wrote it since the mark."""
    return [
        record
        for record in two.records()
        if record.user == DRIFTD
        and record.key.resource == "leases"
        and record.succeeded
        and record.request
        and record.request["spec"]["holderIdentity"] == name_of(holder)
    ]


async def renewed(two: HostedReplicas, holder: Body) -> bool:
    return bool(lease_writes(two, holder))


async def test_a_frozen_leader_is_refused_what_it_sent_when_the_other_has_a_newer_model(two: HostedReplicas) -> None:
    leader, standby = await two.both()
    before = await epoch(two)
    making, deleting = Held(), Held()
    two.proxy.rule(write_of("POST", WORKER), before=making)
    two.proxy.rule(write_of("DELETE", MAILER), before=deleting)
    await two.kube.delete("NetworkPolicy", *WORKER)
    await two.kube.create(allow_all(*MAILER))
    for one in (making, deleting):
        await asyncio.wait_for(one.here.wait(), 30)
    assert two.around is not None
    started = time.monotonic()
    with stopped(leader):
        change_model(two.models)
        await asyncio.to_thread(two.around.upstream.record)
        await two.led_by(standby, 60.0)
        await two.canonical(60.0)
        print(f"\nas the new model has it {time.monotonic() - started:.1f} s after the leader froze")
        assert not await may_be_evicted(two, standby), "the other is away"
        for one in (making, deleting):
            one.released.set()
        await two.until("both late writes are answered", lambda: answered(two), 30.0)
    late = answers(two)
    assert late["create"].code == 403
    assert "driftd-fence" in (late["create"].response or {})["message"]
    assert late["delete"].code in {403, 409}, "the fence forbids it, and the object is another version by now"
    assert two.loosened() == []

    await two.mark()
    await two.kube.create(allow_all("acme-prod", "hole"))
    await two.kube.merge("NetworkPolicy", "globex-prod", "default-deny", OPEN)
    await two.sound()
    stored = [record.request for record in two.writes() if record.verb in {"create", "update"}]
    assert min(int(body["metadata"]["annotations"][EPOCH]) for body in stored if body) > before, "the old leader wrote"
    assert await two.kube.find("NetworkPolicy", *WORKER) is None
    assert (await two.kube.get("NetworkPolicy", *MAILER))["spec"]["egress"], "as the new model has it"
    assert name_of((await two.both())[0]) == name_of(standby), "awake again, it stands by"


def answers(two: HostedReplicas) -> dict[str, Record]:
    """How the API server answered what the leader had sent, by verb."""
    sent = {("create", *WORKER), ("delete", *MAILER)}
    return {
        record.verb: record
        for record in two.records()
        if record.user == DRIFTD and (record.verb, record.key.namespace, record.key.name) in sent
    }


async def answered(two: HostedReplicas) -> bool:
    return len(answers(two)) == 2


async def epoch(two: HostedReplicas) -> int:
    """The one in the lease."""
    lease = await two.kube.get("Lease", NAMESPACE, "driftd")
    return int(lease["metadata"]["annotations"][EPOCH])


async def test_a_rolling_restart_amid_tamperings_leaves_one_whole_chain(two: HostedReplicas) -> None:
    old = await two.both()
    began = {row.seq for row in (await two.evidence()).rows}
    async with tampering(two):
        started = time.monotonic()
        await two.roll()
        await two.both(without=old, seconds=240.0)
        print(f"\ntwo others stand {time.monotonic() - started:.1f} s after the restart was ordered")
    found = await two.sound(120.0)
    waits = [heal.healed_after.total_seconds() for heal in two.heals() if heal.healed_after is not None]
    print(f"{len(waits)} repairs, the longest after {max(waits):.1f} s")
    terms = [row.epoch for row in found.rows if row.kind == "leadership.taken"]
    assert terms == sorted(set(terms)), "each term has an epoch of its own, and they rise"
    assert began < {row.seq for row in found.rows}
    assert "chain.discontinued" not in found.kinds()
    verified = await two.run("/opt/driftd/bin/driftd", "history", "--verify", "-o", "json")
    assert json.loads(verified)["intact"] is True


@contextlib.asynccontextmanager
async def tampering(two: HostedReplicas) -> AsyncIterator[None]:
    """Somebody opens one policy after the other until the block ends."""
    over = asyncio.Event()

    async def tamper() -> None:
        while not over.is_set():
            for namespace in ("acme-prod", "acme-stage", "globex-prod", "initech-prod"):
                await two.kube.merge("NetworkPolicy", namespace, "default-deny", OPEN)
                await asyncio.sleep(0.3)

    async with asyncio.TaskGroup() as group:
        group.create_task(tamper())
        await asyncio.sleep(1.0)
        try:
            yield
        finally:
            over.set()
