"""Calico's NetworkPolicy and GlobalNetworkPolicy: identity, canonical form, and what empties them.

The defaults differ from Kubernetes' own: a policy with egress rules alone isolates egress alone. They are filled in
by Calico's API; an object that was written to the storage CRDs past that API and says no `types` is enforced both ways,
so the form depends on the group it was read from. The order of rules is their meaning and is kept.
Source: `api/pkg/defaults/networkpolicy.go`, `felix/calc/policy_sorter.go`; facts in network-policy.md 1.3.
"""

from typing import Any, ClassVar

from driftd.policy.kinds.calico_names import CALICO, STORAGE
from driftd.policy.kinds.calico_rules import canonical_rules, keyed_rules
from driftd.policy.kinds.canonical import MalformedObjectError, as_set, by_text, mapping, sequence
from driftd.policy.kinds.kind import Coverage
from driftd.policy.kinds.whole_spec import WholeSpec
from driftd.values import Body, Resource

DEFAULT_TIER = "default"
_FLAGS = ("preDNAT", "doNotTrack", "applyOnForward")
_OPTIONAL = ("namespaceSelector", "serviceAccountSelector")
_CLOSING = ("Deny",)
_LAST_INTEGER = 2**53


class CalicoPolicy(WholeSpec):
    """What the two kinds share: all but the scope."""

    dialect: ClassVar[str] = "calico"

    def covered(self, body: Body, coverage: Coverage) -> Body:
        return super().covered(written_out(body), coverage)

    def emptied(self, live: Body) -> Body:
        """The same policy with nothing but its denials: it selects and isolates as before, and lets nothing through.

        Neither Allow nor Pass: a Pass takes a connection past the rest of its tier.
        """
        return super().emptied(written_out(live))

    def canonical_spec(self, spec: Body) -> Body:
        canonical: Body = {
            "tier": _text(spec, "tier") or DEFAULT_TIER,
            "selector": _text(spec, "selector") or "all()",
            "types": as_set(sequence(spec.get("types"), "spec.types")),
            "ingress": canonical_rules(spec.get("ingress"), "spec.ingress"),
            "egress": canonical_rules(spec.get("egress"), "spec.egress"),
        }
        if spec.get("order") is not None:
            canonical["order"] = order(spec["order"])
        for key, value in spec.items():
            if key in canonical or key == "order":
                continue
            if key in _OPTIONAL:
                if said := _text(spec, key):
                    canonical[key] = said
            elif key in _FLAGS:
                if value:
                    canonical[key] = value
            elif key == "performanceHints":
                if hints := sequence(value, "spec.performanceHints"):
                    canonical[key] = as_set(hints)
            else:
                canonical[key] = value
        return canonical

    def keyed_spec(self, canonical: Body) -> Body:
        keyed = {**canonical, "types": by_text((str(name), True) for name in canonical["types"])}
        for direction, peers in (("ingress", "source"), ("egress", "destination")):
            rules, sequence_ = keyed_rules(canonical[direction], peers)
            keyed[direction] = rules
            keyed[f"{direction} order"] = sequence_
        return keyed

    def emptied_spec(self, spec: Body) -> Body:
        kept = {key: value for key, value in spec.items() if key not in ("ingress", "egress")}
        for direction in ("ingress", "egress"):
            rules = sequence(spec.get(direction), f"spec.{direction}")
            closing = [rule for rule in rules if mapping(rule, direction).get("action") in _CLOSING]
            if closing:
                kept[direction] = closing
        return kept


class CalicoNetworkPolicyKind(CalicoPolicy):
    """The namespaced kind as the registry holds it."""

    resource = Resource(CALICO, "v3", "NetworkPolicy", "networkpolicies")
    rank = 12


class GlobalNetworkPolicyKind(CalicoPolicy):
    """The cluster-wide kind as the registry holds it."""

    resource = Resource(CALICO, "v3", "GlobalNetworkPolicy", "globalnetworkpolicies", namespaced=False)
    rank = 11


def written_out(body: Body) -> Body:
    """The policy with tier and types said, as the group it was read from fills them in."""
    spec = mapping(body.get("spec"), "spec")
    types = spec.get("types") or default_types(spec, stored=str(body.get("apiVersion", "")).startswith(STORAGE))
    return {**body, "spec": {**spec, "tier": spec.get("tier") or DEFAULT_TIER, "types": types}}


def default_types(spec: Body, *, stored: bool) -> list[Any]:
    """Directions of a policy that names none; `stored`: nobody filled in a default, and Felix reads both."""
    if stored:
        return ["Egress", "Ingress"]
    if not spec.get("egress"):
        return ["Ingress"]
    return ["Egress", "Ingress"] if spec.get("ingress") else ["Egress"]


def order(value: object) -> int | float:
    """An order in one spelling: a whole number without its point, as far as a float can tell whole numbers apart.

    Calico reads it as a float, and its CRDs let 1e300 in: no JSON writer has an integer for that.
    """
    if type(value) not in (int, float):
        raise MalformedObjectError("spec.order", "a number", value)
    number = float(value)  # type: ignore[arg-type]
    return int(number) if number.is_integer() and abs(number) <= _LAST_INTEGER else number


def _text(spec: Body, key: str) -> str:
    value = spec.get(key)
    if value is not None and type(value) is not str:
        raise MalformedObjectError(f"spec.{key}", "a text", value)
    return (value or "").strip(" \t")
