"""What driftd says of a difference: its type, what it means, who claims to have made it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from driftd.values.refs import ObjectRef, Origin, Scope


class Direction(StrEnum):
    """What a difference does to isolation (D5). UNKNOWN ranks as LOOSENS wherever one must choose."""

    LOOSENS = "loosens"
    TIGHTENS = "tightens"
    MIXED = "mixed"
    NEUTRAL = "neutral"
    UNKNOWN = "unknown"

    @property
    def may_loosen(self) -> bool:
        """Whether patience is forbidden: only what surely does not open anything may wait (D7)."""
        return self not in (Direction.TIGHTENS, Direction.NEUTRAL)


class Severity(StrEnum):
    """How bad: critical crosses a tenant border, high opens inside it or to the internet, low breaks, info neither."""

    CRITICAL = "critical"
    HIGH = "high"
    LOW = "low"
    INFO = "info"

    @property
    def rank(self) -> int:
        """0 for the worst: what is attended to first."""
        return list(Severity).index(self)


class FindingType(StrEnum):
    """The shape of a difference between model and cluster."""

    MISSING = "missing"  # the model has it, the cluster proved (404) that it does not
    MODIFIED = "modified"  # both have it, covered parts differ
    UNEXPECTED = "unexpected"  # closed world: the cluster has it, the model does not
    UNDELETABLE = "undeletable"  # condemned and emptied, but a foreign finalizer holds it
    TERMINATING = "terminating"  # a canonical object, or its namespace, is being deleted
    ORPHANED = "orphaned"  # its environment is gone from the model; held at its last canonical state
    UNKNOWN_KIND = "unknown-kind"  # bears policy, and driftd does not understand it
    BLOCKED = "blocked"  # a repair cannot be written (refused, blind kind, held model, paused)
    RECREATED = "recreated"  # the namespace came back with a new uid
    FINALIZER = "finalizer"  # a foreign finalizer on a canonical object
    TOLERATED = "tolerated"  # not in the model, and the plan lets tenants have what opens no more than this
    RELABELLED = "relabelled"  # a label, service account or port name changes who reaches whom against the model
    EXPOSED = "exposed"  # a Service lets the world in where the model does not
    MISDIRECTED = "misdirected"  # slices lead to others than their Service selects, or leave some out
    PAUSED = "paused"  # somebody has stopped the repairs of a namespace for a while
    FOREIGN = "foreign"  # of the whole cluster and not in driftd's tier, and it concerns a governed namespace
    DEFAULTED = "defaulted"  # the server adds a field nobody sent: writing that kind is stopped


@dataclass(frozen=True, slots=True)
class Change:
    """One covered field that differs. `path` walks the rule-keyed canonical form; values are compact JSON or None."""

    path: tuple[str, ...]
    desired: str | None
    live: str | None
    sentence: str


@dataclass(frozen=True, slots=True)
class Claim:
    """Who is said to have made a change, and the source of that claim (D11)."""

    who: str
    source: str  # managedFields | admission | audit-log | unknown
    at: str = ""


@dataclass(frozen=True, slots=True)
class Witness:
    """One flow that shows a difference: these two, over this. `request` names an L7 request where it matters."""

    source: str
    target: str
    protocol: str
    port: str
    request: str = ""

    def __str__(self) -> str:
        tail = f" {self.request}" if self.request else ""
        return f"{self.source} -> {self.target} {self.protocol}/{self.port}{tail}"


_NOW: Final = {
    Direction.LOOSENS: "it opens {}",
    Direction.TIGHTENS: "it breaks {}",
    Direction.MIXED: "it opens some flows and closes others, among them {}",
    Direction.NEUTRAL: "",
    Direction.UNKNOWN: "it may open {}",
}
_UNSHOWN: Final = {
    Direction.LOOSENS: "it loosens isolation, in a way that no flow shows",
    Direction.TIGHTENS: "it closes something, in a way that no flow shows",
    Direction.MIXED: "it opens some things and closes others, in ways that no flow shows",
    Direction.NEUTRAL: "",
    Direction.UNKNOWN: "what it opens is not known",
}
_LATER: Final = {
    Direction.LOOSENS: "no pod that is known gains anything now; one made later could: {}",
    Direction.TIGHTENS: "no pod that is known loses anything now; one made later would: {}",
    Direction.MIXED: "nothing changes for known pods now; for ones made later some flows open, others close: {}",
    Direction.NEUTRAL: "",
    Direction.UNKNOWN: "nothing changes for known pods now; what ones made later could gain is not known",
}


def effect(direction: Direction, witness: Witness | None, *, neutral_now: bool) -> str:
    """What a difference does to who reaches whom, as a clause about it; empty for what does nothing.

    `neutral_now`: it concerns no pod that is known, but pods that could be made.
    """
    if neutral_now:
        return _LATER[direction].format(witness or "in a way that no flow shows")
    return _NOW[direction].format(witness) if witness else _UNSHOWN[direction]


@dataclass(frozen=True, slots=True)
class Finding:
    """One difference, its meaning and its cause.

    `id` is stable: the same difference of the same object keeps it across cycles and restarts, so it is the
    deduplication key of pages. `changes` holds at most 64 entries; `omitted` counts the rest. `neutral_now`: the
    direction is that of pods that could be made; for live ones, and those that the model names, nothing changes.
    """

    id: str
    type: FindingType
    ref: ObjectRef
    scope: Scope
    tenant: str
    direction: Direction
    severity: Severity
    summary: str
    origin: Origin | None = None
    changes: tuple[Change, ...] = ()
    omitted: int = 0
    witness: Witness | None = None
    claimed_by: Claim | None = None
    dialect: str = ""
    neutral_now: bool = False

    @property
    def effect(self) -> str:
        """What it does to who reaches whom, as a clause; empty where it does nothing."""
        return effect(self.direction, self.witness, neutral_now=self.neutral_now)


@dataclass(frozen=True, slots=True)
class Seen:
    """A finding with its life: first seen, last seen, closed (None while open) and by what."""

    finding: Finding
    opened: datetime
    confirmed: datetime
    closed: datetime | None = None
    closed_by: str = ""
