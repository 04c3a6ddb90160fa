"""Objects of the whole cluster that somebody else keeps and that bear on governed namespaces: told, judged, left alone.

Closed is the platform's own tier: a global policy there that the model lacks is taken away. Outside of it the platform
keeps global policies and sets of its own, which are nobody's drift as long as they concern no governed namespace. One
that may concern one is a finding until the model has it (as a manifest) or an Exemption names it. What is deleted there
might protect a node or a namespace that driftd knows nothing of, so nothing is.
"""

from collections.abc import Iterator, Mapping
from functools import cached_property

from driftd.compile import Compiled
from driftd.policy.kinds import BUILT_IN_TIERS, CALICO, DEFAULT_TIER
from driftd.policy.reach import may_mean, may_select
from driftd.values import Body, Live

_BUILT_IN: Mapping[str, tuple[int, str]] = {
    "kube-admin": (1_000, "Pass"),
    "default": (1_000_000, "Deny"),
    "kube-baseline": (10_000_000, "Pass"),
}
"""Order and default action of the tiers that Calico makes (`api/pkg/apis/projectcalico/v3/tier.go`)."""
assert frozenset(_BUILT_IN) == BUILT_IN_TIERS  # noqa: S101 - two tables of one fact


class Bystanders:
    """What the model governs, as far as it decides whom a foreign object concerns. Made anew for each look."""

    def __init__(self, compiled: Compiled) -> None:
        self._compiled = compiled

    def is_ours(self, live: Live) -> bool:
        """Whether a global policy stands in the platform's own tier, where the model names all there are."""
        if live.ref.kind != "GlobalNetworkPolicy":
            return False
        spec = live.body().get("spec") or {}
        return bool(self._compiled.tier) and (spec.get("tier") or DEFAULT_TIER) == self._compiled.tier

    def concerns_us(self, live: Live) -> bool:
        """Whether an object that is not ours may decide who reaches whom in a governed namespace."""
        body = live.body()
        match live.ref.kind:
            case "GlobalNetworkPolicy":
                return may_select(body, self._namespaces)
            case "GlobalNetworkSet":
                return may_mean(self._policies, body["metadata"].get("labels") or {})
            case "Tier":
                spec = body.get("spec") or {}
                known = _BUILT_IN.get(live.ref.name)
                return known is not None and known != (spec.get("order"), spec.get("defaultAction") or "Deny")
            case _:
                return False

    @cached_property
    def _namespaces(self) -> dict[str, dict[str, str]]:
        found = {}
        for name, governed in self._compiled.governed.items():
            homes = (one.body() for ref, one in governed.objects.items() if ref.kind == "Namespace")
            found[name] = next((dict(home["metadata"].get("labels") or {}) for home in homes), {})
        return found

    @cached_property
    def _policies(self) -> list[Body]:
        return list(_calico_policies(self._compiled))


def _calico_policies(compiled: Compiled) -> Iterator[Body]:
    for governed in compiled.every_scope():
        for ref, desired in governed.objects.items():
            if ref.group == CALICO and ref.kind.endswith("NetworkPolicy"):
                yield desired.body()
