"""Who may talk to whom under Calico: tiers of ordered policies, Calico's own beside the Kubernetes kinds.

Covers workload endpoints (pods). The planes of host endpoints (doNotTrack, preDNAT, forward) are out: nodes and
host-network pods are addresses here, and nothing protects them but host endpoints, of which it is left open what they
close.
"""

from collections.abc import Hashable, Iterator
from dataclasses import replace
from functools import partial
from math import inf
from typing import Any, NamedTuple

from tests.oracle.admin_policies import Case, decides, is_admin_policy, priority_of, sides, subject_matches, tier_of
from tests.oracle.bodies import (
    Address,
    Body,
    Cluster,
    Endpoint,
    address_pairs,
    finished,
    is_node,
    listed,
    name_of,
    namespace_of,
    on_host_network,
    resolved,
    same_pod,
)
from tests.oracle.calico_endpoints import labels_of_pod
from tests.oracle.calico_rules import rule_matches
from tests.oracle.calico_selectors import matches, tokens
from tests.oracle.choices import Choices, outcomes, verdict
from tests.oracle.networkpolicy import (
    Connection,
    Party,
    is_network_policy,
    is_own_node,
    permits,
    policy_types,
    selects,
)
from tests.oracle.selectors import NotAcceptedError
from tests.oracle.worlds import DIALECTS, Allowed, World

WORLD = DIALECTS["calico"][0]
V3, STORED = "projectcalico.org/v3", "crd.projectcalico.org/v1"
# The experimental parts of the admin policies: their rules fail closed.
UNSUPPORTED: dict[Hashable, Any] = {("supports", feature): False for feature in ("nodes", "domainNames", "named ports")}
KUBERNETES_ORDER = 1000.0
_EVERYWHERE = {("TCP", number) for number in (179, 2379, 2380, 5473, 6443, 6666, 6667)}
FAILSAFE = {
    "ingress": _EVERYWHERE | {("TCP", 22), ("UDP", 68)},
    "egress": _EVERYWHERE | {("UDP", 53), ("UDP", 67)},
}


class Tier(NamedTuple):
    """Tiers go by order, then by name. `default`: what happens when no rule of an applicable policy matches."""

    order: float
    name: str
    default: str


BUILT_IN = (
    Tier(1_000.0, "kube-admin", "Pass"),
    Tier(1_000_000.0, "default", "Deny"),
    Tier(10_000_000.0, "kube-baseline", "Pass"),
)


class Placed(NamedTuple):
    """A policy's place: tier, order in it, and the text that breaks ties (name, namespace, kind)."""

    tier: str
    order: float
    tie: str
    body: Body


def allowed(
    cluster: Cluster,
    source: Endpoint,
    target: Endpoint,
    protocol: str,
    port: int,
    *,
    through_service: bool = False,
) -> Allowed:
    """Whether a connection may be made. OPEN where a rule looks at what a connection does not tell (HTTP, say).

    `through_service`: it is made to a Service's address, and `target` and `port` are what that was translated to.
    """
    world = replace(WORLD, self_always=not through_service)
    parties = (resolved(cluster, source), resolved(cluster, target))
    return verdict(outcomes(partial(_allowed, world, cluster, parties, (protocol, port))))


def concerns(cluster: Cluster, policy: Body, who: Body | Address) -> bool:
    """Whether a policy can have a say about somebody: it applies to the pod in some direction."""
    if not isinstance(who, dict) or place_of(policy) is None:
        return False
    return any(_governs(cluster, policy, who, direction) for direction in ("ingress", "egress"))


