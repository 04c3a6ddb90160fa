"""Governed kinds: what is covered of an object, in which canonical form, and how it is written back."""

from driftd.policy.kinds.addresses import cidr
from driftd.policy.kinds.bearing import POLICY_GROUPS, Bearing, bearing
from driftd.policy.kinds.canonical import MalformedObject, MalformedObjectError, canonical_bytes
from driftd.policy.kinds.kind import Coverage, Kind, OpenWorldError, World, digest_of
from driftd.policy.kinds.network_policy import isolates_only
from driftd.policy.kinds.registry import KINDS, UngovernedKindError, kind_of
from driftd.policy.kinds.selectors import NAMESPACE_NAME

__all__ = [
    "KINDS",
    "NAMESPACE_NAME",
    "POLICY_GROUPS",
    "Bearing",
    "Coverage",
    "Kind",
    "MalformedObject",
    "MalformedObjectError",
    "OpenWorldError",
    "UngovernedKindError",
    "World",
    "bearing",
    "canonical_bytes",
    "cidr",
    "digest_of",
    "isolates_only",
    "kind_of",
]
