"""When two stored objects of a governed kind are in the same state: said naively, for every field there is.

What counts is the whole object without the fields listed here by name, each with the reason why it does not count. So a
field that nobody has thought of counts. What is left is read as the API documents say: lists whose order and doubles
mean nothing as sets, amounts by value, address ranges as networks, an empty part as an absent one where the documents
say so. Spellings that are documented as different fields (`In [x]` beside `matchLabels`) stay different.
Sources: kubernetes/api types of core/v1, networking/v1 and meta/v1; Calico's resource reference.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from ipaddress import ip_network
from typing import Any, TypeAlias

Body: TypeAlias = dict[str, Any]
KindId: TypeAlias = tuple[str, str]
"""Group and kind."""
Path: TypeAlias = tuple[str, ...]
"""Where a field stands in its kind's schema: `[]` is an element of a list, `*` a key that people choose."""

CALICO = "projectcalico.org"
NAMESPACE: KindId = ("", "Namespace")
ACCOUNT: KindId = ("", "ServiceAccount")
QUOTA: KindId = ("", "ResourceQuota")
LIMITS: KindId = ("", "LimitRange")
POLICY: KindId = ("networking.k8s.io", "NetworkPolicy")
TIER: KindId = (CALICO, "Tier")
SETS: tuple[KindId, ...] = ((CALICO, "NetworkSet"), (CALICO, "GlobalNetworkSet"))
TIERED: tuple[KindId, ...] = ((CALICO, "NetworkPolicy"), (CALICO, "GlobalNetworkPolicy"))

# -- what does not count ----------------------------------------------------------------------------------------------

SERVERS: Mapping[str, str] = {
    "apiVersion": "says where it was read",
    "kind": "identity",
    "metadata.name": "identity",
    "metadata.namespace": "identity",
    "metadata.generateName": "how the name was chosen, once",
    "metadata.uid": "the server's; driftd tells of a new one as a finding of its own",
    "metadata.resourceVersion": "the server's count of writes",
    "metadata.generation": "the server's count of changes",
    "metadata.creationTimestamp": "the server's clock",
    "metadata.deletionTimestamp": "a deletion under way is a finding of its own (terminating)",
    "metadata.deletionGracePeriodSeconds": "the same",
    "metadata.managedFields": "who wrote what, by their own account",
    "metadata.selfLink": "no longer filled in",
    "status": "what controllers count",
}
"""Fields that no writer of the object sets."""

FOREIGN: Mapping[str, str] = {
    "metadata.finalizers": "others' to set and to take off: a finding, never a repair",
}
"""Fields that others may set on an object of any kind."""

FOREIGN_OF: Mapping[KindId, Mapping[str, str]] = {
    ACCOUNT: {
        "metadata.ownerReferences": "the kind is open: one that is collected is made again",
        "metadata.labels": "who is let in by an account's labels is judged by its effect (relabelled)",
        "secrets": "what the tenant's pods may mount",
        "imagePullSecrets": "the tenant's registry",
    },
}
SERVERS_OF: Mapping[KindId, Mapping[str, str]] = {
    NAMESPACE: {"spec.finalizers": "written through the subresource finalize, by who finalizes namespaces"},
    ACCOUNT: {
        f"secrets.[].{name}": "the server keeps the name of a secret alone"
        for name in ("apiVersion", "fieldPath", "kind", "namespace", "resourceVersion", "uid")
    },
}


@cache
def why_not(kind: KindId, path: Path) -> str:
    """The reason why a field does not count; empty if it does."""
    return _listed(path, FOREIGN, FOREIGN_OF.get(kind, {})) or servers(kind, path)


@cache
def servers(kind: KindId, path: Path) -> str:
    """The reason why nobody who writes the object can set a field; empty if one can."""
    return _listed(path, SERVERS, SERVERS_OF.get(kind, {}))


def _listed(path: Path, *tables: Mapping[str, str]) -> str:
    heads = [".".join(path[:length]) for length in range(1, len(path) + 1)]
    return next((table[head] for table in tables for head in heads if head in table), "")


# -- labels and annotations -------------------------------------------------------------------------------------------

OURS = "driftd.dev/"
MARKS = frozenset({"driftd.dev/model", "driftd.dev/condemned"})
MESH = ("istio.io/", "linkerd.io/", "config.linkerd.io/", "config.alpha.linkerd.io/")
NAME = "kubernetes.io/metadata.name"


@dataclass(frozen=True)
class Named:
    """Keys of a Namespace that a model reads in selectors (labels), or names for it (labels and annotations)."""

    read: frozenset[str] = field(default_factory=frozenset)
    named: frozenset[str] = field(default_factory=frozenset)


def label_counts(kind: KindId, key: str, named: Named) -> bool:
    """Whether a label's value is part of the state."""
    if kind in SETS:
        return True  # rules find a set by its labels
    if kind == NAMESPACE:
        decides = key.startswith((OURS, "pod-security.kubernetes.io/", *MESH)) or key in ("istio-injection", NAME)
        return decides or key in named.read | named.named
    return kind != ACCOUNT and key.startswith(OURS)


def annotation_counts(kind: KindId, key: str, named: Named) -> bool:
    """The same for an annotation."""
    return key in MARKS or (kind == NAMESPACE and (key.startswith(MESH) or key in named.named))


