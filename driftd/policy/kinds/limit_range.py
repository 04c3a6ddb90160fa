"""LimitRange (v1): one limit a type, amounts by value, and the defaults that the server derives for containers.

Source: kubernetes pkg/apis/core/v1/defaults.go, SetDefaults_LimitRangeItem: for type Container an absent default limit
is the maximum; an absent default request is the default limit, else the minimum.
"""

from typing import Any

from driftd.policy.kinds.canonical import MalformedObjectError, as_set, by_text, sequence
from driftd.policy.kinds.quantity import resource_list
from driftd.policy.kinds.whole_spec import WholeSpec
from driftd.values import Body, Resource

_AMOUNTS = ("max", "min", "default", "defaultRequest", "maxLimitRequestRatio")


class LimitRangeKind(WholeSpec):
    """The kind as the registry holds it."""

    resource = Resource("", "v1", "LimitRange", "limitranges")
    rank = 30

    def canonical_spec(self, spec: Body) -> Body:
        canonical = {key: value for key, value in spec.items() if key != "limits"}
        canonical["limits"] = as_set([_limit(one) for one in sequence(spec.get("limits"), "spec.limits")])
        return canonical

    def keyed_spec(self, canonical: Body) -> Body:
        return {**canonical, "limits": by_text((str(one.get("type")), one) for one in canonical["limits"])}

    def emptied_spec(self, spec: Body) -> Body:
        del spec
        return {"limits": []}


def _limit(item: Any) -> Body:
    if type(item) is not dict:
        raise MalformedObjectError("spec.limits", "a limit with a type and amounts", item)
    canonical = {key: value for key, value in item.items() if key not in _AMOUNTS}
    amounts = {name: resource_list(item.get(name), f"spec.limits.{name}") for name in _AMOUNTS}
    if item.get("type") == "Container":
        amounts["default"] = {**amounts["max"], **amounts["default"]}
        amounts["defaultRequest"] = {**amounts["min"], **amounts["default"], **amounts["defaultRequest"]}
    return {**canonical, **{name: amount for name, amount in amounts.items() if amount}}
