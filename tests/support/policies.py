"""Hypothesis strategies for NetworkPolicies that an API server would store, and for changes to them."""

import copy
from typing import Any

from hypothesis import strategies as st

Json = dict[str, Any]

KEYS = ("app", "tier", "kubernetes.io/metadata.name")
VALUES = ("web", "api", "db")
RANGES = {
    "10.0.0.0/8": ("10.1.0.0/16", "10.2.0.0/16"),
    "0.0.0.0/0": ("10.0.0.0/8", "169.254.0.0/16"),
    "2000::/3": ("2002::/16",),
    "203.0.113.8/32": (),
}

labels = st.dictionaries(st.sampled_from(KEYS), st.sampled_from(VALUES), max_size=2)


@st.composite
def expressions(draw: st.DrawFn) -> Json:
    operator = draw(st.sampled_from(("In", "NotIn", "Exists", "DoesNotExist")))
    found: Json = {"key": draw(st.sampled_from(KEYS)), "operator": operator}
    if operator in ("In", "NotIn"):
        found["values"] = draw(st.lists(st.sampled_from(VALUES), min_size=1, max_size=3))
    return found


@st.composite
def selectors(draw: st.DrawFn) -> Json:
    found: Json = {}
    if draw(st.booleans()):
        found["matchLabels"] = draw(labels)
    if draw(st.booleans()):
        found["matchExpressions"] = draw(st.lists(expressions(), max_size=2))
    return found


@st.composite
def blocks(draw: st.DrawFn) -> Json:
    cidr = draw(st.sampled_from(sorted(RANGES)))
    found: Json = {"cidr": cidr}
    if draw(st.booleans()) and RANGES[cidr]:
        found["except"] = draw(st.lists(st.sampled_from(list(RANGES[cidr])), max_size=2))
    return found


@st.composite
def peers(draw: st.DrawFn) -> Json:
    which = draw(st.sampled_from(("pods", "namespaces", "both", "block")))
    if which == "block":
        return {"ipBlock": draw(blocks())}
    found: Json = {}
    if which in ("pods", "both"):
        found["podSelector"] = draw(selectors())
    if which in ("namespaces", "both"):
        found["namespaceSelector"] = draw(selectors())
    return found


@st.composite
def ports(draw: st.DrawFn) -> Json:
    found: Json = {}
    if draw(st.booleans()):
        found["protocol"] = draw(st.sampled_from(("TCP", "UDP", "SCTP")))
    which: str = draw(st.sampled_from(("none", "number", "name", "range")))
    if which == "name":
        found["port"] = draw(st.sampled_from(("http", "dns")))
    elif which != "none":
        found["port"] = draw(st.sampled_from((53, 80, 8080)))
    if which == "range":
        found["endPort"] = found["port"] + draw(st.sampled_from((0, 10)))
    return found


@st.composite
def rules(draw: st.DrawFn, side: str) -> Json:
    found: Json = {}
    if draw(st.booleans()):
        found[side] = draw(st.lists(peers(), max_size=2))
    if draw(st.booleans()):
        found["ports"] = draw(st.lists(ports(), max_size=2))
    return found


@st.composite
def specs(draw: st.DrawFn) -> Json:
    found: Json = {"podSelector": draw(selectors())}
    if draw(st.booleans()):
        found["policyTypes"] = draw(st.lists(st.sampled_from(("Ingress", "Egress")), unique=True, max_size=2))
    if draw(st.booleans()):
        found["ingress"] = draw(st.lists(rules("from"), max_size=3))
    if draw(st.booleans()):
        found["egress"] = draw(st.lists(rules("to"), max_size=3))
    return found


def policy(spec: Json, name: str = "subject", namespace: str = "acme-prod") -> Json:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }


@st.composite
def changed(draw: st.DrawFn, spec: Json) -> Json:
    """One small edit anywhere in a spec: a list element gone, doubled, moved or new, a key gone, a value replaced."""
    edited = copy.deepcopy(spec)
    places = list(_places(edited))
    if not places:
        return edited
    holder, key = draw(st.sampled_from(places))
    value = holder[key]
    if isinstance(value, list) and draw(st.booleans()):
        how = draw(st.sampled_from(("reverse", "double", "empty")))
        holder[key] = {"reverse": value[::-1], "double": value + value[:1], "empty": []}[how]
    elif isinstance(value, str | int) and draw(st.booleans()):
        holder[key] = draw(st.sampled_from(_like(key, value)))
    else:
        del holder[key]
    return edited


def _like(key: Any, value: Any) -> tuple[Any, ...]:
    if isinstance(value, int):
        return (53, 80, 8080)
    if key == "protocol":
        return ("TCP", "UDP", "SCTP")
    if key == "operator":
        return ("In", "NotIn", "Exists", "DoesNotExist")
    if "/" in value:
        return ("10.3.0.0/16", "10.1.0.0/16")
    if value in ("Ingress", "Egress"):
        return ("Ingress", "Egress")
    return VALUES


def _places(value: Any) -> Any:
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in list(entries):
        yield value, key
        yield from _places(inner)


def meaning(spec: Json) -> Any:
    """The rules of equality said naively, with sets instead of sorting."""

    def selector(found: Json) -> Any:
        matched = frozenset(found.get("matchLabels", {}).items())
        required = frozenset(
            (one.get("key"), one.get("operator"), frozenset(one.get("values", ())))
            for one in found.get("matchExpressions", ())
        )
        return matched, required

    def peer(found: Json) -> Any:
        block = found.get("ipBlock")
        return (
            selector(found["podSelector"]) if "podSelector" in found else None,
            selector(found["namespaceSelector"]) if "namespaceSelector" in found else None,
            (block.get("cidr"), frozenset(block.get("except", ()))) if block is not None else None,
        )

    def port(found: Json) -> Any:
        return found.get("protocol", "TCP"), found.get("port"), found.get("endPort")

    def rules(direction: str, side: str) -> Any:
        return frozenset(
            (frozenset(map(peer, rule.get(side, ()))), frozenset(map(port, rule.get("ports", ()))))
            for rule in spec.get(direction, ())
        )

    types = frozenset(spec.get("policyTypes") or (["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]))
    return selector(spec.get("podSelector", {})), types, rules("ingress", "from"), rules("egress", "to")
