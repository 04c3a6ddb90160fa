"""The NetworkPolicy layer: default-deny, and for each service one policy a direction that says all it may do.

`default-deny` isolates every pod both ways. `<service>-ingress` answers "who may reach it", `<service>-egress` "what
may it reach", each with one rule a peer: an operator reads a service's whole entitlement in two objects, and a report
names the edge that changed. DNS and the internet stand in the egress policy of each service and not in one for the
whole namespace, because a pod that belongs to no service is entitled to nothing (design section 3).
"""

from collections.abc import Iterator

from driftd.compile.edges import Elsewhere, InNamespace, InService, Outside, Shared
from driftd.compile.internet import public_internet
from driftd.compile.mesh_ports import control_plane_egress, proxy_ports
from driftd.compile.peers import addresses, by_peer, peer_rule, pods, pods_of, port, tcp, udp
from driftd.compile.site import Site, namespaced, sorted_map
from driftd.model import Cluster, Plan
from driftd.policy.kinds import KINDS
from driftd.values import Body

RESOURCE = KINDS["networking.k8s.io", "NetworkPolicy"].resource
DEFAULT_DENY = "default-deny"
_NODE_LOCAL_PORT = 53
_Allowed = dict[str, list[tuple[Body, Body]]]


def network_policies(site: Site, general: tuple[Body, ...]) -> Iterator[Body]:
    """Every NetworkPolicy of an environment. `general` are the egress rules of its plan, see `general_egress`."""
    yield _policy(site, DEFAULT_DENY, {}, ["Ingress", "Egress"])
    incoming, outgoing = _allowed(site)
    attached = {edge.target.name: edge.target.labels for edge in site.edges if isinstance(edge.target, InNamespace)}
    for name in sorted(site.environment.services):
        labels = site.labels(name)
        if rules := by_peer("from", incoming.get(name, ())):
            yield _policy(site, f"{name}-ingress", labels, ["Ingress"], ingress=rules)
        service = site.environment.services[name]
        reached = by_peer("to", outgoing.get(name, ()))
        rules = [*general, *reached, *(_api_server(site.cluster) if service.api_server else ())]
        if rules:
            yield _policy(site, f"{name}-egress", labels, ["Egress"], egress=rules)
    for name, chosen in sorted(attached.items()):
        if rules := by_peer("from", incoming.get(f"attachments/{name}", ())):
            yield _policy(site, f"{name}-ingress", sorted_map(chosen), ["Ingress"], ingress=rules)


def general_egress(cluster: Cluster, plan: Plan) -> tuple[Body, ...]:
    """Egress rules that every service under a plan has: DNS, the mesh's control plane, the public internet."""
    rules = [*control_plane_egress(cluster)]
    if plan.spec.egress.dns:
        rules += _dns(cluster)
    if plan.spec.egress.https == "public":
        rules += [peer_rule("to", peer, tcp(443)) for peer in public_internet(cluster)]
    return tuple(rules)


def _allowed(site: Site) -> tuple[_Allowed, _Allowed]:
    """(peer, port) pairs by the service they stand with: what may come in, and what may go out."""
    incoming: _Allowed = {}
    outgoing: _Allowed = {}
    carried = proxy_ports(site.cluster)
    for edge in site.edges:
        caller = pods(site.labels(edge.caller))
        named = port(edge.port)
        ports = (named, *carried)
        out = outgoing.setdefault(edge.caller, [])
        match edge.target:
            case InService(name):
                out += [(pods(site.labels(name)), one) for one in ports]
                incoming.setdefault(name, []).extend((caller, one) for one in ports)
            case InNamespace(name, labels):
                out += [(pods(labels), one) for one in ports]
                incoming.setdefault(f"attachments/{name}", []).extend((caller, one) for one in ports)
            case Elsewhere(_, namespace, labels):
                out += [(pods_of(namespace, labels), one) for one in ports]
            case Outside(_, cidr):
                out.append((addresses(cidr), named))
            case Shared(shared):
                out += [(pods_of(shared.spec.namespace, shared.spec.labels), one) for one in ports]
    gateway = pods_of(site.cluster.spec.gateway.namespace, site.cluster.spec.gateway.labels)
    for name, service in site.environment.services.items():
        for way in service.expose:
            entered = (port(service.ports[way.port]), *carried)
            incoming.setdefault(name, []).extend((gateway, one) for one in entered)
    return incoming, outgoing


def _dns(cluster: Cluster) -> list[Body]:
    """DNS over UDP and TCP to the pods' own port; a node-local cache always listens on 53."""
    dns = cluster.spec.dns
    rules = [peer_rule("to", pods_of(dns.namespace, dns.labels), udp(dns.port), tcp(dns.port))]
    if dns.node_local_ip is not None:
        rules.append(peer_rule("to", addresses(dns.node_local_ip), udp(_NODE_LOCAL_PORT), tcp(_NODE_LOCAL_PORT)))
    return rules


def _api_server(cluster: Cluster) -> list[Body]:
    """The API server, virtual address and what stands behind it: networks judge before or after translation."""
    ports = [tcp(number) for number in cluster.spec.ranges.api_server_ports]
    return [peer_rule("to", addresses(cidr), *ports) for cidr in sorted(set(cluster.spec.ranges.api_server))]


def _policy(site: Site, name: str, labels: dict[str, str], types: list[str], **rules: list[Body]) -> Body:
    spec: Body = {"podSelector": {"matchLabels": labels} if labels else {}, "policyTypes": types, **rules}
    return namespaced(RESOURCE, site.namespace, name, site.origin, spec=spec)
