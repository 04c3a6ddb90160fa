"""What a plan gives every environment under it, worked out once: general egress, quota, limits."""

from dataclasses import dataclass

from driftd.compile.internet import public_internet
from driftd.compile.mesh_ports import control_plane_egress
from driftd.compile.peers import addresses, peer_rule, pods_of, tcp, udp
from driftd.model import Cluster, Plan
from driftd.policy.kinds import KINDS, Coverage
from driftd.values import Body

_NODE_LOCAL_PORT = 53


@dataclass(frozen=True, slots=True)
class Terms:
    """The parts of compiled objects that depend on cluster and plan alone; read by many objects, changed by none.

    `egress` holds the rules that every service has: the mesh's control plane, DNS, the public internet; `api_server`
    those of a service that may reach the API server. `quota` and `limits` are specs, or empty where there is none.
    """

    plan: Plan
    egress: tuple[Body, ...]
    api_server: tuple[Body, ...]
    quota: Body
    limits: Body


def terms_of(cluster: Cluster, plan: Plan) -> Terms:
    """The terms of a plan in a cluster."""
    egress = [*control_plane_egress(cluster)]
    if plan.spec.egress.dns:
        egress += _dns(cluster)
    if plan.spec.egress.https == "public":
        egress += [peer_rule("to", peer, tcp(443)) for peer in public_internet(cluster)]
    quota = {"hard": dict(sorted(plan.spec.quota.items()))} if plan.spec.quota else {}
    return Terms(plan, tuple(egress), tuple(_api_server(cluster)), quota, _limits(plan))


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


def _limits(plan: Plan) -> Body:
    """The one limit of the plan with the server's defaults written out; empty if the plan limits nothing."""
    limits = plan.spec.limits
    if limits is None:
        return {}
    stated = {
        "default": limits.default,
        "defaultRequest": limits.default_request,
        "max": limits.max,
        "min": limits.min,
    }
    amounts = {name: dict(sorted(amount.items())) for name, amount in stated.items() if amount}
    if not amounts:
        return {}
    stating: Body = {"spec": {"limits": [{"type": "Container", **amounts}]}}
    spec: Body = KINDS["", "LimitRange"].covered(stating, Coverage())["spec"]
    return spec
