"""Keeps one kind's store in the mirror equal to the API server: list, then watch, and a cure for each way it breaks.

The behaviour is client-go's reflector (`tools/cache/reflector.go`): resume where the watch stopped, list again only
when history is gone, back off with jitter, never trust a stream to end. What differs: the first list is consistent
(resourceVersion unset) instead of "any", because absences are read from it, and a kind's state says what is known.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final, Generic

import structlog

from driftd.cluster.errors import (
    ApiError,
    BadAnswer,
    ClusterError,
    CredentialsUnusable,
    Forbidden,
    Gone,
    Invalid,
    NotFound,
    ServerFault,
    Unauthorized,
    api_error,
    read_status,
)
from driftd.cluster.keeping import Keeping, ToldT
from driftd.cluster.pace import Backoff, Pace
from driftd.cluster.paths import collection_path
from driftd.cluster.session import JSON, Session, Timeouts
from driftd.cluster.truth import KindNotServed, ListExpired, pages
from driftd.cluster.versions import older
from driftd.cluster.wire import METADATA, Event, Malformed, read_event, read_version
from driftd.drift import KindState
from driftd.values import Resource

_SLICE: Final = 24
"""Objects digested before the loop gets its turn: about 3 ms."""

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ReflectorSettings:
    """Seconds unless said otherwise.

    The server ends each watch after a random time in `server_timeout`. A watch that is silent for `silence` is given
    up: servers send a bookmark about every minute, so this is not a quiet kind but a dead path. Disconnected for
    `blind_after`, the kind is BLIND. A kind that is not served is asked for again after `absent_poll`.
    """

    page_limit: int = 500
    server_timeout: tuple[float, float] = (300.0, 600.0)
    silence: float = 90.0
    connect: float = 5.0
    blind_after: float = 45.0
    absent_poll: float = 60.0
    short_watch: float = 1.0


@dataclass(slots=True)
class ReflectorCounts:
    """What a reflector went through, for metrics and health. `contact` is the monotonic second of the last news."""

    lists: int = 0
    watches: int = 0
    events: int = 0
    bookmarks: int = 0
    expired: int = 0
    broken: int = 0
    refused: int = 0
    contact: float = float("-inf")


class _Next(Enum):
    """Where to go on after a trouble."""

    WATCH = auto()
    LIST = auto()
    LIST_AT_ONCE = auto()


class _ShortWatch(ClusterError):
    """A watch that ended at once, without an event: a server or proxy in trouble, not the end of a watch."""


@dataclass(slots=True)
class Reflector(Generic[ToldT]):
    """The list-and-watch loop of one kind. `run` ends only by cancellation.

    `partial` asks for metadata only. `turns` bounds how many reflectors list at the same time. `rewound` says that the
    server's history is known to have gone back: the first list is believed, whatever later versions are known.
    """

    session: Session
    mirror: Keeping[ToldT]
    resource: Resource
    pace: Pace
    settings: ReflectorSettings = ReflectorSettings()
    partial: bool = False
    turns: asyncio.Semaphore | None = None
    rewound: bool = False
    counts: ReflectorCounts = field(default_factory=ReflectorCounts)
    _version: str = field(default="", init=False)
    _stuck_at: str = field(default="", init=False)
    _expired_in_a_row: int = field(default=0, init=False)
    _out_since: float | None = field(default=None, init=False)
    _relist: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    async def run(self) -> None:
        """Lists and watches for ever. Every failure of the server ends in a wait and another try."""
        backoff = Backoff(self.pace)
        self.mirror.watch(self.resource, partial=self.partial)
        step = _Next.LIST
        while True:
            try:
                if step is not _Next.WATCH or not self._version:
                    await self._list()
                step = _Next.WATCH
                await self._watch()
            except KindNotServed as error:
                step = _Next.LIST
                self._out_since = None  # not served is an answer, and no trouble
                self.mirror.mark(self.resource, KindState.ABSENT, str(error))
                await self._nap(self.settings.absent_poll * (0.5 + self.pace.random()))
            except ClusterError as error:
                step = self._judge(error, step)
                after = error.retry_after if isinstance(error, ApiError) else None
                wait = 0.0 if step is _Next.LIST_AT_ONCE else backoff.next(after or 0.0)
                _log.info("cluster.reflector.retry", kind=str(self.resource), error=str(error), wait=round(wait, 2))
                await self._nap(wait)

    def poke(self) -> None:
        """Ends a wait: discovery has seen the kind appear."""
        self._relist.set()

    async def _nap(self, seconds: float) -> None:
        self._relist.clear()
        waits = {asyncio.ensure_future(self.pace.sleep(seconds)), asyncio.ensure_future(self._relist.wait())}
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waits:
                task.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    # -- listing ------------------------------------------------------------------------------------------------

    async def _list(self) -> None:
        """Replaces the store by a complete list; a list that breaks off leaves the store untouched."""
        confirmed = False
        while True:
            async with self.turns or contextlib.nullcontext():
                found, version = await self._collect()
            before = self.mirror.watermark(self.resource)
            if older(version, before) and not (confirmed or self.rewound):
                # Either a stale server or an etcd restored from a backup. One more consistent list tells: it cannot
                # be stale twice, and what is deleted by mistake here would only be a hint anyway.
                _log.warning("cluster.history.went_back", kind=str(self.resource), known=before, listed=version)
                confirmed = True
                continue
            self.mirror.replace_all(self.resource, found, version, rewound=self.rewound or older(version, before))
            self.rewound = False
            self._version = version
            self._stuck_at = ""
            self._hope()
            return

    async def _collect(self) -> tuple[list[ToldT], str]:
        while True:
            self.counts.lists += 1
            reader = self.mirror.listing(self.resource)
            found: list[ToldT] = []
            version = ""
            try:
                async for page in pages(self.session, reader, self.settings.page_limit):
                    for count, item in enumerate(page.items, start=1):
                        found.append(reader.live(item))
                        if count % _SLICE == 0:
                            await asyncio.sleep(0)
                    version = page.resource_version
            except ListExpired:
                self.counts.expired += 1
                await self.pace.sleep(self.pace.between(0.1, 1.0))
                continue
            except Malformed as error:
                raise BadAnswer("GET", collection_path(self.resource), str(error)) from error
            return found, version

    # -- watching -----------------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        """One watch until the server ends it in good order; anything else is raised."""
        self.counts.watches += 1
        server_seconds = self.pace.between(*self.settings.server_timeout)
        query = {
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._version,
            "timeoutSeconds": str(max(1, int(server_seconds))),
        }
        timeouts = Timeouts(self.settings.connect, self.settings.silence, server_seconds + 30.0)
        path = collection_path(self.resource)
        accept = METADATA if self.partial else JSON
        began, events = self.pace.clock.monotonic(), 0
        try:
            async with (
                self.session.stream(path, query=query, accept=accept, timeouts=timeouts) as stream,
                self._on_trial(),
            ):
                async for line in stream.lines():
                    events += 1
                    self._take(line, path)
                    if events % _SLICE == 0:
                        await asyncio.sleep(0)
        except NotFound as error:
            raise KindNotServed(f"WATCH {path}: the API server does not serve {self.resource}") from error
        self._expired_in_a_row = 0
        if not events and self.pace.clock.monotonic() - began < self.settings.short_watch:
            raise _ShortWatch(f"WATCH {path}: ended at once without an event")
        self._news()

    @contextlib.asynccontextmanager
    async def _on_trial(self) -> AsyncIterator[None]:
        """An open watch is news at once, but not after a failure: then it has to bring something good, or to last."""
        self._hope()
        if self._out_since is None:
            yield
            return
        lasting = asyncio.ensure_future(self._last())
        try:
            yield
        finally:
            lasting.cancel()
            await asyncio.gather(lasting, return_exceptions=True)

    async def _last(self) -> None:
        # A quiet watch is given up after its silence: it has to count before that, or it never would.
        await self.pace.sleep(min(self.settings.short_watch, self.settings.silence / 2))
        self._news()

    def _take(self, line: bytes, path: str) -> None:
        """Applies one event; the version to resume from moves only after that."""
        try:
            event = read_event(line)
            version = self._apply(event, path)
        except Malformed as error:
            raise BadAnswer("WATCH", path, str(error)) from error
        if not older(version, self._version):
            self._version = version
        self._expired_in_a_row = 0
        self._news()

    def _apply(self, event: Event, path: str) -> str:
        match event.type:
            case "BOOKMARK":
                version = read_version(event.object)
                self.mirror.bookmark(self.resource, version)
                self.counts.bookmarks += 1
                return version
            case "ADDED" | "MODIFIED" | "DELETED":
                live = self.mirror.reader(self.resource).live(event.object)
                if event.type == "DELETED":
                    self.mirror.vanish(self.resource, live)
                else:
                    self.mirror.apply(self.resource, live)
                self.counts.events += 1
                return live.resource_version
            case "ERROR":
                raise self._in_stream(bytes(event.object), path)
            case _:
                raise Malformed(f"unknown event type {event.type[:32]!r}")

    @staticmethod
    def _in_stream(body: bytes, path: str) -> ClusterError:
        code, said = read_status(body)
        return api_error("WATCH", path, code or 500, said)

    # -- judging ------------------------------------------------------------------------------------------------

    def _judge(self, error: ClusterError, step: _Next) -> _Next:
        """What a failure means for the kind's state, and whether the watch can resume."""
        match error:
            case Gone() | Invalid():
                # The server's history no longer reaches back to where we are.
                # That is no sign of trouble, so a backoff grown on earlier troubles does not count; but a server that
                # forgets each list before it can be watched is not asked in a tight loop.
                self.counts.expired += 1
                self._expired_in_a_row += 1
                self._start_over(str(error))
                return _Next.LIST_AT_ONCE if self._expired_in_a_row == 1 else _Next.LIST
            case ServerFault() if _ahead_of_server(error):
                # "Too large resource version": the server is behind us, after a restore perhaps for ever.
                self._start_over(str(error))
                return _Next.LIST
            case Forbidden() | Unauthorized() | CredentialsUnusable():
                self.counts.refused += 1
                self._out()
                self.mirror.mark(self.resource, KindState.BLIND, str(error))
                return step
            case BadAnswer():
                self.counts.broken += 1
                self._out()
                return self._after_garbage(step)
            case _:
                # No answer, 429, 5xx, an over-short watch: what we hold is still good, and so is its version.
                self.counts.broken += 1
                self._out()
                return step

    def _start_over(self, why: str) -> None:
        self._out()
        self._version = ""
        self.mirror.mark(self.resource, KindState.SYNCING, why)

    def _after_garbage(self, step: _Next) -> _Next:
        """Resume where we were; but the same spoilt event twice (a line over every limit) needs a list."""
        if step is _Next.WATCH and self._version and self._stuck_at == self._version:
            self._stuck_at = self._version = ""
            return _Next.LIST
        self._stuck_at = self._version
        return step

    def _hope(self) -> None:
        """A list is complete, or a watch opened.

        What fails right after it, each time, is no contact: so this never ends the time for which a kind has been out,
        and a kind that has been out for long is not READY by it.
        """
        self.counts.contact = self.pace.clock.monotonic()
        if not self._is_long_out():
            self._see()

    def _news(self) -> None:
        """The watch works: it brought something good, lasted, or ended in good order."""
        self.counts.contact = self.pace.clock.monotonic()
        self._out_since = None
        self._see()

    def _see(self) -> None:
        if self.mirror.state(self.resource) is not KindState.READY:
            self.mirror.mark(self.resource, KindState.READY)

    def _out(self) -> None:
        """No contact now. A short gap is normal (servers restart); a long one makes the kind blind."""
        if self._out_since is None:
            self._out_since = self.pace.clock.monotonic()
        state = self.mirror.state(self.resource)
        if self._is_long_out() and state in {KindState.READY, KindState.SYNCING}:
            seconds = self.pace.clock.monotonic() - self._out_since
            self.mirror.mark(self.resource, KindState.BLIND, f"no contact for {seconds:.0f} s")

    def _is_long_out(self) -> bool:
        since = self._out_since
        return since is not None and self.pace.clock.monotonic() - since >= self.settings.blind_after


def _ahead_of_server(error: ApiError) -> bool:
    return "ResourceVersionTooLarge" in error.said.causes or "Too large resource version" in error.said.message
