"""What driftd sees and does not evaluate: whatever such objects govern may be open, and may be closed."""

from collections.abc import Mapping
from typing import Final

from driftd.policy.reach.dialects import Dialect
from driftd.policy.reach.policies import ANYONE, HOSTS, Action, Either, Perhaps, Pods, Policy, Rule
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


HOST_PLANE: Final = ObjectRef("projectcalico.org", "HostEndpoint", "", "*")
"""Stands for every HostEndpoint."""


def host_plane() -> Policy:
    """A stand-in for host endpoints: what passes a node may be closed there.

    One that people make denies all that neither a policy nor a profile allows, but for Felix's failsafe ports; one that
    Calico makes has a profile that allows. Which policies select them, which node each guards and what Felix's
    configuration calls failsafe is not read. So they never open anything, and any of it may be closed.
    """
    why = "a HostEndpoint guards nodes: what it closes is not told; Felix's failsafe ports (22, 6443, ...) stay open"
    rules = (
        Rule(Action.DENY, HOSTS, "spec", certain=False, note=why),
        Rule(Action.DENY, ANYONE, "spec", near=HOSTS, certain=False, note=why),
    )
    return Policy(
        ref=HOST_PLANE,
        tier=OPAQUE_TIER,
        rank=(0.0, HOST_PLANE.name),
        subject=Either((Pods(), HOSTS)),
        ingress=rules,
        egress=rules,
        certain=False,
        notes=(why,),
    )
