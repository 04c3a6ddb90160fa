"""Whom an object of Calico may concern, told from its selectors alone: for whoever must not overlook one.

What is known of an endpoint is its namespace with its labels; what a pod may carry is not. So a condition is true,
false, or open, and open counts as yes.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from driftd.policy.reach.calico_selectors import calico_selector
from driftd.policy.reach.inventory import NAME_LABEL
from driftd.policy.reach.relation import positions
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
    return bool(meant(policies, ((namespace, labels),)))


def meant(policies: Iterable[Body], sets: Iterable[tuple[str, Mapping[str, str]]]) -> frozenset[int]:
    """Which of several network sets, each given by its namespace and labels, a rule of these policies may find."""
    spaced, wide = LabelIndex(), LabelIndex()
    for number, (namespace, labels) in enumerate(sets):
        if namespace:
            spaced.put(number, {**labels, "projectcalico.org/namespace": namespace})
        else:
            wide.put(number, labels)
    # Most rules of a platform are of one pattern, so what they look for is looked up once.
    ends = {
        tuple(str(end.get(field) or "") for field in _FINDING)
        for policy in policies
        for end in _ends(policy)
        if any(end.get(field) for field in _FINDING)
    }
    found = 0
    for one in ends:
        found |= _found(one, spaced, namespaced=True) | _found(one, wide, namespaced=False)
    return frozenset(positions(found))


def services_of(policy: Body) -> frozenset[tuple[str, str]]:
    """The Services that rules of a policy of Calico's go by, each by namespace and name."""
    metadata = policy.get("metadata") or {}
    home = str(metadata.get("namespace") or "default")
    return frozenset(
        (str(named.get("namespace") or home), str(named.get("name") or ""))
        for end in _ends(policy)
        if (named := end.get("services"))
    )


_FINDING: Final = ("selector", "notSelector", "namespaceSelector", "serviceAccounts")


def _ends(policy: Body) -> Iterator[Body]:
    for flow in ("ingress", "egress"):
        for rule in (policy.get("spec") or {}).get(flow) or ():
            yield from (rule[end] for end in ("source", "destination") if rule.get(end))


def _found(end: tuple[str, ...], index: LabelIndex, *, namespaced: bool) -> int:
    selector, excluded, spaces, accounts = end
    try:
        found = index.match(calico_selector(excluded)) if excluded else 0
        if not (selector or spaces or accounts):
            return found
        here = namespaced or not spaces or _in_no_namespace(calico_selector(spaces))
        return found | (index.match(calico_selector(selector)) if here else 0)
    except MalformedSelector:
        return index.everything


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
