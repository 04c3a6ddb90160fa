"""One cycle of one scope: observe, compare, judge, act, verify, record."""

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import date
from functools import partial

import structlog

from driftd.cluster import Answer, ClusterError
from driftd.compile import Compiled, Mode
from driftd.drift import Comparison, FightBreaker, LiveScope, blocked, compare, defaulted, paused, plan, twin_ref
from driftd.engine.act import Actor, Acts, goes_by_uid
from driftd.engine.dirty import Ticket
from driftd.engine.inforce import InForce
from driftd.engine.meaning import Meaning
from driftd.engine.namespaces import KnownNamespaces
from driftd.engine.observe import Observer
from driftd.engine.patience import Patience
from driftd.engine.pauses import Pauses
from driftd.engine.recording import Recording
from driftd.engine.setbacks import CONTESTED, Setbacks
from driftd.engine.stopped import StoppedKinds
from driftd.engine.work import Work
from driftd.engine.workloads import WorkloadDrift
from driftd.policy.kinds import EVALUATED_NAMES
from driftd.telemetry import Metrics, Trace, names
from driftd.values import CLUSTER, Clock, Delete, Finding, ObjectRef, Plan, Result, Scope, Write, kind_name

_log = structlog.get_logger()

ROUNDS = 8
"""Looks a cycle takes at most: a scope that is still not settled then gets its next turn after the others."""


@dataclass(frozen=True, slots=True)
class CycleEnd:
    """How a cycle ended. `again` is the pause in seconds after which the scope wants another look, None for never.

    `seen` says whether every governed kind could be looked at; with pods out of sight alone the end is unknown all the
    same, but nothing of what driftd writes is.
    """

    outcome: str  # clean | repaired | drift | unknown | ungoverned
    again: float | None = None
    seen: bool = True


