"""Calico's kinds on a real API server: absent, installed late, tampered with in every way, and never loosened."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from functools import reduce
from pathlib import Path

import pytest

from driftd.lab import Lab
from driftd.policy.kinds import CALICO
from driftd.values import ObjectRef
from tests.support.calico import MODEL, TieredScene, calico, calico_objects, listed
from tests.support.calico_crds import installed, path
from tests.support.kube import Kube
from tests.support.shared_stage import quiet, sound, told
from tests.support.stage import Body, compiled_models, forget_platform, stage

pytestmark = [pytest.mark.control_plane, pytest.mark.timeout(600)]  # judging every state costs CPU

RED, BLUE = "tiers-red", "tiers-blue"
BY_REFERENCE = f"""\
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {{name: by-account, namespace: {RED}}}
spec:
  order: 600
  selector: app == 'api'
  types: [Ingress]
  ingress:
    - action: Allow
      protocol: TCP
      source: {{serviceAccounts: {{selector: role == 'trusted'}}}}
      destination: {{ports: [9000]}}
---
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {{name: by-service, namespace: {RED}}}
spec:
  order: 600
  selector: all()
  types: [Egress]
  egress:
    - {{action: Allow, protocol: TCP, destination: {{selector: app == 'api', ports: [9000]}}}}
    - {{action: Allow, protocol: TCP, destination: {{services: {{name: feed}}}}}}
"""


@pytest.fixture
async def scene(lab: Lab, tmp_path: Path) -> AsyncIterator[TieredScene]:
    """driftd on a cluster without strangers that learns of Calico's kinds only after it has started."""
    await forget_platform(lab)
    models = tmp_path / "models"
    shutil.copytree(MODEL, models)
    (models / "by-reference.yaml").write_text(BY_REFERENCE)
    async with stage(lab, tmp_path / "data", models=models, start=False) as one:
        await one.daemon.start(ready=False)
        here = TieredScene(lab, one.kube, one.daemon, models, data=tmp_path / "data")
        await _says_what_is_not_served(here)
        async with installed(here.kube):
            await here.canonical(60.0)
            await here.daemon.wait_ready(60.0)
            await here.mark()
            yield here
            assert here.loosened() == []
            assert not here.daemon.unhandled(), here.daemon.unhandled()
            await here.daemon.stop()


async def _says_what_is_not_served(scene: TieredScene) -> None:
    async def made() -> bool:
        return await scene.kube.find("NetworkPolicy", BLUE, "default-deny") is not None

    await scene.until("what is served is kept", made, 60.0)
    with pytest.raises(AssertionError, match="kinds_not_ready"):
        await scene.daemon.wait_ready(5.0)
    parts = await scene.readiness()
    assert "Tier" in parts["kinds_not_ready"]
    assert "NetworkPolicy.projectcalico.org" in parts["kinds_not_ready"]


async def patched(kube: Kube, ref: ObjectRef, patch: Body) -> None:
    where = path(ref.kind, ref.namespace, ref.name)
    await kube.request("PATCH", where, body=patch, content_type="application/merge-patch+json")


def edits_of(ref: ObjectRef, body: Body) -> list[Body]:
    """Each covered field of an object changed, one after another."""
    found: list[Body] = [
        {"metadata": {"annotations": {"driftd.dev/model": "elsewhere.yaml#X/y"}}},
        {"metadata": {"annotations": {"driftd.dev/condemned": "1"}}},
        {"metadata": {"labels": {"driftd.dev/tenant": "somebody"}}},
    ]
    everything = {"action": "Allow"}
    match ref.kind:
        case "Tier":
            found += [{"spec": {"order": 3_000_000}}, {"spec": {"order": None}}, {"spec": {"defaultAction": "Deny"}}]
        case "GlobalNetworkSet" | "NetworkSet":
            found += [{"spec": {"nets": ["0.0.0.0/0"]}}, {"spec": {"nets": None}}]
            found += [{"metadata": {"labels": dict.fromkeys(body["metadata"]["labels"], "else")}}]
            found += [{"metadata": {"labels": {"more": "yes"}}}]
        case _:
            found += [{"spec": {"order": 1}}, {"spec": {"order": None}}, {"spec": {"selector": "has(nothing)"}}]
            found += [{"spec": {"types": ["Ingress"] if "Egress" in body["spec"]["types"] else ["Egress"]}}]
            found += [{"spec": {"ingress": [everything]}}, {"spec": {"egress": [everything]}}]
            found += [{"spec": {"tier": "default" if body["spec"]["tier"] != "default" else "security"}}]
            found += [{"spec": {"doNotTrack": True}}, {"spec": {"serviceAccountSelector": "has(x)"}}]
    # Five repairs of an object in a minute are a fight, which driftd meets with patience: so in three steps.
    return [reduce(merged, found[start::3]) for start in range(3)]


