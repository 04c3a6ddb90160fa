"""Live pods against what the model entitles them to: every direction is what the naive evaluator says."""

from functools import cache
from itertools import product
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driftd.compile import Compiled, Workload, compile_model
from driftd.drift import World, label_inputs, pod_inputs, relabelled_others, relabelled_pods
from driftd.policy.reach import Pod, pod_from_body
from driftd.values import Digest, Direction, Finding, Live, ObjectRef, Severity
from tests.oracle import calico, networkpolicy
from tests.oracle.bodies import Body, Cluster, Endpoint, address_of
from tests.oracle.universe import atomic_ports
from tests.oracle.worlds import Allowed
from tests.support.directions import direction
from tests.support.model_texts import CLUSTER, model

SHOP, DESK = "shop", "desk"
ACME = f"""\
apiVersion: driftd.dev/v1alpha1
kind: Environment
metadata: {{name: {SHOP}}}
spec:
  tenant: acme
  plan: shared
  services:
    web: {{labels: {{app: web}}, serviceAccount: web, ports: {{http: 8080}}, calls: [{{to: api, port: http}}]}}
    api:
      labels: {{app: api, tier: back}}
      serviceAccount: api
      ports: {{http: 8080, metrics: 9090}}
      calls: [{{to: db}}]
  attachments:
    db: {{service: {{labels: {{app: db}}, serviceAccount: db}}, port: 5432}}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: scraped, namespace: {SHOP}}}
spec:
  podSelector: {{matchLabels: {{tier: back}}}}
  policyTypes: [Ingress]
  ingress:
    - from: [{{namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: {DESK}}}}}}}]
      ports: [{{port: metrics}}]
"""
GLOBEX = f"""\
apiVersion: driftd.dev/v1alpha1
kind: Environment
metadata: {{name: {DESK}}}
spec:
  tenant: globex
  plan: open
  services:
    web: {{labels: {{app: web}}, ports: {{http: 8080}}}}
---
apiVersion: driftd.dev/v1alpha1
kind: Plan
metadata: {{name: open}}
spec: {{egress: {{https: public}}}}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: scrapes, namespace: {DESK}}}
spec:
  podSelector: {{matchLabels: {{role: scraper}}}}
  policyTypes: [Egress]
  egress: [{{to: [{{namespaceSelector: {{}}}}]}}]
"""
PLACES = (SHOP, DESK)
ACCOUNTS = ("default", "web", "api", "db")


@cache
def compiled(dialect: str = "kubernetes") -> Compiled:
    cluster = CLUSTER.replace("spec:\n", f"spec:\n  cni: {{dialect: {dialect}}}\n", 1)
    return compile_model(model(cluster=cluster, acme=ACME, globex=GLOBEX))


def pod(namespace: str, name: str, labels: dict[str, str], account: str, metrics: int | None = None) -> Body:
    ports = [] if metrics is None else [{"name": "metrics", "containerPort": metrics}]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {"serviceAccountName": account, "containers": [{"name": "c", "ports": ports}]},
        "status": {"podIPs": [{"ip": f"10.244.{PLACES.index(namespace)}.{10 + int(name.partition('-')[2])}"}]},
    }


def observed(world: World, model_: Compiled, *bodies: Body) -> None:
    pods = {(one.namespace, one.name): one for one in map(pod_from_body, bodies)}
    world.observe(list(pod_inputs(model_, pods, pods)))


def findings(*bodies: Body, dialect: str = "kubernetes") -> list[Finding]:
    world = World(compiled(dialect))
    observed(world, compiled(dialect), *bodies)
    return [found for place in PLACES for found in relabelled_pods(compiled(dialect), world, place)]


# -- the rule, naively -------------------------------------------------------------------------------------------------


