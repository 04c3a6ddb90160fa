"""Cuts: what a NetworkPolicy is written to on the way, so that nothing opens while several of them are repaired.

The law, for any set of other policies beside it: the flows after a cut are a subset of those before, because it selects
at least what the live policy selects, isolates at least its directions, and allows only what both the live and the
canonical policy allow. And it selects and isolates at least what the canonical policy does, so when every policy that
differs has been cut, no pod is allowed more than the canonical policies allow it.
"""

from dataclasses import dataclass
from typing import Any

from driftd.policy.kinds import canonical_bytes
from driftd.values import Body

_PEERS = {"ingress": "from", "egress": "to"}
_TYPES = {"ingress": "Ingress", "egress": "Egress"}
_KNOWN = frozenset({"podSelector", "policyTypes", "ingress", "egress"})
_MOST_PAIRS = 1024
"""Pairs of differing rules that are intersected. Beyond it only equal rules are kept: tighter for a moment, and a
policy of thousands of foreign rules costs no more than one of ten."""


@dataclass(frozen=True, slots=True)
class Isolation:
    """Which pods a policy isolates, and in which directions. Each requirement narrows the pods further."""

    requirements: frozenset[bytes]
    types: frozenset[str]

    def reaches(self, other: "Isolation", direction: str) -> bool:
        """Whether this policy surely isolates every pod that `other` selects, in `direction` (`Ingress`, `Egress`)."""
        return direction in self.types and self.requirements <= other.requirements


def isolation(spec: Body) -> Isolation:
    """The isolation of a covered (canonical) NetworkPolicy spec."""
    return Isolation(frozenset(_requirements(spec["podSelector"])), frozenset(map(str, spec["policyTypes"])))


def cut_spec(live: Body, desired: Body) -> Body:
    """The spec of the cut between two covered specs, in their canonical form.

    It selects the pods of both: the requirements that the two selectors share, everything if they share none. It keeps
    rules only where both isolate the same pods in that direction, since a rule that is canonical for the pods of
    one selector is a hole for those of another.
    """
    same = canonical_bytes(live["podSelector"]) == canonical_bytes(desired["podSelector"])
    same = same and _unknown_parts(live) == _unknown_parts(desired)
    spec: Body = {key: value for key, value in desired.items() if key not in _KNOWN}
    spec["podSelector"] = live["podSelector"] if same else _shared(live["podSelector"], desired["podSelector"])
    spec["policyTypes"] = sorted({*live["policyTypes"], *desired["policyTypes"]})
    for direction, name in _TYPES.items():
        both = same and name in live["policyTypes"] and name in desired["policyTypes"]
        spec[direction] = _met(live[direction], desired[direction], _PEERS[direction]) if both else []
    return spec


def _requirements(selector: Body) -> dict[bytes, tuple[str, Any]]:
    found: dict[bytes, tuple[str, Any]] = {}
    for key, part in selector.items():
        if key == "matchLabels":
            entries: list[Any] = [{name: value} for name, value in part.items()]
        else:
            entries = part if isinstance(part, list) else [part]
        for entry in entries:
            found[canonical_bytes([key, entry])] = (key, entry)
    return found


def _shared(one: Body, other: Body) -> Body:
    """The narrowest selector that is known to select the pods of both."""
    theirs = _requirements(other)
    shared: Body = {}
    for name, (key, entry) in _requirements(one).items():
        if name not in theirs:
            continue
        if key == "matchLabels":
            shared.setdefault(key, {}).update(entry)
        elif key == "matchExpressions":
            shared.setdefault(key, []).append(entry)
    return shared


def _unknown_parts(spec: Body) -> bytes:
    return canonical_bytes({key: value for key, value in spec.items() if key not in _KNOWN})


def _met(live: list[Any], desired: list[Any], peers: str) -> list[Any]:
    """Rules that allow what both lists allow, or less."""
    mine = {canonical_bytes(rule): rule for rule in live}
    wanted = {canonical_bytes(rule): rule for rule in desired}
    kept = {name: rule for name, rule in mine.items() if name in wanted}
    rest = [rule for name, rule in mine.items() if name not in kept]
    goals = [rule for name, rule in wanted.items() if name not in kept]
    if len(rest) * len(goals) <= _MOST_PAIRS:
        for rule in rest:
            for goal in goals:
                met = _meet(rule, goal, peers)
                if met is not None:
                    kept[canonical_bytes(met)] = met
    return [kept[name] for name in sorted(kept)]


def _meet(one: Body, other: Body, peers: str) -> Body | None:
    """The rule for what two rules both allow, None for nothing. An absent list means all of it."""
    if (one.keys() | other.keys()) - {peers, "ports"}:
        return None  # a field that nobody here understands
    met: Body = {}
    for key in (peers, "ports"):
        if key in one and key in other:
            theirs = {canonical_bytes(item) for item in other[key]}
            met[key] = [item for item in one[key] if canonical_bytes(item) in theirs]
            if not met[key]:
                return None
        elif key in one or key in other:
            met[key] = one.get(key, other.get(key))
    return met
