"""Judgements kept: a difference is judged once, after its repair, and known when it comes again."""

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import structlog

from driftd.compile import Compiled, GovernedNamespace
from driftd.drift import Comparison, Difference, Judgement, LiveScope, World, depends_on_effect, severity
from driftd.drift.meaning import MOST_WORK, UNJUDGED, work_of
from driftd.telemetry import Trace
from driftd.values import Digest, Direction, Finding, FindingType, ObjectRef, Scope, kind_name

_log = structlog.get_logger()
_KEPT = 4096
_MOST_WAITING = 1000
_WORN = 2000
"""Judgements after which the engine's ever-growing caches are thrown away."""
_JUDGED = frozenset(
    {
        FindingType.MISSING,
        FindingType.MODIFIED,
        FindingType.UNEXPECTED,
        FindingType.TERMINATING,
        FindingType.FOREIGN,
    }
)
_FLICKER_SECONDS = 60.0
_FLICKER_VERSIONS = 8
"""More versions of one object in that time, each not judged when it was first seen, and it is tolerated no longer."""
_Key = tuple[ObjectRef, FindingType, Digest | None, Digest | None]
_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class _Offered:
    """A difference to judge. `decides`: what becomes of its object hangs on the answer."""

    finding: Finding
    difference: Difference
    decides: bool
    trace: Trace | None = None


class _Worlds:
    """The world of one model. Used in one thread at a time."""

    def __init__(self) -> None:
        self._made: tuple[Compiled, World] | None = None

    def of(self, compiled: Compiled) -> World:
        """Made where there is none of this model yet, made anew where its caches have grown."""
        if self._made is None or self._made[0] is not compiled:
            self._made = (compiled, World(compiled))
        elif self._made[1].edits > _WORN:
            self._made = (compiled, self._made[1].renewed())
        return self._made[1]

    def judge(self, compiled: Compiled, difference: Difference) -> Judgement | None:
        try:
            if work_of(difference) > MOST_WORK:
                return None
            return self.of(compiled).judge([difference]).get(difference.ref)
        except Exception:  # noqa: BLE001 - the thread's border: one odd object must not end the term
            _log.exception("meaning.failed", kind=difference.ref.kind, namespace=difference.ref.namespace)
            self._made = None
            return None

    def settle(self, ref: ObjectRef) -> None:
        if self._made is not None:
            self._made[1].settle([ref])


