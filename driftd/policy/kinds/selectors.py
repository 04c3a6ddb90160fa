"""Label selectors: their canonical form, and the words for them in reports.

Source of the rules: apimachinery `meta/v1.LabelSelector`. All requirements are joined by AND, so expressions and their
values are sets. `matchLabels: {a: b}` and `a In [b]` mean the same but stay two spellings: whoever writes the other
one has changed the object, and a report should say so.
"""

from typing import Any

from driftd.policy.kinds.canonical import MalformedObjectError, as_set, by_text, mapping, sequence, strings
from driftd.values import Body

NAMESPACE_NAME = "kubernetes.io/metadata.name"
"""The label that the API server keeps equal to a Namespace's name (KEP-2161)."""


def selector(value: object, where: str) -> Body:
    """The selector with sets sorted and empty parts left out; absent, null and `{}` all give `{}`.

    Whether an absent selector means "all" or "none" is the caller's field to know.
    """
    found = mapping(value, where)
    if not found:
        return found
    canonical: Body = {}
    for key, part in found.items():
        if key == "matchLabels":
            if labels := strings(part, where):
                canonical[key] = labels
        elif key == "matchExpressions":
            if listed := sequence(part, where):
                canonical[key] = as_set([expression(one, where) for one in listed])
        else:
            canonical[key] = part
    return canonical


def expression(value: object, where: str) -> Body:
    """One requirement of `matchExpressions` or of a quota's `scopeSelector`: its values are a set."""
    if type(value) is not dict:
        raise MalformedObjectError(where, "a requirement with key and operator", value)
    canonical = dict(value)
    if "values" in value:
        if values := sequence(value["values"], f"{where}.values"):
            canonical["values"] = as_set(values)
        else:
            del canonical["values"]
    return canonical


def keyed_selector(canonical: Body) -> Body:
    """A canonical selector with its expressions as a map keyed by what they say."""
    expressions = canonical.get("matchExpressions")
    if not expressions:
        return canonical
    return {**canonical, "matchExpressions": by_text((expression_text(one), one) for one in expressions)}


def selector_text(canonical: Body) -> str:
    """`app=web, tier in (a b)`; the empty string for the empty selector."""
    words = [f"{key}={value}" for key, value in sorted(canonical.get("matchLabels", {}).items())]
    words += [expression_text(one) for one in canonical.get("matchExpressions", ())]
    if canonical.keys() - {"matchLabels", "matchExpressions"}:
        words.append("…")
    return ", ".join(words)


def expression_text(one: Body) -> str:
    """`key in (a b)`, `key not in (a)`, `key`, `!key`; with an ellipsis where the words leave something out."""
    key: Any = one.get("key")
    operator: Any = one.get("operator")
    values = " ".join(str(value) for value in one.get("values", ()))
    more = "…" if one.keys() - {"key", "operator", "values"} else ""
    match operator:
        case "In":
            return f"{key} in ({values}){more}"
        case "NotIn":
            return f"{key} not in ({values}){more}"
        case "Exists" if not values:
            return f"{key}{more}"
        case "DoesNotExist" if not values:
            return f"!{key}{more}"
    return f"{key} {operator} ({values})…"
