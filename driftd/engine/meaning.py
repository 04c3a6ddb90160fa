"""Judgements kept: a difference is judged once, after its repair, and known when it comes again."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar

import structlog

from driftd.compile import Compiled, GovernedNamespace
from driftd.drift import (
    JUDGED,
    NO_ADMIN_POLICIES,
    UNJUDGED,
    AdminPolicies,
    Comparison,
    Difference,
    DifferenceKey,
    Judgement,
    LiveScope,
    World,
    allows,
    depends_on_effect,
    severity,
    tolerates,
)
from driftd.engine.awaited import Awaited
from driftd.engine.offers import Offered, Offers
from driftd.engine.own_policies import Own, OwnPolicies
from driftd.engine.turns import Turns
from driftd.engine.vanished import Vanished
from driftd.engine.worlds import Worlds
from driftd.telemetry import Trace, names
from driftd.values import Direction, Finding, ObjectRef, Scope, kind_name, scope_of

_log = structlog.get_logger()
_KEPT = 4096
_HEAVY = 128 * 1024
"""Bytes of an object that nobody judges: it would be held while it waits, and costs more than a judgement may."""
_DECIDING_IN_A_ROW = 4
"""Judgements that something waits for, until one that nothing waits for so urgently has its turn: first what a
namespace's budget runs for, then what stands by an older judgement or waits beside the budget, then the record."""
_Answer = TypeVar("_Answer")


