"""Governed kinds: what is covered of an object, in which canonical form, and how it is written back."""

from driftd.policy.kinds.addresses import cidr
from driftd.policy.kinds.bearing import POLICY_GROUPS, Bearing, bearing
from driftd.policy.kinds.calico_names import ALIASES, CALICO, other_spelling, same_policy, stored
from driftd.policy.kinds.calico_policy import DEFAULT_TIER, written_out
from driftd.policy.kinds.calico_tier import BUILT_IN_TIERS
from driftd.policy.kinds.canonical import MalformedObject, MalformedObjectError, canonical_bytes
from driftd.policy.kinds.evaluated import EVALUATED, EVALUATED_NAMES, is_evaluated
from driftd.policy.kinds.kind import Coverage, Kind, OpenWorldError, World, digest_of
from driftd.policy.kinds.network_policy import isolates_only
from driftd.policy.kinds.registry import KINDS, VERSIONS, UngovernedKindError, digests_under, kind_of, kinds_under
from driftd.policy.kinds.selectors import NAMESPACE_NAME
from driftd.policy.kinds.slim import labels_are_free, slim_condemned, slim_repair, taken_off

__all__ = [
    "ALIASES",
    "BUILT_IN_TIERS",
    "CALICO",
    "DEFAULT_TIER",
    "EVALUATED",
    "EVALUATED_NAMES",
    "KINDS",
    "NAMESPACE_NAME",
    "POLICY_GROUPS",
    "VERSIONS",
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
    "digests_under",
    "is_evaluated",
    "isolates_only",
    "kind_of",
    "kinds_under",
    "labels_are_free",
    "other_spelling",
    "same_policy",
    "slim_condemned",
    "slim_repair",
    "stored",
    "taken_off",
    "written_out",
]