def entitled(body: Body, workloads: tuple[Workload, ...]) -> Body:
    """The same pod as the model has it: labels of the most exacting workload it matches whole, else none."""
    labels, account = body["metadata"]["labels"], body["spec"]["serviceAccountName"]
    mine = [one for one in workloads if account == one.account and set(one.labels.items()) <= set(labels.items())]
    mine.sort(key=lambda one: (-len(one.labels), one.name))
    metadata = {**body["metadata"], "labels": dict(mine[0].labels) if mine else {}}
    spec = body["spec"]
    if mine and mine[0].ports:
        named = {port["name"]: port for port in spec["containers"][0]["ports"]}
        named |= {name: {"name": name, "containerPort": number} for _, name, number in mine[0].ports}
        spec = {**spec, "containers": [{"name": "c", "ports": list(named.values())}]}
    return {**body, "metadata": metadata, "spec": spec}


def stand_ins(model_: Compiled) -> list[Body]:
    """The model's own workloads, one pod each, and a pod without labels in each governed namespace."""
    found = []
    places = [(one.name, one.workloads) for one in model_.governed.values()] + list(model_.peers.items())
    for namespace, workloads in places:
        for number, one in enumerate(workloads):
            ports = [{"name": name, "containerPort": port} for _, name, port in one.ports]
            spec = {"serviceAccountName": one.account, "containers": [{"name": "c", "ports": ports}]}
            metadata = {"name": f"model-{number}", "namespace": namespace, "labels": dict(one.labels)}
            found.append({"metadata": metadata, "spec": spec})
    found += [
        {"metadata": {"name": "any", "namespace": name, "labels": {}}, "spec": {"containers": []}}
        for name in model_.governed
    ]
    found.append({"metadata": {"name": "s", "namespace": DESK, "labels": {"role": "scraper"}}, "spec": {}})
    found.append({"metadata": {"name": "t", "namespace": SHOP, "labels": {"tier": "back"}}, "spec": {}})
    return found


def allowed(cluster: Cluster, source: Endpoint, target: Endpoint, port: tuple[str, int], dialect: str) -> Allowed:
    """The evaluator of the dialect. The model has Calico's own kinds, the fence between tenants, on Calico alone."""
    if dialect == "calico":
        return calico.allowed(cluster, source, target, *port)
    return networkpolicy.allowed(cluster, source, target, *port, dialect=dialect)


def naive_direction(model_: Compiled, bodies: list[Body], chosen: Body, dialect: str) -> Direction:
    """What replacing the entitled pod by the live one does, flow by flow, under everything that the model wants."""
    parts = [*model_.governed.values(), model_.cluster_wide]
    objects = [desired.body() for one in parts for desired in one.objects.values()]
    policies = [body for body in objects if body["kind"].endswith("NetworkPolicy")]
    tiers = [body for body in objects if body["kind"] == "Tier"]
    namespaces = [body for body in objects if body["kind"] == "Namespace"]
    rights = {name: one.workloads for name, one in model_.governed.items()}
    others = [entitled(one, rights[one["metadata"]["namespace"]]) for one in bodies if one is not chosen]
    wanted = entitled(chosen, rights[chosen["metadata"]["namespace"]])
    rest = [*others, *stand_ins(model_)]
    outside: list[Endpoint] = [address_of("93.184.216.34"), address_of("192.168.1.1")]
    kubernetes = [body for body in policies if networkpolicy.is_network_policy(body)]
    ports = atomic_ports(kubernetes, [*rest, wanted, chosen])  # no rule of Calico's own kinds speaks of ports here
    before = Cluster(namespaces=namespaces, pods=[*rest, wanted], policies=policies, others=tiers)
    after = Cluster(namespaces=namespaces, pods=[*rest, chosen], policies=policies, others=tiers)
    return direction(
        answers
        for other, port in product((*rest, *outside), ports)
        for answers in (
            (allowed(before, wanted, other, port, dialect), allowed(after, chosen, other, port, dialect)),
            (allowed(before, other, wanted, port, dialect), allowed(after, other, chosen, port, dialect)),
        )
    )


@st.composite
def live_pods(draw: st.DrawFn) -> list[Body]:
    found = []
    for number in range(draw(st.integers(1, 4))):
        labels: dict[str, str] = {}
        for key, values in (("app", "web api db other"), ("tier", "back front"), ("role", "scraper")):
            if draw(st.integers(0, 2)):
                labels[key] = draw(st.sampled_from(values.split()))
        account, metrics = draw(st.sampled_from(ACCOUNTS)), draw(st.sampled_from((None, 9090, 22)))
        found.append(pod(draw(st.sampled_from(PLACES)), f"pod-{number}", labels, account, metrics))
    return found


