"""What the model forbids is dropped on the wire, and what somebody opened is shut again: packets say so, not objects.

Two tenants of the example platform on two nodes. Nothing here asks driftd whether it works: pods connect or do not.
"""

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from driftd.lab import Lab
from tests.support.node import connects, pod, running, service
from tests.support.stage import Body, Stage, copy_models, stage

pytestmark = [pytest.mark.node, pytest.mark.timeout(400)]

WEB, API, PORTAL = {"app": "web"}, {"app": "api"}, {"app": "portal"}
OPENED_TO_ALL: dict[str, Body] = {"acme-prod": {"spec": {"ingress": [{}]}}, "globex-prod": {"spec": {"egress": [{}]}}}


@dataclass
class Tenants:
    """acme's web and api, and globex's portal, whose packets have no business at acme's."""

    stage: Stage
    api: str

    @property
    def lab(self) -> Lab:
        return self.stage.lab

    async def neighbour_reaches_api(self) -> bool:
        return await connects(self.lab, "globex-prod", "portal", f"{self.api}:8080")

    async def web_reaches_api(self) -> bool:
        return await connects(self.lab, "acme-prod", "web", f"{self.api}:8080", seconds=5)

    def repaired(self) -> set[str]:
        """The namespaces whose tampered policies were repaired, by the audit log."""
        heals = [heal for heal in self.stage.heals() if heal.key.resource == "networkpolicies"]
        assert all(heal.last is not None for heal in heals), heals
        return {heal.key.namespace for heal in heals}

    async def until_neighbour(self, *, reaches: bool, seconds: float = 20.0) -> float:
        """Wait until it does, or does not, and answer how long that took."""
        started = time.monotonic()
        while await self.neighbour_reaches_api() is not reaches:
            assert time.monotonic() < started + seconds, f"the neighbour's connection: not {reaches=}"
        return time.monotonic() - started


def models_of(lab: Lab, target: Path) -> Path:
    """The example platform with this lab's addresses: another lab with nodes may have the first network."""
    cluster = copy_models(target) / "cluster.yaml"
    prefix = lab.nodes[0].address.rpartition(".")[0]
    cluster.write_text(cluster.read_text().replace("10.99.0.", f"{prefix}."))
    return target


@pytest.fixture
async def tenants(lab: Lab, tmp_path: Path) -> AsyncIterator[Tenants]:
    async with stage(lab, tmp_path / "data", models=models_of(lab, tmp_path / "models")) as one:
        kube, last = one.kube, lab.nodes[-1].name
        pods = [
            pod("acme-prod", "api", "pod", "serve", "8080", "9090", labels=API, account="api", node=last),
            pod("acme-prod", "web", "pod", "pause", labels=WEB, account="web", node=lab.nodes[0].name),
            pod("globex-prod", "portal", "pod", "pause", labels=PORTAL, account="portal", node=lab.nodes[0].name),
        ]
        for body in [*pods, service("acme-prod", "api", API, 8080)]:
            await kube.create(body)
        addresses = await running(kube, "acme-prod", "api", "web")
        await running(kube, "globex-prod", "portal")
        try:
            yield Tenants(one, addresses["api"])
        finally:
            for body in pods:
                await kube.delete("Pod", body["metadata"]["namespace"], body["metadata"]["name"])
            await kube.delete("Service", "acme-prod", "api")


async def test_the_compiled_policies_let_through_what_the_model_says_and_drop_the_rest(tenants: Tenants) -> None:
    lab, api = tenants.lab, tenants.api
    assert await tenants.web_reaches_api()
    assert await connects(lab, "acme-prod", "web", "api.acme-prod.svc.cluster.local:8080", seconds=5)
    assert not await connects(lab, "acme-prod", "web", f"{api}:9090")
    assert not await tenants.neighbour_reaches_api()
    assert not await connects(lab, "globex-prod", "portal", "api.acme-prod.svc.cluster.local:8080")
    resolved = await lab.pods.exec("globex-prod", "portal", "pod", "resolve", "api.acme-prod.svc.cluster.local", "5")
    assert resolved.out.startswith("10.96.")


async def test_only_the_service_with_a_line_for_it_in_the_model_reaches_the_api_server(tenants: Tenants) -> None:
    kube, scheduler = tenants.stage.kube, {"app": "scheduler"}
    await kube.create(pod("globex-prod", "scheduler", "pod", "pause", labels=scheduler, account="scheduler"))
    await running(kube, "globex-prod", "scheduler")
    assert await connects(tenants.lab, "globex-prod", "scheduler", "kubernetes.default.svc:443", seconds=5)
    assert not await connects(tenants.lab, "globex-prod", "portal", "kubernetes.default.svc:443")
    assert not await connects(tenants.lab, "acme-prod", "web", "kubernetes.default.svc:443")
    await kube.delete("Pod", "globex-prod", "scheduler")


async def test_a_hole_between_tenants_lets_packets_through_until_driftd_shuts_it(tenants: Tenants) -> None:
    one = tenants.stage
    await one.kube.create(
        pod(
            "acme-prod",
            "watcher",
            "pod",
            "watch",
            f"{tenants.api}:8080",
            "10",
            labels=WEB,
            account="web",
            node=tenants.lab.nodes[0].name,
        )
    )
    await running(one.kube, "acme-prod", "watcher")
    assert not await tenants.neighbour_reaches_api()

    one.daemon.send(signal.SIGSTOP)
    for namespace, opened in OPENED_TO_ALL.items():
        await one.kube.merge("NetworkPolicy", namespace, "default-deny", opened)
    await tenants.until_neighbour(reaches=True)
    one.daemon.send(signal.SIGCONT)
    await one.canonical(60.0)
    closed_after = await tenants.until_neighbour(reaches=False)
    print(f"closed on the wire {closed_after:.2f} s after the repair")

    assert tenants.repaired() == set(OPENED_TO_ALL)
    assert one.loosened() == []
    watched = (await tenants.lab.pods.logs("acme-prod", "watcher")).splitlines()
    await one.kube.delete("Pod", "acme-prod", "watcher")
    assert [line.split()[1] for line in watched] == ["open"], watched


async def test_with_driftd_awake_a_hole_is_shut_on_the_wire_within_seconds(tenants: Tenants) -> None:
    one = tenants.stage
    for namespace, opened in OPENED_TO_ALL.items():
        await one.kube.merge("NetworkPolicy", namespace, "default-deny", opened)
    await asyncio.sleep(1.0)
    await tenants.until_neighbour(reaches=False, seconds=5.0)
    assert await tenants.web_reaches_api()
    assert tenants.repaired() == set(OPENED_TO_ALL)


async def test_a_dead_kubelet_and_a_dead_agent_open_nothing_and_come_back(tenants: Tenants) -> None:
    lab = tenants.lab
    far = lab.nodes[-1].name
    for program in ("kubelet", "cilium-agent"):
        part = lab.parts[f"{far}.{program}"]
        await part.kill()
        assert await tenants.web_reaches_api()
        assert not await tenants.neighbour_reaches_api()
        await part.start()
        assert await tenants.web_reaches_api()
        assert not await tenants.neighbour_reaches_api()
    assert await lab.pods.logs("acme-prod", "api")
