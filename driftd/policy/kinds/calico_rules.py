"""Rules of Calico's policies: their canonical form, and the words for them in reports.

Rules are a list in order, and the first that matches decides; within a rule everything given must hold, and the entries
of a field (`nets`, `ports`, `names`) are a set. A field that is empty says nothing, so it is left out: Calico's API
server writes `source: {}` where its CRDs do not. Only `http` says something by being there: a match of requests that
names none is one all the same, and hands the rule to a proxy above layer 4. Selectors stay as they are spelled.
Source: `api/pkg/apis/projectcalico/v3/globalnetworkpolicy.go` (Rule, EntityRule) and `numorstring`.
"""

from collections.abc import Iterable
from typing import Any

from driftd.policy.kinds.addresses import cidr
from driftd.policy.kinds.canonical import MalformedObjectError, as_set, by_text, mapping, sequence
from driftd.values import Body

_SETS = frozenset({"nets", "notNets", "ports", "notPorts"})
_NAMES = frozenset({"names", "methods", "paths"})
_MAPS = frozenset({"source", "destination", "serviceAccounts", "services", "http"})
_SELECTORS = ("selector", "namespaceSelector", "notSelector")
_DEEPEST = 2  # rule, source, serviceAccounts: what is deeper is not the API's, and a hostile body has no end
_LONGEST = 160
_FEW = 3


def canonical_rules(value: object, where: str) -> list[Any]:
    """The rules of one direction in their order."""
    return [canonical_rule(rule, where) for rule in sequence(value, where)]


def canonical_rule(rule: object, where: str) -> Body:
    """One rule without what says nothing, its sets sorted; unknown fields word for word."""
    if type(rule) is not dict:
        raise MalformedObjectError(where, "a rule (a map with an action)", rule)
    return _said(rule, where, _DEEPEST)


def _said(parts: Body, where: str, deeper: int) -> Body:
    canonical: Body = {}
    for key, value in parts.items():
        part = _part(key, value, f"{where}.{key}", deeper)
        if part is not None and (key == "http" or part not in ("", [], {})):
            canonical[key] = part
    return canonical


def _part(key: str, value: object, where: str, deeper: int) -> object:
    if key in _MAPS and value is not None:
        value = mapping(value, where)
    if key in _SETS:
        return as_set([_entry(one) for one in sequence(value, where)])
    if key in _NAMES:
        return as_set([_part("", one, where, deeper) for one in sequence(value, where)])
    if key in _SELECTORS and type(value) is str:
        return value.strip(" \t")
    if type(value) is dict and deeper and key != "annotations":
        return _said(value, where, deeper - 1)
    return value


def _entry(one: object) -> object:
    """A CIDR, or a port: the API takes the digits of a port as a number or as a text."""
    if type(one) is not str:
        return one
    return int(one) if one.isascii() and one.isdigit() and len(one) <= 5 else cidr(one)


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
