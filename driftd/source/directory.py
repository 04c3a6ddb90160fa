"""A directory as the model's source: read whole, watched by looking at it a few times a second."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

from driftd.source import tree
from driftd.source.errors import SourceUnreadable, SourceUnsettled
from driftd.source.revision import Limits, Revision, content_name

_TICK_NS = 20_000_000
"""File times move in steps of a few milliseconds: two changes within one step can look the same."""

_SHARE = 50
"""Rest after a look, in multiples of the processor time it took. A thousand files take 10 ms, and so are looked at
twice a second: each look gives the interpreter up a thousand times, and takes it back from a repair as often."""


class DirectorySource:
    """Reads every `.yaml` and `.yml` below `root`, hidden names aside; `root` may be a link that is swapped.

    `poll_seconds` is how often the tree is looked at (a big tree less often: looking takes at most a fiftieth of one
    processor); a change is announced once two looks in a row agree, or after
    `patience_seconds` of unrest. A read that failed is announced again after `retry_seconds`.
    """

    def __init__(
        self,
        root: Path,
        *,
        poll_seconds: float = 0.25,
        patience_seconds: float = 2.0,
        retry_seconds: float = 10.0,
        limits: Limits | None = None,
    ) -> None:
        self.root = root
        self._poll = poll_seconds
        self._patience = patience_seconds
        self._retry = retry_seconds
        self._limits = limits or Limits()
        self._last_read: tree.Survey | str | None = None
        self._failed_at: float | None = None
        self._look_seconds = 0.0

    async def read(self) -> Revision:
        """The tree at one moment: what changes while it is read is read again. Raises `SourceError`."""
        self._failed_at = time.monotonic()
        found, revision = await asyncio.to_thread(self._read)
        self._last_read, self._failed_at = found, None
        return revision

    async def changes(self) -> AsyncIterator[None]:
        """Yields once for each change since the last `read` (at once if there was none), when it has come to rest."""
        announced: tree.Survey | str | None = None
        while True:
            now = await self._settled()
            due = self._failed_at is not None and time.monotonic() - self._failed_at >= self._retry
            if (now not in (self._last_read, announced)) or due:
                announced = now
                if due:
                    self._failed_at = time.monotonic()
                yield
            await asyncio.sleep(max(self._poll, _SHARE * self._look_seconds))

    async def _settled(self) -> tree.Survey | str:
        """The tree's state, as soon as it holds still or patience ends."""
        now = await self._look()
        if now == self._last_read:
            return now
        patience = time.monotonic() + self._patience
        while time.monotonic() < patience:
            await asyncio.sleep(self._poll)
            before, now = now, await self._look()
            if now == before:
                break
        return now

    async def _look(self) -> tree.Survey | str:
        return await asyncio.to_thread(self._timed_look)

    def _timed_look(self) -> tree.Survey | str:
        start = time.thread_time()
        state = tree.state_of(self.root, self._limits)
        self._look_seconds = time.thread_time() - start
        return state

    def _read(self) -> tuple[tree.Survey, Revision]:
        patience = time.monotonic() + self._patience
        while True:
            if (found := self._attempt()) is not None:
                return found
            if time.monotonic() > patience:
                raise SourceUnsettled(self.root, self._patience)
            time.sleep(0.01)

    def _attempt(self) -> tuple[tree.Survey, Revision] | None:
        """One reading, or None where the tree moved under it; what cannot be read although it rests is an error."""
        before: tree.Survey | str = "nothing seen yet"
        try:
            before = self._rested()
            files = tree.read(before, self._limits)
        except SourceUnreadable as error:
            if tree.state_of(self.root, self._limits) in (before, str(error)):
                raise
            return None
        if tree.state_of(self.root, self._limits) != before:
            return None
        return before, Revision(files, content_name(files))

    def _rested(self) -> tree.Survey:
        found = tree.survey(self.root, self._limits)
        young = _TICK_NS - (time.time_ns() - found.newest_ns)
        if 0 < young <= _TICK_NS:
            time.sleep(young / 1e9)  # let the file clock step, so that any later change shows
            found = tree.survey(self.root, self._limits)
        return found
