"""The cluster room against a real kube-apiserver: what the recorded shapes of the unit tests claim, seen live."""

import asyncio
import secrets
from collections.abc import AsyncIterator

import orjson
import pytest

from driftd.cluster import (
    HARMLESS,
    Auditor,
    Canary,
    Conflict,
    Discovery,
    Elector,
    EventRecorder,
    FenceState,
    Forbidden,
    Gap,
    Interest,
    Kubeconfig,
    LeaseSettings,
    Mirror,
    NotFound,
    Notice,
    Reflector,
    ReflectorSettings,
    Right,
    Rights,
    Session,
    Term,
    Watchers,
    watching,
)
from driftd.drift import KindState
from driftd.lab import Lab
from driftd.values import CONDEMNED, EPOCH, Condemn, Create, Delete, ObjectRef, Replace, Resource, Result
from tests.support.cluster import NAMESPACE, NETPOL, policy, spec_digest
from tests.support.live import (
    NETPOLS,
    PACE,
    create,
    create_namespace,
    full,
    ref_of,
    running,
    truth_of,
    until,
    writer_of,
)

pytestmark = pytest.mark.control_plane

QUICK = ReflectorSettings(server_timeout=(60.0, 60.0), silence=30.0, page_limit=5)


@pytest.fixture
async def session(lab: Lab) -> AsyncIterator[Session]:
    async with Session(Kubeconfig(str(lab.kubeconfig)), PACE) as session:
        yield session


@pytest.fixture
async def namespace(session: Session) -> str:
    return await create_namespace(session, f"cluster-{secrets.token_hex(3)}")


@pytest.fixture
def mirror() -> Mirror:
    mirror = Mirror(spec_digest, PACE)
    mirror.watch(NETPOL)
    return mirror


async def test_a_reflector_lists_in_pages_and_follows_the_watch(
    session: Session, namespace: str, mirror: Mirror
) -> None:
    for number in range(12):
        await create(session, namespace, f"p{number}")
    reflector = Reflector(session, mirror, NETPOL, PACE, QUICK)
    async with running(reflector.run()):
        await until(lambda: mirror.state(NETPOL) is KindState.READY)
        assert all(mirror.get(ref_of(namespace, f"p{number}")) for number in range(12))
        live = mirror.get(ref_of(namespace, "p0"))
        assert live is not None
        assert live.body()["kind"] == "NetworkPolicy"
        assert "managedFields" not in live.body()["metadata"]
        assert [manager.operation for manager in live.managers] == ["Update"]
        stored = await create(session, namespace, "later")
        assert await mirror.seen(ref_of(namespace, "later"), stored["metadata"]["resourceVersion"], 5.0)
        await session.request("DELETE", f"{NETPOLS.format(namespace)}/later")
        await until(lambda: mirror.get(ref_of(namespace, "later")) is None)
        assert await truth_of(session, mirror).get(ref_of(namespace, "later")) is None


async def test_a_kind_that_is_not_served_is_no_proof_of_absence(session: Session, mirror: Mirror) -> None:
    ghost = Resource("nowhere.example", "v1", "Ghost", "ghosts")
    mirror.watch(ghost)
    with pytest.raises(Exception, match="does not serve"):
        await truth_of(session, mirror).get(ObjectRef("nowhere.example", "Ghost", "default", "x"))
    reflector = Reflector(session, mirror, ghost, PACE, QUICK)
    async with running(reflector.run()):
        await until(lambda: mirror.state(ghost) is KindState.ABSENT)


async def test_metadata_only_objects_carry_their_own_kind(session: Session, namespace: str, mirror: Mirror) -> None:
    mirror = Mirror(spec_digest, PACE)
    await create(session, namespace, "x")
    reflector = Reflector(session, mirror, NETPOL, PACE, QUICK, partial=True)
    async with running(reflector.run()):
        await until(lambda: mirror.get(ref_of(namespace, "x")) is not None)
        live = mirror.get(ref_of(namespace, "x"))
        assert live is not None
        assert (live.body()["kind"], "spec" in live.body()) == ("NetworkPolicy", False)
        stored = await create(session, namespace, "y")
        assert await mirror.seen(ref_of(namespace, "y"), stored["metadata"]["resourceVersion"], 5.0)
        assert await truth_of(session, mirror).get(ref_of(namespace, "y")) is not None


