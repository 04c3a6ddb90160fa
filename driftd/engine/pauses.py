"""Paused namespaces: there drift is told and left as it is, for a bounded time that ends by itself."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec
import structlog

from driftd.store import Store, StoreError
from driftd.telemetry import Metrics
from driftd.values import Clock

KEY = "paused/"
"""Prefix of the remembered values; the rest is the namespace's name."""
LONGEST = timedelta(hours=4)

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
        """Pause a namespace from now on, instead of a pause that may hold there. Raises `PauseTooLong`, `StoreGone`."""
        if not timedelta(0) < length <= LONGEST:
            raise PauseTooLong(length)
        now = self._clock.now()
        pause = Pause(namespace, now, now + length, by, reason)
        detail = {"by": by, "until": pause.until.isoformat(), "reason": reason}
        await asyncio.gather(
            self._store.remember(KEY + namespace, msgspec.json.encode(pause).decode()),
            self._store.note("pause.begun", namespace, detail),
        )
        self._hold(pause)
        _log.warning("pause.begun", namespace=namespace, **detail)
        self._changed(namespace)
        return pause

    async def end(self, namespace: str, by: str) -> Pause:
        """End a pause before its time. Raises `NotPaused`, `StoreGone`."""
        pause = self.of(namespace)
        if pause is None:
            raise NotPaused(namespace)
        await self._over(pause, by)
        return pause

    async def load(self) -> None:
        """Take over what the store remembers. Where it cannot say, nothing is paused: repairs are the safer side."""
        try:
            remembered = await self._store.recall_all(KEY)
        except StoreError as error:
            _log.error("store.past_unknown", why=str(error))
            return
        self._held.clear()
        for key, value in remembered.items():
            try:
                self._hold(msgspec.json.decode(value, type=Pause))
            except msgspec.MsgspecError as error:
                _log.error("pause.unreadable", namespace=key.removeprefix(KEY), why=str(error))

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

    async def _over(self, pause: Pause, by: str) -> None:
        await asyncio.gather(
            self._store.remember_all({KEY + pause.namespace: None}),
            self._store.note("pause.ended", pause.namespace, {"by": by, "begun_by": pause.by}),
        )
        if self._held.get(pause.namespace, (None,))[0] is pause:
            del self._held[pause.namespace]
        self._metrics.paused.set(len(self._held))
        _log.info("pause.ended", namespace=pause.namespace, by=by)
        self._changed(pause.namespace)

    def _hold(self, pause: Pause) -> None:
        seconds = remaining(pause, self._clock.now()).total_seconds()
        self._held[pause.namespace] = pause, self._clock.monotonic() + seconds
        self._metrics.paused.set(len(self._held))

    def _is_over(self, pause: Pause, end: float) -> bool:
        return self._clock.monotonic() >= end or self._clock.now() >= pause.until
