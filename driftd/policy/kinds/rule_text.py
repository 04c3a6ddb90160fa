"""The words for NetworkPolicy rules: `pods app=web in namespace acme-prod: TCP 8080`.

A rule's words are its key in reports, so they follow from its content alone and stay the same when other rules change.
Where they leave something out they carry a fingerprint of the whole rule.
"""

from typing import Any

from driftd.policy.kinds.canonical import by_text
from driftd.policy.kinds.selectors import NAMESPACE_NAME, selector_text
from driftd.values import Body

_LONGEST = 160
_FEW = 3


def keyed_rules(rules: list[Any], peers: str) -> Body:
    """Canonical rules as a map keyed by their words; `peers` is `from` or `to`."""
    return by_text((rule_text(rule, peers), rule) for rule in rules)


def rule_text(rule: Body, peers: str) -> str:
    """The words for one canonical rule, at most 161 characters, with an ellipsis if they leave something out."""
    who = " or ".join(sorted(map(peer_text, rule[peers]))) if peers in rule else "anybody"
    what = ", ".join(sorted(map(port_text, rule["ports"]))) if "ports" in rule else "any port"
    more = "…" if rule.keys() - {peers, "ports"} else ""
    text = f"{who}: {what}{more}"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def peer_text(peer: Body) -> str:
    """The words for one canonical peer."""
    words = []
    if "podSelector" in peer or "namespaceSelector" in peer:
        pods = selector_text(peer.get("podSelector", {}))
        words.append(f"pods {pods}" if pods else "all pods")
    if "namespaceSelector" in peer:
        words.append(_namespace_text(peer["namespaceSelector"]))
    if "ipBlock" in peer:
        block = peer["ipBlock"]
        words.append(str(block.get("cidr")))
        if excepted := block.get("except"):
            few = len(excepted) <= _FEW
            words.append(f"except {' '.join(map(str, excepted))}" if few else f"except {len(excepted)} ranges…")
        if block.keys() - {"cidr", "except"}:
            words.append("…")
    if peer.keys() - {"podSelector", "namespaceSelector", "ipBlock"} or not words:
        words.append("…")
    return " ".join(words)


def port_text(port: Body) -> str:
    """`TCP 8080`, `TCP 8000-8010`, `UDP dns`, or `SCTP any port`."""
    number = port.get("port")
    text = f"{port['protocol']} {'any port' if number is None else number}"
    if "endPort" in port:
        text += f"-{port['endPort']}"
    return f"{text}…" if port.keys() - {"protocol", "port", "endPort"} else text


def _namespace_text(canonical: Body) -> str:
    if not canonical:
        return "in every namespace"
    labels = canonical.get("matchLabels", {})
    if canonical.keys() == {"matchLabels"} and labels.keys() == {NAMESPACE_NAME}:
        return f"in namespace {labels[NAMESPACE_NAME]}"
    return f"in namespaces {selector_text(canonical)}"
