"""explain and matrix on a real API server: they see what is there, whoever wrote it, and say what they may not see."""

import asyncio
import base64
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from driftd.lab import Lab
from tests.support.cli import Ran, driftd, write_model
from tests.support.control_plane import lacking
from tests.support.kube import Kube
from tests.support.loose_kinds import loose_kind
from tests.support.model_texts import environment

pytestmark = pytest.mark.control_plane
SHOP, DESK = "reach-shop", "reach-desk"


def pod(namespace: str) -> dict[str, Any]:
    labels = {"app.kubernetes.io/name": "web"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web-1", "namespace": namespace, "labels": labels},
        "spec": {
            "automountServiceAccountToken": False,
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [
                {
                    "name": "c",
                    "image": "example.org/web:1",
                    "ports": [{"name": "http", "containerPort": 8080}],
                    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                }
            ],
        },
    }


@dataclass
class Scene:
    """Two environments as compiled, with a pod each."""

    lab: Lab
    kube: Kube
    models: Path

    async def driftd(self, *arguments: str | Path) -> Ran:
        """The command as the administrator. It runs a loop of its own, so it gets a thread."""
        return await asyncio.to_thread(driftd, *arguments, "--kubeconfig", self.lab.kubeconfig)


@pytest.fixture
async def scene(lab: Lab, tmp_path: Path) -> AsyncIterator[Scene]:
    models = write_model(
        tmp_path / "models",
        shop=environment("shop", "acme", namespace=SHOP),
        desk=environment("desk", "globex", namespace=DESK),
    )
    listed = await asyncio.to_thread(driftd, "compile", "--models", models, "-o", "json")
    async with Kube.connect(Path(lab.kubeconfig)) as kube:
        for body in [*listed.json()["items"], pod(SHOP), pod(DESK)]:
            if await kube.find(body["kind"], body["metadata"].get("namespace", ""), body["metadata"]["name"]) is None:
                await kube.create(body)
        yield Scene(lab, kube, models)
        for space in (SHOP, DESK):
            if await kube.find("NetworkPolicy", space, "hole") is not None:
                await kube.delete("NetworkPolicy", space, "hole")


async def hole(scene: Scene, namespace: str, **rules: object) -> None:
    spec = {"podSelector": {}, "policyTypes": ["Ingress" if "ingress" in rules else "Egress"], **rules}
    metadata = {"name": "hole", "namespace": namespace}
    body = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}
    await scene.kube.create(body)


async def test_a_live_flow_is_explained_before_and_after_somebody_opens_it(scene: Scene) -> None:
    question = ("explain", f"{SHOP}/web-1", f"{DESK}/web-1:http")
    assert "TCP/8080 is blocked" in (await scene.driftd(*question)).out
    await hole(scene, SHOP, egress=[{}])
    await hole(scene, DESK, ingress=[{}])
    ran = await scene.driftd(*question)
    assert "TCP/8080 is allowed" in ran.out, ran.err
    assert f"without ingress rule 1 of NetworkPolicy {DESK}/hole it would be blocked" in ran.out


async def test_the_matrix_shows_only_what_differs_from_the_model(scene: Scene) -> None:
    clean = await scene.driftd("matrix", "--against", scene.models, "-o", "json")
    here = [one for one in clean.json()["pairs"] if SHOP in one["source"] + one["target"]]
    assert here == []
    await hole(scene, SHOP, egress=[{}])
    await hole(scene, DESK, ingress=[{}])
    ran = await scene.driftd("matrix", "--against", scene.models, "-o", "json")
    pairs = {(one["source"], one["target"]): one for one in ran.json()["pairs"]}
    found = pairs[f"{SHOP}/web-1", f"{DESK}/web-1"]
    assert found["crossesTenants"]
    assert found["opened"]["must"]["all"]
    assert {cause["object"]["name"] for cause in found["causes"]} == {"hole"}


