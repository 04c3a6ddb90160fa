"""What may happen to single objects of the model, and to those that the model does not have."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from driftd.compile import Mode
from driftd.lab import Lab
from tests.oracle.replay import read
from tests.support.faulty import Scene, allow_all
from tests.support.kube import KubeError
from tests.support.shared_stage import Standing, gone, on, quiet, sound, standing, told, types_about
from tests.support.stage import DRIFTD, Body, compiled_models

pytestmark = [pytest.mark.control_plane, pytest.mark.timeout(300)]  # judging every state costs CPU

HOLD = "example.com/hold"


@pytest.fixture(scope="module")
def driftd(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    with standing(lab, tmp_path_factory.mktemp("objects")) as one:
        yield one


@pytest.fixture
async def scene(driftd: Standing) -> AsyncIterator[Scene]:
    async with on(driftd) as one:
        yield one


async def test_every_object_of_the_model_that_is_deleted_is_made_again(scene: Scene) -> None:
    compiled = compiled_models(scene.models)
    wanted = [
        ref
        for governed in compiled.governed.values()
        for ref in governed.objects
        if ref.namespace and governed.mode_of(ref.kind) is Mode.ENFORCE
    ]
    assert {ref.kind for ref in wanted} == {"NetworkPolicy", "ResourceQuota", "LimitRange", "ServiceAccount"}
    before = {ref: (await scene.kube.get(ref.kind, ref.namespace, ref.name))["metadata"]["uid"] for ref in wanted}
    await asyncio.gather(*(scene.kube.delete(ref.kind, ref.namespace, ref.name) for ref in wanted))
    found = await sound(scene, 60.0)
    for ref in wanted:
        again = await scene.kube.get(ref.kind, ref.namespace, ref.name)
        assert again["metadata"]["uid"] != before[ref]
        # Kubernetes makes a service account named default itself, and then driftd finds that one wrong.
        types = {past.seen.finding.type.value for past in found.about(ref.name, ref.namespace)}
        assert types & ({"missing", "modified"} if ref.name == "default" else {"missing"}), ref


async def test_what_the_model_does_not_cover_is_left_alone_byte_for_byte(scene: Scene) -> None:
    foreign: Body = {"labels": {"team": "x"}, "annotations": {"note": "y", "driftd.dev/epoch": "0"}}
    patches: list[tuple[str, str, str, Body]] = [
        ("NetworkPolicy", "acme-prod", "default-deny", {"metadata": foreign}),
        ("ResourceQuota", "acme-prod", "quota", {"metadata": foreign}),
        ("LimitRange", "acme-prod", "limits", {"metadata": foreign}),
        ("Namespace", "", "acme-prod", {"metadata": foreign}),
        ("ServiceAccount", "acme-prod", "api", {"metadata": foreign}),
        (
            "ServiceAccount",
            "acme-prod",
            "web",
            {"imagePullSecrets": [{"name": "registry"}], "secrets": [{"name": "mine"}]},
        ),
        ("Namespace", "", "acme-stage", {"metadata": {"finalizers": [HOLD]}}),
        ("NetworkPolicy", "acme-stage", "web-egress", {"metadata": {"finalizers": [HOLD]}}),
    ]
    after = [await scene.kube.merge(*patch) for patch in patches]
    await told(scene, "finalizer", "web-egress", "acme-stage")
    await quiet()
    for body in after:
        meta = body["metadata"]
        live = await scene.kube.get(body["kind"], meta.get("namespace", ""), meta["name"])
        for one in (live, body):
            one.pop("status", None)
            one["metadata"].pop("managedFields")
            if body["kind"] == "ResourceQuota":  # its controller counts on
                one["metadata"].pop("resourceVersion")
        assert live == body
    assert scene.writes() == []

    # A repair carries all of it over.
    await scene.kube.merge("NetworkPolicy", "acme-prod", "default-deny", {"spec": {"egress": [{}]}})
    await scene.kube.merge("ServiceAccount", "acme-prod", "web", {"automountServiceAccountToken": True})
    await scene.kube.merge("NetworkPolicy", "acme-stage", "web-egress", {"spec": {"egress": [{}]}})
    await scene.canonical()
    policy = await scene.kube.get("NetworkPolicy", "acme-prod", "default-deny")
    assert policy["metadata"]["labels"]["team"] == "x"
    assert policy["metadata"]["annotations"]["note"] == "y"
    account = await scene.kube.get("ServiceAccount", "acme-prod", "web")
    assert account["imagePullSecrets"] == [{"name": "registry"}]
    assert account["secrets"] == [{"name": "mine"}]
    held = await scene.kube.get("NetworkPolicy", "acme-stage", "web-egress")
    assert held["metadata"]["finalizers"] == [HOLD]

    for kind, namespace, name, _ in patches:
        await scene.kube.merge(
            kind,
            namespace,
            name,
            {"metadata": {"labels": {"team": None}, "annotations": {"note": None}, "finalizers": None}},
        )


async def test_objects_too_many_are_emptied_and_deleted_whatever_their_kind(scene: Scene) -> None:
    meta = {"namespace": "globex-prod", "name": "mine"}
    extras: list[Body] = [
        allow_all("globex-prod", "mine"),
        {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": meta, "spec": {"hard": {"pods": "0"}}},
        {
            "apiVersion": "v1",
            "kind": "LimitRange",
            "metadata": meta,
            "spec": {"limits": [{"type": "Pod", "max": {"cpu": "1m"}}]},
        },
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta},
    ]
    for body in extras:
        await scene.kube.create(body)
    found = await sound(scene)
    for kind in ("NetworkPolicy", "ResourceQuota", "LimitRange"):
        assert await scene.kube.find(kind, "globex-prod", "mine") is None
        assert [verb for verb, key in scene.repairs() if key.resource == f"{kind.lower()}s".replace("ys", "ies")] == [
            "update",
            "delete",
        ]
    assert await scene.kube.find("ServiceAccount", "globex-prod", "mine"), "tenants make accounts of their own"
    about = [past.seen.finding for past in found.about("mine", "globex-prod")]
    assert {finding.type.value for finding in about} == {"unexpected"}
    assert len(about) == 3
    await scene.kube.delete("ServiceAccount", "globex-prod", "mine")


async def test_a_finalizer_on_a_rogue_policy_keeps_it_standing_but_empty_and_is_not_stripped(scene: Scene) -> None:
    rogue = allow_all("acme-prod", "rogue")
    rogue["metadata"]["finalizers"] = [HOLD]
    await scene.kube.create(rogue)
    await told(scene, "undeletable", "rogue", "acme-prod")
    held = await scene.kube.get("NetworkPolicy", "acme-prod", "rogue")
    assert not held["spec"].get("ingress")
    assert not held["spec"].get("egress")
    assert held["metadata"]["finalizers"] == [HOLD]
    assert held["metadata"]["deletionTimestamp"]
    writes = len(scene.writes())
    await quiet()
    assert len(scene.writes()) == writes, "what is empty and held is left alone"
    await scene.kube.merge("NetworkPolicy", "acme-prod", "rogue", {"metadata": {"finalizers": None}})
    await gone(scene, "NetworkPolicy", "acme-prod", "rogue")
    await sound(scene)


async def test_a_default_deny_that_is_held_and_deleted_has_a_twin_until_it_is_back(scene: Scene) -> None:
    await scene.kube.merge("NetworkPolicy", "acme-prod", "default-deny", {"metadata": {"finalizers": [HOLD]}})
    await scene.kube.delete("NetworkPolicy", "acme-prod", "default-deny")
    twin = "default-deny-driftd-twin"

    async def stands_in() -> bool:
        return await scene.kube.find("NetworkPolicy", "acme-prod", twin) is not None

    await scene.until("the twin stands in", stands_in)
    dying = await scene.kube.get("NetworkPolicy", "acme-prod", "default-deny")
    assert dying["metadata"]["deletionTimestamp"]
    assert (await scene.kube.get("NetworkPolicy", "acme-prod", twin))["spec"] == dying["spec"]
    await scene.kube.merge("NetworkPolicy", "acme-prod", "default-deny", {"metadata": {"finalizers": None}})
    await gone(scene, "NetworkPolicy", "acme-prod", twin)
    again = await scene.kube.get("NetworkPolicy", "acme-prod", "default-deny")
    assert again["metadata"]["uid"] != dying["metadata"]["uid"]
    found = await sound(scene)
    assert {"terminating", "missing"} <= {
        past.seen.finding.type.value for past in found.about("default-deny", "acme-prod")
    }


async def test_a_condemned_mark_of_somebody_else_condemns_nothing(scene: Scene) -> None:
    mark: Body = {"metadata": {"annotations": {"driftd.dev/condemned": "1"}}}
    before = await scene.kube.get("NetworkPolicy", "acme-prod", "default-deny")
    await scene.kube.merge("NetworkPolicy", "acme-prod", "default-deny", mark)
    await sound(scene)
    live = await scene.kube.get("NetworkPolicy", "acme-prod", "default-deny")
    assert live["metadata"]["uid"] == before["metadata"]["uid"]
    assert "driftd.dev/condemned" not in live["metadata"]["annotations"]


async def test_a_namespace_gets_no_owner_that_its_life_would_hang_on(scene: Scene) -> None:
    """One that is there today may be deleted tomorrow, and the garbage collector would take the namespace with it."""
    role = await scene.kube.get("ClusterRole", "", "view")
    owner = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "name": "view"}
    owner["uid"] = role["metadata"]["uid"]
    before = await scene.kube.get("Namespace", "", "acme-prod")
    await scene.kube.merge("Namespace", "", "acme-prod", {"metadata": {"ownerReferences": [owner]}})

    async def nobodys() -> bool:
        live = await scene.kube.get("Namespace", "", "acme-prod")
        return "ownerReferences" not in live["metadata"]

    await scene.until("it has no owner", nobodys, 60.0)
    await sound(scene)
    assert (await scene.kube.get("Namespace", "", "acme-prod"))["metadata"]["uid"] == before["metadata"]["uid"]


async def test_an_owner_that_does_not_exist_is_taken_off_or_the_object_made_again(scene: Scene) -> None:
    """The garbage collector deletes what has only such owners: driftd and it race, and either way the object stands."""
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "nobody", "uid": "00000000-0000-0000-0000-000000000001"}
    orphaned = [("NetworkPolicy", name) for name in ("default-deny", "web-ingress", "web-egress")]
    orphaned += [("ResourceQuota", "quota"), ("LimitRange", "limits"), ("ServiceAccount", "api")]
    for kind, name in orphaned:
        await scene.kube.merge(kind, "acme-prod", name, {"metadata": {"ownerReferences": [owner]}})

    async def nobodys() -> bool:
        lives = [await scene.kube.find(kind, "acme-prod", name) for kind, name in orphaned]
        return all(live is not None and "ownerReferences" not in live["metadata"] for live in lives)

    await scene.until("all are there and have no owner", nobodys, 60.0)
    await quiet(2.0)  # a deletion that was under way is made good as well
    found = await sound(scene)
    assert await nobodys()
    for _, name in orphaned:
        assert types_about(found, name, "acme-prod") & {"modified", "missing"}, name


async def test_every_finding_is_in_the_audit_with_who_claims_it_and_the_chain_holds(scene: Scene) -> None:
    await scene.kube.request(
        "PATCH",
        scene.kube.path("NetworkPolicy", "initech-prod", "default-deny") + "?fieldManager=eve",
        body={"spec": {"egress": [{}]}},
        content_type="application/merge-patch+json",
    )
    found = await sound(scene)
    (past,) = [one for one in found.about("default-deny", "initech-prod") if one.seen.finding.type.value == "modified"]
    claim = past.seen.finding.claimed_by
    assert claim is not None
    assert (claim.who, claim.source) == ("eve", "managedFields")
    assert past.seen.closed is not None
    assert [change.path[:2] for change in past.seen.finding.changes] == [("spec", "egress")]
    (settled,) = past.writes
    assert settled.intent.verb == "replace"
    assert settled.outcome is not None
    assert settled.outcome.result.value == "done"
    assert found.chain.ok
    assert {"finding.opened", "write.intended", "write.settled", "finding.closed"} <= set(found.kinds())


async def test_a_second_pass_writes_nothing(scene: Scene) -> None:
    await quiet(3.0)  # watches end and begin anew, the rolling look goes round once
    assert scene.writes() == []


def test_a_restart_writes_nothing(driftd: Standing) -> None:
    before = Path(driftd.lab.audit_log).stat().st_size
    driftd.restart()
    with Path(driftd.lab.audit_log).open("rb") as log:
        log.seek(before)
        records = read(log.read().splitlines(keepends=True))
    ours = [record for record in records if record.user == DRIFTD and record.is_write and record.succeeded]
    assert {record.key.namespace for record in ours if record.key.group != "authorization.k8s.io"} <= {"driftd"}


async def test_every_repair_is_told_in_the_tenants_namespace_and_names_no_other_tenant(scene: Scene) -> None:
    """After the restart on purpose: Events leave at one a second, and nothing is waiting to be told then."""
    await scene.kube.merge("NetworkPolicy", "globex-prod", "default-deny", {"spec": {"ingress": [{}]}})
    await scene.kube.create(allow_all("globex-prod", "told"))
    await scene.canonical()

    async def events() -> list[Body]:
        return [
            body
            for body in await scene.kube.list("Event", "globex-prod")
            if body.get("reportingController") == "driftd.dev/driftd"
        ]

    async def arrived() -> bool:
        return {"default-deny", "told"} <= {body["regarding"]["name"] for body in await events()}

    await scene.until("Events tell of both", arrived, 30.0)
    for body in await events():
        assert "acme" not in str(body).lower()
        assert "initech" not in str(body).lower()
    restored = [body for body in await events() if body["regarding"]["name"] == "default-deny"]
    assert any("environments/globex-prod.yaml" in body["note"] for body in restored)
    assert all("change the model" in body["note"] for body in restored)


async def test_what_the_api_server_refuses_to_store_is_no_drift(scene: Scene) -> None:
    with pytest.raises(KubeError):
        await scene.kube.merge("NetworkPolicy", "acme-prod", "web-egress", {"spec": {"policyTypes": ["Sideways"]}})
    await quiet(0.3)
    assert scene.writes() == []
