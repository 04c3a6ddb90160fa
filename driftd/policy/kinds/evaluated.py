"""Kinds that are read whole and judged by what they do, and never written: no model has them.

AdminNetworkPolicy, its baseline and ClusterNetworkPolicy decide before, or after, every NetworkPolicy of a cluster
(network-policy-api).
"""

from collections.abc import Mapping
from types import MappingProxyType

from driftd.policy.kinds.canonical import digest
from driftd.values import Body, Digest, Resource, kind_name

_GROUP = "policy.networking.k8s.io"
EVALUATED: Mapping[tuple[str, str], str] = MappingProxyType(
    {
        (_GROUP, "AdminNetworkPolicy"): "v1alpha1",
        (_GROUP, "BaselineAdminNetworkPolicy"): "v1alpha1",
        (_GROUP, "ClusterNetworkPolicy"): "v1alpha2",
    }
)
"""These kinds, each with the version that is read. Of what is served in another one alone nothing is known."""
EVALUATED_NAMES = frozenset(kind_name(*key) for key in EVALUATED)


def is_evaluated(resource: Resource) -> bool:
    """Whether what is served there is judged: the kind is, and in this version."""
    return EVALUATED.get(resource.key) == resource.version


def spec_digest(body: Body) -> Digest:
    """What counts of such an object: its spec. Whoever enforces it writes its status again and again."""
    return digest({"spec": body.get("spec")})
