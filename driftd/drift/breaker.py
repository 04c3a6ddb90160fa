"""The fight breaker: patience with drift that only breaks things, none with drift that may open them (D7)."""

from collections import OrderedDict, deque
from dataclasses import dataclass

from driftd.values import Direction, ObjectRef

WINDOW_SECONDS = 60.0
"""So many repairs within this time make a fight."""
QUIET_SECONDS = 600.0
"""A fight is over when nothing was repaired for this long: twice the longest pause, so patience never ends a fight."""


@dataclass(frozen=True, slots=True)
class Fight:
    """One object that somebody keeps changing back. Times are monotonic seconds.

    `open_share`, 0 to 1, is how much of the fight's own time the object stood open; the quiet after it does not count.
    """

    ref: ObjectRef
    since: float
    repairs: int
    loosened_seconds: float
    open_share: float


@dataclass(slots=True)
class _Object:
    touched: float  # the last repair, or the first sight of drift
    recent: deque[float]  # the last repairs, as many as make a fight
    free: float = 0.0  # no write before this, by the cap on writes
    pause: float = 0.0  # the present pause of a patient fight
    half: str = ""  # the version that the last repair left closed, if it opened it no more
    ours: bool = False  # whether it was seen at that version
    fight_since: float | None = None
    repairs: int = 0
    loose_since: float | None = None
    loosened: float = 0.0
    loosened_before: float = 0.0  # of that, before the fight

    def loosened_by(self, now: float) -> float:
        still = 0.0 if self.loose_since is None else max(0.0, now - self.loose_since)
        return self.loosened + still


class FightBreaker:
    """Says when an object may be repaired again, and when its repairs have become a fight.

    The engine asks `permit` for each drifted object (which also starts the clock of how long it stands open), tells
    `repaired` when its writes are done and `settled` when the object is found canonical. Every time is monotonic
    seconds and must not step back. At most `capacity` objects are remembered; the one longest untouched is forgotten
    first, one without a fight before one with, and forgetting only ever means *less* patience.

    Five repairs within a minute make a fight (Config Sync reports one at the same pace). In a fight, drift that
    tightens or is neutral is repaired after 2 s, then 6 s, 18 s and so on up to 300 s. Drift that may loosen is always
    repaired, at no more than `writes_per_second`: a pause there would be a hole that the other side may hold open.
    What a repair of ours left closed, and nobody wrote since, is no drift of theirs: it is opened without a pause, and
    that is no repair of its own.
    """

    def __init__(
        self,
        *,
        repairs_per_minute: int = 5,
        first_pause_seconds: float = 2.0,
        pause_factor: float = 3.0,
        longest_pause_seconds: float = 300.0,
        writes_per_second: float = 2.0,
        capacity: int = 20_000,
    ) -> None:
        self._trip = repairs_per_minute
        self._first_pause = first_pause_seconds
        self._factor = pause_factor
        self._longest_pause = longest_pause_seconds
        self._gap = 1.0 / writes_per_second
        self._capacity = capacity
        self._calm: OrderedDict[ObjectRef, _Object] = OrderedDict()
        self._fighting: OrderedDict[ObjectRef, _Object] = OrderedDict()

    def permit(self, ref: ObjectRef, direction: Direction, now: float, *, version: str = "") -> float:
        """Seconds to wait before `ref` may be written, 0.0 for at once. Call it for every drifted object seen.

        `version` is the one it was seen at, empty where it is missing.
        """
        state = self._state(ref, now)
        state.ours = version == state.half != ""
        self._account(state, direction, now)
        until = state.free
        if state.fight_since is not None and not direction.may_loosen and not state.ours:
            until = max(until, state.touched + state.pause)
        return max(0.0, until - now)

    def repaired(self, ref: ObjectRef, now: float, writes: int = 1, *, half: str = "") -> bool:
        """Count one repair of `writes` writes; True exactly once a fight, when it becomes one: page then.

        `half` is the version at which it left the object closed, empty where it did all: opening that version belongs
        to the same repair. Trap: a finalizer lets somebody else write after each first half for ever.
        """
        state = self._state(ref, now)
        finishes = state.ours and not half
        state.half, state.ours = half, False
        state.touched = now
        state.free = now + self._gap * writes
        if finishes:
            return False
        state.recent.append(now)
        state.repairs += 1
        if state.fight_since is not None:
            state.pause = min(self._longest_pause, state.pause * self._factor)
            return False
        if len(state.recent) < self._trip or now - state.recent[0] > WINDOW_SECONDS:
            return False
        state.fight_since = now
        state.pause = self._first_pause
        state.loosened_before = state.loosened_by(now)
        self._fighting[ref] = self._calm.pop(ref)
        return True

    def lost(self, ref: ObjectRef, now: float) -> None:
        """A write of `ref` came too late: the cap on writes counts it all the same, beside those that were done."""
        state = self._state(ref, now)
        state.free = max(state.free, now) + self._gap

    def settled(self, ref: ObjectRef, now: float) -> None:
        """`ref` was found canonical (or gone from the model): it no longer stands open."""
        state = self._calm.get(ref) or self._fighting.get(ref)
        if state is None:
            return
        state.loosened = state.loosened_by(now)
        state.loose_since = None

    def open(self, ref: ObjectRef) -> bool:
        """Whether a fight over `ref` is known and has not ended."""
        return ref in self._fighting

    def loosened_seconds(self, ref: ObjectRef, now: float) -> float:
        """How long `ref` stood open altogether since it was first remembered, the present time included."""
        state = self._calm.get(ref) or self._fighting.get(ref)
        return 0.0 if state is None else state.loosened_by(now)

    def fights(self, now: float) -> tuple[Fight, ...]:
        """All fights that have not ended, oldest first."""
        found = (_fight(ref, state, now) for ref, state in self._fighting.items())
        return tuple(sorted(found, key=lambda fight: fight.since))

    def cool(self, now: float) -> tuple[Fight, ...]:
        """End the fights that have gone quiet and forget cold objects; returns what ended. Call it every minute."""
        ended = tuple(
            _fight(ref, state, now)
            for ref, state in self._fighting.items()
            if now - state.touched >= QUIET_SECONDS and state.loose_since is None
        )
        for fight in ended:
            del self._fighting[fight.ref]
        cold = [
            ref
            for ref, state in self._calm.items()
            if now - state.touched >= QUIET_SECONDS and state.loose_since is None
        ]
        for ref in cold:
            del self._calm[ref]
        return ended

    def __len__(self) -> int:
        return len(self._calm) + len(self._fighting)

    def _state(self, ref: ObjectRef, now: float) -> _Object:
        for home in (self._fighting, self._calm):
            state = home.get(ref)
            if state is not None:
                home.move_to_end(ref)
                return state
        if len(self) >= self._capacity:
            (self._calm or self._fighting).popitem(last=False)
        state = self._calm[ref] = _Object(touched=now, recent=deque(maxlen=self._trip))
        return state

    @staticmethod
    def _account(state: _Object, direction: Direction, now: float) -> None:
        if direction.may_loosen:
            if state.loose_since is None:
                state.loose_since = now
        elif state.loose_since is not None:
            state.loosened = state.loosened_by(now)
            state.loose_since = None


def _fight(ref: ObjectRef, state: _Object, now: float) -> Fight:
    since = now if state.fight_since is None else state.fight_since
    lasted = (state.touched if state.loose_since is None else now) - since
    loosened = state.loosened_by(now)
    share = min(1.0, (loosened - state.loosened_before) / lasted) if lasted > 0 else 0.0
    return Fight(ref=ref, since=since, repairs=state.repairs, loosened_seconds=loosened, open_share=share)