def _allowed(
    world: World,
    cluster: Cluster,
    parties: tuple[Body | Address, Body | Address],
    port: tuple[str, int],
    choices: Choices,
) -> bool:
    one, other = parties
    # A finished pod is no endpoint any more.
    if (isinstance(one, dict) and finished(one)) or (isinstance(other, dict) and finished(other)):
        return False
    # A pod's traffic to its own address never leaves it.
    if same_pod(one, other) and world.self_always:
        return True
    case = Case(world, cluster, Choices({**UNSUPPORTED, **choices.made}))
    for one_address, other_address in address_pairs(one, other):
        connection = Connection(Party(one, one_address), Party(other, other_address), *port)
        if all(side_allows(case, direction, connection) for direction in ("egress", "ingress")):
            return True
    return False


def side_allows(case: Case, direction: str, connection: Connection) -> bool:
    """One side: the source's egress or the target's ingress policies, tier by tier."""
    near, far = sides(direction, connection)
    if not isinstance(near.who, dict) or on_host_network(near.who):
        return _host_allows(case, direction, near, (connection.protocol, connection.port))
    # The way from a node to its own pods is always open.
    if direction == "ingress" and is_own_node(case.world, near.who, far.who):
        return True
    for tier, policies in _applicable_tiers(case.cluster, near.who, direction):
        action = None
        for policy in policies:
            action = _decides(case, policy, direction, connection)
            if action is not None:
                break
        # Allow and Deny are final. Nothing matched: the tier's default action. Pass: on to the next tier.
        action = action or tier.default
        if action in ("Allow", "Deny"):
            return action == "Allow"
    # After the last tier the profiles: every pod has its namespace's, which allows everything.
    return True


def _host_allows(case: Case, direction: str, near: Party, port: tuple[str, int]) -> bool:
    """What a node lets in or out: everything, unless host endpoints guard nodes.

    Then what their policies and profiles say counts, which is left open, and the failsafe ports, which are as Felix has
    them when nobody configures it.
    """
    is_host = isinstance(near.who, dict) or is_node(case.cluster, near.who)
    guarded = any(
        one.get("kind") == "HostEndpoint" and one.get("apiVersion") in (V3, STORED) for one in case.cluster.others
    )
    if not (is_host and guarded) or port in FAILSAFE[direction]:
        return True
    return case.choices.pick(("the host endpoint lets pass", direction, port), (True, False))


def tiers(cluster: Cluster) -> dict[str, Tier]:
    """The tiers by name: the built-in ones, and (or instead) the Tier objects. No order means last."""
    found = {tier.name: tier for tier in BUILT_IN}
    for body in cluster.others:
        if body.get("kind") == "Tier" and body.get("apiVersion") in (V3, STORED):
            spec = body.get("spec") or {}
            found[name_of(body)] = Tier(_order(spec), name_of(body), str(spec.get("defaultAction") or "Deny"))
    return found


def place_of(body: Body) -> Placed | None:
    """Tier and order of a policy of any kind that Calico enforces; None for all else, staged policies among it."""
    if is_network_policy(body):
        # Kubernetes policies stand in the default tier, all at one order.
        tie = _tie(name_of(body), namespace_of(body), "KubernetesNetworkPolicy")
        return Placed("default", KUBERNETES_ORDER, tie, body)
    if is_admin_policy(body):
        tier = "kube-admin" if tier_of(body) == "Admin" else "kube-baseline"
        tie = _tie(name_of(body), "", "KubernetesClusterNetworkPolicy")
        return Placed(tier, float(priority_of(body)), tie, body)
    if body.get("apiVersion") not in (V3, STORED) or body.get("kind") not in ("NetworkPolicy", "GlobalNetworkPolicy"):
        return None
    spec = body["spec"]
    if spec.get("doNotTrack") or spec.get("preDNAT"):
        return None  # for host endpoints only
    tier = str(spec.get("tier") or "default")
    namespace = namespace_of(body) if body["kind"] == "NetworkPolicy" else ""
    # (A policy that is stored under both of its names is two policies; the names as they are then tell them apart.)
    tie = f"{_tie(_plain_name(body, tier), namespace, body['kind'])}/{name_of(body)}"
    return Placed(tier, _order(spec), tie, body)


