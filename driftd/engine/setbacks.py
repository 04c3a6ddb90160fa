"""Writes that did not work, or are not tried: refused by the API server, lost to others, failed for now, or waiting."""

import math
from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from driftd.values import ObjectRef, Scope, scope_of

_SURE = 2
"""Refusals of an object, while it differs, from which on they are told."""


_CONTESTED = 2
"""Writes of an object lost to others within `_LOST_SECONDS` from which on it is written whatever its version."""
_LOST_SECONDS = 60.0
_HOPELESS = 5
"""Writes lost in a row from which on it is told."""


@dataclass(slots=True)
class _Setback:
    pause: float
    until: float
    refusals: int = 0
    refused: str = ""


@dataclass(slots=True)
class _Race:
    """Writes that came too late; `in_a_row` are those since the last one that went through."""

    times: deque[float] = field(default_factory=lambda: deque(maxlen=_CONTESTED))
    in_a_row: int = 0

    def contested(self, now: float) -> bool:
        return len(self.times) == _CONTESTED and now - self.times[0] <= _LOST_SECONDS


class Setbacks:
    """Remembers each object's last failure and how long to leave it alone; pauses double up to a bound.

    A refused object is tried again as well: admission and rights change without telling. Its first refusal is taken for
    a failure. Trap: an API server that has just started answers 403 before it has read its roles and its admission
    policies, and a hole stood open for the longest pause for want of a second try.
    """

    def __init__(self, *, first_seconds: float, longest_seconds: float) -> None:
        self._first = first_seconds
        self._longest = longest_seconds
        self._objects: dict[ObjectRef, _Setback] = {}
        self._races: dict[ObjectRef, _Race] = {}
        self._scopes: dict[Scope, float] = {}
        self._put_off: dict[Scope, Mapping[ObjectRef, str]] = {}

    def refuse(self, ref: ObjectRef, why: str, now: float) -> None:
        """The server said no; the second time it is believed, and `why` told."""
        self.fail(ref, now)
        setback = self._objects[ref]
        setback.refusals += 1
        setback.refused = why or "refused by the API server"

    def fail(self, ref: ObjectRef, now: float, retry_after: float | None = None) -> None:
        """It did not work this time. The server's own Retry-After counts where it is longer."""
        before = self._objects.get(ref)
        if before is None or now - before.until > self._longest:  # that was another trouble
            self._objects[ref] = before = _Setback(self._first / 2, now)
        before.pause = min(self._longest, before.pause * 2)
        before.until = now + max(before.pause, retry_after or 0.0)

    def lose(self, ref: ObjectRef, now: float) -> None:
        """Somebody else wrote it first. Trap: who writes an object all the time lets no write of a version through."""
        race = self._races.setdefault(ref, _Race())
        race.times.append(now)
        race.in_a_row += 1

    def contested(self, now: float) -> frozenset[ObjectRef]:
        """Objects that others have written ahead of driftd again and again within a minute."""
        return frozenset(ref for ref, race in self._races.items() if race.contested(now))

    def clear(self, ref: ObjectRef) -> None:
        """A write of this object went through."""
        self._objects.pop(ref, None)
        if race := self._races.get(ref):
            race.in_a_row = 0

    def wait(self, ref: ObjectRef, now: float) -> float:
        """Seconds to leave the object alone."""
        setback = self._objects.get(ref)
        return max(0.0, setback.until - now) if setback else 0.0

    def paused(self, scope: Scope, now: float) -> dict[ObjectRef, float]:
        """The objects of a scope that are left alone, each with the seconds, whether or not they differ."""
        waits = {ref: self.wait(ref, now) for ref in self._objects if scope_of(ref) == scope}
        return {ref: wait for ref, wait in waits.items() if wait > 0}

    def why_not(self, ref: ObjectRef) -> str:
        """Why the object cannot be repaired, else empty.

        The server refuses it, others write it all the time, or it waits for another one.
        """
        setback = self._objects.get(ref)
        if setback is not None and setback.refusals >= _SURE:
            return setback.refused
        race = self._races.get(ref)
        if race is not None and race.in_a_row >= _HOPELESS:
            return f"others keep writing it: {_HOPELESS} writes of driftd or more came too late, one after the other"
        return self._put_off.get(scope_of(ref), {}).get(ref, "")

    def put_off(self, scope: Scope, waiting: Mapping[ObjectRef, str]) -> bool:
        """Take what the last plan of a scope left until somebody has seen to another object; whether that is news."""
        before = self._put_off.pop(scope, {})
        if waiting:
            self._put_off[scope] = waiting
        return dict(before) != dict(waiting)

    def pause(self, scope: Scope) -> float:
        """The next pause of a scope that could not be observed."""
        pause = min(self._longest, self._scopes.get(scope, self._first / 2) * 2)
        self._scopes[scope] = pause
        return pause

    def settled(self, scope: Scope, differing: Collection[ObjectRef], now: float) -> None:
        """The scope could be observed, and these differ there: what does not is no setback, whoever saw to it.

        Where something differs, others keep their pause: a plan may have to write what does not differ itself.
        """
        self._scopes.pop(scope, None)
        for ref, setback in [*self._objects.items()]:
            if scope_of(ref) != scope or ref in differing:
                continue
            setback.refusals = 0
            if not differing or setback.until <= now:
                del self._objects[ref]
        for ref, race in [*self._races.items()]:
            if scope_of(ref) == scope and ref not in differing:
                race.in_a_row = 0
                if not race.contested(now):
                    del self._races[ref]

    def leave(self, scope: Scope) -> None:
        """Nothing is written there any more."""
        self.settled(scope, (), math.inf)
        self._put_off.pop(scope, None)