def merged(one: Body, other: Body) -> Body:
    both = dict(one)
    for key, value in other.items():
        both[key] = merged(both[key], value) if isinstance(both.get(key), dict) and isinstance(value, dict) else value
    return both


async def judged(scene: TieredScene, name: str, type_: str, *wanted: str) -> None:
    """Wait until a finding of this type about an object has one of these directions."""

    async def told_so() -> bool:
        about = [past.seen.finding for past in (await scene.evidence()).about(name)]
        return any(one.type.value == type_ and one.direction.value in wanted for one in about)

    await scene.until(f"{name} is judged to be one of {wanted}", told_so, 60.0)


async def test_calicos_objects_are_kept_whatever_is_done_to_them(scene: TieredScene) -> None:
    wanted = calico_objects(compiled_models(MODEL))
    assert {ref.kind for ref in wanted} == {
        "Tier",
        "GlobalNetworkPolicy",
        "GlobalNetworkSet",
        "NetworkPolicy",
        "NetworkSet",
    }
    await _left_to_others(scene, wanted)
    await _each_field_changed(scene, wanted)
    await _all_deleted(scene, wanted)
    await _too_many(scene)
    await _of_others(scene)
    await _referred_to(scene)


async def _left_to_others(scene: TieredScene, wanted: dict[ObjectRef, Body]) -> None:
    """Foreign labels count where rules go by them: on sets."""
    before = {ref: body for ref, body in (await listed(scene.kube)).items() if ref in wanted}
    labels = {ref: {} if ref.kind.endswith("Set") else {"team": "x"} for ref in wanted}
    for ref in wanted:
        notes = {"note": "y", "driftd.dev/epoch": "0"}
        await patched(scene.kube, ref, {"metadata": {"annotations": notes, "labels": labels[ref]}})
    await quiet()
    assert scene.attempts() == []
    lives = await listed(scene.kube)
    for ref, body in before.items():
        assert lives[ref]["spec"] == body["spec"]
        assert lives[ref]["metadata"]["annotations"]["note"] == "y"
        none = {"annotations": {"note": None}, "labels": dict.fromkeys(labels[ref])}
        await patched(scene.kube, ref, {"metadata": none})


async def _each_field_changed(scene: TieredScene, wanted: dict[ObjectRef, Body]) -> None:
    rounds = max(len(edits_of(ref, body)) for ref, body in wanted.items())
    for number in range(rounds):
        edits = [(ref, edits_of(ref, body)) for ref, body in wanted.items()]
        due = [(ref, mine[number]) for ref, mine in edits if number < len(mine)]
        await asyncio.gather(*(patched(scene.kube, ref, patch) for ref, patch in due))
        await scene.canonical(60.0)
    found = await sound(scene, 60.0)
    for ref, body in wanted.items():
        about = [past for past in found.about(ref.name, ref.namespace) if past.seen.finding.type.value == "modified"]
        assert len(about) >= 2, (ref, len(about), len(edits_of(ref, body)))


async def _all_deleted(scene: TieredScene, wanted: dict[ObjectRef, Body]) -> None:
    """In a fight by now: what comes within the cap of the last repair is made closed, and opened without its pause."""
    for _ in range(3):
        await asyncio.gather(*(scene.kube.request("DELETE", path(ref.kind, ref.namespace, ref.name)) for ref in wanted))
        await scene.canonical(30.0)
    found = await sound(scene, 60.0)
    for ref in wanted:
        assert "missing" in {past.seen.finding.type.value for past in found.about(ref.name, ref.namespace)}, ref

    # One at a time, the meaning is told: addresses that nobody shall reach, and a partner that is everybody.
    await patched(
        scene.kube, ObjectRef(CALICO, "GlobalNetworkSet", "", "blocked"), {"spec": {"nets": ["192.0.2.1/32"]}}
    )
    await sound(scene, 60.0)
    await judged(scene, "blocked", "modified", "loosens", "mixed")
    await patched(scene.kube, ObjectRef(CALICO, "NetworkSet", RED, "partner"), {"spec": {"nets": ["203.0.113.0/24"]}})
    await sound(scene, 60.0)
    await judged(scene, "partner", "modified", "loosens")


