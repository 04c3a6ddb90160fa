"""Live state as a command has it: objects, and in words everything that could not be read."""

from collections.abc import Mapping
from dataclasses import dataclass

from driftd.cluster import ObjectReader
from driftd.policy.kinds import Coverage, digests_under
from driftd.values import Live, ObjectRef, Resource


@dataclass(frozen=True, slots=True)
class Gap:
    """Something that could not be told: where, and why."""

    where: str
    why: str

    def __str__(self) -> str:
        return f"{self.where}: {self.why}"


@dataclass(frozen=True, slots=True)
class LiveState:
    """Everything that was read, from one source.

    `objects` are of the governed kinds, `evaluated` of those that are judged and never written. `unknown` are instances
    of kinds that bear policy and are not understood.
    `blind` names the governed kinds whose list is not complete: of these nothing is said. `absence_proved` says that
    of the other kinds, what is not in `objects` is not there: a complete list is such a proof, a pile of files of
    which one was unreadable is not.
    """

    source: str
    objects: Mapping[ObjectRef, Live]
    evaluated: tuple[Live, ...] = ()
    unknown: tuple[Live, ...] = ()
    blind: frozenset[str] = frozenset()
    gaps: tuple[Gap, ...] = ()
    absence_proved: bool = True


def reader_of(resource: Resource, coverage: Coverage, *, partial: bool = False) -> ObjectReader:
    """Reads objects of one kind as the daemon's mirror does."""
    return ObjectReader(resource, digests_under(coverage), partial=partial)
