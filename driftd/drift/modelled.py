"""The model as the judged world begins with it: objects that decide flows, pods that it speaks of, whose all is."""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import reduce
from operator import or_

from driftd.compile import Compiled, GovernedNamespace, Workload
from driftd.policy.kinds import KINDS, NAMESPACE_NAME
from driftd.policy.reach import Pod, Ranges, Surroundings, Tenancy, block
from driftd.values import Body

_NAME_KEYS = ("app.kubernetes.io/name", "app", "k8s-app")
BORNE = frozenset(
    {("networking.k8s.io", "NetworkPolicy"), ("", "Namespace")}
    | {key for key, kind in KINDS.items() if kind.dialect == "calico"}
)
"""Kinds that decide flows and that the judged world holds."""


def objects_of(compiled: Compiled) -> Iterator[Body | Pod]:
    """Bodies and pods, in an order in which they may be put."""
    pods: dict[tuple[str, str], Pod] = {}
    for namespace, workloads in [
        *((one.name, one.workloads) for one in compiled.governed.values()),
        *compiled.peers.items(),
    ]:
        for one in workloads:
            pod = _of_the_model(namespace, one)
            pods[namespace, pod.name] = pod
    for governed in compiled.governed.values():
        pod = _standing_in(governed.name, "any-pod", {})
        pods[governed.name, pod.name] = pod
        for body in _borne(governed):
            yield body
            if body["kind"] == "NetworkPolicy" and body["apiVersion"].startswith("networking.k8s.io/"):
                for pod in _named_pods(governed.name, body):
                    pods.setdefault((pod.namespace, pod.name), pod)
    yield from _borne(compiled.cluster_wide)
    yield from pods.values()


def tenancy_of(compiled: Compiled) -> Tenancy:
    """Whose a namespace is: what stands in one that only one tenant attaches is that tenant's, as far as is known."""
    tenants = {}
    for namespace, workloads in compiled.peers.items():
        owners = {one.tenant for one in workloads}
        tenants[namespace] = owners.pop() if len(owners) == 1 else ""
    tenants |= dict.fromkeys(compiled.platform, "")
    return Tenancy(tenants | {one.name: one.tenant for one in compiled.governed.values()})


def surroundings_of(compiled: Compiled) -> Surroundings:
    """The addresses of pods and nodes, as far as the model says them."""
    pods, nodes = (reduce(or_, map(block, cidrs), Ranges(())) for cidrs in (compiled.pod_ranges, compiled.node_ranges))
    return Surroundings(pods=pods, nodes=nodes)


def _borne(governed: GovernedNamespace) -> Iterator[Body]:
    return (one.body() for ref, one in governed.objects.items() if (ref.group, ref.kind) in BORNE)


def _standing_in(namespace: str, name: str, labels: Mapping[str, str], account: str = "default") -> Pod:
    """A pod that the model speaks of, under a name that no live pod can have."""
    return Pod(namespace, sys.intern(f"{name} (model)"), labels, account, owner=sys.intern(f"Model/{name}"))


def _of_the_model(namespace: str, workload: Workload) -> Pod:
    ports = tuple(((protocol, name), (number,)) for protocol, name, number in workload.ports)
    pod = _standing_in(namespace, workload.name, workload.labels, workload.account or "default")
    return replace(pod, ports=ports)


def _named_pods(namespace: str, policy: Body) -> Iterator[Pod]:
    """A pod for the policy's own selector, and one for each peer that it names in another namespace."""
    spec = policy["spec"]
    own = _labels(spec.get("podSelector"))
    if own:
        stem = policy["metadata"]["name"].removesuffix("-ingress").removesuffix("-egress")
        yield _standing_in(namespace, stem, own)
    for rule in (*(spec.get("ingress") or ()), *(spec.get("egress") or ())):
        for peer in (*(rule.get("from") or ()), *(rule.get("to") or ())):
            home, labels = _labels(peer.get("namespaceSelector")).get(NAMESPACE_NAME), _labels(peer.get("podSelector"))
            if home and labels:
                name = next((labels[key] for key in _NAME_KEYS if key in labels), "peer")
                yield _standing_in(home, name, labels)


def _labels(selector: Body | None) -> Mapping[str, str]:
    return (selector or {}).get("matchLabels") or {}
