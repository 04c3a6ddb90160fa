"""Plain Kubernetes objects in few words, for truth tables."""

from typing import Any

from tests.oracle.bodies import Body


def namespace(name: str, **labels: str) -> Body:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def pod(where: str, *ips: str, labels: dict[str, str] | None = None, account: str = "", **more: Any) -> Body:
    """A running pod "namespace/name"; labelled app=<name> unless told. `more`: ports, node, host_network."""
    space, name = where.split("/")
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": space, "labels": {"app": name} if labels is None else labels},
        "spec": {
            "serviceAccountName": account or "default",
            "hostNetwork": bool(more.get("host_network")),
            "containers": [{"name": "main", "ports": more.get("ports")}],
        },
        "status": {
            "phase": "Running",
            "podIPs": [{"ip": ip} for ip in ips],
            "hostIP": more.get("node", ""),
        },
    }


def network_policy(where: str, **spec: Any) -> Body:
    return _namespaced("networking.k8s.io/v1", "NetworkPolicy", where, spec)


def calico_policy(where: str, api: str = "projectcalico.org/v3", **spec: Any) -> Body:
    """A Calico NetworkPolicy "namespace/name"."""
    return _namespaced(api, "NetworkPolicy", where, spec)


def global_policy(name: str, api: str = "projectcalico.org/v3", **spec: Any) -> Body:
    return _global(api, "GlobalNetworkPolicy", name, spec)


def tier(name: str, order: float | None, default: str = "Deny") -> Body:
    return _global("projectcalico.org/v3", "Tier", name, {"order": order, "defaultAction": default})


def global_set(name: str, *nets: str, **labels: str) -> Body:
    body = _global("projectcalico.org/v3", "GlobalNetworkSet", name, {"nets": list(nets)})
    body["metadata"]["labels"] = labels
    return body


def network_set(where: str, *nets: str, **labels: str) -> Body:
    body = _namespaced("projectcalico.org/v3", "NetworkSet", where, {"nets": list(nets)})
    body["metadata"]["labels"] = labels
    return body


def cluster_policy(name: str, tier: str, priority: int, **spec: Any) -> Body:
    """A ClusterNetworkPolicy; its subject is every pod unless told."""
    chosen = {"tier": tier, "priority": priority, "subject": {"namespaces": {}}, **spec}
    return _global("policy.networking.k8s.io/v1alpha2", "ClusterNetworkPolicy", name, chosen)


def endpoint_slice(where: str, service: str, ips: list[str], *ports: tuple[str, int]) -> Body:
    space, name = where.split("/")
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": name, "namespace": space, "labels": {"kubernetes.io/service-name": service}},
        "endpoints": [{"addresses": [ip]} for ip in ips],
        "ports": [{"protocol": protocol, "port": port} for protocol, port in ports],
    }


def service_account(where: str, **labels: str) -> Body:
    space, name = where.split("/")
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": name, "namespace": space, "labels": labels},
    }


def _namespaced(api: str, kind: str, where: str, spec: Body) -> Body:
    space, name = where.split("/")
    return {"apiVersion": api, "kind": kind, "metadata": {"name": name, "namespace": space}, "spec": spec}


def _global(api: str, kind: str, name: str, spec: Body) -> Body:
    return {"apiVersion": api, "kind": kind, "metadata": {"name": name}, "spec": spec}