# -- reading ----------------------------------------------------------------------------------------------------------


def meaning(kind: KindId, body: Body, named: Named) -> Any:
    """The state of a stored object as a value that can be compared and be a key."""
    return _freeze(_of_map(kind, (), _counting(kind, body, named)))


def _counting(kind: KindId, body: Body, named: Named) -> Body:
    metadata = body["metadata"]
    labels = {key: value for key, value in (metadata.get("labels") or {}).items() if label_counts(kind, key, named)}
    notes = {
        key: value for key, value in (metadata.get("annotations") or {}).items() if annotation_counts(kind, key, named)
    }
    if kind == NAMESPACE:
        labels[NAME] = metadata["name"]
    spec = {} if kind in (NAMESPACE, ACCOUNT) else {"spec": body.get("spec") or {}}
    return {**body, **spec, "metadata": {**metadata, "labels": labels, "annotations": notes}}


def _of_map(kind: KindId, path: Path, found: Body) -> Body:
    people = _keys_are_chosen(path)
    state = {}
    for key, value in found.items():
        place = (*path, "*" if people else key)
        if why_not(kind, place):
            continue
        read = _of(kind, place, value)
        if people or not _silent(kind, place, read):
            state[key] = read
    return _DEFAULTS.get(kind, _as_it_is)(path, state)


def _of(kind: KindId, path: Path, value: Any) -> Any:
    if isinstance(value, dict):
        return _of_map(kind, path, value)
    if isinstance(value, list):
        elements = [_of(kind, (*path, "[]"), one) for one in value]
        ordered = kind in TIERED and path in (("spec", "ingress"), ("spec", "egress"))
        return elements if ordered else frozenset(map(_freeze, elements))
    if path[-1] == "*" and path[-2] in ("hard", "max", "min", "default", "defaultRequest", "maxLimitRequestRatio"):
        return amount(str(value))
    if isinstance(value, str):
        return _of_text(kind, path, value)
    return value if value is None else (type(value) is bool, value)  # True is not 1, and 1.0 is 1


def _of_text(kind: KindId, path: Path, text: str) -> Any:
    last = path[-2] if path[-1] == "[]" else path[-1]
    if last in ("cidr", "except", "nets", "notNets") and "/" in text:
        return ip_network(text, strict=False)
    if kind in TIERED:
        if last in ("selector", "notSelector", "namespaceSelector", "serviceAccountSelector"):
            return text.strip(" \t")
        if last in ("ports", "notPorts") and text.isdigit():
            return (False, int(text))
    return text


def _keys_are_chosen(path: Path) -> bool:
    chosen = ("labels", "annotations", "matchLabels", "hard", "max", "min", "default", "defaultRequest")
    return bool(path) and path[-1] in (*chosen, "maxLimitRequestRatio")


def _silent(kind: KindId, path: Path, read: Any) -> bool:
    """Whether a part says no more than its absence does."""
    if read is None or read in ([], frozenset()):
        return True
    if read == {}:
        if kind == POLICY and path[-1] in ("podSelector", "namespaceSelector"):
            return path == ("spec", "podSelector")  # of a peer, an empty one is everybody, an absent one is not
        return path[-1] != "http"  # a rule with a match of requests is decided above layer 4, whatever it matches
    flags = ("preDNAT", "doNotTrack", "applyOnForward")
    return kind in TIERED and (read == "" or (path[-1] in flags and read == (True, False)))


def _as_it_is(path: Path, state: Body) -> Body:
    del path
    return state


def _of_policy(path: Path, state: Body) -> Body:
    """What Felix takes a stored policy for that leaves out tier, selector and types."""
    if path != ("spec",):
        return state
    return {"tier": "default", "selector": "all()", "types": frozenset({"Ingress", "Egress"}), **state}


def _of_tier(path: Path, state: Body) -> Body:
    return {"defaultAction": "Deny", **state} if path == ("spec",) else state


def _of_account(path: Path, state: Body) -> Body:
    """Pods mount a token unless told otherwise."""
    return state if path else {"automountServiceAccountToken": (True, True), **state}


_DEFAULTS: Mapping[KindId, Callable[[Path, Body], Body]] = {
    **dict.fromkeys(TIERED, _of_policy),
    TIER: _of_tier,
    ACCOUNT: _of_account,
}

_UNITS = {"n": Fraction(1, 10**9), "u": Fraction(1, 10**6), "m": Fraction(1, 1000), "": Fraction(1)}
_UNITS |= {one: Fraction(1000 ** (power + 1)) for power, one in enumerate("kMGTPE")}
_UNITS |= {f"{one}i": Fraction(1024 ** (power + 1)) for power, one in enumerate("KMGTPE")}


def amount(text: str) -> Fraction:
    """The value of a quantity."""
    found = re.fullmatch(r"([+-]?[0-9.]+)([eE][+-]?[0-9]+)?([a-zA-Z]*)", text)
    assert found, f"not a quantity: {text}"
    number, exponent, unit = found.groups()
    return Fraction(number + (exponent or "")) * _UNITS[unit]


def _freeze(value: Any) -> Any:
    if isinstance(value, dict):
        return frozenset((key, _freeze(part)) for key, part in value.items())
    return tuple(map(_freeze, value)) if isinstance(value, list) else value
