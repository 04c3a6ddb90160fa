"""The few nouns that cross rooms: frozen, typed, without behaviour worth a dependency."""

from driftd.values.clock import Clock
from driftd.values.findings import (
    Change,
    Claim,
    Direction,
    Finding,
    FindingType,
    Seen,
    Severity,
    Witness,
    effect,
)
from driftd.values.objects import CONDEMNED, EPOCH, PROVENANCE, TENANT, Desired, Live, Manager
from driftd.values.packed import pack
from driftd.values.redaction import redacted
from driftd.values.refs import CLUSTER, Body, Digest, ObjectRef, Origin, Resource, Scope, kind_name, scope_of
from driftd.values.writes import (
    Condemn,
    Create,
    Delete,
    Intent,
    Outcome,
    Plan,
    Replace,
    Result,
    Write,
)

__all__ = [
    "CLUSTER",
    "CONDEMNED",
    "EPOCH",
    "PROVENANCE",
    "TENANT",
    "Body",
    "Change",
    "Claim",
    "Clock",
    "Condemn",
    "Create",
    "Delete",
    "Desired",
    "Digest",
    "Direction",
    "Finding",
    "FindingType",
    "Intent",
    "Live",
    "Manager",
    "ObjectRef",
    "Origin",
    "Outcome",
    "Plan",
    "Replace",
    "Resource",
    "Result",
    "Scope",
    "Seen",
    "Severity",
    "Witness",
    "Write",
    "effect",
    "kind_name",
    "pack",
    "redacted",
    "scope_of",
]