@settings(max_examples=20, deadline=None)
@given(live_pods(), st.data(), st.sampled_from(("kubernetes", "calico", "cilium")))
def test_a_pods_direction_is_what_changing_it_alone_does_flow_by_flow(
    bodies: list[Body], data: st.DataObject, dialect: str
) -> None:
    model_ = compiled(dialect)
    chosen = data.draw(st.sampled_from(bodies))
    world = World(model_)
    observed(world, model_, *bodies)
    meta = chosen["metadata"]
    told = {one.name: judgement.direction for one, judgement in world.stray_pods(meta["namespace"])}
    assert told.get(meta["name"], Direction.NEUTRAL) is naive_direction(model_, bodies, chosen, dialect)


@pytest.mark.parametrize(
    ("dialect", "expected"),
    [("kubernetes", Direction.LOOSENS), ("cilium", Direction.LOOSENS), ("calico", Direction.NEUTRAL)],
)
def test_a_label_that_lets_another_tenant_in_opens_nothing_behind_the_fence_between_tenants(
    dialect: str, expected: Direction
) -> None:
    """Kubernetes' policies add up, so the label opens the port; Calico's platform tier denies before they are asked."""
    body = pod(SHOP, "pod-0", {"tier": "back"}, "default", 9090)
    assert naive_direction(compiled(dialect), [body], body, dialect) is expected
    assert [one.direction for one in findings(body, dialect=dialect)] == [expected] * expected.may_loosen


# -- by example --------------------------------------------------------------------------------------------------------


def test_pods_that_are_what_the_model_says_are_no_finding() -> None:
    labels = {"app": "api", "tier": "back", "pod-template-hash": "x"}
    assert findings(pod(SHOP, "api-1", labels, "api", 9090), pod(SHOP, "web-2", {"app": "web"}, "web")) == []


def test_a_pod_of_nobody_that_carries_no_label_that_counts_is_no_finding() -> None:
    assert findings(pod(SHOP, "debug-1", {"run": "debug"}, "default")) == []


def test_labels_of_a_service_under_another_account_loosen_and_say_so() -> None:
    (found,) = findings(pod(SHOP, "thief-1", {"app": "db"}, "default"))
    assert (found.direction, found.severity) == (Direction.LOOSENS, Severity.HIGH)
    assert found.witness is not None
    assert (found.witness.source, found.witness.target, found.witness.port) == ("shop/api", "shop/thief-1", "5432")
    assert "carries the labels of db and runs as default, not as db" in found.summary


def test_the_labels_of_the_one_that_scrapes_cross_the_border_of_a_tenant() -> None:
    (found,) = findings(pod(DESK, "nosy-1", {"role": "scraper"}, "default"))
    assert (found.direction, found.severity) == (Direction.LOOSENS, Severity.CRITICAL)


def test_a_port_name_on_another_number_breaks_one_door_and_opens_another() -> None:
    labels = {"app": "api", "tier": "back"}
    (found,) = findings(pod(SHOP, "api-1", labels, "api", 22), pod(SHOP, "api-2", labels, "api", 9090))
    assert found.direction is Direction.MIXED
    assert found.ref.name == "api-1"
    assert "port metrics" in found.summary


def test_a_pod_in_the_hosts_network_is_out_of_reach_of_policies() -> None:
    body = pod(SHOP, "web-1", {"app": "web"}, "web")
    body["spec"]["hostNetwork"] = True
    (found,) = findings(body, dialect="calico")
    assert found.direction.may_loosen
    assert "runs in the network of its node" in found.summary