class Cycle:
    """Judges scopes. Safe to run for different scopes at the same time, never for one scope twice."""

    def __init__(
        self,
        *,
        in_force: Callable[[], InForce],
        observer: Observer,
        actor: Actor,
        recording: Recording,
        breaker: FightBreaker,
        setbacks: Setbacks,
        stopped: StoppedKinds,
        meaning: Meaning,
        workloads: WorkloadDrift,
        pauses: Pauses,
        namespaces: KnownNamespaces,
        epoch: Callable[[], int],
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._epoch = epoch
        self._in_force = in_force
        self._observer = observer
        self._actor = actor
        self._recording = recording
        self._breaker = breaker
        self._setbacks = setbacks
        self._stopped = stopped
        self._patience = Patience(breaker, setbacks, stopped)
        self._meaning = meaning
        self._workloads = workloads
        self._pauses = pauses
        self._namespaces = namespaces
        self._clock = clock
        self._metrics = metrics

    async def run(self, ticket: Ticket, trace: Trace) -> CycleEnd:
        """Bring one scope to its canonical state, as far as mode, guard and cluster allow, and record all of it."""
        work = Work(trace, ticket.since)
        comparison: Comparison | None = None
        for _ in range(ROUNDS):
            comparison = self._compare(ticket.scope, work)
            if comparison is None:
                self._setbacks.leave(ticket.scope)
                await self._recording.ungoverned(ticket.scope)
                return CycleEnd("ungoverned")
            if comparison.to_prove:
                if await self._prove(comparison, work):
                    continue
                break
            if await self._complete(comparison, work):
                continue
            if not await self._step(ticket, comparison, work):
                break
        else:
            work.again.append(0.0)
        assert comparison is not None  # noqa: S101 - ROUNDS is positive
        return await self._conclude(ticket.scope, comparison, work)

    # -- looking --------------------------------------------------------------------------------------------------

    def _compare(self, scope: Scope, work: Work) -> Comparison | None:
        model = self._in_force()
        governed = model.governed(scope)
        if governed is None:
            return None
        with work.trace.stage(names.VERIFY if work.outcomes else names.OBSERVE) as look:
            live = self._observer.look(scope, work.proved, work.whole)
            look.note({names.OBJECTS: len(live.objects)})
        with work.trace.stage(names.DIFF) as diff:
            comparison = compare(
                model.compiled,
                governed,
                live,
                self._today(),
                orphaned=scope.namespace in model.orphaned,
                judge=self._meaning.recall,
            )
            if comparison.differences:
                diff.note({names.KINDS: ", ".join(sorted({one.ref.kind for one in comparison.differences.values()}))})
        undecided = self._meaning.undecided(governed, comparison)
        work.again += undecided.values()
        comparison = self._without(comparison, undecided)
        comparison = self._workloads.added_to(comparison, model.compiled, self._today())
        extra = self._extra(comparison, model.compiled)
        if (pause := self._pauses.of(governed.name)) is not None:
            extra.append(paused(governed, model.compiled, pause.by, pause.until, pause.reason))
        if extra:
            comparison = replace(comparison, findings=(*comparison.findings, *extra))
        return comparison

    @staticmethod
    def _without(comparison: Comparison, undecided: Collection[str]) -> Comparison:
        """The comparison without findings that wait for their judgement: of their kinds nothing is said meanwhile.

        Their differences stay, so that a plan knows of objects which may allow more than they should.
        """
        if not undecided:
            return comparison
        refs = {comparison.differences[id].ref for id in undecided}
        kinds = sorted({kind_name(ref.group, ref.kind) for ref in refs} - {*comparison.unknown})
        kept = tuple(one for one in comparison.findings if one.id not in undecided)
        return replace(comparison, findings=kept, unknown=(*comparison.unknown, *kinds))

    def _extra(self, comparison: Comparison, compiled: Compiled) -> list[Finding]:
        """Findings about repairs that cannot be written; a stopped kind is one finding of the whole cluster."""
        extra, now = [], self._clock.monotonic()
        if comparison.scope == CLUSTER:
            extra = [defaulted(one.ref, one.why, compiled) for one in self._stopped.all()]
        for finding in comparison.findings:
            why = self._setbacks.why_not(finding.ref, now) or self._setbacks.why_not(twin_ref(finding.ref), now)
            if why:
                extra.append(blocked(finding, why, compiled.cluster))
        return extra

    async def _prove(self, comparison: Comparison, work: Work) -> bool:
        """Ask etcd for what the mirror lacks; False when nothing could be learned."""
        try:
            with work.trace.stage(names.PROVE, {names.OBJECTS: len(comparison.to_prove)}):
                work.proved |= await self._observer.prove(comparison.to_prove)
        except ClusterError as error:
            _log.warning("observe.failed", scope=str(comparison.scope), why=str(error))
            work.again.append(self._setbacks.pause(comparison.scope))
            return False
        return True

    async def _complete(self, comparison: Comparison, work: Work) -> bool:
        """Read whole what differs and is hollow, a few objects at a time; True when there is something new to see.

        The others stay as they are: no write can be made of them, and nothing is opened beside them. Each cycle begins
        elsewhere among them, so that objects which cannot be written keep no others waiting for ever.
        """
        lives = [one.live for one in comparison.differences.values() if one.live is not None]
        lacking = [live.ref for live in lives if live.hollow]
        if not lacking:
            return False
        work.whole = {live.ref: live for live in lives if work.whole.get(live.ref) is live}  # the rest is over
        room = _WHOLE_AT_ONCE - len(work.whole)
        if room <= 0:
            return False
        try:
            start = int(work.since) % len(lacking)
            work.whole |= await self._observer.read_whole([*lacking[start:], *lacking[:start]][:room])
        except ClusterError as error:
            _log.warning("observe.failed", scope=str(comparison.scope), why=str(error))
            work.again.append(self._setbacks.pause(comparison.scope))
            return False
        return True

    # -- acting ---------------------------------------------------------------------------------------------------

    async def _step(self, ticket: Ticket, comparison: Comparison, work: Work) -> bool:
        """Plan and execute once; True when another look is due."""
        fresh = self._recording.open_fresh(comparison, work)
        live = self._observer.look(ticket.scope, work.proved, work.whole)
        model = self._in_force()
        governed = model.governed(ticket.scope)
        if governed is None:
            return False
        if self._pauses.of(governed.name) is not None:
            governed = replace(governed, mode=Mode.REPORT)
        left = self._patience.left_alone(
            comparison, work.conflicts, self._clock.monotonic(), open_everywhere=self._recording.open_everywhere
        )
        work.again += left.again
        with work.trace.stage(names.DECIDE) as decide:
            decided = partial(
                plan,
                comparison,
                governed,
                live,
                coverage=model.compiled.coverage,
                epoch=self._epoch(),
                waiting=left.waiting,
                blocked=left.stuck,
                passing=left.passing,
            )
            large = len(comparison.findings) > _LARGE
            planned = await asyncio.to_thread(decided) if large else decided()
            decide.note({names.WRITES: len(planned.writes), names.WAITING: len(left.waiting) + len(left.stuck)})
        if self._in_force() is not model:  # it changed meanwhile: this plan is of the past
            await self._recording.begin(fresh)
            return True
        if self._setbacks.put_off(ticket.scope, planned.waiting, tries=bool(planned.writes)):
            work.again.append(0.0)  # the next look tells what waits for what
        if not planned.writes:
            await self._recording.begin(fresh)
            return False
        work.trace.keep()  # opened by an earlier cycle, perhaps: what is written and healed names this one
        with work.trace.stage(names.REMEDIATE):
            acts = await self._actor.execute(
                planned,
                fresh,
                work.trace,
                abridged=abridged_of(planned, comparison, live),
                tolerant=governed.tenant_policies != "never",
                contested=self._setbacks.contested(ticket.scope, self._clock.monotonic()),
            )
        self._learn(ticket, acts, work)
        return acts.stopped_by is None or acts.stopped_by.result in _LOOK_AGAIN

    def _learn(self, ticket: Ticket, acts: Acts, work: Work) -> None:
        now = self._clock.monotonic()
        work.outcomes += acts.outcomes
        for ref, writes in acts.repaired.items():
            work.repaired.add(ref)
            self._setbacks.clear(ref)
            self._metrics.heal_seconds.labels(ref.kind).observe(now - ticket.since, work.exemplar)
            if self._breaker.repaired(ref, now, writes, half=acts.half[ref]):
                _log.warning("fight.known", kind=ref.kind, namespace=ref.namespace, name=ref.name)
                work.fights.append(ref)
                self._metrics.fights.set(len(self._breaker.fights(now)))
        if acts.waiting_for_store:
            work.again.append(1.0)
        if acts.stopped_by is not None and acts.stopped_at is not None:
            self._setback(acts.stopped_at, acts.stopped_by, now, work)

    def _setback(self, write: Write, answer: Answer, now: float, work: Work) -> None:
        ref = write.ref
        match answer.result:
            case Result.REFUSED:
                self._setbacks.refuse(ref, answer.message, now)
            case Result.DIFFERS if answer.defaulted:
                self._stopped.stop(ref, answer.message)
            case Result.DIFFERS:
                self._setbacks.refuse(ref, answer.message, now)
            case Result.FENCED:
                work.again.append(1.0)
            case Result.CONFLICT:
                work.conflicts[ref] += 1
                if is_capped(write, self._setbacks.lose(ref, now)):
                    self._breaker.lost(ref, now)
            case Result.FAILED | Result.UNKNOWN:
                self._setbacks.fail(ref, now, answer.retry_after)
            case _:
                pass
        wait = self._setbacks.wait(ref, now)
        if wait > 0:
            work.again.append(wait)

    # -- concluding -----------------------------------------------------------------------------------------------

    async def _conclude(self, scope: Scope, comparison: Comparison, work: Work) -> CycleEnd:
        hopeless = self._setbacks.hopeless(scope, self._clock.monotonic())
        work.raced = frozenset(hopeless)
        work.again += hopeless.values()
        await self._recording.conclude(comparison, work)
        self._namespaces.saw(scope, self._observer.look(scope), comparison)
        differing = {ref for one in comparison.findings for ref in (one.ref, twin_ref(one.ref))}
        differing.update(comparison.to_prove)
        self._setbacks.settled(scope, differing, self._clock.monotonic(), unseen=comparison.unknown)
        if comparison.unknown or comparison.to_prove:
            return CycleEnd("unknown", work.pause, seen=governed_seen(comparison))
        self._setbacks.observed(scope)
        if comparison.findings or work.raced:
            return CycleEnd("drift", work.pause)
        if work.repaired:
            return CycleEnd("repaired", work.pause)
        return CycleEnd("unknown" if self._workloads.not_ready else "clean", work.pause)

    def _today(self) -> date:
        return self._clock.now().date()


def governed_seen(comparison: Comparison) -> bool:
    """Whether all that the model governs there could be looked at, whatever else (judged, never written) could not."""
    return not comparison.to_prove and EVALUATED_NAMES.issuperset(comparison.unknown)


def is_capped(write: Write, lost: int) -> bool:
    """Whether a write that came too late, the last of `lost` lately, counts for the cap on writes of its object.

    The first that goes by the uid is not waited for: it gets through. What a Delete would take away is empty.
    """
    return isinstance(write, Delete) or lost >= CONTESTED + goes_by_uid(write.ref)


def abridged_of(planned: Plan, comparison: Comparison, live: LiveScope) -> frozenset[ObjectRef]:
    """Objects that a plan writes and did not know whole: those that differ, and those that it closes beside them."""
    planned_from = {one.ref for one in (each.live for each in comparison.differences.values()) if one and one.abridged}
    here = (live.objects.get(write.ref) for write in planned.writes)
    return frozenset(planned_from.union(one.ref for one in here if one is not None and one.abridged))


_WHOLE_AT_ONCE = 2
"""Abridged objects of a scope that are read whole at the same time: each may be ten megabytes, and each worker has a
scope."""
_LARGE = 200
"""Findings of a scope above which its plan is made beside the loop: thousands take more than a second."""
_LOOK_AGAIN = frozenset({Result.CONFLICT, Result.REFUSED, Result.DIFFERS})