async def test_an_admin_policy_of_the_cluster_decides_before_its_network_policies(scene: Scene) -> None:
    everybody: list[dict[str, Any]] = [{"namespaces": {"matchLabels": {"kubernetes.io/metadata.name": SHOP}}}]
    admin = {
        "apiVersion": "policy.networking.k8s.io/v1alpha1",
        "kind": "AdminNetworkPolicy",
        "metadata": {"name": "shop-is-shut-out"},
        "spec": {
            "priority": 7,
            "subject": {"namespaces": {"matchLabels": {"kubernetes.io/metadata.name": DESK}}},
            "ingress": [{"name": "shut", "action": "Deny", "from": everybody}],
        },
    }
    question = ("explain", f"{SHOP}/web-1", f"{DESK}/web-1:http")
    await hole(scene, SHOP, egress=[{}])
    await hole(scene, DESK, ingress=[{}])
    assert "TCP/8080 is allowed" in (await scene.driftd(*question)).out
    kind = loose_kind(
        scene.kube, "AdminNetworkPolicy", group="policy.networking.k8s.io", version="v1alpha1", scope="Cluster"
    )
    async with kind as collection:
        await scene.kube.request("POST", collection.format(where=""), body=admin)
        async with asyncio.timeout(30):  # discovery learns of a new kind a moment after it is served
            while "TCP/8080 is allowed" in (ran := await scene.driftd(*question)).out:
                await asyncio.sleep(0.2)
        assert "TCP/8080 is blocked" in ran.out, ran.err
        assert "without ingress rule 1 of AdminNetworkPolicy shop-is-shut-out it would be allowed" in ran.out


async def blind_account(scene: Scene) -> Path:
    """The kubeconfig of an account without rights."""
    account = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "reach-blind", "namespace": "default"},
    }
    if await scene.kube.find("ServiceAccount", "default", "reach-blind") is None:
        await scene.kube.create(account)
    return Path(await scene.lab.service_account_kubeconfig("default", "reach-blind"))


async def test_who_may_not_list_pods_is_told_so_and_nothing_is_called_whole(scene: Scene) -> None:
    kubeconfig = await blind_account(scene)
    ran = await asyncio.to_thread(driftd, "matrix", "--kubeconfig", kubeconfig, "-o", "json")
    assert ran.code == 3
    assert json.loads(ran.out)["source"] == f"cluster (kubeconfig {kubeconfig})"
    assert "pods" in {one["where"] for one in json.loads(ran.out)["unread"]}


async def test_in_a_pod_the_pods_cluster_is_asked_and_not_the_model_of_its_daemon(scene: Scene, tmp_path: Path) -> None:
    """With the folder and the variables that a kubelet gives, in a mount namespace of the command's own."""
    config = yaml.safe_load((await blind_account(scene)).read_text())
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    (tmp_path / "token").write_text(user["token"])
    (tmp_path / "ca.crt").write_bytes(base64.b64decode(cluster["certificate-authority-data"]))
    server = urlsplit(cluster["server"])
    env = {
        **os.environ,
        "KUBERNETES_SERVICE_HOST": server.hostname or "",
        "KUBERNETES_SERVICE_PORT": str(server.port),
        "DRIFTD_MODEL__PATH": str(scene.models),
    }
    script = (
        'mount -t tmpfs none "$(readlink -f /var/run)" && mkdir -p "$1" && cp "$2/token" "$2/ca.crt" "$1" && '
        'exec "$3" -m driftd matrix -o json'
    )
    folder = "/var/run/secrets/kubernetes.io/serviceaccount"
    ran = await asyncio.to_thread(
        subprocess.run,
        ["unshare", "--mount", "--map-root-user", "sh", "-c", script, "sh", folder, str(tmp_path), sys.executable],
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    if ran.stderr.startswith(("unshare:", "mount:")):
        lacking("root", f"no mount namespace of one's own here: {ran.stderr.strip()}")
    assert ran.returncode == 3, ran.stderr
    assert json.loads(ran.stdout)["source"] == "cluster (of this pod)"
    assert "source: cluster (of this pod); dialect kubernetes" in ran.stderr
