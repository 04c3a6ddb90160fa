"""What a watch failed to tell is found, proved past the caches, healed and counted; lag alone is no divergence."""

import asyncio
from dataclasses import replace

import orjson
import pytest

from driftd.cluster import (
    Auditor,
    Canary,
    ClusterError,
    Divergence,
    FenceState,
    Gap,
    KindNotServed,
    Mirror,
    Pace,
    RollingCheck,
    Session,
    Truth,
)
from driftd.drift import KindState
from driftd.values import Live, ObjectRef
from tests.support.api_server import ApiServer, answer, status
from tests.support.cluster import CONFIGMAP, NETPOL, POLICIES, Until, policy, spec_digest


def ref(name: str) -> ObjectRef:
    return ObjectRef(NETPOL.group, NETPOL.kind, "a", name)


@pytest.fixture
def ready(mirror: Mirror) -> Mirror:
    mirror.watch(NETPOL)
    mirror.mark(NETPOL, KindState.READY)
    return mirror


@pytest.fixture
def auditor(session: Session, ready: Mirror, pace: Pace) -> Auditor:
    return Auditor(session, Truth(session, lambda asked: ready.reader(ready.resource_of(asked))), ready, pace)


def told(server: ApiServer, mirror: Mirror, *names: str) -> list[Live]:
    reader = mirror.reader(NETPOL)
    return [reader.live(orjson.dumps(server.put(POLICIES.format("a", n), policy("a", n)))) for n in names]


async def test_content_that_the_server_shows_otherwise_at_the_same_version_is_taken_over_and_no_divergence(
    server: ApiServer, ready: Mirror, auditor: Auditor
) -> None:
    (before,) = told(server, ready, "filled")
    body = {**before.body(), "spec": {"podSelector": {"matchLabels": {"known": "before"}}}}
    known = ready.reader(NETPOL).live(orjson.dumps(body))
    ready.replace_all(NETPOL, [known], str(server.version))
    assert await auditor.check(before.ref) is None
    held = ready.get(before.ref)
    assert held is not None
    assert held.digest == before.digest
    assert auditor.counts.total() == 0


async def test_each_gap_is_found_healed_and_counted(server: ApiServer, ready: Mirror, auditor: Auditor) -> None:
    before = told(server, ready, "same", "changed", "deleted")
    ready.replace_all(NETPOL, before, str(server.version))
    server.put(POLICIES.format("a", "changed"), policy("a", "changed", egress=[{}]))
    server.put(POLICIES.format("a", "added"), policy("a", "added"))
    server.remove(POLICIES.format("a", "deleted"), silently=True)
    audited = await auditor.audit(NETPOL)
    assert audited.compared == 3
    assert {(found.ref.name, found.gap) for found in audited.divergences} == {
        ("changed", Gap.MISSED_CHANGE),
        ("added", Gap.MISSED_ADD),
        ("deleted", Gap.MISSED_DELETE),
    }
    assert {name.name for name in ready.of_kind(NETPOL)} == {"same", "changed", "added"}
    assert auditor.counts.total() == 3
    assert (await auditor.audit(NETPOL)).divergences == ()


async def test_what_is_left_out_since_nobody_needs_it_is_no_divergence_and_over_when_it_is_gone(
    server: ApiServer, session: Session, pace: Pace
) -> None:
    names = [f"p{number}" for number in range(30)]
    mirror = Mirror(spec_digest, pace, 5000, lambda asked: asked.name != "p29")
    mirror.watch(NETPOL)
    mirror.mark(NETPOL, KindState.READY)
    auditor = Auditor(session, Truth(session, lambda asked: mirror.reader(mirror.resource_of(asked))), mirror, pace)
    mirror.replace_all(NETPOL, told(server, mirror, *names), str(server.version))
    assert 1 < len(mirror.of_kind(NETPOL)) < 10
    assert (await auditor.audit(NETPOL)).divergences == ()
    assert mirror.left_out() == {(NETPOL, "a")}
    for name in names:
        if mirror.leaves_out(ref(name)):
            server.remove(POLICIES.format("a", name), silently=True)
    assert (await auditor.audit(NETPOL)).divergences == ()
    assert mirror.left_out() == frozenset()


async def test_an_object_that_etcd_tells_older_than_it_was_known_means_that_history_went_back(
    server: ApiServer, ready: Mirror, auditor: Auditor
) -> None:
    (live,) = told(server, ready, "x")
    ready.replace_all(NETPOL, [replace(live, resource_version="9000")], "9000")
    divergence = await auditor.check(ref("x"))
    assert divergence is not None
    assert divergence.gap is Gap.WENT_BACK


async def test_an_object_that_was_proved_gone_and_is_there_again_means_that_history_went_back(
    server: ApiServer, ready: Mirror, auditor: Auditor
) -> None:
    (live,) = told(server, ready, "x")
    ready.replace_all(NETPOL, [live], str(server.version))
    ready.bury(live.ref, live.uid)
    divergence = await auditor.check(ref("x"))
    assert divergence is not None
    assert divergence.gap is Gap.WENT_BACK