async def test_a_replacement_closes_the_hole_that_a_stranger_opened(
    session: Session, namespace: str, mirror: Mirror
) -> None:
    writer = writer_of(session, mirror, epoch=7)
    made = await writer.execute(Create(ref_of(namespace, "x"), full(namespace, "x"), "f", "r"), 7)
    assert (made.result, made.message) == (Result.DONE, "")
    assert made.live is not None
    patch = orjson.dumps({"spec": {"egress": [{}]}})
    await session.request(
        "PATCH", f"{NETPOLS.format(namespace)}/x", body=patch, content_type="application/merge-patch+json"
    )
    stale = Replace(ref_of(namespace, "x"), full(namespace, "x"), made.live.uid, made.live.resource_version, "f", "r")
    assert (await writer.execute(stale, 7)).result is Result.CONFLICT
    live = await truth_of(session, mirror).get(ref_of(namespace, "x"))
    assert live is not None
    assert live.body()["spec"]["egress"] == [{}]
    closing = Replace(ref_of(namespace, "x"), full(namespace, "x"), live.uid, live.resource_version, "f", "r")
    closed = await writer.execute(closing, 7)
    assert closed.result is Result.DONE
    assert closed.live is not None
    assert "egress" not in closed.live.body()["spec"]
    assert closed.live.body()["metadata"]["annotations"][EPOCH] == "7"
    other = Replace(ref_of(namespace, "x"), full(namespace, "x"), "another-uid", "", "f", "r")
    with pytest.raises(ValueError, match="resourceVersion"):
        await writer.execute(other, 7)
    moved = Replace(ref_of(namespace, "x"), full(namespace, "x"), "b" * 36, closed.live.resource_version, "f", "r")
    assert (await writer.execute(moved, 7)).result is Result.CONFLICT


async def test_a_deletion_takes_the_condemned_version_and_no_other(
    session: Session, namespace: str, mirror: Mirror
) -> None:
    writer, ref = writer_of(session, mirror), ref_of(namespace, "x")
    stored = (await create(session, namespace, "x", egress=[{}]))["metadata"]
    condemn = Condemn(ref, full(namespace, "x"), stored["uid"], stored["resourceVersion"], "f", "r")
    condemned = await writer.execute(condemn, 1)
    assert condemned.live is not None
    assert condemned.live.body()["metadata"]["annotations"][CONDEMNED] == "1"
    wrong = await writer.execute(Delete(ref, stored["uid"], stored["resourceVersion"], "f", "r"), 1)
    assert wrong.result is Result.CONFLICT
    right = await writer.execute(Delete(ref, stored["uid"], condemned.live.resource_version, "f", "r"), 1)
    assert right.result is Result.DONE
    assert await truth_of(session, mirror).get(ref) is None
    again = await writer.execute(Delete(ref, stored["uid"], condemned.live.resource_version, "f", "r"), 1)
    assert again.result is Result.CONFLICT


async def test_the_server_refuses_fields_it_does_not_know_and_a_dry_run_stores_nothing(
    session: Session, namespace: str, mirror: Mirror
) -> None:
    writer = writer_of(session, mirror)
    odd = await writer.execute(Create(ref_of(namespace, "x"), full(namespace, "x", futureField=1), "f", "r"), 1)
    assert odd.result is Result.REFUSED
    assert "futureField" in odd.message
    learned = await writer.learn(NETPOL, full(namespace, "x"), 1)
    assert learned.result is Result.DONE
    thin = await writer.learn(NETPOL, policy(namespace, "x"), 1)
    assert (thin.result, thin.added, thin.defaulted) == (Result.DIFFERS, ("spec.policyTypes",), True)
    assert await truth_of(session, mirror).get(ref_of(namespace, "x")) is None
    nowhere = await writer.execute(
        Create(ref_of("no-such-namespace", "x"), full("no-such-namespace", "x"), "f", "r"), 1
    )
    assert nowhere.result is Result.CONFLICT


