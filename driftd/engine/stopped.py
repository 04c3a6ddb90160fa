"""Kinds that are not written any more, because the API server adds to their objects what nobody sent (D3)."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from driftd.telemetry import Metrics
from driftd.values import ObjectRef

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Stopped:
    """One such kind: the object that showed it, what the server said, and how often the kind was stopped by now."""

    ref: ObjectRef
    why: str
    times: int


class StoppedKinds:
    """Which kinds are stopped now. `changed` is told of every stop and lift: all scopes want a look then."""

    def __init__(self, metrics: Metrics, changed: Callable[[str], None]) -> None:
        self._metrics = metrics
        self._changed = changed
        self._kinds: dict[tuple[str, str], Stopped] = {}
        self._times: Counter[tuple[str, str]] = Counter()

    def __contains__(self, ref: ObjectRef) -> bool:
        """Whether nothing of this object's kind is written."""
        return (ref.group, ref.kind) in self._kinds

    def all(self) -> tuple[Stopped, ...]:
        """All of them, oldest first."""
        return tuple(self._kinds.values())

    def show(self) -> None:
        """A term begins: what this replica knows of is told again."""
        for one in self._kinds.values():
            self._metrics.kind_stopped.labels(one.ref.kind).set(1)

    def hide(self) -> None:
        """The term is over: what is written now is the next leader's to say."""
        self._metrics.kind_stopped.clear()

    def stop(self, ref: ObjectRef, why: str) -> None:
        """What came back of this object was more than was sent."""
        kind = (ref.group, ref.kind)
        if kind in self._kinds:
            return
        self._times[kind] += 1
        self._kinds[kind] = Stopped(ref, why, self._times[kind])
        self._metrics.kind_stopped.labels(ref.kind).set(1)
        _log.error("kind.stopped", kind=ref.kind, namespace=ref.namespace, name=ref.name, why=why)
        self._changed(f"{ref.kind} is not written any more")

    def lift(self, ref: ObjectRef) -> None:
        """The server takes this object's kind as it is sent."""
        if self._kinds.pop((ref.group, ref.kind), None) is not None:
            self._metrics.kind_stopped.labels(ref.kind).set(0)
            _log.info("kind.written_again", kind=ref.kind)
            self._changed(f"{ref.kind} is written again")
