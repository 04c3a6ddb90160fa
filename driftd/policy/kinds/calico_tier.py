"""Calico's Tier: a stage of the ordered walk, with its place and what happens at its end.

A tier without an order stands last. At its end, what no rule decided is denied unless `defaultAction` says Pass, and
only for endpoints that some policy of the tier applies to. The kind is open: a tier without policies does nothing, so
one that the model does not name is harmless until a policy stands in it; and nothing here ever deletes one.
Source: `api/pkg/apis/projectcalico/v3/tier.go`, `felix/calc/policy_sorter.go`.
"""

from typing import ClassVar

from driftd.policy.kinds.calico_names import CALICO
from driftd.policy.kinds.calico_policy import order
from driftd.policy.kinds.canonical import MalformedObjectError
from driftd.policy.kinds.kind import OpenWorldError, World
from driftd.policy.kinds.whole_spec import WholeSpec
from driftd.values import Body, Resource

BUILT_IN_TIERS = frozenset({"kube-admin", "default", "kube-baseline"})
"""Tiers that Calico makes itself."""


class TierKind(WholeSpec):
    """The kind as the registry holds it."""

    resource = Resource(CALICO, "v3", "Tier", "tiers", namespaced=False)
    rank = 5
    world = World.OPEN
    dialect: ClassVar[str] = "calico"

    def canonical_spec(self, spec: Body) -> Body:
        action = spec.get("defaultAction")
        if action is not None and type(action) is not str:
            raise MalformedObjectError("spec.defaultAction", "Deny or Pass", action)
        canonical = {**spec, "defaultAction": action or "Deny"}
        canonical.pop("order", None)
        if spec.get("order") is not None:
            canonical["order"] = order(spec["order"])
        return canonical

    def keyed_spec(self, canonical: Body) -> Body:
        return canonical

    def emptied_spec(self, spec: Body) -> Body:
        del spec
        raise OpenWorldError(self.resource)