async def _too_many(scene: TieredScene) -> None:
    rogue = calico(
        "GlobalNetworkPolicy",
        "driftd.rogue",
        {
            "tier": "driftd",
            "order": 1,
            "selector": "all()",
            "types": ["Ingress", "Egress"],
            "ingress": [{"action": "Allow"}],
            "egress": [{"action": "Allow"}],
        },
    )
    opened = calico("NetworkPolicy", "default.opened", {"order": 1, "ingress": [{"action": "Pass"}]}, BLUE)
    wider = calico("NetworkSet", "wider", {"nets": ["0.0.0.0/0"]}, RED, labels={"role": "partner"})
    for body in (rogue, opened, wider):
        where = path(body["kind"], body["metadata"].get("namespace", ""))
        await scene.kube.request("POST", where, body=body)
    found = await sound(scene, 60.0)
    lives = {ref.name for ref in await listed(scene.kube)}
    for name in ("driftd.rogue", "default.opened", "wider"):
        assert name not in lives
        assert {past.seen.finding.type.value for past in found.about(name)} == {"unexpected"}
    await judged(scene, "driftd.rogue", "unexpected", "loosens")


async def _of_others(scene: TieredScene) -> None:
    """Outside of driftd's tier global objects are told if they concern a governed namespace, and never touched."""
    everybody = {"types": ["Ingress"], "order": 1, "ingress": [{"action": "Allow"}]}
    theirs = calico("GlobalNetworkPolicy", "default.theirs", {**everybody, "selector": "has(app)"})
    elsewhere = calico(
        "GlobalNetworkPolicy",
        "default.elsewhere",
        {**everybody, "namespaceSelector": "kubernetes.io/metadata.name == 'kube-system'"},
    )
    before = len(scene.attempts())
    for body in (theirs, elsewhere):
        await scene.kube.request("POST", path("GlobalNetworkPolicy"), body=body)
    await told(scene, "foreign", "default.theirs")
    await judged(scene, "default.theirs", "foreign", "loosens")
    await quiet()
    assert (await scene.evidence()).about("default.elsewhere") == []
    assert len(scene.attempts()) == before
    for body in (theirs, elsewhere):
        await scene.kube.request("DELETE", path("GlobalNetworkPolicy", name=body["metadata"]["name"]))

    async def closed() -> bool:
        return all(past.seen.closed for past in (await scene.evidence()).about("default.theirs"))

    await scene.until("the finding is over", closed, 30.0)


async def _referred_to(scene: TieredScene) -> None:
    """What rules refer to beside pods: labels of an account, a slice, a stranger's set. No policy changes."""
    before = len(scene.attempts())
    metadata = {"name": "feed-1", "namespace": RED, "labels": {"kubernetes.io/service-name": "feed"}}
    listed: Body = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": metadata,
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["198.18.0.9"]}],
        "ports": [{"name": "any", "port": 25, "protocol": "TCP"}],
    }
    theirs = calico("NetworkSet", "theirs", {"nets": ["203.0.113.0/24"]}, "default", labels={"feed": "blocked"})
    await scene.kube.merge("ServiceAccount", RED, "default", {"metadata": {"labels": {"role": "trusted"}}})
    await scene.kube.create(listed)
    await scene.kube.request("POST", path("NetworkSet", "default"), body=theirs)
    wanted = [
        ("default", "relabelled", "loosens"),
        ("feed-1", "misdirected", "loosens"),
        ("theirs", "foreign", "tightens"),
    ]
    for name, type_, direction in wanted:
        await judged(scene, name, type_, direction)
    await scene.kube.merge("ServiceAccount", RED, "default", {"metadata": {"labels": {"role": None}}})
    await scene.kube.delete("EndpointSlice", RED, "feed-1")
    await scene.kube.request("DELETE", path("NetworkSet", "default", "theirs"))

    async def over() -> bool:
        found = await scene.evidence()
        return all(
            past.seen.closed is not None
            for name, type_, _ in wanted
            for past in found.about(name)
            if past.seen.finding.type.value == type_
        )

    await scene.until("all of it is over", over, 30.0)
    assert len(scene.attempts()) == before
