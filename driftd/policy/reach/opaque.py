"""Policy kinds that driftd sees and does not understand: whatever they govern may be open, and may be closed."""

from collections.abc import Mapping
from typing import Final

from driftd.policy.reach.dialects import Dialect
from driftd.policy.reach.policies import ANYONE, Action, Perhaps, Pods, Policy, Rule
from driftd.policy.reach.tiers import OPAQUE_TIER
from driftd.values import ObjectRef

_CILIUM: Final = frozenset((Dialect.CILIUM, Dialect.KUBERNETES))
_OTHERS: Final = frozenset((Dialect.KUBERNETES,))
OPAQUE: Final[Mapping[tuple[str, str], frozenset[Dialect]]] = {
    ("cilium.io", "CiliumNetworkPolicy"): _CILIUM,
    ("cilium.io", "CiliumClusterwideNetworkPolicy"): _CILIUM,
    ("crd.antrea.io", "NetworkPolicy"): _OTHERS,
    ("crd.antrea.io", "ClusterNetworkPolicy"): _OTHERS,
    ("k8s.ovn.org", "EgressFirewall"): _OTHERS,
    ("networking.k8s.aws", "ApplicationNetworkPolicy"): _OTHERS,
    ("networking.k8s.aws", "ClusterNetworkPolicy"): _OTHERS,
}
"""Kinds by group, with the dialects in which they could be enforced."""


def opaque_policy(ref: ObjectRef) -> Policy:
    """A stand-in that leaves every connection of its namespace (or of all pods) undecided."""
    why = f"{ref.kind} is not understood"
    where = Pods(namespace=ref.namespace)
    rules = tuple(
        Rule(action, Perhaps(ANYONE, why), "spec", certain=False, note=why) for action in (Action.ALLOW, Action.DENY)
    )
    return Policy(
        ref=ref,
        tier=OPAQUE_TIER,
        rank=(0.0, ref.name),
        subject=where,
        ingress=rules,
        egress=rules,
        namespace=ref.namespace,
        certain=False,
        notes=(f"{why}: what it allows or blocks is not known",),
    )
