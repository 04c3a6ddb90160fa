"""The play: scene follows scene, and each is judged by what the API server says."""

import asyncio
from datetime import UTC, datetime

from driftd.cli.failures import CommandError
from driftd.cli.story.evidence import Healing
from driftd.cli.story.narrator import Narrator
from driftd.cli.story.outcome import Ending, SceneEnd
from driftd.cli.story.scenes import SCENES, Scene
from driftd.cli.story.stage import Stage, until, whole
from driftd.values import ObjectRef

_AUDIT_SECONDS = 5.0
_LOOK_SECONDS = 0.02


class Play:
    """Directs it. `pause` is how many seconds a reader is given after each scene."""

    def __init__(self, stage: Stage, narrator: Narrator, *, pause: float) -> None:
        self._stage = stage
        self._narrator = narrator
        self._pause = pause

    async def perform(self, scenes: tuple[Scene, ...] = SCENES) -> Ending:
        """All scenes in order.

        Raises:
            ClusterError: a request of the play itself failed. CommandError: the daemon has ended.
        """
        ends = []
        for number, scene in enumerate(scenes, 1):
            self._narrator.scene(number, len(scenes), scene)
            end = await self._play(scene)
            self._stage.daemon.must_run()
            ends.append(end)
            self._narrator.scene_end(end)
            await asyncio.sleep(self._pause)
        records, truth = self._stage.records, self._stage.truth
        ending = Ending(
            ends=tuple(ends),
            chain=await records.verify(),
            differing=await truth.differing(),
            open=await records.open(),
            watched_only=truth.watched_only,
        )
        self._narrator.ending(ending)
        return ending

    async def _play(self, scene: Scene) -> SceneEnd:
        stage = self._stage
        since = datetime.now(UTC)
        stage.trail.begin()
        audit_id = await stage.tamperer.do(scene.tampering)
        with self._narrator.working("driftd repairs"):
            differing = await self._wait(scene)
            lives = await stage.records.lives(scene.namespace, since)
        return SceneEnd(scene, await self._healing(audit_id, scene.namespace), lives, differing)

    async def _wait(self, scene: Scene) -> tuple[ObjectRef, ...]:
        """Until the namespace is whole, or the scene's patience is over; what differs then."""
        truth, ref = self._stage.truth, scene.tampering.ref
        try:
            if scene.release is not None:
                await until(lambda: truth.held_empty(ref), f"{ref} is emptied", scene.patience)
                await self._stage.administrator.do(scene.release)
            await whole(truth, scene.namespace, scene.patience)
        except CommandError:
            return await truth.differing(scene.namespace)
        return ()

    async def _healing(self, audit_id: str, namespace: str) -> Healing | None:
        """The audit log's word on it. The log is written before an answer leaves, so the wait is a formality."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _AUDIT_SECONDS
        while loop.time() < deadline:
            healing = self._stage.trail.healing(audit_id, namespace)
            if healing is not None:
                return healing
            await asyncio.sleep(_LOOK_SECONDS)
        return None
