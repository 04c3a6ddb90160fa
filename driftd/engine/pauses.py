"""Paused namespaces: there drift is told and left as it is, for a bounded time that ends by itself.

A pause can be renewed, and renewed again: what bounds them together is how long a namespace may be paused in any day.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec
import structlog

from driftd.store import Store, StoreError, StoreUnreadable
from driftd.telemetry import Metrics
from driftd.values import Clock

KEY = "paused/"
"""Prefix of the remembered values; the rest is the namespace's name."""
LONGEST = timedelta(hours=4)
DAY = timedelta(hours=24)
MOST_OF_A_DAY = timedelta(hours=8)
"""Of any 24 hours, all pauses of a namespace together. What is paused for longer is the model's to say."""

_LATELY = "paused-lately/"
"""Prefix of what a namespace has had of its day."""
_MOST_PAUSES = 50
"""Pauses of one namespace within a day: each is remembered."""
_LOOK_SECONDS = 0.5
_log = structlog.get_logger()


class PauseTooLong(ValueError):
    """Nobody may switch off the repairs for longer than a few hours."""

    def __init__(self, length: timedelta) -> None:
        hours = LONGEST.total_seconds() / 3600
        super().__init__(
            f"a pause of {length.total_seconds():g} s: expected more than nothing and at most {hours:g} h; for longer, "
            "set `remediation.mode: report` in the model, where it is reviewed"
        )


class PausedTooMuch(ValueError):
    """A namespace has had its pauses for the day."""

    def __init__(self, namespace: str, left: timedelta) -> None:
        hours = MOST_OF_A_DAY.total_seconds() / 3600
        super().__init__(
            f"{namespace} may be paused for {hours:g} h of any 24 h, and for {left.total_seconds() / 60:g} min now; "
            "for longer, set `remediation.mode: report` in the model, where it is reviewed"
        )


class NotPaused(LookupError):
    """There is nothing to end."""

    def __init__(self, namespace: str) -> None:
        super().__init__(f"{namespace} is not paused; it may have ended by itself (`driftd pause --list`)")


@dataclass(frozen=True, slots=True)
class Pause:
    """Who stopped the repairs of a namespace, when, until when and why."""

    namespace: str
    begun: datetime
    until: datetime
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class Span:
    """For how long a namespace was paused, or is going to be."""

    begun: datetime
    until: datetime


def fits(spans: Iterable[Span], now: datetime, length: timedelta) -> bool:
    """Whether a pause that begins now leaves no 24 hours with more than `MOST_OF_A_DAY` of pauses.

    Of the days that it touches, the one that ends with it holds the most: what leaves a day at its beginning is never
    more than what the pause adds at its end. Spans in the future (a clock that was set back) count whole.
    """
    begins = now + length - DAY
    had = sum((max(timedelta(0), one.until - max(one.begun, begins)) for one in spans), timedelta(0))
    return had + length <= MOST_OF_A_DAY


