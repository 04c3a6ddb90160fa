"""Tightening steps for NetworkPolicies: what a plan writes on the way so that no moment is looser than before or after.

The law (docs/architecture.md, "Never looser"): a cut keeps the selection and the directions of the live policy and a
subset of its rules, so whatever else stands in the namespace, the flows after it are a subset of the flows before.
"""

from typing import Any

from driftd.policy.kinds.canonical import canonical_bytes, mapping, sequence
from driftd.policy.kinds.network_policy import NetworkPolicyKind, canonical_rule, policy_types
from driftd.policy.kinds.selectors import selector
from driftd.values import Body

_KIND = NetworkPolicyKind()
DIRECTIONS = ("ingress", "egress")
_KNOWN = {"podSelector", "policyTypes", *DIRECTIONS}


def rules(covered: Body, direction: str) -> tuple[Body, ...]:
    """The canonical rules of a covered NetworkPolicy in one direction, `ingress` or `egress`."""
    return tuple(covered["spec"][direction])


def isolates_only(covered: Body) -> bool:
    """Whether the covered NetworkPolicy is known to allow nothing itself: creating it can only tighten."""
    spec = covered["spec"]
    return not spec["ingress"] and not spec["egress"] and spec.keys() == _KNOWN


def cut(live: Body, desired: Body) -> Body:
    """`live` with only those rules that stand in `desired` too; with none if the selection differs.

    Directions are written out as they apply now. Fields unknown to us stay: what they do is not changed by halves.
    Metadata is the live object's: the writer adds the epoch.
    """
    body = _KIND.as_written(live)
    spec = mapping(live.get("spec"), "spec")
    wanted = mapping(desired.get("spec"), "spec")
    kept: Body = {**spec, "policyTypes": policy_types(spec)}
    same = _selection(spec) == _selection(wanted)
    for direction in DIRECTIONS:
        kept.pop(direction, None)
        if same and (found := _common(spec, wanted, direction)):
            kept[direction] = found
    body["spec"] = kept
    return body


def _selection(spec: Body) -> bytes:
    return canonical_bytes(selector(spec.get("podSelector"), "spec.podSelector"))


def _common(live: Body, desired: Body, direction: str) -> list[Any]:
    """The live rules, as they are written, that are canonically equal to one of the desired."""

    def name(rule: object) -> bytes:
        return canonical_bytes(canonical_rule(rule, direction))

    wanted = {name(rule) for rule in sequence(desired.get(direction), direction)}
    return [rule for rule in sequence(live.get(direction), direction) if name(rule) in wanted]
