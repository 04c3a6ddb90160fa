"""Rules of Calico's policies: their canonical form, and the words for them in reports.

Rules are a list in order, and the first that matches decides; within a rule everything given must hold, and the entries
of a field (`nets`, `ports`, `names`) are a set. A field that is empty says nothing, so it is left out: Calico's API
server writes `source: {}` where its CRDs do not. Selectors stay as they are spelled, like all texts.
Source: `api/pkg/apis/projectcalico/v3/globalnetworkpolicy.go` (Rule, EntityRule) and `numorstring`.
"""

from collections.abc import Iterable
from typing import Any

from driftd.policy.kinds.addresses import cidr
from driftd.policy.kinds.canonical import MalformedObjectError, as_set, by_text, mapping, sequence
from driftd.values import Body

_SETS = frozenset({"nets", "notNets", "ports", "notPorts"})
_SELECTORS = ("selector", "namespaceSelector", "notSelector")
_LONGEST = 160
_FEW = 3


def canonical_rules(value: object, where: str) -> list[Any]:
    """The rules of one direction in their order."""
    return [canonical_rule(rule, where) for rule in sequence(value, where)]


def canonical_rule(rule: object, where: str) -> Body:
    """One rule without what says nothing, its sets sorted; unknown fields word for word."""
    if type(rule) is not dict:
        raise MalformedObjectError(where, "a rule (a map with an action)", rule)
    canonical: Body = {}
    for key, value in rule.items():
        if _says_nothing(value):
            continue
        canonical[key] = value
        if key in ("source", "destination"):
            canonical[key] = _entity(value, f"{where}.{key}")
            if not canonical[key]:
                del canonical[key]
        elif key == "http":
            http = {field: _set(part, f"{where}.http") for field, part in mapping(value, where).items()}
            canonical[key] = http
    return canonical


def _entity(value: object, where: str) -> Body:
    canonical: Body = {}
    for key, part in mapping(value, where).items():
        if _says_nothing(part):
            continue
        if key in _SETS:
            canonical[key] = as_set([_entry(one) for one in sequence(part, f"{where}.{key}")])
        elif key == "serviceAccounts":
            accounts = {
                field: _set(found, f"{where}.{key}")
                for field, found in mapping(part, where).items()
                if not _says_nothing(found)
            }
            if accounts:
                canonical[key] = accounts
        else:
            canonical[key] = part.strip(" \t") if key in _SELECTORS and type(part) is str else part
    return canonical


def _entry(one: object) -> object:
    """A CIDR, or a port: the API takes the digits of a port as a number or as a text."""
    if type(one) is not str:
        return one
    return int(one) if one.isascii() and one.isdigit() and len(one) <= 5 else cidr(one)


def _set(part: object, where: str) -> object:
    return as_set(sequence(part, where)) if type(part) is list else part


def _says_nothing(value: object) -> bool:
    return value is None or value in ("", [], {})


def keyed_rules(rules: list[Any], peers: str) -> tuple[Body, str]:
    """Canonical rules as a map keyed by their words, and their order as one text; `peers`: source or destination."""
    texts = [rule_text(rule, peers) for rule in rules]
    return by_text(zip(texts, rules, strict=True)), " > ".join(texts)


def rule_text(rule: Body, peers: str) -> str:
    """The words for one canonical rule: `Deny has(x) in namespaces …: TCP 80`."""
    other = "destination" if peers == "source" else "source"
    who = _entity_text(rule.get(peers, {}))
    near = _entity_text({key: part for key, part in rule.get(other, {}).items() if key != "ports"})
    towards = f" at {near}" if near != "anybody" else ""
    known = {"action", "protocol", "source", "destination"}
    more = "…" if rule.keys() - known else ""
    text = f"{rule.get('action')} {who}{towards}: {_traffic(rule)}{more}"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _entity_text(entity: Body) -> str:
    words = [str(entity[key]) if key == "selector" else f"{key} {entity[key]}" for key in _SELECTORS if key in entity]
    words += [f"{key} {_some(entity[key])}" for key in ("nets", "notNets") if key in entity]
    for key in ("serviceAccounts", "services"):
        if key in entity:
            words.append(f"{key} {_some(f'{name} {value}' for name, value in sorted(entity[key].items()))}")
    return " and ".join(words) or "anybody"


def _traffic(rule: Body) -> str:
    protocol = rule.get("protocol", "any protocol")
    ports = rule.get("destination", {}).get("ports")
    named = {"ports", *_SELECTORS, "nets", "notNets", "serviceAccounts", "services"}
    more = "…" if any(rule.get(end, {}).keys() - named for end in ("source", "destination")) else ""
    return f"{protocol} {_some(ports)}{more}" if ports else f"{protocol}{more}"


def _some(entries: Iterable[object]) -> str:
    listed = [str(one) for one in entries]
    return " ".join(listed) if len(listed) <= _FEW else f"{' '.join(listed[:_FEW])} and {len(listed) - _FEW} more…"
