"""Objects of the whole cluster that somebody else keeps and that bear on governed namespaces: told, judged, left alone.

Closed is the platform's own tier: a global policy there that the model lacks is taken away. Outside of it the platform
keeps global policies and sets of its own, which are nobody's drift as long as they concern no governed namespace. One
that may concern one is a finding until the model has it (as a manifest) or an Exemption names it. What is deleted there
might protect a node or a namespace that driftd knows nothing of, so nothing is.

NetworkSets in namespaces that the model does not govern are of the same sort: a rule may find them by their labels,
which their author chose. The platform's own are as they should be; a stranger's count for nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from driftd.compile import Compiled
from driftd.drift.entitled import Input
from driftd.policy.kinds import BUILT_IN_TIERS, CALICO, DEFAULT_TIER
from driftd.policy.reach import may_mean, may_select, meant
from driftd.values import Body, Live, ObjectRef

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


MOST_SETS = 100
"""Strangers' network sets that are judged, of those that some rule may find."""
MOST_TOLD = 20
"""Of those that are not, as many are told: whoever makes thousands is told of."""
MOST_NETS = 1000
"""Addresses of all those sets together: each tells the outside apart for every judgement to come."""


@dataclass(frozen=True, slots=True)
class Found:
    """Network sets of others that rules may find, as the judged world takes them in.

    `beyond` are those of strangers that are too large or too many.
    """

    inputs: Mapping[ObjectRef, Input]
    beyond: tuple[ObjectRef, ...] = ()


def sets_of_others(compiled: Compiled, sets: Mapping[ObjectRef, Body], policies: Sequence[Body]) -> Found:
    """Network sets that the model does not name and that a rule of `policies` may find; `spec` None: it is not known.

    So may any set whose labels are not kept (a text stands there).

    A global set that a canonical rule finds is a finding of its own (`Bystanders`); what it does for other policies is
    theirs to answer for.
    """
    others = [(ref, body) for ref, body in sorted(sets.items()) if not _is_compared(compiled, ref)]
    labels = [body["metadata"].get("labels") or {} for _, body in others]
    unknown = frozenset(number for number, one in enumerate(labels) if not isinstance(one, dict))
    known = [{} if number in unknown else one for number, one in enumerate(labels)]
    found = meant(policies, [(ref.namespace, one) for (ref, _), one in zip(others, known, strict=True)])
    found |= unknown if policies else frozenset()
    platform = {*compiled.platform, *compiled.peers, *compiled.governed}
    inputs: dict[ObjectRef, Input] = {}
    beyond: list[ObjectRef] = []
    judged = addresses = 0
    for number in sorted(found):
        ref, body = others[number]
        own = ref.namespace in platform
        hollow = body.get("spec", {}) is None
        if ref.namespace and not own:
            many = len((body.get("spec") or {}).get("nets") or ())
            if hollow or judged == MOST_SETS or addresses + many > MOST_NETS:
                beyond.append(ref)
                continue
            judged, addresses = judged + 1, addresses + many
        if not hollow:
            inputs[ref] = Input(ref, body if own else None, body)
    return Found(inputs, tuple(beyond[:MOST_TOLD]))


def _is_compared(compiled: Compiled, ref: ObjectRef) -> bool:
    """Whether a comparison of its scope tells all there is to tell of a set."""
    if not ref.namespace:
        return ref in compiled.cluster_wide.objects
    governed = compiled.governed.get(ref.namespace)
    return governed is not None and governed.closed


def _calico_policies(compiled: Compiled) -> Iterator[Body]:
    for governed in compiled.every_scope():
        for ref, desired in governed.objects.items():
            if ref.group == CALICO and ref.kind.endswith("NetworkPolicy"):
                yield desired.body()
