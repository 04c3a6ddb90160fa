"""What lives beside the policies, on a real API server: labels, accounts, ports, Services, slices, own policies."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from driftd.lab import Lab
from driftd.store import Past
from driftd.values import Direction, Severity
from tests.support.cli import write_model
from tests.support.faulty import Scene
from tests.support.kube import KubeError
from tests.support.model_texts import CLUSTER
from tests.support.shared_stage import Standing, on, standing

pytestmark = pytest.mark.control_plane
ACME, GLOBEX, CALM, INSIDE = "live-acme", "live-globex", "live-calm", "live-inside"
STRANGER = "live-stranger"

PLANS = "---\n".join(
    f"apiVersion: driftd.dev/v1alpha1\nkind: Plan\nmetadata: {{name: {name}}}\nspec: {{tenantPolicies: {allowed}}}\n"
    for name, allowed in (("shared", "never"), ("calm", "inertOrTightening"), ("inside", "withinEnvironment"))
)
SHOP = f"""\
apiVersion: driftd.dev/v1alpha1
kind: Environment
metadata: {{name: {ACME}}}
spec:
  tenant: acme
  plan: shared
  services:
    web: {{labels: {{app: web}}, serviceAccount: web, ports: {{http: 8080}}, calls: [{{to: api, port: http}}]}}
    api:
      labels: {{app: api}}
      serviceAccount: api
      ports: {{http: 8080, metrics: 9090}}
      calls: [{{to: db}}]
  attachments:
    db: {{service: {{labels: {{app: db}}, serviceAccount: db}}, port: 5432}}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: scraped, namespace: {ACME}}}
spec:
  podSelector: {{matchLabels: {{app: api}}}}
  policyTypes: [Ingress]
  ingress:
    - from: [{{namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: kube-system}}}}}}]
      ports: [{{port: metrics}}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: partners, namespace: {ACME}}}
spec:
  podSelector: {{matchLabels: {{app: web}}}}
  policyTypes: [Ingress]
  ingress:
    - from: [{{namespaceSelector: {{matchLabels: {{partner: acme}}}}}}]
"""


def small(name: str, tenant: str, plan: str) -> str:
    return f"""\
apiVersion: driftd.dev/v1alpha1
kind: Environment
metadata: {{name: {name}}}
spec:
  tenant: {tenant}
  plan: {plan}
  services:
    web: {{labels: {{app: web}}, serviceAccount: web, ports: {{http: 8080}}}}
    api: {{labels: {{app: api}}, serviceAccount: api, ports: {{http: 8080}}}}
