"""Cuts of Calico's policies: what they are written to on the way, so that nothing opens while several are repaired.

A connection walks through ordered tiers and policies, and the first rule that matches decides, so an allowance does not
add up as with NetworkPolicies. Two facts carry all that is done here, for one end of a connection:

* a policy that only denies, at its place or an earlier one, leaves a subset of what was open before, whatever else
  stands in the walk: up to that place nothing changes, and what is denied there was open at most;
* as long as everything that is not yet canonical only denies, at or before its canonical place and for at least its
  canonical pods, what is open is a subset of what the canonical walk opens.

Specs are covered (canonical) ones. Order: `stages.py`; the walk: `felix/calc/policy_sorter.go`, network-policy.md 1.3.
"""

from difflib import SequenceMatcher
from math import inf

from driftd.policy.kinds import canonical_bytes
from driftd.values import Body

_FLOWS = {"Ingress": "ingress", "Egress": "egress"}
_RULES = frozenset(_FLOWS.values())
_NARROWING = ("selector", "namespaceSelector", "serviceAccountSelector")
_MOST_RULES = 400
"""Rules of one direction that are laid beside each other. Beyond it a policy is closed for a moment instead."""
_CLOSED: Body = {"action": "Deny"}


def opens(spec: Body) -> bool:
    """Whether a rule of the policy allows."""
    return any(rule.get("action") not in ("Deny", "Pass", "Log") for flow in _RULES for rule in spec[flow])


def passes(spec: Body) -> bool:
    """Whether a rule takes connections past the rest of the tier."""
    return any(rule.get("action") == "Pass" for flow in _RULES for rule in spec[flow])


def changes_tier(live: Body, desired: Body) -> bool:
    """Whether the live policy stands in another tier than the canonical one."""
    return bool(live["tier"] != desired["tier"])


def only_shrinks(live: Body, desired: Body) -> bool:
    """Whether writing the canonical policy over the live one opens nothing, whatever else stands in the walk.

    Place, pods and directions are the same, rules too many only allow (or log), and rules that are back only deny.
    """
    if _without_rules(live) != _without_rules(desired):
        return False
    return all(_rules_shrink(live[flow], desired[flow]) for flow in _RULES)


def _rules_shrink(live: list[Body], desired: list[Body]) -> bool:
    if max(len(live), len(desired)) > _MOST_RULES:
        return False
    have, want = ([canonical_bytes(rule) for rule in rules] for rules in (live, desired))
    for what, a, b, c, d in SequenceMatcher(None, have, want, autojunk=False).get_opcodes():
        if what == "equal":
            continue
        if any(rule.get("action") not in ("Allow", "Log") for rule in live[a:b]):
            return False
        if any(rule.get("action") not in ("Deny", "Log") for rule in desired[c:d]):
            return False
    return True


def _without_rules(spec: Body) -> bytes:
    return canonical_bytes({key: value for key, value in spec.items() if key not in _RULES})


def closed(desired: Body, live: Body | None = None) -> Body:
    """The policy that denies everything to the pods of both, at the earlier of their places in the live tier.

    Where both narrow a field in another way, the result takes the pods of either; it never takes more pods than that
    widening field by field.
    """
    types = sorted({*desired["types"], *(live["types"] if live else ())})
    spec: Body = {key: value for key, value in desired.items() if key not in _RULES}
    spec["types"] = types
    if live is not None:
        spec["tier"] = live["tier"]
        place = min(_place(live), _place(desired))
        spec.pop("order", None)
        if place != inf:
            spec["order"] = place
        for key in _NARROWING:
            widened = _either(live.get(key), desired.get(key))
            if widened is None:
                spec.pop(key, None)
            else:
                spec[key] = widened
    return {**spec, **{flow: [_CLOSED] if name in types else [] for name, flow in _FLOWS.items()}}


def is_closed(live: Body, desired: Body) -> bool:
    """Whether a live policy denies everything to the pods of the canonical one already, early enough."""
    if live["tier"] != desired["tier"] or _place(live) > _place(desired) or not {*desired["types"]} <= {*live["types"]}:
        return False
    if any(live[flow][:1] != [_CLOSED] for name, flow in _FLOWS.items() if name in live["types"]):
        return False
    if {key: live[key] for key in live.keys() - _SETTLED} != {key: desired[key] for key in desired.keys() - _SETTLED}:
        return False
    return all(_covers(live.get(key), desired.get(key)) for key in _NARROWING)


_SETTLED = frozenset({"tier", "order", "types", *_RULES, *_NARROWING})


def denying(live: Body) -> Body:
    """A policy that the model lacks, with nothing but denials: what it passed on is denied as well."""
    rules = {
        flow: [
            {**rule, "action": "Deny"} if rule.get("action") == "Pass" else rule for rule in live[flow] if _kept(rule)
        ]
        for flow in _RULES
    }
    return {**live, **rules}


def _kept(rule: Body) -> bool:
    return rule.get("action") in ("Deny", "Pass")


def _place(spec: Body) -> float:
    order: float | None = spec.get("order")
    return inf if order is None else order


def _either(one: str | None, other: str | None) -> str | None:
    """A selector for what either takes; None, which takes everything, where one of them does."""
    if one is None or other is None:
        return None
    return one if one == other else f"({one}) || ({other})"


def _covers(live: str | None, desired: str | None) -> bool:
    return live is None or live == desired or (desired is not None and live.endswith(f" || ({desired})"))