@pytest.mark.parametrize(
    ("owner", "expected"),
    [
        ({"kind": "StatefulSet", "name": "db", "controller": True}, ("apps", "StatefulSet", "db")),
        ({"kind": "Invention\x1b", "name": "x", "controller": True}, ("", "Pod", "thief-1")),
        ({"kind": "StatefulSet", "name": "a b\n", "controller": True}, ("", "Pod", "thief-1")),
    ],
)
def test_pods_of_one_owner_are_one_finding_if_the_owner_is_a_kind_of_kubernetes(
    owner: dict[str, Any], expected: tuple[str, str, str]
) -> None:
    bodies = [pod(SHOP, f"thief-{number}", {"app": "db"}, "default") for number in (1, 2)]
    for body in bodies:
        body["metadata"]["ownerReferences"] = [owner]
    found = findings(*bodies)
    assert (found[0].ref.group, found[0].ref.kind, found[0].ref.name) == expected
    assert len(found) == (1 if expected[1] == "StatefulSet" else 2)


def test_the_id_of_a_finding_outlives_its_pods() -> None:
    one, other = (
        findings(pod(SHOP, name, {"app": "db"}, "default") | {"metadata": _owned(name)})[0] for name in ("a-1", "a-2")
    )
    assert one.id == other.id


def _owned(name: str) -> Body:
    owner = {"kind": "StatefulSet", "name": "a", "controller": True}
    return {"name": name, "namespace": SHOP, "labels": {"app": "db"}, "ownerReferences": [owner]}


def test_a_renewed_world_still_knows_what_lives() -> None:
    world = World(compiled())
    observed(world, compiled(), pod(SHOP, "thief-1", {"app": "db"}, "default"))
    before = list(relabelled_pods(compiled(), world, SHOP))
    assert before
    assert list(relabelled_pods(compiled(), world.renewed(), SHOP)) == before


def test_a_pod_that_is_put_right_or_goes_is_forgotten() -> None:
    world, model_ = World(compiled()), compiled()
    observed(world, model_, pod(SHOP, "thief-1", {"app": "db"}, "default"))
    observed(world, model_, pod(SHOP, "thief-1", {"app": "x"}, "default"))
    assert list(relabelled_pods(model_, world, SHOP)) == []
    observed(world, model_, pod(SHOP, "thief-1", {"app": "db"}, "default"))
    world.observe(list(pod_inputs(model_, {}, [(SHOP, "thief-1")])))
    assert list(relabelled_pods(model_, world, SHOP)) == []


def test_a_pod_whose_finished_state_ends_its_reach_is_no_finding() -> None:
    body = pod(SHOP, "thief-1", {"app": "db"}, "default")
    body["status"]["phase"] = "Succeeded"
    assert findings(body) == []


def test_pods_of_namespaces_that_the_model_does_not_govern_are_not_looked_at() -> None:
    strange = Pod("elsewhere", "x", {"app": "db"})
    assert list(pod_inputs(compiled(), {("elsewhere", "x"): strange}, [("elsewhere", "x")])) == []


# -- service accounts --------------------------------------------------------------------------------------------------

TRUSTING = f"""\
---
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {{name: trusting, namespace: {SHOP}}}
spec:
  order: 10
  selector: app == 'db'
  types: [Ingress]
  ingress: [{{action: Allow, protocol: TCP, source: {{serviceAccounts: {{selector: trusted == 'yes'}}}}}}]
---
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {{name: leaving, namespace: {SHOP}}}
spec:
  order: 10
  selector: app == 'web'
  types: [Egress]
  egress: [{{action: Allow, protocol: TCP}}]
"""


@pytest.mark.parametrize(("labels", "count"), [({"trusted": "yes"}, 1), ({"team": "red"}, 0)])
def test_a_label_on_a_service_account_that_lets_its_pods_in_is_found(labels: dict[str, str], count: int) -> None:
    cluster = CLUSTER.replace("spec:\n", "spec:\n  cni: {dialect: calico}\n", 1)
    model_ = compile_model(model(cluster=cluster, acme=ACME + TRUSTING, globex=GLOBEX))
    ref = ObjectRef("", "ServiceAccount", SHOP, "web")
    body = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "web", "namespace": SHOP, "labels": labels},
    }
    live = Live(ref, orjson.dumps(body), Digest(b""), "u", "1", terminating=False, managers=())
    world = World(model_)
    world.observe(list(label_inputs(model_, {ref: live}, [ref])))
    found = list(relabelled_others(model_, world))
    assert [(one.ref, one.direction) for one in found] == [(ref, Direction.LOOSENS)] * count
