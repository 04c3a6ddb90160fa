"""Rollouts: which differences a new model has made itself, so that nobody is woken by their own commit."""

from collections.abc import Callable, Mapping

from driftd.engine import InForce
from driftd.values import Clock, Desired, Digest, Finding, Live, ObjectRef

_ROLLOUT_SECONDS = 600.0


class Rollouts:
    """Tells what a new model asks for from what somebody has done to the cluster.

    For ten minutes after a model was accepted, an object that the model before did not name cannot have drifted,
    whatever it is like; one that is exactly as that model had it has not. Either waits for its turn, which comes once:
    what is found of it afterwards is drift. One that is as the new model has it needs no turn.
    """

    def __init__(self, live: Callable[[ObjectRef], Live | None], clock: Clock) -> None:
        self._live = live
        self._clock = clock
        self._before: dict[ObjectRef, Desired | None] = {}
        self._wanted: Mapping[ObjectRef, Desired] = {}
        self._until = 0.0

    def accepted(self, before: InForce | None, after: InForce) -> None:
        """Another model is in force; not to be told of one that a restart found again."""
        was, now = _objects(before), _objects(after)
        changed = [ref for ref in {*was, *now} if _digest(was.get(ref)) != _digest(now.get(ref))]
        self._before = {ref: was.get(ref) for ref in changed}
        self._wanted = now
        self._until = self._clock.monotonic() + _ROLLOUT_SECONDS

    def settle(self) -> None:
        """What is as the new model has it by now, because it was before or has been made so, is rolled out."""
        if self._clock.monotonic() >= self._until:
            self._before.clear()
        for ref in tuple(self._before):
            wanted, live = self._wanted.get(ref), self._live(ref)
            if wanted is not None and live is not None and live.digest == wanted.digest:
                del self._before[ref]

    def covers(self, finding: Finding) -> bool:
        """Whether a finding that has just been opened shows only that the model has changed; once an object at most."""
        if finding.ref not in self._before or self._clock.monotonic() >= self._until:
            return False
        before = self._before.pop(finding.ref)
        if before is None:
            return True
        live = self._live(finding.ref)
        return live is not None and live.digest == before.digest


def _objects(model: InForce | None) -> Mapping[ObjectRef, Desired]:
    scopes = model.compiled.every_scope() if model else ()
    return {ref: desired for one in scopes for ref, desired in one.objects.items()}


def _digest(desired: Desired | None) -> Digest | None:
    return desired.digest if desired else None
