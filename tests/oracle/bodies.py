"""A cluster as the oracle sees it: plain Kubernetes objects, and how to read the few fields that matter."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any, TypeAlias

Body: TypeAlias = dict[str, Any]
Address: TypeAlias = IPv4Address | IPv6Address
Endpoint: TypeAlias = Body | Address | str
"""A pod (its body) or somebody known by an address only."""

# Reading text is all that is remembered here.
address_of = cache(ip_address)
network_of = cache(partial(ip_network, strict=False))

NAMESPACE_NAME = "kubernetes.io/metadata.name"


@dataclass(frozen=True)
class Cluster:
    """Lists of plain bodies. `policies` may mix kinds, told apart by apiVersion and kind; `others` is all the rest."""

    namespaces: Sequence[Body] = ()
    pods: Sequence[Body] = ()
    policies: Sequence[Body] = ()
    others: Sequence[Body] = ()


def listed(value: Sequence[Any] | None) -> Sequence[Any]:
    """A list that may be missing or null, both of which Kubernetes reads as empty."""
    return value if value is not None else []


def name_of(body: Body) -> str:
    return str(body["metadata"]["name"])


def namespace_of(body: Body) -> str:
    return str(body["metadata"].get("namespace") or "default")


def labels_of(body: Body) -> Mapping[str, str]:
    labels: Mapping[str, str] = body["metadata"].get("labels") or {}
    return labels


def namespace_labels(cluster: Cluster, name: str) -> Mapping[str, str]:
    """Labels of a live namespace: the API server sets kubernetes.io/metadata.name on each and lets nobody change it."""
    for namespace in cluster.namespaces:
        if name_of(namespace) == name:
            return {**labels_of(namespace), NAMESPACE_NAME: name}
    return {NAMESPACE_NAME: name}


def addresses_of(pod: Body) -> list[Address]:
    """Every address of a pod (two when dual-stack), none for one that is only a template yet."""
    status = pod.get("status") or {}
    found = [entry["ip"] for entry in listed(status.get("podIPs"))] or [status.get("podIP")]
    return [address_of(text) for text in found if text]


def node_addresses_of(pod: Body) -> list[Address]:
    """The addresses of the node that runs a pod, as far as the pod's status tells."""
    status = pod.get("status") or {}
    found = [entry["ip"] for entry in listed(status.get("hostIPs"))] or [status.get("hostIP")]
    return [address_of(text) for text in found if text]


def on_host_network(pod: Body) -> bool:
    return bool((pod.get("spec") or {}).get("hostNetwork"))


def finished(pod: Body) -> bool:
    """Succeeded and Failed pods hold no address any more: they are no endpoint."""
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def service_account_of(pod: Body) -> str:
    return str((pod.get("spec") or {}).get("serviceAccountName") or "default")


def container_ports(pod: Body) -> list[tuple[str, str, int]]:
    """(name, protocol, number) of each named port of each container; init and sidecar containers count too."""
    spec = pod.get("spec") or {}
    found = []
    for container in [*listed(spec.get("containers")), *listed(spec.get("initContainers"))]:
        for port in listed(container.get("ports")):
            if port.get("name"):
                found.append((str(port["name"]), str(port.get("protocol") or "TCP"), int(port["containerPort"])))
    return found


def same_pod(one: Endpoint, other: Endpoint) -> bool:
    return (
        isinstance(one, dict)
        and isinstance(other, dict)
        and (namespace_of(one), name_of(one)) == (namespace_of(other), name_of(other))
    )


def resolved(cluster: Cluster, endpoint: Endpoint) -> Body | Address:
    """Who stands behind an address: a pod's own is that pod; a node's is shared, so it stays an address."""
    if isinstance(endpoint, dict):
        return endpoint
    address = address_of(endpoint) if isinstance(endpoint, str) else endpoint
    for pod in cluster.pods:
        if not on_host_network(pod) and not finished(pod) and address in addresses_of(pod):
            return pod
    return address


def is_node(cluster: Cluster, address: Address) -> bool:
    """Whether an address is some node's: a pod says it runs there, or shares it."""
    for pod in cluster.pods:
        if address in node_addresses_of(pod) or (on_host_network(pod) and address in addresses_of(pod)):
            return True
    return False


def is_virtual(cluster: Cluster, address: Address) -> bool:
    """Whether an address is a Service's own, behind which others stand."""
    for service in cluster.others:
        if service.get("kind") == "Service" and service.get("apiVersion") == "v1":
            spec = service.get("spec") or {}
            texts = [spec.get("clusterIP"), *listed(spec.get("clusterIPs"))]
            if address in [address_of(text) for text in texts if text and text != "None"]:
                return True
    return False


def address_pairs(source: Body | Address, target: Body | Address) -> list[tuple[Address | None, Address | None]]:
    """The (source, target) addresses one connection can have: one pair a family that both sides speak.

    The question is what policies permit, not what is plugged in: sides without a common family are judged without
    addresses, and a pod without any address (a template) against each address of the other side.
    """
    sources = addresses_of(source) if isinstance(source, dict) else [source]
    targets = addresses_of(target) if isinstance(target, dict) else [target]
    if not sources or not targets:
        return [(one, other) for one in sources or [None] for other in targets or [None]]  # type: ignore[list-item]
    pairs: list[tuple[Address | None, Address | None]] = [
        (one, other) for one in sources for other in targets if one.version == other.version
    ]
    if pairs:
        return pairs
    return [
        (None if isinstance(source, dict) else source, None if isinstance(target, dict) else target),
    ]
