"""What another replica has done to kept pages while this one led: found by reading, once a minute, what is kept.

A stand-by that is cut off from the API server takes itself for the one to page. When it knows better it forgets its
pages, and leaves them as they are: nobody but the leader can then tell their end.
"""

from bisect import bisect_right
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import msgspec
import structlog

from driftd.paging.machine import Machine
from driftd.paging.pages import Page, PageState, page_of
from driftd.paging.step import Name
from driftd.paging.windows import Instant
from driftd.store import DeliveryRow, Store, StoreUnreadable, Told

LOOK_SECONDS = 60.0
_MOST = 500
"""Lives that are read at one look; the next begins behind the last of them, since some may never come to an end."""

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Left:
    """A page that another replica has left, over by now. `told_here`: its incident is that of a page of ours."""

    page: Page
    deliveries: Sequence[DeliveryRow]
    told_here: bool


class Strangers:
    """Compares what is kept with what is in hand.

    A difference counts when two looks in a row have found it: what is being written meanwhile is none, and whoever is
    at it has a minute to finish.
    """

    def __init__(self, store: Store, machine: Machine) -> None:
        self._store = store
        self._machine = machine
        self._left: frozenset[Name] = frozenset()
        self._ended: frozenset[Name] = frozenset()
        self._next: float | None = None
        self._last: Name = ("", 0)

    async def look(self, now: Instant, owed: Collection[Name]) -> Sequence[Left]:
        """What others have left, if it is time to look. For who leads: whatever holds has a page here.

        `owed` are lives that are over, and not yet told to everybody. What others have taken for over, and is not, is
        told once more.
        """
        if self._next is None or now.monotonic < self._next:
            self._next = self._next or now.monotonic + LOOK_SECONDS
            return ()
        self._next = now.monotonic + LOOK_SECONDS
        try:
            return [left for one in await self._differing(owed) if (left := self._judged(one, now.wall)) is not None]
        except StoreUnreadable as error:
            _log.info("page.not_reread", why=str(error))
            return ()

    def forget(self) -> None:
        """Another replica leads."""
        self._left = self._ended = frozenset()
        self._next = None

    async def _differing(self, owed: Collection[Name]) -> Sequence[Told]:
        mine = frozenset((page.key, page.life) for page in self._machine.in_hand().values())
        kept = await self._store.unsettled_page_names()
        left, ended = frozenset(kept - mine - frozenset(owed)), mine - kept
        lasting = (left & self._left) | (ended & self._ended)
        self._left, self._ended = left, ended
        if not lasting:
            return ()
        waiting = sorted(lasting)
        behind = bisect_right(waiting, self._last)
        turn = [*waiting[behind:], *waiting[:behind]][:_MOST]
        self._last = turn[-1]
        return await self._store.pages_named(turn)

    def _judged(self, one: Told, now: datetime) -> Left | None:
        mine = self._machine.in_hand().get(one.page.key)
        if one.page.settled:
            if mine is not None:
                _log.warning("page.ended_elsewhere", page=one.page.key)
                self._machine.again({one.page.key})
            return None
        self._machine.behind([one.page.life])
        if mine is not None and (mine.life == one.page.life or mine.state is PageState.WAITING):
            return None  # nobody is told of that one yet: if it comes to nothing, nobody would be told the end of this
        try:
            page = _ended(page_of(one.page), now)
        except msgspec.MsgspecError as error:
            _log.error("page.unreadable", page=one.page.key, life=one.page.life, why=str(error))
            return None
        _log.warning("page.left_by_other", page=page.key, life=page.life)
        return Left(page, one.deliveries, told_here=mine is not None and mine.told)


def _ended(page: Page, at: datetime) -> Page:
    """A page that nothing holds any more; one that nobody was told of is forgotten."""
    if page.over:
        return page
    if page.state is PageState.WAITING:
        return replace(page, gone=True, resolved=at, version=page.version + 1)
    return replace(page, state=PageState.RESOLVED, quiet=page.quiet or at, resolved=at, version=page.version + 1)
