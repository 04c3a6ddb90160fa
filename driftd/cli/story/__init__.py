"""The story that `driftd demo` tells: a platform, somebody who tampers with it, and what driftd does about it."""

from driftd.cli.story.assets import Assets, story_assets
from driftd.cli.story.narrator import Narrator, narrator
from driftd.cli.story.play import Play, Result

__all__ = ["Assets", "Narrator", "Play", "Result", "narrator", "story_assets"]