async def test_a_whole_audit_finds_an_object_older_than_it_was_known_at_the_time_of_the_list(
    server: ApiServer, ready: Mirror, auditor: Auditor
) -> None:
    lives = told(server, ready, "x", "y")
    newer = str(server.version + 1)
    ready.replace_all(NETPOL, [replace(lives[0], resource_version=newer), lives[1]], newer)
    for n in range(5):
        server.put(POLICIES.format("b", f"noise{n}"), policy("b", f"noise{n}"))
    audited = await auditor.audit(NETPOL)
    assert (ref("x"), Gap.WENT_BACK) in {(one.ref, one.gap) for one in audited.divergences}


async def test_a_watch_that_lags_a_moment_has_not_diverged(
    server: ApiServer, ready: Mirror, auditor: Auditor, pace: Pace
) -> None:
    ready.replace_all(NETPOL, [], str(server.version))
    (late,) = told(server, ready, "late")

    async def catch_up(_seconds: float) -> None:
        ready.apply(NETPOL, late)

    auditor.pace = Pace(pace.clock, catch_up, pace.random)
    assert await auditor.check(ref("late")) is None
    assert not auditor.counts


async def test_a_kind_that_is_not_ready_claims_nothing(server: ApiServer, ready: Mirror, auditor: Auditor) -> None:
    told(server, ready, "x")
    ready.mark(NETPOL, KindState.BLIND, "403")
    assert await auditor.check(ref("x")) is None
    assert ready.get(ref("x")) is None


async def test_no_answer_is_no_divergence(server: ApiServer, ready: Mirror, auditor: Auditor) -> None:
    ready.replace_all(NETPOL, told(server, ready, "x"), str(server.version))
    server.fail("GET", "networkpolicies/x", answer(500, status(500, "InternalError")))
    with pytest.raises(ClusterError):
        await auditor.check(ref("x"))
    server.kinds = {}
    with pytest.raises(KindNotServed):
        await auditor.check(ref("x"))
    assert ready.get(ref("x")) is not None


async def test_the_rolling_check_goes_round_and_reports(
    server: ApiServer, ready: Mirror, auditor: Auditor, until: Until
) -> None:
    ready.replace_all(NETPOL, told(server, ready, "x", "y"), str(server.version))
    server.remove(POLICIES.format("a", "x"), silently=True)
    server.fail("GET", "networkpolicies/y", answer(500, status(500, "InternalError")))
    heard: list[Divergence] = []
    rolling = RollingCheck(auditor, lambda: [ref("x"), ref("y")], heard.append, rate=100.0)
    task = asyncio.create_task(rolling.run())
    await until(lambda: rolling.rounds >= 2)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert heard == [Divergence(ref("x"), Gap.MISSED_DELETE)]


@pytest.fixture
def canary(session: Session, mirror: Mirror, pace: Pace) -> Canary:
    mirror.watch(CONFIGMAP)
    mirror.mark(CONFIGMAP, KindState.READY)
    fence = FenceState(leading=True, epoch=3, remaining=9.0)
    return Canary(session, mirror, pace, lambda: fence, "driftd", {CONFIGMAP: {"data": {}}}, bound=0.05)


async def test_a_canary_that_is_not_heard_says_so(server: ApiServer, canary: Canary) -> None:
    (beat,) = await canary.beat()
    assert beat.latency is None
    stored = server.objects["/api/v1/namespaces/driftd/configmaps/driftd-canary"]
    assert stored["metadata"]["annotations"]["driftd.dev/epoch"] == "3"


async def test_a_canary_that_is_heard_gives_the_delay(server: ApiServer, canary: Canary, mirror: Mirror) -> None:
    canary.bound = 5.0
    beating = asyncio.create_task(canary.beat())
    while not server.objects:
        await asyncio.sleep(0.005)
    mirror.bookmark(CONFIGMAP, str(server.version))
    (beat,) = await beating
    assert beat.latency is not None


async def test_a_canary_that_cannot_be_written_says_nothing_of_the_watch(server: ApiServer, canary: Canary) -> None:
    server.fail("POST", "configmaps", answer(403, status(403, "Forbidden")))
    (beat,) = await canary.beat()
    assert beat.latency == 0.0
    assert "Forbidden" in beat.why


async def test_only_a_leader_writes_canaries_and_only_for_ready_kinds(
    server: ApiServer, canary: Canary, mirror: Mirror
) -> None:
    mirror.mark(CONFIGMAP, KindState.BLIND)
    assert await canary.beat() == ()
    mirror.mark(CONFIGMAP, KindState.READY)
    canary.fence = lambda: FenceState(leading=False, epoch=0, remaining=0.0)
    assert await canary.beat() == ()
    assert server.seen == []
