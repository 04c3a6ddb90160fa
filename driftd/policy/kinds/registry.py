"""The governed kinds, by group and kind: a further kind is one module and one line here."""

from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType

from driftd.policy.kinds.calico_names import CALICO, stored
from driftd.policy.kinds.calico_policy import CalicoNetworkPolicyKind, GlobalNetworkPolicyKind
from driftd.policy.kinds.calico_set import GlobalNetworkSetKind, NetworkSetKind
from driftd.policy.kinds.calico_tier import TierKind
from driftd.policy.kinds.canonical import digest
from driftd.policy.kinds.evaluated import EVALUATED, spec_digest
from driftd.policy.kinds.kind import Coverage, Kind, digest_of
from driftd.policy.kinds.limit_range import LimitRangeKind
from driftd.policy.kinds.namespace import NamespaceKind
from driftd.policy.kinds.network_policy import NetworkPolicyKind
from driftd.policy.kinds.resource_quota import ResourceQuotaKind
from driftd.policy.kinds.service_account import ServiceAccountKind
from driftd.values import Body, Digest, ObjectRef, Resource

_ALL: tuple[Kind, ...] = (
    NamespaceKind(),
    TierKind(),
    GlobalNetworkSetKind(),
    NetworkSetKind(),
    NetworkPolicyKind(),
    GlobalNetworkPolicyKind(),
    CalicoNetworkPolicyKind(),
    ResourceQuotaKind(),
    LimitRangeKind(),
    ServiceAccountKind(),
)

KINDS: Mapping[tuple[str, str], Kind] = MappingProxyType(
    {(kind.resource.group, kind.resource.kind): kind for kind in _ALL}
)
"""Every governed kind by (group, kind), in the order of creation."""


_STORED = tuple(stored(kind.resource) for kind in _ALL if kind.resource.group == CALICO)
VERSIONS: Mapping[tuple[str, str], str] = MappingProxyType(
    {(one.group, one.kind): one.version for one in (*(kind.resource for kind in _ALL), *_STORED)}
)
"""The versions that are read and written, by group and kind as they are served."""


@cache
def kinds_under(dialect: str) -> Mapping[tuple[str, str], Kind]:
    """The kinds that a model of this `cni.dialect` governs: those of another network layer are seen, never written."""
    return MappingProxyType({key: kind for key, kind in KINDS.items() if kind.dialect in ("", dialect)})


class UngovernedKindError(LookupError):
    """A kind that driftd does not govern was asked for as if it did."""

    def __init__(self, ref: ObjectRef) -> None:
        group = ref.group or "core"
        super().__init__(f"{ref}: kind {ref.kind} of group {group} is not governed; ask `bearing` before `kind_of`")


def kind_of(ref: ObjectRef) -> Kind:
    """The governed kind of an object.

    Raises:
        UngovernedKindError: driftd does not govern that kind.
    """
    kind = KINDS.get((ref.group, ref.kind))
    if kind is None:
        raise UngovernedKindError(ref)
    return kind


def digests_under(coverage: Coverage) -> Callable[[Resource, Body], Digest]:
    """How live objects are digested under a model's coverage; of a kind that nobody here understands all counts.

    What is returned raises MalformedObjectError for a body that is not an object of its kind.
    """

    def digest_under(resource: Resource, body: Body) -> Digest:
        kind = KINDS.get(resource.key)
        if kind is not None:
            return digest_of(kind, body, coverage)
        return spec_digest(body) if resource.key in EVALUATED else digest(body)

    return digest_under
