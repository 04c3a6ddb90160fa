"""NetworkPolicy (networking.k8s.io/v1): identity, canonical form, and the words for its rules.

Rules, peers, ports, excepts and selector expressions are sets (joined by OR, expressions by AND), so their order and
their doubles mean nothing. Absent, null and empty lists mean the same: no rules, all peers, all ports. An
absent peer selector and an empty one do not: `namespaceSelector: {}` is every namespace, absent is one's own. Fields
that this module does not know stay word for word, so a field of a later Kubernetes version is a difference.
Source: kubernetes/api networking/v1/types.go, pkg/apis/networking/v1/defaults.go; facts in network-policy.md 1.1.
"""

from functools import lru_cache
from typing import Any

import orjson

from driftd.policy.kinds.addresses import cidr
from driftd.policy.kinds.canonical import MalformedObjectError, as_set, by_text, canonical_bytes, mapping, sequence
from driftd.policy.kinds.rule_text import keyed_rules
from driftd.policy.kinds.selectors import keyed_selector, selector
from driftd.policy.kinds.whole_spec import WholeSpec
from driftd.values import Body, Resource

_PEERS = {"ingress": "from", "egress": "to"}
_KNOWN = frozenset({"podSelector", "policyTypes", "ingress", "egress"})
_PORT_FIELDS = frozenset({"protocol", "port", "endPort"})
_MOST_REMEMBERED = 2048
"""Bytes of a rule that is remembered. What a plan gives is shorter, also the internet with all its exceptions; of a
tenant's rule of a megabyte there would be ten in memory, a thousand times, long after nobody has it any more."""


class NetworkPolicyKind(WholeSpec):
    """The kind as the registry holds it."""

    resource = Resource("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies")
    rank = 10

    def canonical_spec(self, spec: Body) -> Body:
        canonical: Body = {
            "podSelector": selector(spec.get("podSelector"), "spec.podSelector"),
            "policyTypes": policy_types(spec),
            "ingress": _rules(spec.get("ingress"), "ingress"),
            "egress": _rules(spec.get("egress"), "egress"),
        }
        for key, value in spec.items():
            if key not in canonical:
                canonical[key] = value
        return canonical

    def keyed_spec(self, canonical: Body) -> Body:
        return {
            **canonical,
            "podSelector": keyed_selector(canonical["podSelector"]),
            "policyTypes": by_text((str(name), True) for name in canonical["policyTypes"]),
            "ingress": keyed_rules(canonical["ingress"], "from"),
            "egress": keyed_rules(canonical["egress"], "to"),
        }

    def emptied_spec(self, spec: Body) -> Body:
        return {
            "podSelector": mapping(spec.get("podSelector"), "spec.podSelector"),
            "policyTypes": policy_types(spec),
        }


def policy_types(spec: Body) -> list[Any]:
    """The directions in which the policy isolates: the list, or Ingress, and Egress if there is an egress rule."""
    if listed := spec.get("policyTypes"):
        return as_set(sequence(listed, "spec.policyTypes"))
    return ["Egress", "Ingress"] if spec.get("egress") else ["Ingress"]


def isolates_only(covered: Body) -> bool:
    """Whether a covered NetworkPolicy is known to allow nothing itself: creating it can only tighten."""
    spec = covered["spec"]
    return not spec["ingress"] and not spec["egress"] and spec.keys() == _KNOWN


def canonical_rule(rule: object, direction: str) -> Body:
    """One rule of `ingress` or `egress`: empty parts left out, so `{}` allows everything in its direction."""
    if type(rule) is not dict:
        raise MalformedObjectError(direction, "a rule (a map; {} allows everything)", rule)
    peers = _PEERS[direction]
    canonical: Body = {}
    for key, value in rule.items():
        if key == peers:
            if listed := sequence(value, direction):
                canonical[key] = as_set([_peer(one, direction) for one in listed])
        elif key == "ports":
            if listed := sequence(value, direction):
                canonical[key] = as_set([_port(one, direction) for one in listed])
        else:
            canonical[key] = value
    return canonical


def _rules(value: object, direction: str) -> list[Any]:
    found = dict(_read(canonical_bytes(rule), direction) for rule in sequence(value, direction))
    return [found[key] for key in sorted(found)]


def _read(written: bytes, direction: str) -> tuple[bytes, Body]:
    """A rule's canonical bytes and form."""
    if len(written) > _MOST_REMEMBERED:
        canonical = canonical_rule(orjson.loads(written), direction)
        return canonical_bytes(canonical), canonical
    return _remembered(_compact(written), direction)


def _compact(written: bytes) -> bytes:
    """The bytes in a block of their own size: those that orjson hands out hold several KiB each."""
    return bytes(memoryview(written))


@lru_cache(maxsize=1024)
def _remembered(written: bytes, direction: str) -> tuple[bytes, Body]:
    """The same by the rule's bytes. What a plan gives (DNS, the internet) stands in every policy."""
    canonical = canonical_rule(orjson.loads(written), direction)
    return _compact(canonical_bytes(canonical)), canonical


def _peer(peer: object, direction: str) -> Body:
    if type(peer) is not dict:
        raise MalformedObjectError(direction, "a peer with podSelector, namespaceSelector or ipBlock", peer)
    canonical: Body = {}
    for key, value in peer.items():
        if key in ("podSelector", "namespaceSelector"):
            if value is not None:
                canonical[key] = selector(value, direction)
        elif key == "ipBlock":
            if value is not None:
                canonical[key] = _ip_block(value, direction)
        else:
            canonical[key] = value
    return canonical


def _ip_block(value: object, direction: str) -> Body:
    canonical = dict(mapping(value, direction))
    if "cidr" in canonical:
        canonical["cidr"] = cidr(canonical["cidr"])
    if "except" in canonical:
        if excepted := sequence(canonical["except"], direction):
            canonical["except"] = as_set([cidr(one) for one in excepted])
        else:
            del canonical["except"]
    return canonical


def _port(port: object, direction: str) -> Body:
    if type(port) is not dict:
        raise MalformedObjectError(direction, "a port with protocol, port or endPort", port)
    canonical = {"protocol": "TCP", **port}
    if None in canonical.values():
        for key in _PORT_FIELDS:
            if key in canonical and canonical[key] is None:
                del canonical[key]
        canonical.setdefault("protocol", "TCP")
    return canonical