class Meaning:
    """Asks the reachability engine what differences mean, in a thread, and remembers the answers.

    Repairs do not wait for it: until a difference is judged it is UNKNOWN, which ranks as loosening. Only where a plan
    tolerates tenants' own policies by their effect does the deletion of one wait for its judgement, and not for ever:
    seconds as a rule, longer while all of them wait at once. Where the model has more than `policies` NetworkPolicies
    differences stay UNKNOWN, since a judgement would take the processor for seconds. Tenants take turns: what one of
    them has waiting delays another by one judgement.

    Args:
        compiled: the model in force.
        policies: how large a model is judged.
        admins: the live admin policies, in whose presence all is judged; one value for as long as they are the same.
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
        admins: Callable[[], AdminPolicies] = lambda: NO_ADMIN_POLICIES,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._now = now
        self._compiled = compiled
        self._most = policies
        self._judged = judged
        self._decided = decided
        self._admins = admins
        self._stale: set[ObjectRef] = set()
        self._worlds = Worlds()
        self._losses: list[Callable[[], None]] = []
        self._known_under: Compiled | None = None
        self._known: OrderedDict[DifferenceKey, Judgement] = OrderedDict()
        self._own = OwnPolicies()
        self._first: Turns[ObjectRef, ObjectRef] = Turns()
        self._again: Turns[ObjectRef, ObjectRef] = Turns()
        self._offers = Offers()
        self._in_a_row = [0, 0]
        self._begun: float | None = None
        self._more = asyncio.Event()
        self._sized: tuple[Compiled, bool] | None = None
        self._awaited = Awaited(now)
        self._awaited_under: Compiled | None = None
        self.vanished = Vanished(now)
        """What came and went without a judgement."""
        self._turn = asyncio.Lock()

    # -- differences ------------------------------------------------------------------------------------------------

    def offer(self, finding: Finding, difference: Difference, trace: Trace | None = None) -> None:
        """Have a finding judged when there is time; returns at once. What is too much of one tenant stays UNKNOWN.

        The judgement is told as a late part of `trace`. One whose judgement is remembered is judged again when it comes
        back: it has to stand in the world, where others are judged together with it, and others may stand there by now.
        """
        owner, remembered = self._owner(finding.scope), finding.direction is not Direction.UNKNOWN
        stands = remembered and self._worlds.stands(difference) and difference.ref not in self._stale
        stands = stands and not self._offers.settles(owner, difference.ref)
        if finding.type in JUDGED and not _is_heavy(difference) and not stands:
            self._offers.put(owner, Offered(finding, difference, None if remembered else trace, again=remembered))
            self._more.set()

    def settle(self, ref: ObjectRef) -> None:
        """This object is canonical again; counts after what was offered before."""
        self._offers.settle(self._owner(scope_of(ref)), ref)
        self._more.set()

    @property
    def idle(self) -> bool:
        """Nothing waits to be judged, and nothing is being judged."""
        return not (self._offers or self._first or self._again or self._turn.locked())

    @property
    def stuck_seconds(self) -> float:
        """For how long the judgement under way has taken, or waits for the world's thread; 0 while nothing waits."""
        return 0.0 if self._begun is None else self._now() - self._begun

    def recall(
        self, governed: GovernedNamespace, _live: LiveScope, differences: Sequence[Difference]
    ) -> Mapping[ObjectRef, Judgement]:
        """What is known of these differences already: the Judge of a comparison."""
        if self._known_under is not self._compiled():
            return {}  # what was known is about another model
        found = {}
        for one in differences:
            known = self._known.get(one.key)
            if known is None or (self._own.get(one.ref) is None and tolerates(governed, one, known)):
                continue  # nothing stands by a judgement that is not made anew when pods change
            found[one.ref] = known
        return found

    # -- what is decided by effect ------------------------------------------------------------------------------------

    def undecided(self, governed: GovernedNamespace, comparison: Comparison) -> Mapping[str, float]:
        """Ids of the findings whose objects may be tolerated and are not judged yet: nothing is done about them.

        To each the seconds after which it is not waited for any more: look again by then. They are offered here.
        Whatever cannot be judged is not among them, nor what there is no room for.
        """
        if governed.tenant_policies == "never" and not self._own:
            return {}
        self._forget_gone(governed, comparison)
        compiled, scope = self._compiled(), comparison.scope
        self._renew(compiled)
        unanswered: dict[str, Difference] = {}
        for finding in comparison.findings:
            difference = comparison.differences.get(finding.id)
            if difference is None or not depends_on_effect(governed, difference):
                continue
            if _is_heavy(difference) or not self._judges(compiled):
                continue
            if self._waits(governed, scope, difference):
                unanswered[finding.id] = difference
        left = self._awaited.seconds_left(scope, unanswered.values())
        waiting = {id: left[one.ref] for id, one in unanswered.items() if one.ref in left}
        for one in unanswered.values():
            if self._awaited.hurries(scope, one.ref):
                self._again.drop(self._owner(scope), one.ref)
                self._first.put(self._owner(scope), one.ref, one.ref)
        self.vanished.look(comparison, waiting.keys(), partial(self._meant, governed))
        return waiting

    def _renew(self, compiled: Compiled) -> None:
        """Another model: what stands by a judgement under the last one is waited for under this one."""
        if self._awaited_under is compiled:
            return
        stood: dict[Scope, list[DifferenceKey]] = {}
        for own in self._own if self._known_under is self._awaited_under else ():
            known, governed = self._known.get(own.difference.key), compiled.governed.get(own.scope.namespace)
            if known is not None and governed is not None and tolerates(governed, own.difference, known):
                stood.setdefault(own.scope, []).append(own.difference.key)
        self._awaited.renew(stood, compiled.governed)
        self.vanished.keep_only(compiled.governed)
        self._awaited_under = compiled

    def _meant(self, governed: GovernedNamespace, key: DifferenceKey) -> Direction | None:
        """The direction of what may not stand; None of what may."""
        known = self._known.get(key) if self._known_under is self._compiled() else None
        if known is None:
            return Direction.UNKNOWN
        return None if allows(governed, known) else known.direction

    def _forget_gone(self, governed: GovernedNamespace, comparison: Comparison) -> None:
        differing = {one.ref for one in comparison.differences.values()}
        for own in self._own.of(comparison.scope):
            ref = own.difference.ref
            seen = kind_name(ref.group, ref.kind) not in comparison.unknown
            if seen and (ref not in differing or governed.tenant_policies == "never"):
                self._own.forget(own)  # gone before, or without, a finding of its own
                self.settle(ref)

    def _waits(self, governed: GovernedNamespace, scope: Scope, difference: Difference) -> bool:
        """Whether what becomes of an object hangs on a judgement to come. A version that is new is judged."""
        own, key, known = self._own.get(difference.ref), difference.key, self._is_known(difference)
        if own is not None and own.difference.key == key:
            if not known:  # or forgotten: others have been judged since
                self._decide(own, self._again)
            return not known
        if not known and self._awaited.flickers(difference):
            return False
        if not self._own.follow(scope, difference):
            return False
        if own is None and known and allows(governed, self._known[key]):
            # What is known is of a time when it was not followed: pods have come and gone since.
            self._known.pop(key)
            known = False
        self._decide(Own(scope, difference), self._again)
        return not known

    def reconsider(self, namespaces: frozenset[str] | None = None) -> None:
        """Judge again what is tolerated, there or everywhere: the model, pods or labels have changed.

        With everything that lives, what was not known to judge before may be: who stands behind a Service, say.
        """
        if namespaces is None:
            self._offers.again(self._owner)
            self._more.set()
        if namespaces is None and self._own:
            self._own.keep_only(self._compiled().governed)
        for own in self._own:
            if namespaces is None or own.scope.namespace in namespaces:
                self._decide(own, self._again if namespaces is None else self._first)

    def ask_anew(self) -> None:
        """Have all that stands judged again and forget what is over: admin policies changed, or whom they select."""
        standing = self._worlds.standing.copy()
        self._stale |= standing.keys()
        kept = ((key, known) for key, known in self._known.items() if key[0] in standing or self._own.get(key[0]))
        self._known = OrderedDict(kept)
        for scope in {scope_of(ref) for ref in standing}:
            self._decided(scope)
        self.reconsider()

    def _decide(self, own: Own, turns: Turns[ObjectRef, ObjectRef]) -> None:
        ref = own.difference.ref
        turns.put(self._owner(own.scope), ref, ref)
        self._more.set()

    def _is_known(self, difference: Difference) -> bool:
        return self._known_under is self._compiled() and difference.key in self._known

    def _owner(self, scope: Scope) -> str:
        """Whose turn a judgement counts as."""
        governed = self._compiled().governed.get(scope.namespace)
        return governed.tenant if governed else ""

    # -- the world ----------------------------------------------------------------------------------------------------

    async def ask(self, question: Callable[[World], _Answer]) -> _Answer:
        """Have something asked of the judged world, in a thread, between two judgements."""
        async with self._turn:
            compiled = self._compiled()
            return await self._apart(lambda worlds: worlds.ask(compiled, question))

    def subscribe_losses(self, callback: Callable[[], None]) -> None:
        """Called when a world was thrown away: what lives has to be told again."""
        self._losses.append(callback)

    async def run(self) -> None:
        """Judge what is offered until cancelled: what something waits for first, the rest in order."""
        self.reconsider()  # what an earlier term did not come to
        try:
            while True:
                await self._more.wait()
                self._begun = self._now()
                async with self._turn:
                    await self._take()
                self._begun = None
                if not (self._first or self._again or self._offers):
                    self._more.clear()
        finally:
            self._begun = None

    async def _take(self) -> None:
        behind = (self._again or self._offers, self._offers)
        for place, turns in enumerate((self._first, self._again)):
            may = self._in_a_row[place] < _DECIDING_IN_A_ROW or not behind[place]
            if may and (found := turns.next()) is not None:
                self._in_a_row[place] += 1
                await self._decide_on(found[1])
                return
            self._in_a_row[place] = 0
        other = self._offers.next()
        if other is None:
            return
        if isinstance(other, Offered):
            await self._judge(other)
        elif self._own.get(ref := other) is None:  # else it is back, and has been judged ahead of this
            self._stale.discard(ref)
            self._worlds.standing.pop(ref, None)  # at once: if it comes back from here on, that is judged
            await self._apart(lambda worlds: worlds.settle(ref))

    async def _decide_on(self, ref: ObjectRef) -> None:
        own = self._own.get(ref)
        if own is None:
            return
        difference, compiled, judgement = own.difference, self._compiled(), None
        before = self._known.get(difference.key) if self._is_known(difference) else None
        admins = self._admins()
        if before is not None and not admins.seen:
            return  # it stands as it was judged while all could be seen, and is judged again once all can be
        if self._judges(compiled):
            judgement = await self._apart(lambda worlds: worlds.judge(compiled, difference))
        if self._admins() is not admins:
            self._decide(own, self._again)
        known = judgement or UNJUDGED
        self._keep(compiled, difference, known)
        if known != before:
            self._decided(own.scope)

    async def _judge(self, offered: Offered) -> None:
        difference, compiled, began = offered.difference, self._compiled(), time.time_ns()
        if not self._judges(compiled):
            return
        admins = self._admins()
        self._stale.discard(difference.ref)
        judgement = await self._apart(lambda worlds: worlds.judge(compiled, difference))
        self._offers.known(difference.ref)
        if self._admins() is not admins:  # what is told now was true a moment ago
            self._offers.once_more(self._owner(offered.finding.scope), offered)
        if judgement is None:
            return
        if judgement.direction is Direction.UNKNOWN:
            self._offers.unknown(self._owner(offered.finding.scope), offered)
        before = self._known.get(difference.key) if self._is_known(difference) else None
        self._keep(compiled, difference, judgement)
        if judgement != before or not offered.again:
            await self._tell(offered, judgement, began)

    async def _tell(self, offered: Offered, judgement: Judgement, began_ns: int) -> None:
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
        offered.trace.late(names.JUDGE, began_ns, names.meaning(finding))
        with offered.trace.resumed():
            await self._judged(finding)

    def _keep(self, compiled: Compiled, difference: Difference, judgement: Judgement) -> None:
        if self._known_under is not compiled:
            self._renew(compiled)
            self._known_under = compiled
            self._known.clear()
        self._known[difference.key] = judgement
        self._known.move_to_end(difference.key)
        if len(self._known) > _KEPT + len(self._own):
            self._known.popitem(last=False)

    async def _apart(self, work: Callable[[Worlds], _Answer]) -> _Answer:
        """In a thread, in the presence of the admin policies of now.

        One that has to be left behind keeps its world to itself: a world bears one thread at a time.
        """
        self._worlds.admins = self._admins()
        try:
            answer = await asyncio.to_thread(work, self._worlds)
        except asyncio.CancelledError:
            self._worlds = Worlds(self._worlds.standing)
            raise
        if self._worlds.lost:
            self._worlds.lost = False
            for callback in self._losses:
                callback()
        return answer

    def _judges(self, compiled: Compiled) -> bool:
        """Whether differences of so large a model are judged."""
        if self._sized is None or self._sized[0] is not compiled:
            policies = sum(ref.kind.endswith("NetworkPolicy") for one in compiled.every_scope() for ref in one.objects)
            self._sized = (compiled, policies <= self._most)
            if policies > self._most:
                _log.warning("meaning.too_large", policies=policies, limit=self._most)
        return self._sized[1]


def _is_heavy(difference: Difference) -> bool:
    return difference.live is not None and (difference.live.hollow or difference.live.size > _HEAVY)
