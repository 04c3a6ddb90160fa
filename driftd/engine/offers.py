"""What waits to be judged for the record, in turns and within each tenant's allowance; what nobody could judge yet."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace

from driftd.drift import Difference, DifferenceKey
from driftd.engine.allowance import MOST_HELD, Allowance
from driftd.engine.turns import Turns
from driftd.telemetry import Trace
from driftd.values import Finding, ObjectRef, Scope

_MOST_VERSIONS = 8
"""Of one life of an object that wait at the same time: each is evidence, but so many at once are somebody's play."""


@dataclass(frozen=True, slots=True)
class Offered:
    """A difference to judge for the record. `again`: its finding has been told a direction before."""

    finding: Finding
    difference: Difference
    trace: Trace | None
    again: bool = False

    @property
    def key(self) -> DifferenceKey:
        return self.difference.key

    @property
    def size(self) -> int:
        """Bytes that are held with it."""
        return self.difference.live.size if self.difference.live is not None else 0


class Offers:
    """A queue of differences, and of objects that are canonical again. Owners are tenants.

    An object's end counts after every difference that was put in before it, for these may have stood beside it; as soon
    as there is none left it comes next, so that what comes later is not judged beside what is over.
    """

    def __init__(self) -> None:
        self._count = 0
        self._asked: OrderedDict[DifferenceKey, int] = OrderedDict()
        self._ended: OrderedDict[ObjectRef, tuple[int, str]] = OrderedDict()
        self._queue: Turns[DifferenceKey | ObjectRef, Offered | ObjectRef] = Turns()
        self._held: Allowance[DifferenceKey] = Allowance()
        self._versions: dict[ObjectRef, list[DifferenceKey]] = {}
        self._unknown: dict[ObjectRef, Offered] = {}
        self._unknown_held: Allowance[ObjectRef] = Allowance()

    def __len__(self) -> int:
        return len(self._queue)

    def of(self, owner: str) -> int:
        """How many wait of one owner's."""
        return self._queue.of(owner)

    def settles(self, owner: str, ref: ObjectRef) -> bool:
        """Whether it waits to be told that an object is canonical again."""
        return self._queue.waits(owner, ref)

    def put(self, owner: str, offered: Offered) -> None:
        """Have a difference wait, where its owner has room; of too many versions the last one before makes room."""
        key, ref = offered.key, offered.difference.ref
        if key in self._held:
            return
        versions = self._versions.get(ref, [])
        if len(versions) >= _MOST_VERSIONS and self._queue.drop(owner, versions[-1]) is not None:
            self._asked.pop(versions[-1], None)
            self._held.release(versions.pop())
        if self._queue.of(owner) < MOST_HELD and self._held.take(owner, key, offered.size):
            self._versions[ref] = [*versions, key]
            self._put(owner, offered)

    def _put(self, owner: str, offered: Offered) -> None:
        self._count += 1
        self._asked.setdefault(offered.key, self._count)
        self._queue.put(owner, offered.key, offered)

    def settle(self, owner: str, ref: ObjectRef) -> None:
        """An object is canonical again; counts after what was put in before, and what comes is another life of it."""
        self.known(ref)
        self._versions.pop(ref, None)
        if ref in self._ended:
            self._queue.drop(self._ended.pop(ref)[1], ref)  # its namespace may have been another tenant's then
        self._queue.put(owner, ref, ref)
        self._count += 1
        self._ended[ref] = (self._count, owner)

    def _over(self) -> ObjectRef | None:
        """The object that has been canonical for longest, if nothing waits that was put in before it was."""
        if not self._ended:
            return None
        ref, (count, owner) = next(iter(self._ended.items()))
        if next(iter(self._asked.values()), count) < count:
            return None
        del self._ended[ref]
        self._queue.drop(owner, ref)
        return ref

    def next(self) -> Offered | ObjectRef | None:
        """What comes next: a difference, or an object that is canonical again."""
        if (over := self._over()) is not None:
            return over
        found = self._queue.next()
        if found is None:
            return None
        if isinstance(found[1], ObjectRef):
            del self._ended[found[1]]
            return found[1]
        offered, ref = found[1], found[1].difference.ref
        self._asked.pop(offered.key, None)
        self._held.release(offered.key)
        left = [key for key in self._versions.pop(ref, ()) if key != offered.key]
        if left:
            self._versions[ref] = left
        return offered

    def once_more(self, owner: str, offered: Offered) -> None:
        """It was judged in a world that is another one by now. Of an object of which more waits that says enough."""
        ref = offered.difference.ref
        if ref not in self._versions and not self.settles(owner, ref):
            self.put(owner, replace(offered, trace=None, again=True))

    def unknown(self, owner: str, offered: Offered) -> None:
        """Nobody could judge it: it gets another chance, where its owner has room."""
        ref = offered.difference.ref
        if self._unknown_held.take(owner, ref, offered.size):
            self._unknown[ref] = replace(offered, trace=None, again=True)

    def known(self, ref: ObjectRef) -> None:
        """What was not known of an object is known now, or over."""
        self._unknown_held.release(ref)
        self._unknown.pop(ref, None)

    def again(self, owner: Callable[[Scope], str]) -> None:
        """Have all that nobody could judge wait once more."""
        for offered in self._unknown.values():
            self._put(owner(offered.finding.scope), offered)
