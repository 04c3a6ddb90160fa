"""One short sentence for one difference, in the words of whoever keeps the cluster."""

from collections.abc import Sequence
from typing import Any

from driftd.drift.words import shown
from driftd.policy.kinds import canonical_bytes
from driftd.values import CONDEMNED, PROVENANCE

_POD_SECURITY = "pod-security.kubernetes.io/"
_LEVELS = ("privileged", "baseline", "restricted")
_LONGEST_VALUE = 80
_TOWARDS = {"ingress": "from", "egress": "to"}


def sentence(path: Sequence[str], desired: Any, live: Any) -> str:
    """What happened at `path` of a rule-keyed canonical form; None is "not there"."""
    match list(path):
        case ["spec", *rest]:
            return _spec(rest, desired, live)
        case ["metadata", *rest]:
            return _metadata(rest, desired, live)
        case ["automountServiceAccountToken"]:
            return "its pods are given a token again" if live else "its pods are no longer given a token"
    return _field(path, desired, live)


def _spec(path: list[str], desired: Any, live: Any) -> str:
    match path:
        case [("ingress" | "egress") as direction, rule, *rest]:
            return _rule(direction, rule, rest, desired, live)
        case ["podSelector", *rest]:
            return _selector(rest, desired, live)
        case ["policyTypes", name]:
            way = _name(name.lower())
            return f"{way} is no longer isolated by it" if live is None else f"{way} is now isolated by it as well"
        case ["hard", resource]:
            return _entry(f"quota of {_name(resource)}", desired, live)
        case ["limits", type_, *rest]:
            return _entry(" ".join((f"limit for {_name(type_)}", *map(_name, rest))), desired, live)
    return _field(["spec", *path], desired, live)


def _metadata(path: list[str], desired: Any, live: Any) -> str:
    match path:
        case ["labels", key] if key.startswith(_POD_SECURITY):
            return _pod_security(key.removeprefix(_POD_SECURITY), desired, live)
        case ["annotations", key] if key == PROVENANCE:
            return f"the annotation that names its place in the model was {_done(desired, live)}"
        case ["annotations", key] if key == CONDEMNED:
            return f"the mark that condemns it was {_done(desired, live)}"
        case [("labels" | "annotations") as what, key]:
            return _entry(f"{what[:-1]} {_name(key)}", desired, live)
        case ["ownerReferences", *_] if desired is None:
            return "an owner was added: the garbage collector deletes the object when that owner is gone"
    return _field(["metadata", *path], desired, live)


def _field(path: Sequence[str], desired: Any, live: Any) -> str:
    return _entry(f"field {'.'.join(map(_name, path))}", desired, live)


def _rule(direction: str, rule: str, rest: Sequence[str], desired: Any, live: Any) -> str:
    who, _, what = rule.rpartition(": ")
    words = shown(f"{who} {what}" if who else rule)
    name = f"{direction} rule {_TOWARDS[direction]} {words}"
    if rest:
        return _entry(f"{'.'.join(_name(part) for part in rest)} of the {name}", desired, live)
    return f"{name} was {_done(desired, live)}"


def _selector(rest: Sequence[str], desired: Any, live: Any) -> str:
    key = _name(rest[-1]) if len(rest) > 1 else ""
    label = bool(rest) and rest[0] == "matchLabels" and len(rest) > 1
    ours, theirs = (
        (f"{key}={_value(side)}" if label else key or _value(side)) if side is not None else ""
        for side in (desired, live)
    )
    if desired is None:
        return f"podSelector now matches fewer pods (adds {theirs})"
    if live is None:
        return f"podSelector now matches more pods (drops {ours})"
    return f"podSelector now matches other pods ({ours} became {theirs})"


def _pod_security(key: str, desired: Any, live: Any) -> str:
    name = f"Pod Security {_name(key)}"
    if live is None:
        return f"{name} was removed (was {_value(desired)})"
    if desired is None:
        return f"{name} was set to {_value(live)}"
    if desired in _LEVELS and live in _LEVELS:
        way = "lowered" if _LEVELS.index(live) < _LEVELS.index(desired) else "raised"
        return f"{name} {way} from {desired} to {live}"
    return f"{name} changed from {_value(desired)} to {_value(live)}"


def _entry(name: str, desired: Any, live: Any) -> str:
    if desired is None and live is not None:
        return f"{name} was added ({_value(live)})"
    if live is None and desired is not None:
        return f"{name} was removed (was {_value(desired)})"
    return f"{name} changed from {_value(desired)} to {_value(live)}"


def _done(desired: Any, live: Any) -> str:
    if desired is None:
        return "added"
    return "removed" if live is None else "changed"


def _name(part: str) -> str:
    return shown(part, _LONGEST_VALUE)


def _value(value: Any) -> str:
    """A value in a sentence: text as it is, all else as compact JSON."""
    text = value if isinstance(value, str) else canonical_bytes(value).decode(errors="replace")
    return shown(text, _LONGEST_VALUE)