async def test_leaders_follow_each_other_with_rising_epochs(lab: Lab, session: Session, namespace: str) -> None:
    terms: list[Term] = []

    async def work(term: Term) -> None:
        terms.append(term)
        await asyncio.Event().wait()

    async def known() -> int:
        return 0

    settings = LeaseSettings(duration=3.0, renew_deadline=2.0, retry=0.3)
    for number in (1, 2):
        async with Session(Kubeconfig(str(lab.kubeconfig)), PACE, pool=2) as own:
            elector = Elector(own, PACE, namespace, f"replica-{number}", known, settings=settings)
            task = asyncio.create_task(elector.run(work))
            await until(lambda number=number: len(terms) == number)  # type: ignore[misc]
            assert elector.state().epoch == number
            await elector.publish(commit=f"commit-{number}", chain_head="ab")
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    assert terms == [Term(1, "", ""), Term(2, "commit-1", "ab", 1)]
    lease = orjson.loads(
        (await session.request("GET", f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/driftd")).body
    )
    assert lease["spec"]["leaseTransitions"] == 1
    assert not lease["spec"].get("holderIdentity")
    assert lease["metadata"]["annotations"]["driftd.dev/commit"] == "commit-2"


async def test_discovery_and_watchers_follow_a_kind_that_comes_and_goes(session: Session, mirror: Mirror) -> None:
    group = f"g{secrets.token_hex(3)}.driftd.example"
    widget = Resource(group, "v1", "Widget", "widgets")

    def interest(asked: str, kind: str) -> Interest:
        if (asked, kind) == (NETPOL.group, NETPOL.kind):
            return Interest.FULL
        return Interest.METADATA if (asked, kind) == (group, "Widget") else Interest.NONE

    pinned = {(NETPOL.group, NETPOL.kind): "v1"}
    discovery = Discovery(session, interest, pinned)
    watchers = Watchers(session, mirror, discovery, PACE, [NETPOL], lambda _resource: QUICK, poll=(0.2, 0.3))
    async with running(watchers.run()):
        await until(lambda: mirror.state(NETPOL) is KindState.READY)
        assert mirror.state(widget) is KindState.ABSENT
        definition = {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": f"widgets.{group}"},
            "spec": {
                "group": group,
                "scope": "Namespaced",
                "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"},
                "versions": [
                    {
                        "name": "v1",
                        "served": True,
                        "storage": True,
                        "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
                    }
                ],
            },
        }
        crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        await session.request("POST", crds, body=orjson.dumps(definition))
        await until(lambda: mirror.state(widget) is KindState.READY)
        await session.request("DELETE", f"{crds}/widgets.{group}")
        await until(lambda: mirror.state(widget) is KindState.ABSENT, 40.0)
        assert mirror.state(NETPOL) is KindState.READY


async def test_an_audit_finds_and_heals_what_the_watch_did_not_tell(
    session: Session, namespace: str, mirror: Mirror
) -> None:
    stored = await create(session, namespace, "lost")
    await create(session, namespace, "known")
    reader = mirror.reader(NETPOL)
    ghost = {**stored, "metadata": {**stored["metadata"], "name": "ghost", "uid": "gone"}}
    now = orjson.loads((await session.request("GET", "/apis/networking.k8s.io/v1/networkpolicies")).body)
    listed = [reader.live(orjson.dumps(item)) for item in now["items"] if item["metadata"]["name"] != "lost"]
    mirror.replace_all(NETPOL, [*listed, reader.live(orjson.dumps(ghost))], now["metadata"]["resourceVersion"])
    mirror.mark(NETPOL, KindState.READY)
    auditor = Auditor(session, truth_of(session, mirror), mirror, PACE, grace=0.05)
    audited = await auditor.audit(NETPOL)
    assert {(found.ref.name, found.gap) for found in audited.divergences} == {
        ("lost", Gap.MISSED_ADD),
        ("ghost", Gap.MISSED_DELETE),
    }
    assert mirror.get(ref_of(namespace, "lost")) is not None
    assert mirror.get(ref_of(namespace, "ghost")) is None
    assert (await auditor.audit(NETPOL)).divergences == ()


async def test_the_canary_hears_itself_in_every_kind(session: Session, namespace: str) -> None:
    mirror = Mirror(spec_digest, PACE)
    kinds = {
        NETPOL: HARMLESS["NetworkPolicy"],
        Resource("", "v1", "ResourceQuota", "resourcequotas"): HARMLESS["ResourceQuota"],
        Resource("", "v1", "LimitRange", "limitranges"): HARMLESS["LimitRange"],
        Resource("", "v1", "ServiceAccount", "serviceaccounts"): HARMLESS["ServiceAccount"],
    }
    reflectors = [Reflector(session, mirror, kind, PACE, QUICK) for kind in kinds]
    canary = Canary(session, mirror, PACE, lambda: FenceState(True, 1, 60.0), namespace, kinds, bound=5.0)
    async with running(*(reflector.run() for reflector in reflectors)):
        await until(lambda: all(mirror.state(kind) is KindState.READY for kind in kinds))
        for _ in range(2):
            beats = await canary.beat()
            assert [beat.why for beat in beats] == [""] * 4
            assert all(beat.latency is not None and beat.latency < 5.0 for beat in beats)


async def test_rights_say_what_is_missing_and_what_is_too_much(lab: Lab, session: Session) -> None:
    admin = Rights(session)
    needed = (*watching(NETPOL), Right("update", "coordination.k8s.io", "leases", "", "driftd", "driftd"))
    assert await admin.missing(needed) == ()
    assert Right("*", "*", "*") in await admin.excess()
    nobody = lab.kubeconfig_for("nobody-special", ("system:authenticated",))
    async with Session(Kubeconfig(str(nobody)), PACE) as poor:
        rights = Rights(poor)
        assert await rights.missing(needed) == tuple(needed)
        assert await rights.excess() == ()


async def test_an_event_appears_beside_its_object(session: Session, namespace: str) -> None:
    stored = await create(session, namespace, "x")
    recorder = EventRecorder(session, PACE, "driftd-test", rate=100.0)
    notice = Notice(
        NETPOL, ref_of(namespace, "x"), stored["metadata"]["uid"], True, "DriftFound", "Repair", "egress opened"
    )
    spaces = Notice(NAMESPACE, ObjectRef("", "Namespace", "", namespace), "u", False, "Compared", "Compare", "clean")
    async with running(recorder.run()):
        for _ in range(3):
            recorder.tell(notice)
        recorder.tell(spaces)
        await until(lambda: recorder.written == 2)
    listed = orjson.loads((await session.request("GET", f"/apis/events.k8s.io/v1/namespaces/{namespace}/events")).body)
    assert [(event["reason"], event["regarding"]["name"]) for event in listed["items"]] == [("DriftFound", "x")]
    assert recorder.dropped == 0


async def test_errors_of_a_real_server_have_their_names(session: Session, namespace: str) -> None:
    await create(session, namespace, "x")
    with pytest.raises(Conflict, match="AlreadyExists"):
        await create(session, namespace, "x")
    with pytest.raises(NotFound) as missing:
        await session.request("GET", f"{NETPOLS.format(namespace)}/y")
    assert missing.value.is_object("y")
    with pytest.raises(NotFound) as unserved:
        await session.request("GET", "/apis/nowhere.example/v1/ghosts/y")
    assert not unserved.value.is_object("y")


async def test_a_service_accounts_token_works(lab: Lab, session: Session, namespace: str) -> None:
    await until_account(session, namespace)
    config = await lab.service_account_kubeconfig(namespace, "default")
    async with Session(Kubeconfig(str(config)), PACE) as poor:
        with pytest.raises(Forbidden, match="secrets is forbidden"):
            await poor.request("GET", "/api/v1/secrets")


async def until_account(session: Session, namespace: str) -> None:
    for _ in range(200):
        try:
            await session.request("GET", f"/api/v1/namespaces/{namespace}/serviceaccounts/default")
        except NotFound:
            await asyncio.sleep(0.05)
        else:
            return
