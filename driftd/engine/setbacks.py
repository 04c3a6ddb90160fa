"""Writes that did not work, or are not tried: refused by the API server, lost to others, failed for now, or waiting."""

from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from driftd.values import ObjectRef, Scope, kind_name, scope_of

_SURE = 2
"""Refusals of an object, while it differs, from which on they are told."""
CONTESTED = 2
"""Writes of an object lost to others within `_LOST_SECONDS` from which on it is written whatever its version."""
_LOST_SECONDS = 60.0
_HOPELESS = 5
"""Writes lost in a row from which on it is told, for as long as the object is contested."""


@dataclass(slots=True)
class _Setback:
    pause: float
    until: float
    refusals: int = 0
    refused: str = ""


@dataclass(slots=True)
class _Race:
    """Writes that came too late; `in_a_row` are those since the last one that went through."""

    times: deque[float] = field(default_factory=lambda: deque(maxlen=CONTESTED + 1))
    in_a_row: int = 0

    def lost(self, now: float) -> int:
        """Writes lost lately, one more than `CONTESTED` at most."""
        return sum(now - at <= _LOST_SECONDS for at in self.times)

    def contested(self, now: float) -> bool:
        return self.lost(now) >= CONTESTED


@dataclass(slots=True)
class _Place:
    """What went wrong in one scope: trouble in one costs the others nothing."""

    pause: float = 0.0
    objects: dict[ObjectRef, _Setback] = field(default_factory=dict)
    races: dict[ObjectRef, _Race] = field(default_factory=dict)
    put_off: Mapping[ObjectRef, str] = field(default_factory=dict)

    def is_hopeless(self, ref: ObjectRef, now: float) -> bool:
        """Whether writes of the object are lost to others one after the other."""
        race = self.races.get(ref)
        return race is not None and race.in_a_row >= _HOPELESS and race.contested(now)


