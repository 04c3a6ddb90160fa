"""The story that `driftd demo` tells: a platform, somebody who tampers with it, and what driftd does about it."""

from driftd.cli.story.assets import Assets, story_assets
from driftd.cli.story.labels import LabelsAct
from driftd.cli.story.narrator import Narrator, narrator
from driftd.cli.story.oncall import OnCallAct
from driftd.cli.story.outcome import Called, Ending, Installation, Masquerade, Packets, SceneEnd
from driftd.cli.story.packets import TAMPERED, PacketsAct
from driftd.cli.story.play import Play
from driftd.cli.story.scenes import SCENES, Scene, Tampering
from driftd.cli.story.stage import Stage, stage

__all__ = [
    "SCENES",
    "TAMPERED",
    "Assets",
    "Called",
    "Ending",
    "Installation",
    "LabelsAct",
    "Masquerade",
    "Narrator",
    "OnCallAct",
    "Packets",
    "PacketsAct",
    "Play",
    "Scene",
    "SceneEnd",
    "Stage",
    "Tampering",
    "narrator",
    "stage",
    "story_assets",
]