class Meaning:
    """Asks the reachability engine what differences mean, in a thread, and remembers the answers.

    Repairs do not wait for it: until a difference is judged it is UNKNOWN, which ranks as loosening. Only where a plan
    tolerates tenants' own policies by their effect does the deletion of one wait until it is judged. Where the model
    has more than `policies` NetworkPolicies differences stay UNKNOWN, since a judgement would take the processor for
    seconds.

    Args:
        compiled: the model in force.
        policies: how large a model is judged.
        judged: awaited with each finding whose direction has become known.
        now: seconds that only go forward.
        decided: told of each scope in which a policy that waits for its judgement, or is tolerated, has a new one.
    """

    def __init__(
        self,
        *,
        compiled: Callable[[], Compiled],
        policies: int,
        judged: Callable[[Finding], Awaitable[None]],
        decided: Callable[[Scope], None],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._now = now
        self._versions: OrderedDict[ObjectRef, OrderedDict[_Key, float]] = OrderedDict()
        self._compiled = compiled
        self._most = policies
        self._judged = judged
        self._decided = decided
        self._worlds = _Worlds()
        self._known_under: Compiled | None = None
        self._known: OrderedDict[_Key, Judgement] = OrderedDict()
        self._queue: deque[_Offered | ObjectRef] = deque()
        self._first: deque[_Offered] = deque()
        self._more = asyncio.Event()
        self._deciding: dict[ObjectRef, _Offered] = {}
        self._queued: set[_Key] = set()
        self._sized: tuple[Compiled, bool] | None = None
        self._turn = asyncio.Lock()

    # -- differences ------------------------------------------------------------------------------------------------

    def offer(self, finding: Finding, difference: Difference, trace: Trace | None = None) -> None:
        """Have a finding judged when there is time; returns at once. With a thousand waiting it stays UNKNOWN.

        The judgement is told as a late part of `trace`.
        """
        known = finding.direction is not Direction.UNKNOWN or _key(difference) in self._queued
        if finding.type in _JUDGED and not known and len(self._queue) < _MOST_WAITING:
            self._queued.add(_key(difference))
            self._put(_Offered(finding, difference, decides=False, trace=trace))

    def settle(self, ref: ObjectRef) -> None:
        """This object is canonical again; counts after what was offered before."""
        self._put(ref)

    @property
    def idle(self) -> bool:
        """Nothing waits to be judged, and nothing is being judged."""
        return not (self._queue or self._first or self._turn.locked())

    def recall(
        self, _governed: GovernedNamespace, _live: LiveScope, differences: Sequence[Difference]
    ) -> Mapping[ObjectRef, Judgement]:
        """What is known of these differences already: the Judge of a comparison."""
        if self._known_under is not self._compiled():
            return {}  # what was known is about another model
        found = {}
        for one in differences:
            known = self._known.get(_key(one))
            if known is not None:
                found[one.ref] = known
        return found

    # -- what is decided by effect ------------------------------------------------------------------------------------

    def undecided(self, governed: GovernedNamespace, comparison: Comparison) -> frozenset[str]:
        """Ids of the findings whose objects may be tolerated and are not judged yet: nothing is done about them.

        They are offered here. Whatever cannot be judged is not among them.
        """
        if governed.tenant_policies == "never" and not self._deciding:
            return frozenset()
        differing = {one.ref for one in comparison.differences.values()}
        for ref, one in tuple(self._deciding.items()):
            seen = one.finding.scope == comparison.scope and kind_name(ref.group, ref.kind) not in comparison.unknown
            if seen and (ref not in differing or governed.tenant_policies == "never"):
                del self._deciding[ref]  # gone before, or without, a finding of its own
                self.settle(ref)
        waiting = set()
        for finding in comparison.findings:
            difference = comparison.differences.get(finding.id)
            if difference is None or not depends_on_effect(governed, difference):
                continue
            if self._is_known(difference) or not self._judges(self._compiled()):
                continue
            if self._flickers(finding.ref, difference):
                continue
            known = self._deciding.get(finding.ref)
            if known is None or _key(known.difference) != _key(difference):
                self._decide(_Offered(finding, difference, decides=True))
            waiting.add(finding.id)
        return frozenset(waiting)

    def _flickers(self, ref: ObjectRef, difference: Difference) -> bool:
        """Whether an object has been so many others lately that no judgement can keep up: it is not waited for."""
        versions = self._versions.setdefault(ref, OrderedDict())
        self._versions.move_to_end(ref)
        if len(self._versions) > _KEPT:
            self._versions.popitem(last=False)
        now = self._now()
        versions.setdefault(_key(difference), now)
        while versions and now - next(iter(versions.values())) > _FLICKER_SECONDS:
            versions.popitem(last=False)
        return len(versions) > _FLICKER_VERSIONS

    def reconsider(self, namespaces: frozenset[str] | None = None) -> None:
        """Judge again what is tolerated, there or everywhere: the model, pods or labels have changed."""
        for one in self._deciding.values():
            if one not in self._first and (namespaces is None or one.finding.scope.namespace in namespaces):
                self._put(one)

    def _decide(self, one: _Offered) -> None:
        self._deciding[one.finding.ref] = one
        self._put(one)

    def _is_known(self, difference: Difference) -> bool:
        return self._known_under is self._compiled() and _key(difference) in self._known

    # -- the world ----------------------------------------------------------------------------------------------------

    async def ask(self, question: Callable[[World], _Answer]) -> _Answer:
        """Have something asked of the judged world, in a thread, between two judgements."""
        async with self._turn:
            compiled = self._compiled()
            return await self._apart(lambda worlds: question(worlds.of(compiled)))

    async def run(self) -> None:
        """Judge what is offered until cancelled: what something waits for first, the rest in order."""
        self.reconsider()  # what an earlier term did not come to
        while True:
            await self._more.wait()
            async with self._turn:
                await self._take(self._first.popleft() if self._first else self._queue.popleft())
            if not (self._first or self._queue):
                self._more.clear()

    async def _take(self, offered: _Offered | ObjectRef) -> None:
        if isinstance(offered, ObjectRef):
            if offered not in self._deciding:  # else it is back, and has been judged ahead of this
                await self._apart(lambda worlds: worlds.settle(offered))
            return
        difference = offered.difference
        self._queued.discard(_key(difference))
        if offered.decides and self._deciding.get(difference.ref) is not offered:
            return  # it is another difference by now, or gone
        before = self._known.get(_key(difference)) if self._is_known(difference) else None
        compiled, judgement, began = self._compiled(), None, time.time_ns()
        if self._judges(compiled):
            judgement = await self._apart(lambda worlds: worlds.judge(compiled, difference))
        if judgement is None and not offered.decides:
            return
        known = judgement or UNJUDGED
        self._keep(compiled, difference, known)
        if offered.decides:
            if known != before:
                self._decided(offered.finding.scope)
        elif judgement is not None:
            await self._tell(offered, judgement, began)

    async def _tell(self, offered: _Offered, judgement: Judgement, began_ns: int) -> None:
        finding = replace(
            offered.finding,
            direction=judgement.direction,
            severity=severity(judgement.direction, crosses_tenant=judgement.crosses_tenant),
            witness=judgement.witness,
            dialect=judgement.dialect or offered.finding.dialect,
            neutral_now=judgement.neutral_now,
        )
        if offered.trace is None:
            await self._judged(finding)
            return
        offered.trace.late("driftd.judge", began_ns, {"driftd.direction": judgement.direction.value})
        with offered.trace.resumed():
            await self._judged(finding)

    def _keep(self, compiled: Compiled, difference: Difference, judgement: Judgement) -> None:
        if self._known_under is not compiled:
            self._known_under = compiled
            self._known.clear()
        self._known[_key(difference)] = judgement
        if len(self._known) > _KEPT:
            self._known.popitem(last=False)

    def _put(self, one: _Offered | ObjectRef) -> None:
        if isinstance(one, _Offered) and one.decides:
            self._first.append(one)
        else:
            self._queue.append(one)
        self._more.set()

    async def _apart(self, work: Callable[[_Worlds], _Answer]) -> _Answer:
        """In a thread. One that has to be left behind keeps its world to itself: a world bears one thread at a time."""
        try:
            return await asyncio.to_thread(work, self._worlds)
        except asyncio.CancelledError:
            self._worlds = _Worlds()
            raise

    def _judges(self, compiled: Compiled) -> bool:
        """Whether differences of so large a model are judged."""
        if self._sized is None or self._sized[0] is not compiled:
            policies = sum(ref.kind.endswith("NetworkPolicy") for one in compiled.every_scope() for ref in one.objects)
            self._sized = (compiled, policies <= self._most)
            if policies > self._most:
                _log.warning("meaning.too_large", policies=policies, limit=self._most)
        return self._sized[1]


def _key(difference: Difference) -> _Key:
    desired, live = difference.desired, difference.live
    return difference.ref, difference.type, desired.digest if desired else None, live.digest if live else None
