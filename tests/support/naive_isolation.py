"""Who may talk to whom under a set of NetworkPolicies, as the Kubernetes documentation says it, row by row.

Knows nothing of driftd: a pod is isolated in a direction if a policy with that type selects it; an isolated pod may
have what the union of the rules of those policies allows; a connection needs both ends.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

PORTS = (("TCP", 80), ("TCP", 443), ("UDP", 53))


@dataclass(frozen=True)
class Place:
    """A pod, or an address outside (no namespace)."""

    name: str
    namespace: str
    labels: tuple[tuple[str, str], ...] = ()
    address: str = ""


def matches(selector: Mapping[str, Any] | None, labels: Mapping[str, str]) -> bool:
    selector = selector or {}
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    for one in selector.get("matchExpressions") or []:
        key, operator, values = one["key"], one["operator"], one.get("values") or []
        if operator == "In" and labels.get(key) not in values:
            return False
        if operator == "NotIn" and key in labels and labels[key] in values:
            return False
        if operator == "Exists" and key not in labels:
            return False
        if operator == "DoesNotExist" and key in labels:
            return False
    return True


def types_of(spec: Mapping[str, Any]) -> set[str]:
    return set(spec.get("policyTypes") or (["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]))


def peer_matches(peer: Mapping[str, Any], place: Place, home: str, namespaces: Mapping[str, Mapping[str, str]]) -> bool:
    if "ipBlock" in peer:
        return bool(place.address) and peer["ipBlock"]["cidr"] == place.address
    if not place.namespace:
        return False
    if "namespaceSelector" in peer:
        if not matches(peer["namespaceSelector"], namespaces[place.namespace]):
            return False
    elif place.namespace != home:
        return False
    return matches(peer.get("podSelector"), dict(place.labels))


def rule_allows(  # noqa: PLR0917 - plain facts, handed down
    rule: Mapping[str, Any],
    peers: str,
    place: Place,
    port: tuple[str, int],
    home: str,
    namespaces: Mapping[str, Mapping[str, str]],
) -> bool:
    if rule.get(peers) and not any(peer_matches(peer, place, home, namespaces) for peer in rule[peers]):
        return False
    if not rule.get("ports"):
        return True
    return any(
        one.get("protocol", "TCP") == port[0]
        and ("port" not in one or one["port"] <= port[1] <= one.get("endPort", one["port"]))
        for one in rule["ports"]
    )


def rules_for(pod: Place, type_: str, policies: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]] | None:
    """The rules that hold for a pod in one direction, None if no policy isolates it."""
    rules: list[Mapping[str, Any]] = []
    isolated = False
    for policy in policies:
        spec = policy["spec"]
        if type_ in types_of(spec) and matches(spec.get("podSelector"), dict(pod.labels)):
            isolated = True
            rules += spec.get(type_.lower()) or []
    return rules if isolated else None


def flows(
    home: str,
    places: Iterable[Place],
    policies: Iterable[Mapping[str, Any]],
    namespaces: Mapping[str, Mapping[str, str]],
) -> frozenset[tuple[str, str, tuple[str, int]]]:
    """All connections among `places`, where only namespace `home` has policies."""
    places, policies = list(places), list(policies)
    ours = {place.name: place for place in places if place.namespace == home}
    held = {(name, type_): rules_for(ours[name], type_, policies) for name in ours for type_ in ("Ingress", "Egress")}

    def may(pod: Place, type_: str, other: Place, port: tuple[str, int]) -> bool:
        rules = held.get((pod.name, type_))
        peers = "from" if type_ == "Ingress" else "to"
        return rules is None or any(rule_allows(rule, peers, other, port, home, namespaces) for rule in rules)

    return frozenset(
        (source.name, target.name, port)
        for source in places
        for target in places
        if source != target and (source.name in ours or target.name in ours)
        for port in PORTS
        if may(source, "Egress", target, port) and may(target, "Ingress", source, port)
    )