def _applicable_tiers(cluster: Cluster, pod: Body, direction: str) -> Iterator[tuple[Tier, list[Body]]]:
    """Tiers in order, each with its policies that apply to a pod in a direction, in order; never an empty one.

    So a tier nobody of which applies is skipped, its default action with it, and a policy without any rule is enough
    to bring that action on. A policy in a tier that does not exist applies to nobody.
    """
    known = tiers(cluster)
    placed = [found for body in cluster.policies if (found := place_of(body)) is not None]
    for tier in sorted(known.values()):
        mine = [
            one.body
            for one in sorted(placed, key=lambda one: (one.order, one.tie))
            if one.tier == tier.name and _governs(cluster, one.body, pod, direction)
        ]
        if mine:
            yield tier, mine


def _governs(cluster: Cluster, policy: Body, pod: Body, direction: str) -> bool:
    if is_network_policy(policy):
        return selects(policy, pod) and direction.capitalize() in policy_types(policy)
    if is_admin_policy(policy):
        # Selected without rules in a direction is not affected in it.
        rules = listed(policy["spec"].get(direction))
        return bool(rules) and subject_matches(cluster, policy, pod)
    return direction.capitalize() in types_of(policy) and _selects(cluster, policy, pod)


def types_of(policy: Body) -> list[str]:
    """Directions of a Calico policy. Not given, Calico's API fills them in; unlike Kubernetes, egress rules alone mean
    egress alone. A stored object that went around that API has none, and is enforced both ways.
    """
    spec = policy["spec"]
    stated = listed(spec.get("types"))
    if stated:
        return [str(one).capitalize() for one in stated]
    if policy["apiVersion"] == STORED:
        return ["Ingress", "Egress"]
    if not listed(spec.get("egress")):
        return ["Ingress"]
    return ["Ingress", "Egress"] if listed(spec.get("ingress")) else ["Egress"]


def _selects(cluster: Cluster, policy: Body, pod: Body) -> bool:
    """Selector (empty: all), and the policy's namespace or its namespaceSelector, and its serviceAccountSelector."""
    spec, labels = policy["spec"], labels_of_pod(cluster, pod)
    if policy["kind"] == "NetworkPolicy" and namespace_of(policy) != namespace_of(pod):
        return False
    spaces = str(spec.get("namespaceSelector") or "") if policy["kind"] == "GlobalNetworkPolicy" else ""
    accounts = str(spec.get("serviceAccountSelector") or "")
    if any(token.kind == "global" for token in tokens(spaces)):
        raise NotAcceptedError("global() is for the rules' namespaceSelector alone")
    return (
        matches(str(spec.get("selector") or ""), labels)
        and (not spaces or matches(spaces, labels, prefix="pcns.", over_namespaces=True))
        and (not accounts or matches(accounts, labels, prefix="pcsa."))
    )


def _decides(case: Case, policy: Body, direction: str, connection: Connection) -> str | None:
    """The action of a policy's first matching rule; Log only logs."""
    if is_network_policy(policy):
        return "Allow" if permits(case.world, case.cluster, policy, direction, connection) else None
    if is_admin_policy(policy):
        action = decides(case, policy, direction, connection)
        return "Allow" if action == "Accept" else action
    for index, rule in enumerate(listed(policy["spec"].get(direction))):
        if rule["action"] != "Log" and rule_matches(case, policy, (direction, index), rule, connection):
            return str(rule["action"])
    return None


def _order(spec: Body) -> float:
    return inf if spec.get("order") is None else float(spec["order"])


def _plain_name(body: Body, tier: str) -> str:
    """The name without the "default." that some versions store before it."""
    name = name_of(body)
    return name.removeprefix("default.") if tier == "default" else name


def _tie(name: str, namespace: str, kind: str) -> str:
    """Equal orders: name, namespace and kind decide, as one text with slashes."""
    return f"{name}/{namespace}/{kind}"
