"""SharedServices that driftd may guard (`policies: write`): one ingress policy in the platform's namespace.

It is one object by one name, never one a caller: in a namespace that is not ours nothing unnamed is ever deleted, so
the policy of a caller who left the model would stay and keep the door open. Callers with the same labels share a rule.
"""

from collections.abc import Iterable, Mapping

from driftd.compile.edges import Edge, Shared, every_edge
from driftd.compile.kubernetes import RESOURCE
from driftd.compile.mesh_ports import edge_ports
from driftd.compile.peers import peer_rule, pods_of_any
from driftd.compile.site import namespaced
from driftd.model import Model, SharedService
from driftd.policy.kinds import canonical_bytes
from driftd.values import Body


def guards(model: Model, edges: Mapping[str, tuple[Edge, ...]]) -> Iterable[tuple[SharedService, Body]]:
    """The guarding policy of every SharedService whose policies driftd writes; `edges` are by environment name."""
    for name, service in sorted(model.shared_services.items()):
        if service.spec.policies == "write":
            yield service, _guard(model, service, edges, f"driftd-{name}-ingress")


def _guard(model: Model, service: SharedService, edges: Mapping[str, tuple[Edge, ...]], name: str) -> Body:
    callers: dict[bytes, tuple[dict[str, str], set[str]]] = {}
    for environment_name, edge in every_edge(edges):
        if isinstance(edge.target, Shared) and edge.target.service.name == service.name:
            environment = model.environments[environment_name]
            labels = dict(environment.selector_labels(edge.caller))
            callers.setdefault(canonical_bytes(labels), (labels, set()))[1].add(environment.namespace)
    ports = edge_ports(model.cluster, service.spec.port)
    rules = [
        peer_rule("from", pods_of_any(namespaces, labels), *ports)
        for _, (labels, namespaces) in sorted(callers.items(), key=lambda item: item[0])
    ]
    spec: Body = {
        "podSelector": {"matchLabels": dict(sorted(service.spec.labels.items()))},
        "policyTypes": ["Ingress"],
    }
    if rules:
        spec["ingress"] = rules
    return namespaced(RESOURCE, service.spec.namespace, name, model.origin("SharedService", service.name), spec=spec)
