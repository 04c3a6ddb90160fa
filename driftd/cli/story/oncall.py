"""The act of whoever is on call: the page that a hole between tenants made, and the trace that the page leads to."""

import asyncio
import contextlib

from driftd.cli.failures import CommandError
from driftd.cli.story.narrator import Narrator
from driftd.cli.story.outcome import Called
from driftd.cli.story.stage import Stage, until
from driftd.values import ObjectRef

_SECONDS = 20.0
"""A page of a repaired hole is told within its second; a trace leaves in batches, a second apart."""


class OnCallAct:
    """Plays it, after something has happened to `ref`. `pause` is how many seconds a reader is given after it."""

    def __init__(self, stage: Stage, narrator: Narrator, *, pause: float) -> None:
        self._stage = stage
        self._narrator = narrator
        self._pause = pause

    async def perform(self, ref: ObjectRef) -> Called:
        """Raises `StoreError` when driftd's records cannot be read."""
        found = Called(None, ())

        async def is_whole() -> bool:
            nonlocal found
            found = await self._look(ref)
            return found.good

        self._narrator.on_call()
        # What is there when patience ends is shown, and said to be not all.
        with self._narrator.working("the page and the trace arrive"), contextlib.suppress(CommandError):
            await until(is_whole, "the page and its trace are there", _SECONDS)
        self._narrator.called(found)
        await asyncio.sleep(self._pause)
        return found

    async def _look(self, ref: ObjectRef) -> Called:
        """The newest page about it, and its trace."""
        for page in await self._stage.records.pages():
            about = page["about"]
            if (about["kind"], about["namespace"], about["name"]) == (ref.kind, ref.namespace, ref.name):
                for event in page["events"][:1]:
                    trace = event["payload"]["custom_details"].get("trace_id", "")
                    return Called(event, self._stage.traces.tree(trace))
        return Called(None, ())