class Setbacks:
    """Remembers each object's last failure and how long to leave it alone; pauses double up to a bound.

    A refused object is tried again as well: admission and rights change without telling. Its first refusal is taken for
    a failure. Trap: an API server that has just started answers 403 before it has read its roles and its admission
    policies, and a hole stood open for the longest pause for want of a second try.
    """

    def __init__(self, *, first_seconds: float, longest_seconds: float) -> None:
        self._first = first_seconds
        self._longest = longest_seconds
        self._places: dict[Scope, _Place] = {}

    def refuse(self, ref: ObjectRef, why: str, now: float) -> None:
        """The server said no; the second time it is believed, and `why` told."""
        setback = self.fail(ref, now)
        setback.refusals += 1
        setback.refused = why or "refused by the API server"

    def fail(self, ref: ObjectRef, now: float, retry_after: float | None = None) -> _Setback:
        """It did not work this time. The server's own Retry-After counts where it is longer."""
        objects = self._place(scope_of(ref)).objects
        setback = objects.get(ref)
        if setback is None or now - setback.until > self._longest:  # that was another trouble
            setback = objects[ref] = _Setback(self._first / 2, now)
        setback.pause = min(self._longest, setback.pause * 2)
        setback.until = now + max(setback.pause, retry_after or 0.0)
        return setback

    def lose(self, ref: ObjectRef, now: float) -> int:
        """Somebody else wrote it first; how often lately, one more than `CONTESTED` at most.

        Trap: who writes an object all the time lets no write of a version through.
        """
        race = self._place(scope_of(ref)).races.setdefault(ref, _Race())
        if not race.lost(now):
            race.in_a_row = 0  # that was another race
        race.times.append(now)
        race.in_a_row += 1
        return race.lost(now)

    def contested(self, scope: Scope, now: float) -> frozenset[ObjectRef]:
        """Objects that others have written ahead of driftd again and again within a minute."""
        return frozenset(ref for ref, race in self._known(scope).races.items() if race.contested(now))

    def hopeless(self, scope: Scope, now: float) -> dict[ObjectRef, float]:
        """Objects of which five writes were lost in a row, with the seconds until that is over if no more are."""
        place = self._known(scope)
        races = ((ref, race) for ref, race in place.races.items() if place.is_hopeless(ref, now))
        return {ref: race.times[-CONTESTED] + _LOST_SECONDS - now for ref, race in races}

    def clear(self, ref: ObjectRef) -> None:
        """A write of this object went through."""
        place = self._known(scope_of(ref))
        place.objects.pop(ref, None)
        if race := place.races.get(ref):
            race.in_a_row = 0

    def wait(self, ref: ObjectRef, now: float) -> float:
        """Seconds to leave the object alone."""
        setback = self._known(scope_of(ref)).objects.get(ref)
        return max(0.0, setback.until - now) if setback else 0.0

    def paused(self, scope: Scope, now: float) -> dict[ObjectRef, float]:
        """The objects of a scope that are left alone, each with the seconds, whether or not they differ."""
        objects = self._known(scope).objects.items()
        return {ref: setback.until - now for ref, setback in objects if setback.until > now}

    def why_not(self, ref: ObjectRef, now: float) -> str:
        """Why the object cannot be repaired, else empty.

        The server refuses it, others write it all the time, or it waits for another one.
        """
        place = self._known(scope_of(ref))
        setback = place.objects.get(ref)
        if setback is not None and setback.refusals >= _SURE:
            return setback.refused
        if place.is_hopeless(ref, now):
            return f"others keep writing it: {_HOPELESS} writes of driftd or more came too late, one after the other"
        return place.put_off.get(ref, "")

    def lasts(self, ref: ObjectRef, now: float) -> bool:
        """Whether writes of the object have failed more than once, so that what waits for it is to be told."""
        place = self._known(scope_of(ref))
        setback = place.objects.get(ref)
        failed = setback is not None and (setback.pause > self._first or setback.refusals >= _SURE)
        return failed or place.is_hopeless(ref, now)

    def put_off(self, scope: Scope, waiting: Mapping[ObjectRef, str], *, tries: bool = False) -> bool:
        """Take what the last plan of a scope left until somebody has seen to another object; whether that is news.

        A plan that `tries` writes and leaves nothing is no news before they have gone through (`settled`): with each
        refused try of the object that others wait for, these would be over and begin anew.
        """
        if waiting == self._known(scope).put_off or (tries and not waiting):
            return False
        self._place(scope).put_off = dict(waiting)
        return True

    def pause(self, scope: Scope) -> float:
        """The next pause of a scope that could not be observed."""
        place = self._place(scope)
        place.pause = min(self._longest, (place.pause or self._first / 2) * 2)
        return place.pause

    def observed(self, scope: Scope) -> None:
        """The whole scope could be seen."""
        self._known(scope).pause = 0.0
        self._tidy(scope)

    def settled(
        self, scope: Scope, differing: Collection[ObjectRef], now: float, *, unseen: Collection[str] = ()
    ) -> None:
        """These objects differ there, and of these kinds nothing is known: what is neither is no setback any more.

        That holds whoever saw to it. Where something differs, others keep their pause: a plan may have to write what
        does not differ itself. A race is over when nothing was lost for a while. Trap: who makes and deletes an object
        all the time lets every other look find nothing there.
        """
        place = self._known(scope)
        place.put_off = {ref: why for ref, why in place.put_off.items() if not _is_settled(ref, differing, unseen)}
        for ref in [ref for ref in (*place.objects, *place.races) if _is_settled(ref, differing, unseen)]:
            if setback := place.objects.get(ref):
                setback.refusals = 0
                if not differing or setback.until <= now:
                    del place.objects[ref]
            if (race := place.races.get(ref)) and not race.lost(now):
                del place.races[ref]
        self._tidy(scope)

    def leave(self, scope: Scope) -> None:
        """Nothing is written there any more."""
        self._places.pop(scope, None)

    def _tidy(self, scope: Scope) -> None:
        if self._places.get(scope) == _Place():
            self._places.pop(scope, None)

    def _place(self, scope: Scope) -> _Place:
        return self._places.setdefault(scope, _Place())

    def _known(self, scope: Scope) -> _Place:
        """What there is of a scope, to look at; nothing that is put there is kept where nothing was."""
        return self._places.get(scope) or _Place()


def _is_settled(ref: ObjectRef, differing: Collection[ObjectRef], unseen: Collection[str]) -> bool:
    return ref not in differing and kind_name(ref.group, ref.kind) not in unseen
