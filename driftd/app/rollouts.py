"""Rollouts: which differences a new model has made itself, so that nobody is woken by their own commit."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from driftd.engine import InForce
from driftd.policy.kinds import KINDS, World
from driftd.values import Clock, Desired, Digest, Finding, FindingType, Live, ObjectRef

_ROLLOUT_SECONDS = 600.0
_TURN_SECONDS = 60.0
"""How long a turn is remembered: what is not rolled out by then is told anyway."""
_MADE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class _Waiting:
    """An object that the new model changes: what the model before had, and what was live when the new one came."""

    before: Digest | None
    live: Digest | None


@dataclass(slots=True)
class _Turn:
    """An object's one turn: since when, what was live then, and whether it was made by somebody else meanwhile."""

    began: float
    live: Digest | None
    made: bool = False


class Rollouts:
    """Tells what a new model asks for from what somebody has done to the cluster.

    For ten minutes after a model was accepted, an object that is exactly as the model before had it has not drifted;
    nor has one that the model before did not name, if it is missing or as it was found when the model was accepted.
    (Objects that controllers make of their own, such as a ServiceAccount `default`, may be like anything.) Either waits
    for its turn, which comes once: what is found of it afterwards is drift. One that is as the new model has it needs
    no turn. A turn ends when the object changes to anything but what the new model asks for; nothing passes it on.
    """

    def __init__(self, live: Callable[[ObjectRef], Live | None], clock: Clock) -> None:
        self._live = live
        self._clock = clock
        self._waiting: dict[ObjectRef, _Waiting] = {}
        self._turns: dict[ObjectRef, _Turn] = {}
        self._wanted: Mapping[ObjectRef, Desired] = {}
        self._until = 0.0

    def accepted(self, before: InForce | None, after: InForce) -> None:
        """Another model is in force; not to be told of one that a restart found again."""
        was, now = _objects(before), _objects(after)
        self._waiting = {}
        for ref in {*was, *now}:
            had, wanted, live = _digest(was.get(ref)), _digest(now.get(ref)), _digest(self._live(ref))
            if wanted not in (had, live):
                self._waiting[ref] = _Waiting(had, live)
        self._wanted = now
        self._until = self._clock.monotonic() + _ROLLOUT_SECONDS

    def settle(self) -> None:
        """What is as the new model has it by now, because it was before or has been made so, is rolled out."""
        now = self._clock.monotonic()
        if now >= self._until:
            self._waiting.clear()
        for ref in [ref for ref in self._waiting if self._is_done(ref)]:
            del self._waiting[ref]
        over = [ref for ref, turn in self._turns.items() if now - turn.began >= _TURN_SECONDS or self._is_done(ref)]
        for ref in over:
            del self._turns[ref]

    def covers(self, finding: Finding) -> bool:
        """Whether a finding that has just been opened shows only that the model has changed."""
        ref, now, live = finding.ref, self._clock.monotonic(), _digest(self._live(finding.ref))
        turn, waiting = self._turns.get(ref), self._waiting.pop(ref, None)
        if waiting is not None and now < self._until:
            mine = _may_be_made_by_others(ref) or live in (None, waiting.live)
            if mine if waiting.before is None else live == waiting.before:
                self._turns[ref] = _Turn(now, live)
                return True
        elif turn is not None and finding.type is FindingType.MODIFIED:
            return self._was_made(ref, turn, live, now)
        # That its repair is refused is another finding of the same state.
        return finding.type is FindingType.BLOCKED and self.holds(finding)

    def holds(self, finding: Finding) -> bool:
        """Whether a finding that was covered when it was opened still shows no more than that."""
        turn, live = self._turns.get(finding.ref), _digest(self._live(finding.ref))
        return self._is_done(finding.ref) or (turn is not None and live == turn.live)

    @staticmethod
    def _was_made(ref: ObjectRef, turn: _Turn, live: Digest | None, now: float) -> bool:
        """Whether an object that was missing is there because a controller was quicker; once, and not for long."""
        quick = turn.live is None and not turn.made and now - turn.began < _MADE_SECONDS
        if not quick or not _may_be_made_by_others(ref):
            return False
        turn.live, turn.made = live, True
        return True

    def _is_done(self, ref: ObjectRef) -> bool:
        """Whether it is as the model has it, or gone with it."""
        return _digest(self._live(ref)) == _digest(self._wanted.get(ref))


def _may_be_made_by_others(ref: ObjectRef) -> bool:
    """Whether an object of this kind that the model does not name is nobody's concern."""
    kind = KINDS.get((ref.group, ref.kind))
    return kind is not None and kind.world is World.OPEN


def _objects(model: InForce | None) -> Mapping[ObjectRef, Desired]:
    scopes = model.compiled.every_scope() if model else ()
    return {ref: desired for one in scopes for ref, desired in one.objects.items()}


def _digest(one: Desired | Live | None) -> Digest | None:
    return one.digest if one is not None else None
