"""ResourceQuota (v1): amounts compare by value, scopes are a set.

Source: kubernetes/api core/v1/types.go. `spec.scopes` cannot be changed after creation (pkg/apis/core/validation,
ValidateResourceQuotaUpdate), so emptying keeps them and a repair of other scopes is refused by the server.
"""

from driftd.policy.kinds.canonical import as_set, by_text, mapping, sequence
from driftd.policy.kinds.quantity import resource_list
from driftd.policy.kinds.selectors import expression, expression_text
from driftd.policy.kinds.whole_spec import WholeSpec
from driftd.values import Body, Resource


class ResourceQuotaKind(WholeSpec):
    """The kind as the registry holds it."""

    resource = Resource("", "v1", "ResourceQuota", "resourcequotas")
    rank = 20

    def canonical_spec(self, spec: Body) -> Body:
        canonical = {key: value for key, value in spec.items() if key not in ("hard", "scopes", "scopeSelector")}
        canonical["hard"] = resource_list(spec.get("hard"), "spec.hard")
        if scopes := sequence(spec.get("scopes"), "spec.scopes"):
            canonical["scopes"] = as_set(scopes)
        chosen = mapping(spec.get("scopeSelector"), "spec.scopeSelector")
        if scope_selector := _scope_selector(chosen):
            canonical["scopeSelector"] = scope_selector
        return canonical

    def keyed_spec(self, canonical: Body) -> Body:
        keyed = dict(canonical)
        if "scopes" in keyed:
            keyed["scopes"] = by_text((str(scope), True) for scope in keyed["scopes"])
        if expressions := keyed.get("scopeSelector", {}).get("matchExpressions"):
            named = by_text((_scope_text(one), one) for one in expressions)
            keyed["scopeSelector"] = {**keyed["scopeSelector"], "matchExpressions": named}
        return keyed

    def emptied_spec(self, spec: Body) -> Body:
        return {**{key: value for key, value in spec.items() if key in ("scopes", "scopeSelector")}, "hard": {}}


def _scope_selector(chosen: Body) -> Body:
    canonical = {key: value for key, value in chosen.items() if key != "matchExpressions"}
    listed = sequence(chosen.get("matchExpressions"), "spec.scopeSelector.matchExpressions")
    if listed:
        expressions = [expression(one, "spec.scopeSelector.matchExpressions") for one in listed]
        canonical["matchExpressions"] = as_set(expressions)
    return canonical


def _scope_text(one: Body) -> str:
    return expression_text({("key" if key == "scopeName" else key): value for key, value in one.items()})
