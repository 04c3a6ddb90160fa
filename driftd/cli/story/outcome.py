"""What comes of the story, as values: the installation, each scene's end, the whole."""

from dataclasses import dataclass

from driftd.cli.story.evidence import Healing
from driftd.cli.story.scenes import Scene
from driftd.store import Past, Verification
from driftd.values import ObjectRef


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
class Ending:
    """The whole play."""

    ends: tuple[SceneEnd, ...]
    chain: Verification
    differing: tuple[ObjectRef, ...]

    @property
    def good(self) -> bool:
        """Every tampering healed, the whole platform as the model has it, the audit chain unbroken."""
        return bool(self.ends) and all(end.healed for end in self.ends) and self.chain.ok and not self.differing
