"""The queue before the scribe: entries in the order of their calls, with callers who wait until it is durable."""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from driftd.store.entries import Entry

GROUP = 64
"""Entries in one transaction. What is too long for the deadline on a database under load would never come to its end:
neither in the journal's replay, which makes groups as large as they may be, nor behind it."""


@dataclass(slots=True, eq=False)
class Waiting:
    """An entry in the queue; `since` is monotonic, `settled` once it is durable or nobody will ever take it."""

    entry: Entry
    done: asyncio.Future[None]
    since: float
    settled: bool = False

    @property
    def alone(self) -> bool:
        """Whether its caller has gone on, or was cancelled."""
        return self.done.done()

    def acknowledge(self) -> None:
        self.settled = True
        if not self.alone:
            self.done.set_result(None)

    def fail(self, error: Exception) -> None:
        self.settled = True
        self.put_off(error)

    def put_off(self, error: Exception) -> None:
        """Its caller goes on; the entry stays in the queue."""
        if not self.alone:
            self.done.set_exception(error)


class WriteQueue:
    """First come, first written."""

    def __init__(self) -> None:
        self._entries: deque[Waiting] = deque()

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, entry: Entry, now: float) -> Waiting:
        """At its end."""
        waiting = Waiting(entry, asyncio.get_running_loop().create_future(), now)
        self._entries.append(waiting)
        return waiting

    def take(self, most: int = GROUP) -> list[Waiting]:
        """The first ones, out of it."""
        return [self._entries.popleft() for _ in range(min(most, len(self._entries)))]

    def put_back(self, group: Sequence[Waiting]) -> None:
        """What was taken, at its head again."""
        self._entries.extendleft(reversed(group))

    def remove(self, waiting: Waiting) -> None:
        """Nobody writes it any more."""
        self._entries.remove(waiting)

    def late(self, since: float) -> list[Waiting]:
        """Those in it since then or longer whose callers still wait."""
        return [one for one in self._entries if one.since <= since and not one.alone]
