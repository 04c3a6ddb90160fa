"""The commands that read a cluster, on a real API server: they tell what is there, and change nothing."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from driftd.cli.documents import schema_of
from driftd.lab import Lab
from tests.oracle.replay import read
from tests.support.cli import Ran, driftd, write_model
from tests.support.json_schema import errors
from tests.support.kube import Kube, KubeError
from tests.support.model_texts import environment

pytestmark = pytest.mark.control_plane
Body = dict[str, Any]

SPACE = "cli-shop"
OLD = "cli-legacy"
LIVE: list[Body] = [
    {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": OLD, "labels": {"team": "12e5", "color": "blue"}}},
    {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "from-team", "namespace": OLD, "labels": {"on": "off"}},
        "spec": {
            "podSelector": {},
            "ingress": [{"from": [{"namespaceSelector": {"matchLabels": {"team": "12e5"}}}], "ports": [{"port": 80}]}],
        },
    },
    {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "out", "namespace": OLD},
        "spec": {"podSelector": {}, "egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}]},
    },
    {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "q", "namespace": OLD},
        "spec": {"hard": {"pods": 5, "requests.cpu": "1500m"}},
    },
    {
        "apiVersion": "v1",
        "kind": "LimitRange",
        "metadata": {"name": "l", "namespace": OLD},
        "spec": {"limits": [{"type": "Container", "default": {"cpu": "0.5"}}]},
    },
]


@dataclass
class Scene:
    """A lab, its administrator, and a model whose one environment stands there as compiled."""

    lab: Lab
    kube: Kube
    models: Path

    async def driftd(self, *arguments: str | Path) -> Ran:
        """The command as the administrator. It runs a loop of its own, so it gets a thread."""
        return await asyncio.to_thread(driftd, *arguments, "--models", self.models, "--kubeconfig", self.lab.kubeconfig)

    async def purge(self, kind: str, namespace: str, name: str) -> None:
        if await self.kube.find(kind, namespace, name) is not None:
            await self.kube.delete(kind, namespace, name)


@pytest.fixture
async def scene(lab: Lab, tmp_path: Path) -> AsyncIterator[Scene]:
    models = write_model(tmp_path / "models", shop=environment("shop", "acme", namespace=SPACE))
    async with Kube.connect(Path(lab.kubeconfig)) as kube:
        listed = await asyncio.to_thread(driftd, "compile", "--models", models, "-o", "json")
        for body in listed.json()["items"]:
            name, namespace = body["metadata"]["name"], body["metadata"].get("namespace", "")
            found = await kube.find(body["kind"], namespace, name)
            if found is None:
                await kube.create(body)
            else:  # a test before has changed it, or the server has made it (the default ServiceAccount)
                version = {"resourceVersion": found["metadata"]["resourceVersion"]}
                await kube.replace({**body, "metadata": {**body["metadata"], **version}})
        await asyncio.sleep(0.5)  # the default ServiceAccount comes with a controller
        account = await kube.get("ServiceAccount", SPACE, "default")
        if account.get("automountServiceAccountToken") is not False:
            await kube.merge("ServiceAccount", SPACE, "default", {"automountServiceAccountToken": False})
        yield Scene(lab, kube, models)


async def test_a_cluster_as_compiled_is_clean(scene: Scene) -> None:
    for command in ("check", "diff"):
        ran = await scene.driftd(command, "-n", SPACE)
        assert (ran.code, ran.out) == (0, ""), ran.err


async def test_a_hole_shows_in_diff_with_its_author_and_nothing_is_written(scene: Scene) -> None:
    await scene.kube.merge("NetworkPolicy", SPACE, "default-deny", {"spec": {"egress": [{}]}})
    await scene.kube.delete("NetworkPolicy", SPACE, "web-ingress")
    offset = Path(scene.lab.audit_log).stat().st_size
    ran = await scene.driftd("diff")
    assert ran.code == 1
    assert f"--- NetworkPolicy {SPACE}/default-deny (live)\n+++ shop.yaml:1 (Environment/shop)\n" in ran.out
    assert "\n-  - {}\n" in ran.out
    assert f"NetworkPolicy {SPACE}/web-ingress (not in the cluster)" in ran.out
    document = (await scene.driftd("check", "-o", "json")).json()
    assert errors(document, schema_of("DriftReport")) == []
    found = {one["object"]["name"]: one for one in document["findings"]}
    assert found["default-deny"]["claimedBy"]["source"] == "managedFields"
    assert found["web-ingress"]["type"] == "missing"
    records = read(Path(scene.lab.audit_log).read_bytes()[offset:].splitlines(keepends=True))
    assert not [one for one in records if one.is_write and one.user.startswith("admin")]


async def test_a_namespace_that_is_adopted_lints_and_lacks_nothing_but_the_marks(scene: Scene) -> None:
    await scene.kube.apply(LIVE)
    ran = await scene.driftd("adopt", OLD, "--tenant", "newco")
    assert ran.code == 0, ran.err
    assert "reads the namespace label team" in ran.err
    assert (await asyncio.to_thread(driftd, "lint", "--models", scene.models)).code == 0
    again = await scene.driftd("check", "-n", OLD, "-o", "json")
    assert again.code == 1, again.err
    assert [one["object"] for one in again.json()["findings"]] == again.json()["unmarked"]
    await scene.kube.merge("NetworkPolicy", OLD, "out", {"spec": {"egress": [{}]}})
    found = (await scene.driftd("check", "-n", OLD, "-o", "json")).json()
    assert len(found["findings"]) == len(found["unmarked"]) + 1
    await scene.kube.delete("NetworkPolicy", OLD, "out")
    await scene.kube.create(LIVE[2])


async def test_a_kind_that_may_not_be_listed_is_unknown_and_never_missing(scene: Scene) -> None:
    rules = [
        {"apiGroups": ["networking.k8s.io"], "resources": ["networkpolicies"], "verbs": ["get", "list"]},
        {"apiGroups": [""], "resources": ["namespaces", "serviceaccounts", "limitranges"], "verbs": ["get", "list"]},
    ]
    await scene.purge("ClusterRoleBinding", "", "cli-half-blind")
    await scene.purge("ClusterRole", "", "cli-half-blind")
    api = "rbac.authorization.k8s.io"
    await scene.kube.create(
        {"apiVersion": f"{api}/v1", "kind": "ClusterRole", "metadata": {"name": "cli-half-blind"}, "rules": rules}
    )
    await scene.kube.apply(
        [{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "cli-half-blind", "namespace": "default"}}]
    )
    await scene.kube.create(
        {
            "apiVersion": f"{api}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "cli-half-blind"},
            "roleRef": {"apiGroup": api, "kind": "ClusterRole", "name": "cli-half-blind"},
            "subjects": [{"kind": "ServiceAccount", "name": "cli-half-blind", "namespace": "default"}],
        }
    )
    kubeconfig = await scene.lab.service_account_kubeconfig("default", "cli-half-blind")
    await scene.kube.merge("NetworkPolicy", SPACE, "default-deny", {"spec": {"egress": [{}]}})
    ran = await asyncio.to_thread(
        driftd, "check", "--models", scene.models, "--kubeconfig", kubeconfig, "-n", SPACE, "-o", "json"
    )
    assert ran.code == 3
    document = ran.json()
    assert [gap["where"] for gap in document["gaps"]] == ["ResourceQuota"]
    assert [one["object"]["name"] for one in document["findings"]] == ["default-deny"]
    narrowed = await asyncio.to_thread(
        driftd, "check", "--models", scene.models, "--kubeconfig", kubeconfig, "-n", SPACE, "--kind", "NetworkPolicy"
    )
    assert narrowed.code == 1
    refused = await asyncio.to_thread(
        driftd, "adopt", OLD, "--tenant", "newco", "--models", scene.models, "--kubeconfig", kubeconfig
    )
    assert refused.code == 3
    assert not (scene.models / "manifests").exists()


async def test_an_object_of_a_policy_kind_that_nobody_understands_is_a_finding(scene: Scene) -> None:
    names = {"kind": "ApplicationNetworkPolicy", "plural": "applicationnetworkpolicies"}
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    definition = "applicationnetworkpolicies.networking.k8s.aws"
    await scene.kube.create(
        {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": definition},
            "spec": {
                "group": "networking.k8s.aws",
                "names": names,
                "scope": "Namespaced",
                "versions": [{"name": "v1", "served": True, "storage": True, "schema": schema}],
            },
        }
    )
    path = f"apis/networking.k8s.aws/v1/namespaces/{SPACE}/applicationnetworkpolicies"
    body = {"apiVersion": "networking.k8s.aws/v1", "kind": names["kind"], "metadata": {"name": "x"}, "spec": {}}
    try:
        async with asyncio.timeout(20):
            while True:
                try:
                    await scene.kube.request("POST", path, body=body)
                    break
                except KubeError as error:  # the definition is not served yet
                    if error.status != 404:
                        raise
                    await asyncio.sleep(0.1)
        document = (await scene.driftd("check", "-n", SPACE, "-o", "json")).json()
    finally:
        await scene.kube.delete("CustomResourceDefinition", "", definition)
    assert [(one["type"], one["object"]["name"]) for one in document["findings"]] == [("unknown-kind", "x")]
    assert not document["gaps"]


async def test_a_dump_of_the_cluster_says_the_same_as_the_cluster(scene: Scene, tmp_path: Path) -> None:
    await scene.kube.merge("NetworkPolicy", SPACE, "default-deny", {"spec": {"policyTypes": ["Ingress"]}})
    folder = tmp_path / "live"
    folder.mkdir()
    for kind in ("Namespace", "NetworkPolicy", "ResourceQuota", "LimitRange", "ServiceAccount"):
        listed = await scene.kube.request("GET", scene.kube.path(kind))
        (folder / f"{kind}.json").write_text(json.dumps(listed))
    there = (await scene.driftd("check", "-o", "json")).json()
    here = await asyncio.to_thread(driftd, "check", "--models", scene.models, "--manifests", folder, "-o", "json")
    assert here.json()["findings"] == there["findings"]
    assert here.code == 1
