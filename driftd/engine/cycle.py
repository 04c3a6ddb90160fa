"""One cycle of one scope: observe, compare, judge, act, verify, record."""

import asyncio
from collections import Counter
from collections.abc import Callable, Container, Coroutine, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date

import structlog

from driftd.cluster import Answer, ClusterError
from driftd.drift import Comparison, Difference, FightBreaker, blocked, compare, defaulted, plan, report, twin_ref
from driftd.engine.act import Actor, Acts
from driftd.engine.dirty import Ticket
from driftd.engine.inforce import InForce
from driftd.engine.meaning import Meaning
from driftd.engine.namespaces import KnownNamespaces
from driftd.engine.observe import Observer
from driftd.engine.record import OpenFindings, Sift
from driftd.engine.setbacks import Setbacks
from driftd.store import EntryRefused, Store, StoreGone
from driftd.telemetry import Metrics, Trace
from driftd.values import Clock, Digest, Direction, Finding, FindingType, ObjectRef, Outcome, Result, Scope

_log = structlog.get_logger()

ROUNDS = 8
"""Looks a cycle takes at most: a scope that is still not settled then gets its next turn after the others."""


@dataclass(frozen=True, slots=True)
class CycleEnd:
    """How a cycle ended. `again` is the pause in seconds after which the scope wants another look, None for never."""

    outcome: str  # clean | repaired | drift | unknown | ungoverned
    again: float | None = None


@dataclass(slots=True)
class _Work:
    """What a cycle has gathered so far."""

    trace: Trace
    since: float
    outcomes: list[Outcome] = field(default_factory=list)
    repaired: set[ObjectRef] = field(default_factory=set)
    opened: dict[str, Finding] = field(default_factory=dict)
    differences: dict[str, Difference] = field(default_factory=dict)
    proved: frozenset[ObjectRef] = frozenset()
    again: list[float] = field(default_factory=list)
    fights: list[ObjectRef] = field(default_factory=list)
    conflicts: Counter[ObjectRef] = field(default_factory=Counter)

    @property
    def pause(self) -> float | None:
        return min(self.again, default=None)


