"""What comes of the story, as values: the installation, each scene's end, the whole."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from driftd.cli.story.evidence import Healing
from driftd.cli.story.scenes import Scene
from driftd.cli.story.tracing import Span
from driftd.store import Past, Verification
from driftd.telemetry import names
from driftd.values import Finding, ObjectRef


@dataclass(frozen=True, slots=True)
class Installation:
    """The platform as the daemon made it; `milliseconds` from its first request to the end of its last."""

    namespaces: int
    policies: int
    objects: int
    milliseconds: float
    watched_only: tuple[str, ...]
    """Namespaces in report mode: nothing is written there."""


@dataclass(frozen=True, slots=True)
class SceneEnd:
    """What came of a scene. `differing` is what the API server holds against the claim that all is healed."""

    scene: Scene
    healing: Healing | None
    lives: tuple[Past, ...]
    differing: tuple[ObjectRef, ...]

    @property
    def healed(self) -> bool:
        """Repaired by driftd, told by driftd, and whole on the API server."""
        return self.healing is not None and bool(self.healing.repairs) and bool(self.lives) and not self.differing


@dataclass(frozen=True, slots=True)
class Packets:
    """What came of the act with pods. Every verdict is a connection that came about, or did not."""

    blocked_first: bool
    went_through: bool
    closed_again: float | None
    """Seconds from waking driftd to the first connection that was dropped."""
    through_while_awake: int
    attempts_while_awake: int
    friend_undisturbed: bool
    """Whether who may connect always could, ten times a second."""

    @property
    def good(self) -> bool:
        """The hole was real, it was shut on the wire, and who may talk was never cut off."""
        return self.blocked_first and self.went_through and self.closed_again is not None and self.friend_undisturbed


@dataclass(frozen=True, slots=True)
class Masquerade:
    """What came of the act with labels: the finding (None: there was none), how soon, and whether it closed."""

    finding: Finding | None
    seconds: float
    closed: bool

    @property
    def good(self) -> bool:
        """It was seen, said to open something, and seen to end."""
        return self.finding is not None and self.finding.direction.may_loosen and self.closed


@dataclass(frozen=True, slots=True)
class Called:
    """What whoever is on call has in hand: an event as PagerDuty takes it, and the spans of its trace with depths."""

    event: Mapping[str, Any] | None
    trace: tuple[tuple[int, Span], ...]

    @property
    def good(self) -> bool:
        """Somebody would have been woken, and can see what driftd did."""
        seen = {span.name for _, span in self.trace}
        return self.event is not None and {names.RECONCILE, names.WRITE} <= seen


@dataclass(frozen=True, slots=True)
class Ending:
    """The whole play. `open` are the findings that stand at its end, `watched_only` namespaces in report mode."""

    ends: tuple[SceneEnd, ...]
    chain: Verification
    differing: tuple[ObjectRef, ...]
    open: tuple[Finding, ...]
    watched_only: tuple[str, ...]

    @property
    def heal_ms(self) -> tuple[float, ...]:
        """Milliseconds to the last repairing write of every scene in which no namespace had to die first."""
        healings = [end.healing for end in self.ends if end.healing]
        alive = [healing for healing in healings if healing.dying_ms is None]
        return tuple(healing.whole_ms for healing in alive if healing.whole_ms is not None)

    @property
    def good(self) -> bool:
        """Every tampering healed, the whole platform as the model has it, the audit chain unbroken."""
        return bool(self.ends) and all(end.healed for end in self.ends) and self.chain.ok and not self.differing
