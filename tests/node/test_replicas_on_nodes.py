"""Two replicas in pods on two nodes: one leads, the other stands by, and either may be killed, frozen or replaced.

The chart's own lease of 15 s and PostgreSQL from a Secret; what a leader sends can be held on its way.
"""

import asyncio
import contextlib
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio

from driftd.cluster import LeaseSettings
from driftd.lab import Lab
from driftd.paging import Page
from driftd.paging.pages import page_of
from driftd.store import Past, ReadOnly
from tests.oracle.replay import Record
from tests.support.control_plane import lacking
from tests.support.faulty import EPOCH, OPEN, allow_all
from tests.support.helm import NoHelmError
from tests.support.hosted import NAMESPACE, is_ready
from tests.support.hosted_replicas import Around, HostedReplicas, hosted_replicas, name_of, replicas_on_nodes
from tests.support.image import image_archive
from tests.support.kube import Body, Kube, KubeError
from tests.support.late_writes import MAILER, WORKER, Held, change_model
from tests.support.pod_process import kill_process, stopped
from tests.support.proxy import Fate, Request
from tests.support.records import SteppingClock
from tests.support.stage import DRIFTD

pytestmark = [pytest.mark.node, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(600)]

LEASE_SECONDS = LeaseSettings().duration
RENEW_SECONDS = LeaseSettings().renew_deadline
ON_ITS_WAY = timedelta(seconds=1)
"""So late a write that left in time may arrive where the machine has much else to do."""
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


async def test_a_leader_told_to_end_during_a_write_finishes_it_and_hands_over(two: HostedReplicas) -> None:
    leader, standby = await two.both()
    known = {row.seq for row in (await two.evidence()).rows}
    repair = Held()
    two.proxy.rule(write_of("PUT", OPENED), before=repair)
    await two.kube.merge("NetworkPolicy", *OPENED, OPEN)
    await asyncio.wait_for(repair.here.wait(), 30)
    await two.kube.delete("Pod", NAMESPACE, name_of(leader))
    await two.until("SIGTERM has come", lambda: ending(two, leader), 30.0)
    assert not lease_writes(two, standby), "the lease is kept for as long as a write is under way"
    repair.released.set()
    released = datetime.now(UTC)
    await two.led_by(standby, 60.0)
    handed = (lease_writes(two, standby)[0].received - released).total_seconds()
    print(f"\nhanded over {handed:.1f} s after the last write was let go")
    assert handed < RENEW_SECONDS, "the lease was given back: nobody waited until it had run out"
    await two.both(without=[leader])
    found = await two.sound()
    (repaired,) = two.writes()
    assert (repaired.verb, repaired.key.namespace, repaired.key.name) == ("update", *OPENED), "finished, not repeated"
    new = "".join(row.payload for row in found.rows if row.seq not in known)
    assert "settled after a restart" not in new, "who sent it heard the answer and recorded it"


async def ending(two: HostedReplicas, pod: Body) -> bool:
    """Whether the daemon of this pod has been told to end."""
    return '"event":"stopping"' in (await two.lab.pods.logs(NAMESPACE, name_of(pod))).replace(" ", "")


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
        await two.until("nobody may evict the only one that is ready", lambda: is_kept(two, standby), 60.0)
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


async def is_kept(two: HostedReplicas, pod: Body) -> bool:
    return not await may_be_evicted(two, pod)


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


async def test_answers_of_five_seconds_cost_the_lease_and_no_pod_and_all_is_healed_once_when_they_are_quick_again(
    two: HostedReplicas,
) -> None:
    """Five seconds are more than a lease of 15 s outlasts: it is given up in time, and taken again afterwards."""
    leader, standby = await two.both()
    before, began = await epoch(two), datetime.now(UTC)
    two.proxy.slow(5.0)
    try:
        await two.kube.merge("NetworkPolicy", *OPENED, OPEN)  # the lease has not run out: it may still be repaired
        await two.until("the leader's pod says that nobody leads", lambda: unready(two, leader), 120.0)
        await two.kube.create(allow_all("globex-prod", "hole"))
        await two.kube.delete("LimitRange", "acme-prod", "limits")
        await asyncio.sleep(RENEW_SECONDS)
        late = [one for one in two.writes() if one.received > began + timedelta(seconds=RENEW_SECONDS) + ON_ITS_WAY]
        assert late == [], "written after the lease's deadline"
    finally:
        two.proxy.slow(0.0)
    started = time.monotonic()
    pods = await two.both()
    await two.sound()
    print(f"\nled, Ready and healed {time.monotonic() - started:.1f} s after answers were quick again")
    assert {identity(pod) for pod in pods} == {identity(pod) for pod in (leader, standby)}, "nothing was restarted"
    assert await epoch(two) > before
    repairs = Counter((one.verb, one.key.namespace, one.key.name) for one in two.writes())
    assert repairs.keys() == {
        ("update", *OPENED),
        ("update", "globex-prod", "hole"),
        ("delete", "globex-prod", "hole"),
        ("create", "acme-prod", "limits"),
    }
    assert set(repairs.values()) == {1}
    names = {past.seen.finding.ref.name for past in await told(two, began)}
    assert names == {"default-deny", "hole", "limits"}
    await two.until("every finding is closed", lambda: closed(two, began), 60.0)
    pages = {page.about.name for page in await paged(two) if page.opened >= began}
    assert {"hole"} <= pages <= names


def identity(pod: Body) -> tuple[str, tuple[int, ...]]:
    """A pod's uid, and how often its containers were started anew."""
    return pod["metadata"]["uid"], tuple(status["restartCount"] for status in pod["status"]["containerStatuses"])


async def unready(two: HostedReplicas, pod: Body) -> bool:
    """Whether the kubelet has heard so."""
    return not is_ready(await two.kube.get("Pod", NAMESPACE, name_of(pod)))


async def told(two: HostedReplicas, since: datetime) -> list[Past]:
    """The findings that were opened since then."""
    return [past for past in (await two.evidence()).findings if past.seen.opened >= since]


async def closed(two: HostedReplicas, since: datetime) -> bool:
    return all(past.seen.closed for past in await told(two, since))


async def paged(two: HostedReplicas) -> list[Page]:
    assert two.home is not None
    archive = ReadOnly.at(two.home.records, SteppingClock())
    try:
        return [page_of(one.page) for one in await archive.pages(limit=1000)]
    finally:
        await archive.close()


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