"""


def pod(
    namespace: str, name: str, app: str, account: str, ports: tuple[tuple[str, int], ...] = (), **spec: Any
) -> dict[str, Any]:
    security = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    named = [{"name": port, "containerPort": number} for port, number in ports]
    container = {"name": "c", "image": "example.org/c:1", "ports": named, "securityContext": security}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": app}},
        "spec": {
            "serviceAccountName": account,
            "automountServiceAccountToken": False,
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [container],
            **spec,
        },
    }


def service(namespace: str, name: str, **spec: Any) -> dict[str, Any]:
    ports = [{"name": "http", "port": 80, "targetPort": 8080}]
    body = {"selector": {"app": "web"}, "ports": ports, **spec}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": namespace}, "spec": body}


def policy(namespace: str, name: str, **spec: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}


@pytest.fixture(scope="module")
def one(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    root = tmp_path_factory.mktemp("live")
    models = write_model(
        root / "models",
        cluster=CLUSTER + "  remediation: {mode: enforce}\n",
        plan=PLANS,
        acme=SHOP,
        globex=small(GLOBEX, "globex", "shared"),
        calm=small(CALM, "calm", "calm"),
        inside=small(INSIDE, "inside", "inside"),
    )
    with standing(lab, root / "data", models=models) as found:
        yield found


@pytest.fixture
async def scene(one: Standing) -> AsyncIterator[Scene]:
    async with on(one, _made) as found:
        yield found
        for namespace in (ACME, GLOBEX, CALM, INSIDE):
            for kind in ("Pod", "Service", "EndpointSlice", "NetworkPolicy"):
                for body in await found.kube.list(kind, namespace):
                    if kind != "NetworkPolicy" or "annotations" not in body["metadata"]:
                        await _deleted(found, kind, namespace, body["metadata"]["name"])


async def _deleted(scene: Scene, kind: str, namespace: str, name: str) -> None:
    try:
        await scene.kube.delete(kind, namespace, name)
    except KubeError as error:
        if error.status != 404:  # the controller of slices is faster now and then
            raise


async def _made(scene: Scene) -> None:
    """What controllers would have made: a service account called default, and a namespace of somebody else."""
    for namespace, name in [(ACME, "db"), *((one, "default") for one in (ACME, GLOBEX, CALM, INSIDE))]:
        metadata = {"name": name, "namespace": namespace}
        await scene.kube.apply([{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}])
    await scene.kube.apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": STRANGER}}])


async def standing_finding(scene: Scene, type_: str, name: str, seconds: float = 15.0) -> Past:
    """Wait for an open finding of this type about such an object."""
    found: list[Past] = []

    async def there() -> bool:
        everything = (await scene.evidence()).about(name)
        found[:] = [one for one in everything if one.seen.finding.type.value == type_ and one.seen.closed is None]
        return bool(found)

    await scene.until(f"an open finding {type_} about {name}", there, seconds)
    return found[0]


async def closed(scene: Scene, type_: str, name: str) -> None:
    async def holds() -> bool:
        found = [one.seen for one in (await scene.evidence()).about(name) if one.seen.finding.type.value == type_]
        return bool(found) and all(one.closed is not None for one in found)

    await scene.until(f"the finding {type_} about {name} is closed", holds)


async def test_a_pod_that_takes_the_labels_of_the_database_is_found_at_once_and_closes_by_itself(scene: Scene) -> None:
    await scene.kube.create(pod(ACME, "web-1", "web", "web", (("http", 8080),)))
    await asyncio.sleep(0.3)
    times = []
    for _ in range(3):
        known = len([one for one in scene.daemon.events() if _is_found(one, "web-1")])
        began = asyncio.get_running_loop().time()
        await scene.kube.merge("Pod", ACME, "web-1", {"metadata": {"labels": {"app": "db"}}})
        while len([one for one in scene.daemon.events() if _is_found(one, "web-1")]) == known:
            await asyncio.sleep(0.01)
            assert asyncio.get_running_loop().time() - began < 15
        times.append(asyncio.get_running_loop().time() - began)
        past = await standing_finding(scene, "relabelled", "web-1")
        await scene.kube.merge("Pod", ACME, "web-1", {"metadata": {"labels": {"app": "web"}}})
        await closed(scene, "relabelled", "web-1")
    found = past.seen.finding
    assert min(times) < 1.0, times
    assert found.direction is Direction.LOOSENS  # nobody's pod is entitled to nothing, and this one is reached
    assert found.severity is Severity.HIGH
    assert found.witness is not None
    assert (found.witness.target, found.witness.port) == (f"{ACME}/web-1", "5432")
    assert "carries the labels of db and runs as web, not as db" in found.summary


def _is_found(event: dict[str, Any], name: str) -> bool:
    return event.get("event") == "drift.found" and event.get("name") == name


async def test_a_pod_under_the_wrong_service_account_is_nobody_and_the_right_one_is_fine(scene: Scene) -> None:
    await scene.kube.create(pod(ACME, "thief", "db", "default"))
    await scene.kube.create(pod(ACME, "db-0", "db", "db"))
    found = (await standing_finding(scene, "relabelled", "thief")).seen.finding
    assert found.direction is Direction.LOOSENS
    assert found.witness is not None
    assert found.witness.source in (f"{ACME}/api", f"{ACME}/scraped")  # an instance: either may call the database
    assert not (await scene.evidence()).about("db-0")
    await scene.kube.delete("Pod", ACME, "thief")
    await closed(scene, "relabelled", "thief")


async def test_a_port_name_on_another_number_moves_the_door(scene: Scene) -> None:
    await scene.kube.create(pod(ACME, "api-good", "api", "api", (("metrics", 9090),)))
    await scene.kube.create(pod(ACME, "api-bad", "api", "api", (("metrics", 22),)))
    found = (await standing_finding(scene, "relabelled", "api-bad")).seen.finding
    assert found.direction is Direction.MIXED
    assert found.witness is not None
    assert found.witness.port == "22"
    assert "port metrics" in found.summary
    assert not (await scene.evidence()).about("api-good")


async def test_a_label_on_a_strangers_namespace_lets_it_in_and_is_found(scene: Scene) -> None:
    await scene.kube.merge("Namespace", "", STRANGER, {"metadata": {"labels": {"partner": "acme"}}})
    found = (await standing_finding(scene, "relabelled", STRANGER)).seen.finding
    assert (found.direction, found.severity) == (Direction.LOOSENS, Severity.CRITICAL)
    await scene.kube.merge("Namespace", "", STRANGER, {"metadata": {"labels": {"partner": None}}})
    await closed(scene, "relabelled", STRANGER)


async def test_node_ports_and_external_ips_are_found_and_never_written(scene: Scene) -> None:
    await scene.kube.create(service(ACME, "plain"))
    await scene.kube.create(service(ACME, "door", type="NodePort"))
    await scene.kube.create(service(ACME, "trap", externalIPs=["203.0.113.7"]))
    door = (await standing_finding(scene, "exposed", "door")).seen.finding
    trap = (await standing_finding(scene, "exposed", "trap")).seen.finding
    assert (door.severity, trap.severity) == (Severity.HIGH, Severity.CRITICAL)
    assert not (await scene.evidence()).about("plain")
    assert not [record for record in scene.writes() if record.key.resource == "services"]
    await scene.kube.merge("Service", ACME, "door", {"spec": {"type": "ClusterIP"}})
    await closed(scene, "exposed", "door")


async def test_a_slice_that_leads_to_another_tenants_pod_is_found(scene: Scene) -> None:
    await scene.kube.create(pod(ACME, "db-9", "db", "db"))
    status = {"podIP": "10.244.9.9", "podIPs": [{"ip": "10.244.9.9"}], "phase": "Running"}
    await scene.kube.merge("Pod", ACME, "db-9", {"status": status}, "/status")
    await scene.kube.create(
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": "borrowed", "namespace": GLOBEX, "labels": {"kubernetes.io/service-name": "free"}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": ["10.244.9.9"]}],
            "ports": [{"name": "db", "port": 5432, "protocol": "TCP"}],
        }
    )
    found = (await standing_finding(scene, "misdirected", "borrowed")).seen.finding
    assert (found.severity, found.tenant) == (Severity.CRITICAL, "globex")
    assert found.witness is not None
    assert found.witness.target == f"{ACME}/db-9"
    await scene.kube.delete("EndpointSlice", GLOBEX, "borrowed")
    await closed(scene, "misdirected", "borrowed")


INERT = {"podSelector": {}, "policyTypes": ["Ingress"]}
OUTER = {"podSelector": {}, "policyTypes": ["Egress"], "egress": [{}]}


async def test_plans_tolerate_by_effect_and_delete_what_opens_more(scene: Scene) -> None:
    both = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"], "ingress": [{"from": [{"podSelector": {}}]}]}
    both["egress"] = [{"to": [{"podSelector": {}}]}]
    for namespace in (GLOBEX, CALM, INSIDE):
        await scene.kube.create(policy(namespace, "inert", **INERT))
        await scene.kube.create(policy(namespace, "inner", **both))
        await scene.kube.create(policy(namespace, "outer", **OUTER))
    left = {GLOBEX: set[str](), CALM: {"inert"}, INSIDE: {"inert", "inner"}}

    async def settled() -> bool:
        return {namespace: await _own(scene, namespace) for namespace in left} == left

    await scene.until("only what is tolerated is left", settled)
    found = (await standing_finding(scene, "tolerated", "inner")).seen.finding
    assert (found.severity, found.scope.namespace) == (Severity.INFO, INSIDE)
    await asyncio.sleep(0.5)
    assert await settled()
    opened = {one.seen.finding.type.value for one in (await scene.evidence()).about("inert", CALM)}
    assert opened == {"tolerated"}  # it was never anybody's alarm
    await scene.kube.delete("NetworkPolicy", INSIDE, "inner")
    await closed(scene, "tolerated", "inner")


async def _own(scene: Scene, namespace: str) -> set[str]:
    """Names of the policies that driftd did not make."""
    bodies = await scene.kube.list("NetworkPolicy", namespace)
    names = {body["metadata"]["name"] for body in bodies}
    return names & {"inert", "inner", "outer"}


async def test_a_tolerated_policy_that_becomes_worse_is_deleted(scene: Scene) -> None:
    await scene.kube.create(policy(CALM, "inert", **INERT))
    await standing_finding(scene, "tolerated", "inert")
    await scene.kube.merge("NetworkPolicy", CALM, "inert", {"spec": {"ingress": [{}]}})

    async def gone() -> bool:
        return await _own(scene, CALM) == set()

    await scene.until("the policy that opens is gone", gone)
    await closed(scene, "tolerated", "inert")


async def test_a_restart_lets_tolerated_policies_stand(one: Standing, scene: Scene) -> None:
    await scene.kube.create(policy(CALM, "inert", **INERT))
    await standing_finding(scene, "tolerated", "inert")
    await asyncio.to_thread(one.restart)
    await asyncio.sleep(1.0)
    assert await _own(scene, CALM) == {"inert"}
