"""The NetworkPolicy layer: default-deny, and for each service one policy a direction that says all it may do.

`default-deny` isolates every pod both ways. `<service>-ingress` answers "who may reach it", `<service>-egress` "what
may it reach", each with one rule a peer: an operator reads a service's whole entitlement in two objects, and a report
names the edge that changed. DNS and the internet stand in the egress policy of each service and not in one for the
whole namespace, because a pod that belongs to no service is entitled to nothing (design section 3).
"""

from collections.abc import Iterator

from driftd.compile.edges import Elsewhere, InNamespace, InService, Outside, Shared
from driftd.compile.mesh_ports import edge_ports
from driftd.compile.peers import addresses, by_peer, pods, pods_of, port
from driftd.compile.site import Site, namespaced, sorted_map
from driftd.policy.kinds import KINDS
from driftd.values import Body

RESOURCE = KINDS["networking.k8s.io", "NetworkPolicy"].resource
DEFAULT_DENY = "default-deny"
_Allowed = dict[str, list[tuple[Body, Body]]]


def network_policies(site: Site) -> Iterator[Body]:
    """Every NetworkPolicy of an environment."""
    yield _policy(site, DEFAULT_DENY, {}, ["Ingress", "Egress"])
    incoming, outgoing = _allowed(site)
    attached = {edge.target.name: edge.target.labels for edge in site.edges if isinstance(edge.target, InNamespace)}
    for name in sorted(site.environment.services):
        labels = site.labels(name)
        if rules := by_peer("from", incoming.get(name, ())):
            yield _policy(site, f"{name}-ingress", labels, ["Ingress"], ingress=rules)
        service = site.environment.services[name]
        reached = by_peer("to", outgoing.get(name, ()))
        rules = [*site.terms.egress, *reached, *(site.terms.api_server if service.api_server else ())]
        if rules:
            yield _policy(site, f"{name}-egress", labels, ["Egress"], egress=rules)
    for name, chosen in sorted(attached.items()):
        if rules := by_peer("from", incoming.get(f"attachments/{name}", ())):
            yield _policy(site, f"{name}-ingress", sorted_map(chosen), ["Ingress"], ingress=rules)


def _allowed(site: Site) -> tuple[_Allowed, _Allowed]:
    """(peer, port) pairs by the service they stand with: what may come in, and what may go out."""
    incoming: _Allowed = {}
    outgoing: _Allowed = {}
    services = {name: pods(site.labels(name)) for name in site.environment.services}
    for edge in site.edges:
        caller = services[edge.caller]
        ports = edge_ports(site.cluster, edge.port)
        out = outgoing.setdefault(edge.caller, [])
        match edge.target:
            case InService(name):
                out += [(services[name], one) for one in ports]
                incoming.setdefault(name, []).extend((caller, one) for one in ports)
            case InNamespace(name, labels):
                out += [(pods(labels), one) for one in ports]
                incoming.setdefault(f"attachments/{name}", []).extend((caller, one) for one in ports)
            case Elsewhere(_, namespace, labels):
                out += [(pods_of(namespace, labels), one) for one in ports]
            case Outside(_, cidr):
                out.append((addresses(cidr), port(edge.port)))
            case Shared(shared):
                out += [(pods_of(shared.spec.namespace, shared.spec.labels), one) for one in ports]
    gateway = pods_of(site.cluster.spec.gateway.namespace, site.cluster.spec.gateway.labels)
    for way in site.ways:
        incoming.setdefault(way.service, []).extend((gateway, one) for one in edge_ports(site.cluster, way.port))
    return incoming, outgoing


def _policy(site: Site, name: str, labels: dict[str, str], types: list[str], **rules: list[Body]) -> Body:
    spec: Body = {"podSelector": {"matchLabels": labels} if labels else {}, "policyTypes": types, **rules}
    return namespaced(RESOURCE, site.namespace, name, site.origin, spec=spec)
