"""Whom an object of Calico may concern, told from its selectors alone: for whoever must not overlook one.

What is known of an endpoint is its namespace with its labels; what a pod may carry is not. So a condition is true,
false, or open, and open counts as yes.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from driftd.policy.reach.calico_selectors import calico_selector
from driftd.policy.reach.inventory import NAME_LABEL
from driftd.policy.reach.selectors import (
    Always,
    And,
    Global,
    Has,
    In,
    LabelIndex,
    MalformedSelector,
    Not,
    Or,
    Selector,
    Text,
)
from driftd.values import Body

_NAMES: Final = frozenset({NAME_LABEL, "projectcalico.org/name"})


def may_select(policy: Body, namespaces: Mapping[str, Mapping[str, str]]) -> bool:
    """Whether a GlobalNetworkPolicy may apply to a pod in one of the namespaces (labels by name)."""
    spec = policy.get("spec") or {}
    if spec.get("preDNAT") or spec.get("doNotTrack"):
        return False  # these guard host endpoints
    try:
        pods = calico_selector(str(spec.get("selector") or ""))
        spaces = calico_selector(str(spec.get("namespaceSelector") or ""))
    except MalformedSelector:
        return True
    for name, labels in namespaces.items():
        home = {**labels, **dict.fromkeys(_NAMES, name)}
        pod = {"projectcalico.org/namespace": name, "projectcalico.org/orchestrator": "k8s"}
        if _holds(spaces, home) is not False and _holds(pods, pod) is not False:
            return True
    return False


def may_mean(policies: Iterable[Body], labels: Mapping[str, str], namespace: str = "") -> bool:
    """Whether a rule of these policies may find a network set by its labels; a global one has no `namespace`."""
    index = LabelIndex()
    index.add({**labels, **({"projectcalico.org/namespace": namespace} if namespace else {})})
    return any(
        _finds(end, index, namespaced=bool(namespace))
        for policy in policies
        for flow in ("ingress", "egress")
        for rule in (policy.get("spec") or {}).get(flow) or ()
        for end in (rule.get("source") or {}, rule.get("destination") or {})
    )


def _finds(end: Body, index: LabelIndex, *, namespaced: bool) -> bool:
    try:
        if end.get("notSelector") and index.match(calico_selector(str(end["notSelector"]))):
            return True
        if not (end.get("selector") or end.get("namespaceSelector") or end.get("serviceAccounts")):
            return False
        spaces = calico_selector(str(end.get("namespaceSelector") or ""))
        here = namespaced or not end.get("namespaceSelector") or _in_no_namespace(spaces)
        return here and bool(index.match(calico_selector(str(end.get("selector") or ""))))
    except MalformedSelector:
        return True


def _in_no_namespace(selector: Selector) -> bool:
    """Whether a selector over namespaces takes what stands in none: there `all()` means in any namespace at all."""
    match selector:
        case Global():
            return True
        case Not(inner):
            return not _in_no_namespace(inner)
        case And(parts):
            return all(map(_in_no_namespace, parts))
        case Or(parts):
            return any(map(_in_no_namespace, parts))
        case _:
            return False


def homes_of(policy: Body) -> frozenset[str] | None:
    """The namespaces by name that a GlobalNetworkPolicy is bound to; None where its namespaceSelector does not say."""
    text = str((policy.get("spec") or {}).get("namespaceSelector") or "")
    try:
        selector = calico_selector(text)
    except MalformedSelector:
        return None
    for part in selector.parts if isinstance(selector, And) else (selector,):
        if isinstance(part, In) and part.key in _NAMES:
            return frozenset(part.values)
    return None


def _holds(selector: Selector, known: Mapping[str, str]) -> bool | None:
    """True, false, or None where it depends on a label that is not known."""
    match selector:
        case Always():
            return True
        case Global():
            return False
        case Has(key):
            return True if key in known else None
        case In(key, values):
            return known[key] in values if key in known else None
        case Text(key, _, _):
            return None
        case Not(inner):
            held = _holds(inner, known)
            return None if held is None else not held
        case And(parts):
            found = [_holds(part, known) for part in parts]
            return False if False in found else None if None in found else True
        case Or(parts):
            found = [_holds(part, known) for part in parts]
            return True if True in found else None if None in found else False