class Cycle:
    """Judges scopes. Safe to run for different scopes at the same time, never for one scope twice."""

    def __init__(
        self,
        *,
        in_force: Callable[[], InForce],
        observer: Observer,
        actor: Actor,
        store: Store,
        findings: OpenFindings,
        breaker: FightBreaker,
        setbacks: Setbacks,
        meaning: Meaning,
        namespaces: KnownNamespaces,
        epoch: Callable[[], int],
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._told: dict[str, tuple[Digest | None, Digest | None]] = {}
        self._epoch = epoch
        self._in_force = in_force
        self._observer = observer
        self._actor = actor
        self._store = store
        self._findings = findings
        self._breaker = breaker
        self._setbacks = setbacks
        self._meaning = meaning
        self._namespaces = namespaces
        self._clock = clock
        self._metrics = metrics

    async def run(self, ticket: Ticket, trace: Trace) -> CycleEnd:
        """Bring one scope to its canonical state, as far as mode, guard and cluster allow, and record all of it."""
        work = _Work(trace, ticket.since)
        comparison: Comparison | None = None
        for _ in range(ROUNDS):
            comparison = self._compare(ticket.scope, work)
            if comparison is None:
                return await self._ungoverned(ticket.scope)
            if comparison.to_prove:
                if await self._prove(comparison, work):
                    continue
                break
            if not await self._step(ticket, comparison, work):
                break
        else:
            work.again.append(0.0)
        assert comparison is not None  # noqa: S101 - ROUNDS is positive
        return await self._conclude(ticket.scope, comparison, work)

    # -- looking --------------------------------------------------------------------------------------------------

    def _compare(self, scope: Scope, work: _Work) -> Comparison | None:
        model = self._in_force()
        governed = model.governed(scope)
        if governed is None:
            return None
        with work.trace.stage("driftd.verify" if work.outcomes else "driftd.observe"):
            live = self._observer.look(scope, work.proved)
        with work.trace.stage("driftd.diff"):
            comparison = compare(
                model.compiled,
                governed,
                live,
                self._today(),
                orphaned=scope.namespace in model.orphaned,
                judge=self._meaning.recall,
            )
        extra = self._extra(comparison.findings, model.compiled.cluster)
        if extra:
            comparison = replace(comparison, findings=(*comparison.findings, *extra))
        return comparison

    def _extra(self, findings: Iterable[Finding], cluster: str) -> list[Finding]:
        """Findings about repairs that cannot be written."""
        extra = []
        for finding in findings:
            why = self._setbacks.refused(finding.ref)
            if why:
                extra.append(blocked(finding, why, cluster))
            if self._setbacks.differs(finding.ref):
                extra.append(defaulted(finding, cluster))
        return extra

    async def _prove(self, comparison: Comparison, work: _Work) -> bool:
        """Ask etcd for what the mirror lacks; False when nothing could be learned."""
        try:
            with work.trace.stage("driftd.prove", {"driftd.objects": len(comparison.to_prove)}):
                work.proved |= await self._observer.prove(comparison.to_prove)
        except ClusterError as error:
            _log.warning("observe.failed", scope=str(comparison.scope), why=str(error))
            work.again.append(self._setbacks.pause(comparison.scope))
            return False
        return True

    # -- acting ---------------------------------------------------------------------------------------------------

    async def _step(self, ticket: Ticket, comparison: Comparison, work: _Work) -> bool:
        """Plan and execute once; True when another look is due."""
        sift = self._sift(ticket.scope, comparison)
        fresh = [finding for finding in sift.opened if finding.id not in work.opened]
        live = self._observer.look(ticket.scope, work.proved)
        for finding in fresh:
            self._open(finding, comparison, work)
        model = self._in_force()
        governed = model.governed(ticket.scope)
        if governed is None:
            return False
        waiting, stuck = self._unworkable(comparison, work)
        with work.trace.stage("driftd.decide") as decide:
            planned = plan(
                comparison,
                governed,
                live,
                coverage=model.compiled.coverage,
                epoch=self._epoch(),
                waiting=waiting,
                blocked=stuck,
            )
            decide.note({"driftd.writes": len(planned.writes), "driftd.waiting": len(waiting) + len(stuck)})
        if not planned.writes:
            await self._begin(fresh)
            return False
        with work.trace.stage("driftd.remediate"):
            acts = await self._actor.execute(planned, fresh, work.trace)
        self._learn(ticket, acts, work)
        return acts.stopped_by is None or acts.stopped_by.result in _LOOK_AGAIN

    def _unworkable(self, comparison: Comparison, work: _Work) -> tuple[frozenset[ObjectRef], frozenset[ObjectRef]]:
        """Objects that a fight makes wait, and objects that cannot be written now (refused, failed, kind stopped)."""
        now = self._clock.monotonic()
        waiting: set[ObjectRef] = set()
        # Somebody who keeps writing one object must not keep driftd from the others of its scope.
        stuck = {ref for ref, count in work.conflicts.items() if count >= _CONFLICTS}
        # Two harmless halves may make a hole: patience is only for what stands alone.
        alone = len(comparison.findings) == 1 and len(self._findings) <= 1
        for finding in comparison.findings:
            direction = finding.direction if alone else Direction.UNKNOWN
            fight = self._breaker.permit(finding.ref, direction, now) if finding.type in _REPAIRABLE else 0.0
            if fight > 0:
                waiting.add(finding.ref)
                work.again.append(fight)
            twin = twin_ref(finding.ref)
            for ref in (finding.ref, twin):
                setback = self._setbacks.wait(ref, now)
                if setback > 0:
                    stuck.add(ref)
                    work.again.append(setback)
        return frozenset(waiting), frozenset(stuck)

    def _learn(self, ticket: Ticket, acts: Acts, work: _Work) -> None:
        now = self._clock.monotonic()
        work.outcomes += acts.outcomes
        for ref, writes in acts.repaired.items():
            work.repaired.add(ref)
            self._setbacks.clear(ref)
            self._metrics.heal_seconds.labels(ref.kind).observe(now - ticket.since, _exemplar(work.trace))
            if self._breaker.repaired(ref, now, writes):
                _log.warning("fight.known", kind=ref.kind, namespace=ref.namespace, name=ref.name)
                work.fights.append(ref)
                self._metrics.fights.set(len(self._breaker.fights(now)))
        if acts.waiting_for_store:
            work.again.append(1.0)
        if acts.stopped_by is not None and acts.stopped_at is not None:
            self._setback(acts.stopped_at, acts.stopped_by, now, work)

    def _setback(self, ref: ObjectRef, answer: Answer, now: float, work: _Work) -> None:
        match answer.result:
            case Result.REFUSED:
                self._setbacks.refuse(ref, answer.message, now)
            case Result.DIFFERS if answer.defaulted:
                self._setbacks.stop_kind(ref, answer.message)
            case Result.DIFFERS:
                self._setbacks.refuse(ref, answer.message, now)
            case Result.FENCED:
                work.again.append(1.0)
            case Result.CONFLICT:
                work.conflicts[ref] += 1
            case Result.FAILED | Result.UNKNOWN:
                self._setbacks.fail(ref, now, answer.retry_after)
            case _:
                pass
        wait = self._setbacks.wait(ref, now)
        if wait > 0:
            work.again.append(wait)

    # -- recording ------------------------------------------------------------------------------------------------

    async def _conclude(self, scope: Scope, comparison: Comparison, work: _Work) -> CycleEnd:
        sift = self._sift(scope, comparison)
        with work.trace.stage("driftd.report"):
            reports = await self._reports(sift, comparison, work)
        here = {finding.id for finding in comparison.findings}
        passed = [finding for id, finding in work.opened.items() if id not in here]
        gone = {finding.id: finding for finding in (*sift.gone, *passed)}
        if sift.still:
            await self._store.confirm([finding.id for finding in sift.still], self._clock.now())
        recordings = [self._store.finish(work.outcomes, reports)] if work.outcomes or reports else []
        recordings += [self._store.note("fight.known", str(ref), {}) for ref in work.fights]
        with work.trace.stage("driftd.record"):
            await self._record(*recordings, *self._closings(gone.values(), work.repaired))
        self._findings.take(scope, sift)
        work.trace.note(
            {
                "driftd.model.revision": self._in_force().commit,
                "driftd.drift.count": len(work.opened),
                "driftd.drift.open": len(comparison.findings),
                "driftd.repaired.count": len(work.repaired),
            }
        )
        now = self._clock.monotonic()
        for finding in gone.values():
            self._breaker.settled(finding.ref, now)
            self._meaning.settle(finding)
            self._told.pop(finding.id, None)
        self._namespaces.saw(scope, self._observer.look(scope), comparison)
        if not comparison.unknown and not comparison.to_prove:
            self._setbacks.settled(scope)
        if comparison.unknown or comparison.to_prove:
            return CycleEnd("unknown", work.pause)
        if comparison.findings:
            return CycleEnd("drift", work.pause)
        return CycleEnd("repaired" if work.repaired else "clean", work.pause)

    async def _reports(self, sift: Sift, comparison: Comparison, work: _Work) -> list[Finding]:
        """What was opened, and what has changed while it stood open, with its report; offered to be judged as well."""
        for finding in sift.opened:
            if finding.id not in work.opened:
                self._open(finding, comparison, work)
        for finding in sift.still:
            if finding.id not in work.opened and self._is_other(finding, comparison):
                self._open(finding, comparison, work, "drift.changed")
        reports = [await self._report(finding, work) for finding in work.opened.values()]
        for finding in reports:
            if finding.id in work.differences:
                self._meaning.offer(finding, work.differences[finding.id])
        return reports

    async def _ungoverned(self, scope: Scope) -> CycleEnd:
        """The model says nothing of this scope (any more): what was open there is closed."""
        sift = self._findings.sift(scope, (), ())
        await self._record(*self._closings(sift.gone, frozenset(), by="no longer governed"))
        self._findings.take(scope, sift)
        return CycleEnd("ungoverned")

    def _sift(self, scope: Scope, comparison: Comparison) -> Sift:
        return self._findings.sift(scope, comparison.findings, comparison.unknown, comparison.to_prove)

    def _is_other(self, finding: Finding, comparison: Comparison) -> bool:
        """Whether an open finding's object differs in another way than when it was last told: it may be worse now."""
        difference = comparison.differences.get(finding.id)
        return difference is not None and self._told.get(finding.id) != _shape(difference)

    def _open(self, finding: Finding, comparison: Comparison, work: _Work, event: str = "drift.found") -> None:
        work.trace.keep()
        if finding.id not in work.opened and event == "drift.found":
            seconds = self._clock.monotonic() - work.since
            self._metrics.detect_seconds.labels(finding.ref.kind).observe(seconds, _exemplar(work.trace))
        work.opened[finding.id] = finding
        difference = comparison.differences.get(finding.id)
        if difference is not None:
            work.differences[finding.id] = difference
            self._told[finding.id] = _shape(difference)
        self._say(event, finding)

    async def _report(self, finding: Finding, work: _Work) -> Finding:
        difference = work.differences.get(finding.id)
        if difference is None or finding.type not in _REPORTED:
            return finding
        coverage = self._in_force().compiled.coverage
        return await asyncio.to_thread(report, finding, difference.desired, difference.live, coverage)

    async def _begin(self, opened: list[Finding]) -> None:
        if opened:
            await self._record(self._store.begin(opened, ()))

    def _closings(
        self, gone: Iterable[Finding], repaired_refs: Container[ObjectRef], by: str = ""
    ) -> Iterator[Coroutine[None, None, None]]:
        at = self._clock.now()
        repaired: list[Finding] = []
        others: list[Finding] = []
        for finding in gone:
            (repaired if finding.ref in repaired_refs else others).append(finding)
            self._say("drift.healed" if finding.ref in repaired_refs else "drift.gone", finding)
        for who, findings in ((f"driftd {self._in_force().commit}", repaired), (by or "elsewhere", others)):
            if findings:
                yield self._store.close_findings([one.id for one in findings], who, at)

    async def _record(self, *recordings: Coroutine[None, None, None]) -> None:
        """Have it all recorded, in order; offered at once, so that the store makes one transaction of it."""
        await asyncio.gather(*(self._store_or_log(one) for one in recordings))

    @staticmethod
    async def _store_or_log(recording: Coroutine[None, None, None]) -> None:
        try:
            await recording
        except (StoreGone, EntryRefused) as error:
            _log.error("store.not_recorded", why=str(error))

    @staticmethod
    def _say(event: str, finding: Finding) -> None:
        _log.info(
            event,
            finding=finding.id,
            type=finding.type.value,
            kind=finding.ref.kind,
            namespace=finding.ref.namespace,
            name=finding.ref.name,
            tenant=finding.tenant,
            direction=finding.direction.value,
            severity=finding.severity.value,
            summary=finding.summary,
        )

    def _today(self) -> date:
        return self._clock.now().date()


_REPAIRABLE = frozenset(
    {
        FindingType.MISSING,
        FindingType.MODIFIED,
        FindingType.UNEXPECTED,
        FindingType.TERMINATING,
        FindingType.UNDELETABLE,
    }
)
_REPORTED = frozenset({FindingType.MISSING, FindingType.MODIFIED, FindingType.UNEXPECTED})
_CONFLICTS = 2
"""Conflicts over one object in a cycle after which the others go first."""
_LOOK_AGAIN = frozenset({Result.CONFLICT, Result.REFUSED, Result.DIFFERS})


def _exemplar(trace: Trace) -> dict[str, str] | None:
    """What leads from a histogram's bucket to the trace of one of its cycles."""
    return {"trace_id": trace.id} if trace.id else None


def _shape(difference: Difference) -> tuple[Digest | None, Digest | None]:
    """What tells one difference of an object from another: both sides' digests."""
    desired, live = difference.desired, difference.live
    return desired.digest if desired else None, live.digest if live else None
