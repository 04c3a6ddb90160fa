"""Whatever is done to a governed object is undone, and never by way of a looser state."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from driftd.lab import Lab
from tests.support.stage import Body, Stage, stage

pytestmark = pytest.mark.control_plane


@pytest.fixture
async def scene(lab: Lab, tmp_path: Path) -> AsyncIterator[Stage]:
    async with stage(lab, tmp_path / "data") as one:
        yield one


TAMPERINGS: dict[str, tuple[str, str, str, Body]] = {
    "an egress allow-all added to default-deny": (
        "NetworkPolicy",
        "acme-prod",
        "default-deny",
        {"spec": {"egress": [{}]}},
    ),
    "an ingress allow-all added": ("NetworkPolicy", "acme-prod", "default-deny", {"spec": {"ingress": [{}]}}),
    "a selector narrowed": (
        "NetworkPolicy",
        "acme-prod",
        "default-deny",
        {"spec": {"podSelector": {"matchLabels": {"a": "b"}}}},
    ),
    "a direction dropped": ("NetworkPolicy", "acme-prod", "default-deny", {"spec": {"policyTypes": ["Ingress"]}}),
    "a rule emptied": ("NetworkPolicy", "acme-prod", "api-ingress", {"spec": {"ingress": []}}),
    "provenance rewritten": (
        "NetworkPolicy",
        "acme-prod",
        "api-ingress",
        {"metadata": {"annotations": {"driftd.dev/model": "elsewhere"}}},
    ),
    "an owner that does not exist": (
        "NetworkPolicy",
        "acme-prod",
        "web-egress",
        {
            "metadata": {
                "ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "nobody", "uid": "1-2-3"}]
            }
        },
    ),
    "a condemned mark set by somebody": (
        "NetworkPolicy",
        "acme-prod",
        "web-egress",
        {"metadata": {"annotations": {"driftd.dev/condemned": "99"}}},
    ),
    "Pod Security lowered": (
        "Namespace",
        "",
        "globex-prod",
        {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "privileged"}}},
    ),
    "the tenant label moved": ("Namespace", "", "globex-prod", {"metadata": {"labels": {"driftd.dev/tenant": "acme"}}}),
    "a quota raised": ("ResourceQuota", "globex-prod", "quota", {"spec": {"hard": {"pods": "5000"}}}),
    "a limit range emptied": ("LimitRange", "globex-prod", "limits", {"spec": {"limits": []}}),
    "a token mounted again": ("ServiceAccount", "globex-prod", "default", {"automountServiceAccountToken": True}),
}


async def test_every_tampering_of_a_field_is_undone_and_nothing_is_loosened(scene: Stage) -> None:
    for what, (kind, namespace, name, patch) in TAMPERINGS.items():
        before = await scene.kube.get(kind, namespace, name)
        after = await scene.kube.merge(kind, namespace, name, patch)
        assert after["metadata"]["resourceVersion"] != before["metadata"]["resourceVersion"], what
        await scene.canonical()
    healed = scene.heals()
    assert all(heal.first for heal in healed)
    assert scene.loosened() == []


async def test_a_deleted_object_of_every_kind_is_back(scene: Stage) -> None:
    victims = [
        ("NetworkPolicy", "acme-prod", "default-deny"),
        ("NetworkPolicy", "initech-legacy", "dns"),
        ("ResourceQuota", "acme-prod", "quota"),
        ("LimitRange", "acme-prod", "limits"),
        ("ServiceAccount", "acme-prod", "api"),
    ]
    for kind, namespace, name in victims:
        await scene.kube.delete(kind, namespace, name)
    await scene.canonical()
    assert scene.loosened() == []


async def test_what_the_model_does_not_cover_is_left_alone(scene: Stage) -> None:
    patch: Body = {"metadata": {"labels": {"team": "x"}, "annotations": {"note": "y"}}}
    await scene.kube.merge("NetworkPolicy", "acme-prod", "default-deny", patch)
    await scene.kube.merge("ServiceAccount", "acme-prod", "api", {"imagePullSecrets": [{"name": "registry"}]})
    await scene.kube.merge("NetworkPolicy", "acme-prod", "default-deny", {"spec": {"egress": [{}]}})
    await scene.canonical()
    policy = await scene.kube.get("NetworkPolicy", "acme-prod", "default-deny")
    assert policy["metadata"]["labels"]["team"] == "x"
    assert policy["metadata"]["annotations"]["note"] == "y"
    account = await scene.kube.get("ServiceAccount", "acme-prod", "api")
    assert account["imagePullSecrets"] == [{"name": "registry"}]
    assert [record.key.name for record in scene.writes()] == ["default-deny"]


async def test_an_extra_allow_all_is_emptied_and_deleted(scene: Stage) -> None:
    await scene.kube.create(
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": "debug", "namespace": "globex-prod"},
            "spec": {"podSelector": {}, "ingress": [{}], "egress": [{}], "policyTypes": ["Ingress", "Egress"]},
        }
    )
    await scene.canonical()
    assert await scene.kube.find("NetworkPolicy", "globex-prod", "debug") is None
    assert [record.verb for record in scene.writes()] == ["update", "delete"]
    assert scene.loosened() == []


async def test_an_allow_all_filled_up_with_annotations_is_emptied_and_deleted_all_the_same(scene: Stage) -> None:
    await scene.kube.create(
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": "full", "namespace": "globex-prod", "annotations": {"fill": "x" * (256 * 1024 - 4)}},
            "spec": {"podSelector": {}, "ingress": [{}], "policyTypes": ["Ingress"]},
        }
    )
    await scene.canonical()
    assert await scene.kube.find("NetworkPolicy", "globex-prod", "full") is None


async def test_a_restart_writes_nothing(scene: Stage) -> None:
    await scene.daemon.stop()
    await scene.mark()
    await scene.daemon.start()
    await scene.canonical()
    assert scene.writes() == []
