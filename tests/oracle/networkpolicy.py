"""Who may talk to whom under Kubernetes NetworkPolicy v1: the specification, sentence by sentence, slow and obvious.

Written from the API reference (networking.k8s.io/v1) and the concept page only. One question at a time, no caching:
this is what clever engines are checked against.
"""

from typing import NamedTuple

from tests.oracle.bodies import (
    Address,
    Body,
    Cluster,
    Endpoint,
    address_pairs,
    addresses_of,
    container_ports,
    finished,
    is_node,
    is_virtual,
    labels_of,
    listed,
    namespace_labels,
    namespace_of,
    network_of,
    node_addresses_of,
    on_host_network,
    resolved,
    same_pod,
)
from tests.oracle.selectors import NotAcceptedError, matches
from tests.oracle.worlds import DIALECTS, Allowed, World, over_worlds

COVERED_PROTOCOLS = ("TCP", "UDP", "SCTP")


class Party(NamedTuple):
    """One side of a connection and the address it has in it (None: a pod that has none yet)."""

    who: Body | Address
    address: Address | None


class Connection(NamedTuple):
    """A connection in one address family. `port` is the target's, after any Service has been resolved."""

    source: Party
    target: Party
    protocol: str
    port: int


def allowed(
    cluster: Cluster, source: Endpoint, target: Endpoint, protocol: str, port: int, *, dialect: str = "kubernetes"
) -> Allowed:
    """Whether `source` may open a connection to `target`; answers and related traffic come with it."""
    if protocol not in COVERED_PROTOCOLS and not all(world.other_protocols_like_these for world in DIALECTS[dialect]):
        return _undefined(cluster, resolved(cluster, source), resolved(cluster, target), dialect)
    return over_worlds(dialect, lambda world: allowed_in(world, cluster, source, target, (protocol, port)))


def _undefined(cluster: Cluster, one: Body | Address, other: Body | Address, dialect: str) -> Allowed:
    """Policies are defined for TCP, UDP and SCTP. What they do to anything else (ICMP) is undefined, both for isolation
    and for rules that allow; only where no policy selects either side is there nothing to define.
    """
    if (isinstance(one, dict) and finished(one)) or (isinstance(other, dict) and finished(other)):
        return Allowed.NO
    touched = any(
        isolating(world, cluster, one, "Egress") or isolating(world, cluster, other, "Ingress")
        for world in DIALECTS[dialect]
    )
    return Allowed.OPEN if touched and not same_pod(one, other) else Allowed.YES


def allowed_in(world: World, cluster: Cluster, source: Endpoint, target: Endpoint, port: tuple[str, int]) -> bool:
    """The same within one world, where there is always an answer. `port` is (protocol, number)."""
    return between(world, cluster, resolved(cluster, source), resolved(cluster, target), port)


def between(world: World, cluster: Cluster, one: Body | Address, other: Body | Address, port: tuple[str, int]) -> bool:
    """The same for those whom addresses turned out to be."""
    # A finished pod has given its address back: nothing flows.
    if (isinstance(one, dict) and finished(one)) or (isinstance(other, dict) and finished(other)):
        return False
    # A pod cannot block access to itself.
    if same_pod(one, other) and world.self_always:
        return True
    # A connection uses one address family; it needs the egress side of its source AND the ingress side of its target.
    for one_address, other_address in address_pairs(one, other):
        connection = Connection(Party(one, one_address), Party(other, other_address), *port)
        if egress_allows(world, cluster, connection) and ingress_allows(world, cluster, connection):
            return True
    return False


def egress_allows(world: World, cluster: Cluster, connection: Connection) -> bool:
    """The source's side."""
    # By default a pod is not isolated for egress: all outbound connections are allowed.
    policies = isolating(world, cluster, connection.source.who, "Egress")
    if not policies:
        return True
    # Traffic to the node where the pod runs is always allowed (concept page; implementations differ).
    if world.to_own_node_always and is_own_node(world, connection.source.who, connection.target.who):
        return True
    # Isolated: only what the egress list of SOME policy that applies to the pod allows; policies add up.
    return any(permits(world, cluster, policy, "egress", connection) for policy in policies)


def ingress_allows(world: World, cluster: Cluster, connection: Connection) -> bool:
    """The target's side."""
    # By default a pod is not isolated for ingress: all inbound connections are allowed.
    policies = isolating(world, cluster, connection.target.who, "Ingress")
    if not policies:
        return True
    # Allowed if the traffic comes from the pod's local node, whatever policies say.
    if is_own_node(world, connection.target.who, connection.source.who):
        return True
    return any(permits(world, cluster, policy, "ingress", connection) for policy in policies)


def permits(world: World, cluster: Cluster, policy: Body, direction: str, connection: Connection) -> bool:
    """Whether one of a policy's rules for a direction covers a connection: its peers AND its ports."""
    side, other = ("from", connection.source) if direction == "ingress" else ("to", connection.target)
    return any(
        peers_match(world, cluster, policy, rule.get(side), other) and ports_match(world, rule.get("ports"), connection)
        for rule in listed(policy["spec"].get(direction))
    )


def is_network_policy(body: Body) -> bool:
    return (
        str(body.get("apiVersion") or "networking.k8s.io/v1").startswith("networking.k8s.io/")
        and body.get("kind", "NetworkPolicy") == "NetworkPolicy"
    )


def policy_types(policy: Body) -> list[str]:
    """Which directions a policy speaks of."""
    spec = policy["spec"]
    stated = listed(spec.get("policyTypes"))
    # A list that is given is taken as it stands: [Egress] alone leaves ingress alone, whatever sections there are.
    if stated:
        return [str(entry) for entry in stated]
    # Not given: always Ingress, and Egress only when the policy has egress rules.
    return ["Ingress", "Egress"] if listed(spec.get("egress")) else ["Ingress"]