def left_of_the_day(spans: Sequence[Span], now: datetime) -> timedelta:
    """The longest pause that fits now, to the minute."""
    minutes = range(1, int(LONGEST.total_seconds()) // 60 + 1)
    return timedelta(minutes=sum(fits(spans, now, timedelta(minutes=one)) for one in minutes))


def remaining(pause: Pause, now: datetime) -> timedelta:
    """How long a remembered pause still lasts: never longer than it was made for, whatever the clock did meanwhile."""
    length = max(timedelta(0), min(pause.until - pause.begun, LONGEST))
    return max(timedelta(0), min(pause.until - now, length))


class Pauses:
    """The pauses that hold. Kept in the store: they outlive a restart and follow the leadership.

    A pause ends when either clock says so, the wall's or the monotonic one: a clock that is set back prolongs none.

    Args:
        changed: told of a namespace whose pause began or ended, in the event loop.
    """

    def __init__(self, *, store: Store, clock: Clock, metrics: Metrics, changed: Callable[[str], None]) -> None:
        self._store = store
        self._clock = clock
        self._metrics = metrics
        self._changed = changed
        self._held: dict[str, tuple[Pause, float]] = {}
        self._turn = asyncio.Lock()

    def of(self, namespace: str) -> Pause | None:
        """The pause that holds in a namespace now."""
        held = self._held.get(namespace)
        if held is None or self._is_over(*held):
            return None
        return held[0]

    def all(self) -> tuple[Pause, ...]:
        """Every pause that holds now, by namespace."""
        return tuple(pause for _, (pause, end) in sorted(self._held.items()) if not self._is_over(pause, end))

    async def begin(self, namespace: str, length: timedelta, by: str, reason: str) -> Pause:
        """Pause a namespace from now on, instead of a pause that may hold there.

        Raises:
            PauseTooLong, PausedTooMuch, StoreGone, StoreUnreadable: and nothing is paused.
        """
        if not timedelta(0) < length <= LONGEST:
            raise PauseTooLong(length)
        async with self._turn:
            now = self._clock.now()
            spans = [_ended(one, now) for one in await self._lately(namespace) if one.until > now - DAY]
            if len(spans) >= _MOST_PAUSES or not fits(spans, now, length):
                raise PausedTooMuch(
                    namespace, timedelta(0) if len(spans) >= _MOST_PAUSES else left_of_the_day(spans, now)
                )
            pause = Pause(namespace, now, now + length, by, reason)
            detail = {"by": by, "until": pause.until.isoformat(), "reason": reason}
            await asyncio.gather(
                self._store.remember_all(
                    {KEY + namespace: _json(pause), _LATELY + namespace: _json([*spans, Span(now, pause.until)])}
                ),
                self._store.note("pause.begun", namespace, detail),
            )
            self._hold(pause)
        _log.warning("pause.begun", namespace=namespace, **detail)
        self._changed(namespace)
        return pause

    async def end(self, namespace: str, by: str) -> Pause:
        """End a pause before its time. Raises `NotPaused`, `StoreGone`."""
        async with self._turn:
            pause = self.of(namespace)
            if pause is None:
                raise NotPaused(namespace)
            await self._over(pause, by, await self._cut_short(namespace))
        return pause

    async def load(self) -> None:
        """Take over what the store remembers. Where it cannot say, nothing is paused: repairs are the safer side."""
        try:
            remembered = await self._store.recall_all(KEY)
        except StoreError as error:
            _log.error("store.past_unknown", why=str(error))
            self._count()
            return
        self._held.clear()
        for key, value in remembered.items():
            try:
                self._hold(msgspec.json.decode(value, type=Pause))
            except msgspec.MsgspecError as error:
                _log.error("pause.unreadable", namespace=key.removeprefix(KEY), why=str(error))
        self._count()

    def hide(self) -> None:
        """The term is over: which pauses hold now is the next leader's to say."""
        self._metrics.paused.set(0)

    async def run(self) -> None:
        """End each pause when its time is over, for ever."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            for pause, end in list(self._held.values()):
                if self._is_over(pause, end):
                    try:
                        await self._over(pause, "its time")
                    except StoreError as error:  # it is over all the same, and forgotten at the next look
                        _log.error("store.not_recorded", why=str(error))
                        self._changed(pause.namespace)

    async def _cut_short(self, namespace: str) -> Mapping[str, str]:
        """What the namespace has had of its day if its pause ends now; where nobody can say, it counts as planned."""
        now = self._clock.now()
        try:
            spans = [_ended(one, now) for one in await self._lately(namespace)]
        except StoreUnreadable:
            return {}
        return {_LATELY + namespace: _json(spans)}

    async def _lately(self, namespace: str) -> list[Span]:
        """The pauses of a day, each as it was planned or as it was cut short. Raises `StoreUnreadable`."""
        remembered = await self._store.recall(_LATELY + namespace)
        try:
            return msgspec.json.decode(remembered, type=list[Span]) if remembered else []
        except msgspec.MsgspecError as error:
            _log.error("pause.unreadable", namespace=namespace, why=str(error))
            return []

    async def _over(self, pause: Pause, by: str, cut_short: Mapping[str, str] | None = None) -> None:
        await asyncio.gather(
            self._store.remember_all({**(cut_short or {}), KEY + pause.namespace: None}),
            self._store.note("pause.ended", pause.namespace, {"by": by, "begun_by": pause.by}),
        )
        if self._held.get(pause.namespace, (None,))[0] is pause:
            del self._held[pause.namespace]
        self._count()
        _log.info("pause.ended", namespace=pause.namespace, by=by)
        self._changed(pause.namespace)

    def _hold(self, pause: Pause) -> None:
        seconds = remaining(pause, self._clock.now()).total_seconds()
        self._held[pause.namespace] = pause, self._clock.monotonic() + seconds
        self._count()

    def _count(self) -> None:
        self._metrics.paused.set(len(self._held))

    def _is_over(self, pause: Pause, end: float) -> bool:
        return self._clock.monotonic() >= end or self._clock.now() >= pause.until


def _ended(span: Span, now: datetime) -> Span:
    """A span that goes on is cut short: its pause is replaced, or ended. One of the future stays as it is."""
    return Span(span.begun, now) if span.begun <= now < span.until else span


def _json(value: Pause | list[Span]) -> str:
    return msgspec.json.encode(value).decode()
