"""The play of the demo ends when it is told to."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from driftd.cli.story.outcome import SceneEnd
from driftd.cli.story.play import Play
from driftd.cli.story.scenes import SCENES, Scene


class _Deaf(Play):
    """In each scene something keeps a cancellation to itself, as a library's request may that ends at that moment."""

    played = 0

    async def _play(self, scene: Scene) -> SceneEnd:
        self.played += 1
        try:
            await asyncio.sleep(0.05)
        except asyncio.CancelledError:
            return cast("SceneEnd", scene)
        return cast("SceneEnd", scene)


async def test_a_cancellation_that_something_in_a_scene_keeps_to_itself_ends_the_play_all_the_same() -> None:
    def say(*_what: object) -> None:
        return

    narrator: Any = SimpleNamespace(scene=say, scene_end=say)
    stage: Any = SimpleNamespace(daemon=SimpleNamespace(must_run=say))
    play = _Deaf(stage, narrator, pause=0.0)
    performing = asyncio.create_task(play.perform())
    await asyncio.sleep(0.01)
    performing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await performing
    assert play.played == 1 < len(SCENES)