def selects(policy: Body, pod: Body) -> bool:
    """Whether a policy applies to a pod: same namespace, and podSelector (empty or missing: every pod there)."""
    return namespace_of(policy) == namespace_of(pod) and matches(policy["spec"].get("podSelector"), labels_of(pod))


def isolating(world: World, cluster: Cluster, endpoint: Body | Address, direction: str) -> list[Body]:
    """The policies that isolate an endpoint in a direction: each that selects the pod and has that type."""
    # Only pods are ever isolated; a host-network pod only where the plugin can tell it from its node.
    if not isinstance(endpoint, dict) or _counts_as_node(world, endpoint):
        return []
    return [
        policy
        for policy in cluster.policies
        if is_network_policy(policy) and selects(policy, endpoint) and direction in policy_types(policy)
    ]


def peers_match(world: World, cluster: Cluster, policy: Body, peers: list[Body] | None, other: Party) -> bool:
    """Whether a rule's from/to list covers the other side."""
    # Missing or empty: all sources (destinations), not restricted.
    if not peers:
        return True
    # Otherwise at least one item must match: items are ORed.
    return any(_peer_matches(world, cluster, policy, peer, other) for peer in peers)


def _peer_matches(world: World, cluster: Cluster, policy: Body, peer: Body, other: Party) -> bool:
    pod_selector, namespace_selector = peer.get("podSelector"), peer.get("namespaceSelector")
    block = peer.get("ipBlock")
    if block is not None:
        # ipBlock excludes the other fields.
        if pod_selector is not None or namespace_selector is not None:
            raise NotAcceptedError("a peer with ipBlock and a selector")
        return _block_matches(world, cluster, block, other)
    if pod_selector is None and namespace_selector is None:
        raise NotAcceptedError("a peer without any field")
    # Selectors choose pods; who is only an address, or only its node, is none.
    if not isinstance(other.who, dict) or _counts_as_node(world, other.who):
        return False
    if namespace_selector is None:
        # podSelector alone: pods in the policy's own namespace.
        if namespace_of(other.who) != namespace_of(policy):
            return False
    elif not matches(namespace_selector, namespace_labels(cluster, namespace_of(other.who))):
        # namespaceSelector: pods of the namespaces it matches; empty matches all namespaces.
        return False
    # namespaceSelector alone: all pods there. Both in one item: both must match.
    return pod_selector is None or matches(pod_selector, labels_of(other.who))


def _block_matches(world: World, cluster: Cluster, block: Body, other: Party) -> bool:
    """Whether an ipBlock covers the other side's address."""
    if other.address is None:
        return False
    if isinstance(other.who, dict) and not on_host_network(other.who):
        # Meant for addresses outside of the cluster; whether it also matches those of pods is up to the plugin.
        if not world.ip_block_covers_pods:
            return False
    elif is_virtual(cluster, other.address) and not world.ip_block_covers_virtual:
        return False
    elif (isinstance(other.who, dict) or is_node(cluster, other.address)) and not world.ip_block_covers_nodes:
        # Nodes, and host-network pods with them, are addresses like others, unless the plugin gives hosts an identity.
        return False
    # Within the cidr, and in none of the exceptions, which only cut this very block.
    # (The two families never mix; host bits in a cidr are ignored.)
    if not _within(other.address, block["cidr"]):
        return False
    return not any(_within(other.address, cut) for cut in listed(block.get("except")))


def _within(address: Address, cidr: str) -> bool:
    network = network_of(cidr)  # host bits do not matter
    return address.version == network.version and address in network


def ports_match(world: World, ports: list[Body] | None, connection: Connection) -> bool:
    """Whether a rule's ports list covers the destination port."""
    # Missing or empty: all ports (and protocols); traffic is not restricted by port.
    if not ports:
        return True
    # Otherwise at least one item must match.
    return any(_port_matches(world, entry, connection) for entry in ports)


def _port_matches(world: World, entry: Body, connection: Connection) -> bool:
    # protocol: TCP, UDP or SCTP; not given means TCP.
    if (entry.get("protocol") or "TCP") != connection.protocol:
        return False
    wanted, end = entry.get("port"), entry.get("endPort")
    if wanted is None:
        if end is not None:
            raise NotAcceptedError("endPort without port")
        # No port: all ports of that one protocol.
        return True
    if isinstance(wanted, str):
        if end is not None:
            raise NotAcceptedError("endPort with a named port")
        # A name stands for the port of that name, of that protocol, on the DESTINATION pod; several containers may
        # carry it. Whoever is only an address has no names, and an unknown name matches nothing.
        target = connection.target.who
        if not isinstance(target, dict) or _counts_as_node(world, target):
            return False
        return (wanted, connection.protocol, connection.port) in container_ports(target)
    if end is not None:
        # endPort: the range from port to endPort, both included.
        if end < wanted:
            raise NotAcceptedError("endPort below port")
        # A plugin without endPort sees `port` alone.
        return bool(wanted <= connection.port <= (end if world.port_ranges else wanted))
    return bool(connection.port == wanted)


def _counts_as_node(world: World, pod: Body) -> bool:
    return world.host_network_is_node and on_host_network(pod)


def is_own_node(world: World, pod: Body | Address, other: Body | Address) -> bool:
    """Whether `other` is the node `pod` runs on, or a host-network pod there that counts as that node."""
    if not isinstance(pod, dict):
        return False
    if isinstance(other, dict):
        if not _counts_as_node(world, other):
            return False
        node = (pod.get("spec") or {}).get("nodeName")
        if node and node == (other.get("spec") or {}).get("nodeName"):
            return True
        return any(address in node_addresses_of(pod) for address in addresses_of(other))
    return other in node_addresses_of(pod)
