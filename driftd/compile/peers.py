"""The words NetworkPolicies are made of: peers, ports and rules, each fully written out.

Peers in other namespaces are named by `kubernetes.io/metadata.name`, which the API server keeps equal to the name;
labels on a namespace are for whoever may edit them.
"""

from collections.abc import Iterable, Mapping
from typing import Literal

from driftd.model import PortSpec
from driftd.policy.kinds import NAMESPACE_NAME, canonical_bytes
from driftd.values import Body


def pods(labels: Mapping[str, str]) -> Body:
    """Pods of the policy's own namespace."""
    return {"podSelector": {"matchLabels": dict(sorted(labels.items()))}}


def pods_of(namespace: str, labels: Mapping[str, str]) -> Body:
    """Pods of another namespace."""
    return {"namespaceSelector": {"matchLabels": {NAMESPACE_NAME: namespace}}, **pods(labels)}


def pods_of_any(namespaces: Iterable[str], labels: Mapping[str, str]) -> Body:
    """Pods with these labels in any of several namespaces."""
    names = sorted(set(namespaces))
    if len(names) == 1:
        return pods_of(names[0], labels)
    chosen = {"matchExpressions": [{"key": NAMESPACE_NAME, "operator": "In", "values": names}]}
    return {"namespaceSelector": chosen, **pods(labels)}


def addresses(cidr: str) -> Body:
    """An address range without exceptions."""
    return {"ipBlock": {"cidr": cidr}}


def tcp(number: int) -> Body:
    """A TCP port."""
    return {"protocol": "TCP", "port": number}


def udp(number: int) -> Body:
    """A UDP port."""
    return {"protocol": "UDP", "port": number}


def port(spec: PortSpec) -> Body:
    """A pod port by number: a name would mean whatever the destination pod calls so."""
    return {"protocol": spec.protocol, "port": spec.number}


def peer_rule(side: Literal["from", "to"], peer: Body, *ports: Body) -> Body:
    """A rule for one peer; its ports are sorted and single."""
    return {side: [peer], "ports": _distinct(ports)}


def by_peer(side: Literal["from", "to"], allowed: Iterable[tuple[Body, Body]]) -> list[Body]:
    """Rules for (peer, port) pairs, one rule a peer, in a fixed order."""
    grouped: dict[bytes, tuple[Body, list[Body]]] = {}
    for peer, number in allowed:
        grouped.setdefault(canonical_bytes(peer), (peer, []))[1].append(number)
    return [peer_rule(side, peer, *ports) for _, (peer, ports) in sorted(grouped.items(), key=lambda item: item[0])]


def _distinct(ports: Iterable[Body]) -> list[Body]:
    found = {(one["port"], one["protocol"]): one for one in ports}
    return [found[key] for key in sorted(found)]
