"""ClusterNetworkPolicy (policy.networking.k8s.io/v1alpha2), and AdminNetworkPolicy and its Baseline (v1alpha1).

A connection's two sides are judged apart. Each side asks Admin, then NetworkPolicy, then Baseline, then allows.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import permutations
from typing import NamedTuple

from tests.oracle.bodies import (
    Address,
    Body,
    Cluster,
    Endpoint,
    address_pairs,
    container_ports,
    finished,
    labels_of,
    listed,
    name_of,
    namespace_labels,
    namespace_of,
    network_of,
    on_host_network,
    resolved,
    same_pod,
)
from tests.oracle.choices import Choices, outcomes, verdict
from tests.oracle.networkpolicy import (
    COVERED_PROTOCOLS,
    Connection,
    Party,
    is_own_node,
    isolating,
    permits,
)
from tests.oracle.selectors import NotAcceptedError, matches
from tests.oracle.worlds import DIALECTS, Allowed, World

GROUP = "policy.networking.k8s.io/"
KINDS = ("ClusterNetworkPolicy", "AdminNetworkPolicy", "BaselineAdminNetworkPolicy")
KNOWN_PEERS = ("namespaces", "pods", "networks", "nodes", "domainNames")
EXPERIMENTAL = ("nodes", "domainNames")


class FailsClosedError(Exception):
    """A rule with a peer that the implementation does not know."""


class Case(NamedTuple):
    """What a question is asked against: one world, the cluster, and the answers to what comes up on the way."""

    world: World
    cluster: Cluster
    choices: Choices


def allowed(
    cluster: Cluster,
    source: Endpoint,
    target: Endpoint,
    protocol: str,
    port: int,
    *,
    dialect: str = "kubernetes",
    through_service: bool = False,
) -> Allowed:
    """Whether a connection may be made under these kinds and NetworkPolicy together.

    `through_service`: it is made to a Service's address, and `target` and `port` are what that was translated to.
    """
    parties = (resolved(cluster, source), resolved(cluster, target))
    answers: set[bool] = set()
    for known in DIALECTS[dialect]:
        # Traffic of a pod to its own address is exempt; what comes back to it through a Service is not.
        world = replace(known, self_always=known.self_always and not through_service)
        answers |= outcomes(partial(_in_world, world, cluster, parties, (protocol, port)))
    return verdict(answers)


def _in_world(
    world: World,
    cluster: Cluster,
    parties: tuple[Body | Address, Body | Address],
    port: tuple[str, int],
    choices: Choices,
) -> bool:
    return _allowed(Case(world, cluster, choices), *parties, port)


def _allowed(case: Case, one: Body | Address, other: Body | Address, port: tuple[str, int]) -> bool:
    if (isinstance(one, dict) and finished(one)) or (isinstance(other, dict) and finished(other)):
        return False
    # Traffic of a pod to its own address is exempt.
    if same_pod(one, other) and case.world.self_always:
        return True
    for one_address, other_address in address_pairs(one, other):
        connection = Connection(Party(one, one_address), Party(other, other_address), *port)
        if all(side_allows(case, direction, connection) for direction in ("egress", "ingress")):
            return True
    return False


def side_allows(case: Case, direction: str, connection: Connection) -> bool:
    """One side of a connection: the source's for egress, the target's for ingress."""
    near, far = sides(direction, connection)
    # Policies are about pods; the API leaves out pods on the host's network.
    if not isinstance(near.who, dict):
        return True
    if direction == "ingress" and is_own_node(case.world, near.who, far.who):
        return True
    if not on_host_network(near.who):
        action = _tier_decides(case, ("Admin", direction), connection)
        # Accept and Deny are final. Pass skips what is left of the tier; so does, without effect, no match at all.
        if action in ("Accept", "Deny"):
            return action == "Accept"
    final = _network_policy_decides(case, direction, connection)
    if final is not None:
        return final
    if not on_host_network(near.who):
        action = _tier_decides(case, ("Baseline", direction), connection)
        if action in ("Accept", "Deny"):
            return action == "Accept"
    # Nobody decided: Kubernetes' default, everybody may talk to everybody.
    return True


def _network_policy_decides(case: Case, direction: str, connection: Connection) -> bool | None:
    """NetworkPolicy is final for pods that one selects in that direction; for others it says nothing (None)."""
    near, far = sides(direction, connection)
    found = isolating(case.world, case.cluster, near.who, direction.capitalize())
    if not found:
        return None
    if connection.protocol not in COVERED_PROTOCOLS and not case.world.other_protocols_like_these:
        return case.choices.pick(("what NetworkPolicy does to", connection.protocol, direction), (True, False))
    if direction == "egress" and case.world.to_own_node_always and is_own_node(case.world, near.who, far.who):
        return True
    return any(permits(case.world, case.cluster, policy, direction, connection) for policy in found)


def _tier_decides(case: Case, tier_and_direction: tuple[str, str], connection: Connection) -> str | None:
    """The action of the first rule that matches in a tier, None when none does."""
    tier, direction = tier_and_direction
    near, _ = sides(direction, connection)
    mine = [
        body
        for body in case.cluster.policies
        if tier_of(body) == tier and subject_matches(case.cluster, body, near.who)
    ]
    for policy in in_priority_order(mine, case.choices, direction):
        action = decides(case, policy, direction, connection)
        if action is not None:
            return action
    return None


def in_priority_order(policies: Sequence[Body], choices: Choices, direction: str) -> Iterator[Body]:
    """Lower priority values first. Among equals the implementation may take any first: every order is tried."""
    for priority in sorted({priority_of(body) for body in policies}):
        equals = sorted((body for body in policies if priority_of(body) == priority), key=name_of)
        orders = list(permutations(range(len(equals))))
        order = choices.pick((direction, "order at", tier_of(equals[0]), priority), orders)
        yield from (equals[index] for index in order)


def is_admin_policy(body: Body) -> bool:
    return str(body.get("apiVersion", "")).startswith(GROUP) and body.get("kind") in KINDS


def tier_of(body: Body) -> str:
    """Admin or Baseline; the v1alpha1 kinds have it in their name. Empty for other kinds."""
    if not is_admin_policy(body):
        return ""
    if body["kind"] == "ClusterNetworkPolicy":
        return str(body["spec"]["tier"])
    return "Admin" if body["kind"] == "AdminNetworkPolicy" else "Baseline"


def priority_of(body: Body) -> int:
    """From 0 to 1000; the one BaselineAdminNetworkPolicy has none."""
    return int(body["spec"].get("priority", 0))


def subject_matches(cluster: Cluster, policy: Body, who: Body | Address) -> bool:
    """Whether a policy is about a pod: by namespace, or by namespace and pod labels; never a host-network pod."""
    if not isinstance(who, dict):
        return False
    return _pods_match(cluster, policy["spec"]["subject"], who)


def sides(direction: str, connection: Connection) -> tuple[Party, Party]:
    """(the side a policy protects, the other)."""
    if direction == "ingress":
        return connection.target, connection.source
    return connection.source, connection.target


def decides(case: Case, policy: Body, direction: str, connection: Connection) -> str | None:
    """The action of a policy's first matching rule: Accept (v1alpha1 calls it Allow), Deny or Pass. None: no match.

    A policy without rules in a direction does not affect it: nobody is isolated merely by being selected.
    """
    _, far = sides(direction, connection)
    side = "from" if direction == "ingress" else "to"
    rules = listed(policy["spec"].get(direction))
    if (
        policy["kind"] == "ClusterNetworkPolicy"
        and max([len(rules), *(len(rule.get(side) or ()) for rule in rules)]) > 25
    ):
        raise NotAcceptedError("more than 25 rules or peers")
    for index, rule in enumerate(rules):
        # from/to are required: unlike in NetworkPolicy, leaving them out is no way to say everybody.
        if not rule.get(side):
            raise NotAcceptedError(f"a rule without {side}")
        if rule["action"] not in ("Accept", "Allow") and any("domainNames" in peer for peer in rule[side]):
            raise NotAcceptedError("domainNames in a rule that does not accept")
        action = "Accept" if rule["action"] == "Allow" else str(rule["action"])
        question = (policy["kind"], name_of(policy), direction, index)
        try:
            # One element that matches is enough.
            peers = [_peer_matches(case, question, peer, far) for peer in rule[side]]
            hit = any(peers) and _protocol_matches(case.choices, rule, connection)
        except FailsClosedError:
            # A peer of an unknown form fails closed: an Accept rule matches nothing, any other denies everything.
            if action == "Accept":
                continue
            return "Deny"
        if hit:
            return action
    return None


def _peer_matches(case: Case, question: tuple[object, ...], peer: Body, far: Party) -> bool:
    unknown = not any(peer.get(field) is not None for field in KNOWN_PEERS)
    if unknown:
        raise FailsClosedError
    for field in EXPERIMENTAL:
        # Not every implementation has the experimental peers; one without them sees an unknown form.
        if peer.get(field) is not None and not case.choices.pick(("supports", field), (False, True)):
            raise FailsClosedError
    if peer.get("networks") is not None:
        # CIDRs: by address alone, and so pods and nodes inside of them, too.
        return far.address is not None and any(
            far.address.version == network_of(cidr).version and far.address in network_of(cidr)
            for cidr in peer["networks"]
        )
    if peer.get("nodes") is not None:
        return _node_matches(case.cluster, peer["nodes"], far)
    if peer.get("domainNames") is not None:
        # Which addresses a name has is not known here; certainly none of a pod.
        return not isinstance(far.who, dict) and case.choices.pick(
            (question, "has the name", str(far.who)), (False, True)
        )
    return isinstance(far.who, dict) and _pods_match(case.cluster, peer, far.who)


def _node_matches(cluster: Cluster, selector: Body, far: Party) -> bool:
    """Nodes by label, through the addresses in their status."""
    for node in cluster.others:
        if node.get("kind") == "Node" and matches(selector, labels_of(node)):
            addresses = listed((node.get("status") or {}).get("addresses"))
            if far.address is not None and str(far.address) in {entry["address"] for entry in addresses}:
                return True
    return False


def _pods_match(cluster: Cluster, chosen: Body, pod: Body) -> bool:
    """`namespaces`: every pod there. `pods`: pods of the chosen namespaces that match as well. No host-network pods."""
    if on_host_network(pod):
        return False
    spaces = namespace_labels(cluster, namespace_of(pod))
    if chosen.get("namespaces") is not None:
        return matches(chosen["namespaces"], spaces)
    both = chosen["pods"]
    return matches(both.get("namespaceSelector"), spaces) and matches(both.get("podSelector"), labels_of(pod))


def _protocol_matches(choices: Choices, rule: Body, connection: Connection) -> bool:
    """v1alpha2 `protocols`, v1alpha1 `ports`: nothing said is everything, ICMP included; else one must match."""
    entries = [*listed(rule.get("protocols")), *listed(rule.get("ports"))]
    return not entries or any(_entry_matches(choices, entry, connection) for entry in entries)


def _entry_matches(choices: Choices, entry: Body, connection: Connection) -> bool:
    for field in ("tcp", "udp", "sctp"):
        if entry.get(field) is not None:
            return connection.protocol == field.upper() and _number_matches(
                entry[field].get("destinationPort"), connection.port
            )
    if entry.get("portNumber") is not None:
        wanted = entry["portNumber"]
        return connection.protocol == (wanted.get("protocol") or "TCP") and connection.port == wanted["port"]
    if entry.get("portRange") is not None:
        wanted = entry["portRange"]
        inside = wanted["start"] <= connection.port <= wanted["end"]
        return connection.protocol == (wanted.get("protocol") or "TCP") and bool(inside)
    name = entry.get("destinationNamedPort") or entry.get("namedPort")
    # A container port's name, on the target, with the protocol it has there. Experimental as well.
    if not choices.pick(("supports", "named ports"), (False, True)):
        raise FailsClosedError
    target = connection.target.who
    if not isinstance(target, dict) or on_host_network(target):
        return False
    return (str(name), connection.protocol, connection.port) in container_ports(target)


def _number_matches(port: Body | None, number: int) -> bool:
    """Number, or range with both ends; neither means every port of the protocol."""
    if port is None:
        return True
    if port.get("range") is not None:
        return bool(port["range"]["start"] <= number <= port["range"]["end"])
    return bool(port["number"] == number)
