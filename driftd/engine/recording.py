"""What is written down of a cycle: findings opened, changed and closed, outcomes, fights; store, log and metrics."""

import asyncio
from collections.abc import Callable, Collection, Coroutine, Iterable, Iterator, Sequence

import structlog

from driftd.drift import Comparison, Difference, FightBreaker, decides_flows, report
from driftd.engine.inforce import InForce
from driftd.engine.meaning import Meaning
from driftd.engine.open_findings import OpenFindings, Sift
from driftd.engine.work import Work
from driftd.store import EntryRefused, Store, StoreGone
from driftd.telemetry import Metrics, names
from driftd.values import Clock, Digest, Direction, Finding, FindingType, ObjectRef, Scope

_log = structlog.get_logger()

_REPORTED = frozenset({FindingType.MISSING, FindingType.MODIFIED, FindingType.UNEXPECTED})


class Recording:
    """Keeps the findings of each scope and their history. What the store does not take is logged, never lost silently.

    Safe for different scopes at the same time, never for one scope twice.
    """

    def __init__(
        self,
        *,
        in_force: Callable[[], InForce],
        store: Store,
        findings: OpenFindings,
        breaker: FightBreaker,
        meaning: Meaning,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._in_force = in_force
        self._store = store
        self._findings = findings
        self._breaker = breaker
        self._meaning = meaning
        self._clock = clock
        self._metrics = metrics
        self._told: dict[str, tuple[Digest | None, Digest | None]] = {}

    @property
    def open_everywhere(self) -> int:
        """Open findings of all scopes that decide flows, as of their last conclusions."""
        return sum(map(decides_flows, self._findings.all()))

    # -- while a cycle works ----------------------------------------------------------------------------------------

    def open_fresh(self, comparison: Comparison, work: Work) -> list[Finding]:
        """Take note of what a look has found that was not open before; the new ones, for the store."""
        fresh = [one for one in self._sift(comparison).opened if one.id not in work.opened]
        for finding in fresh:
            self._open(finding, comparison, work, "drift.found")
        return fresh

    async def begin(self, opened: Sequence[Finding]) -> None:
        """Record findings of which nothing is written to the cluster now."""
        if opened:
            await self._record(self._store.begin(opened, ()))

    # -- at its end -------------------------------------------------------------------------------------------------

    async def conclude(self, comparison: Comparison, work: Work) -> None:
        """Write down how the cycle ended: its last look is what is open now."""
        sift = self._sift(comparison, work.raced)
        unbegun = [one for one in sift.opened if one.id not in work.opened]  # a last look that nothing followed
        with work.trace.stage(names.REPORT):
            reports = await self._reports(sift, comparison, work)
        here = {finding.id for finding in comparison.findings}
        passed = [finding for id, finding in work.opened.items() if id not in here]
        still = {finding.id for finding in sift.still}
        sift.still += [finding for finding in passed if finding.ref in work.raced and finding.id not in still]
        passed = [finding for finding in passed if finding.ref not in work.raced]
        gone = {finding.id: finding for finding in (*sift.gone, *passed)}
        if sift.still:
            await self._store.confirm([finding.id for finding in sift.still], self._clock.now())
        recordings = [self._store.begin(unbegun, ())] if unbegun else []
        recordings += [self._store.finish(work.outcomes, reports)] if work.outcomes or reports else []
        recordings += [self._store.note("fight.known", str(ref), {}) for ref in work.fights]
        recordings += self._vanished(comparison.scope, work)
        by = "its namespace is gone" if _is_homeless(comparison, work) else "elsewhere"
        with work.trace.stage(names.RECORD):
            await self._record(*recordings, *self._closings(gone.values(), work.repaired, by))
        self._findings.take(comparison.scope, sift)
        work.trace.note(
            {
                names.REVISION: self._in_force().commit,
                names.DRIFT_COUNT: len(work.opened),
                names.DRIFT_OPEN: len(comparison.findings),
                names.REPAIRED_COUNT: len(work.repaired),
            }
        )
        known = [finding for finding in work.opened.values() if finding.direction is not Direction.UNKNOWN]
        if known:  # the others' meaning comes with their judgement
            work.trace.note(names.meaning(min(known, key=lambda finding: finding.severity.rank)))
        now = self._clock.monotonic()
        differing = {one.ref for one in comparison.differences.values()}
        for finding in gone.values():
            self._breaker.settled(finding.ref, now)
            self._told.pop(finding.id, None)
            if finding.ref not in differing:  # else it is another finding now
                self._meaning.settle(finding.ref)

    def _vanished(self, scope: Scope, work: Work) -> Iterator[Coroutine[None, None, None]]:
        """What came and went while it was waited for leaves no finding; it leaves a note."""
        told = self._meaning.vanished.note(scope)
        if told is not None:
            _log.warning("policy.unjudged", namespace=scope.namespace, **told)
            yield self._store.note("policy.unjudged", scope.namespace, told)
        due = self._meaning.vanished.due(scope)
        if due is not None:
            work.again.append(due)

    async def ungoverned(self, scope: Scope) -> None:
        """The model says nothing of this scope (any more): what was open there is closed."""
        sift = self._findings.sift(scope, (), ())
        await self._record(*self._closings(sift.gone, (), "no longer governed"))
        self._findings.take(scope, sift)

    # -- findings ---------------------------------------------------------------------------------------------------

    def _sift(self, comparison: Comparison, raced: Collection[ObjectRef] = ()) -> Sift:
        scope, unsure = comparison.scope, (*comparison.to_prove, *raced)
        if comparison.leaving:  # nothing else is looked at in a namespace that is being deleted: what was open stays so
            unsure = tuple(finding.ref for finding in self._findings.of(scope).values())
        return self._findings.sift(scope, comparison.findings, comparison.unknown, unsure)

    async def _reports(self, sift: Sift, comparison: Comparison, work: Work) -> list[Finding]:
        """What was opened, and what has changed while it stood open, with its report; offered to be judged as well."""
        for finding in sift.opened:
            if finding.id not in work.opened:
                self._open(finding, comparison, work, "drift.found")
        for finding in sift.still:
            if finding.id in work.opened or finding.id not in comparison.differences:
                continue
            if self._is_other(finding, comparison):
                self._open(finding, comparison, work, "drift.changed")
            else:
                self._meaning.offer(finding, comparison.differences[finding.id])  # another model asks anew
        reports = await self._rendered(work)
        for finding in reports:
            if finding.id in work.differences:
                self._meaning.offer(finding, work.differences[finding.id], work.trace)
        return reports

    def _is_other(self, finding: Finding, comparison: Comparison) -> bool:
        """Whether an open finding's object differs in another way than when it was last told: it may be worse now."""
        difference = comparison.differences.get(finding.id)
        return difference is not None and self._told.get(finding.id) != _shape(difference)

    def _open(self, finding: Finding, comparison: Comparison, work: Work, event: str) -> None:
        work.trace.keep()
        if event == "drift.found":
            seconds = self._clock.monotonic() - work.since
            self._metrics.detect_seconds.labels(finding.ref.kind).observe(seconds, work.exemplar)
        work.opened[finding.id] = finding
        difference = comparison.differences.get(finding.id)
        if difference is not None:
            work.differences[finding.id] = difference
            self._told[finding.id] = _shape(difference)
        self._say(event, finding)

    async def _rendered(self, work: Work) -> list[Finding]:
        """What a cycle has opened, each with its report: all in one go beside the loop, since each hop is a wait."""
        coverage = self._in_force().compiled.coverage

        def rendered(finding: Finding) -> Finding:
            difference = work.differences.get(finding.id)
            if difference is None or finding.type not in _REPORTED:
                return finding
            return report(finding, difference.desired, difference.live, coverage)

        opened = [*work.opened.values()]
        return await asyncio.to_thread(lambda: [*map(rendered, opened)]) if opened else []

    # -- store and log ----------------------------------------------------------------------------------------------

    def _closings(
        self, gone: Iterable[Finding], repaired_refs: Collection[ObjectRef], by: str
    ) -> Iterator[Coroutine[None, None, None]]:
        at = self._clock.now()
        repaired: list[Finding] = []
        others: list[Finding] = []
        for finding in gone:
            (repaired if finding.ref in repaired_refs else others).append(finding)
            self._say("drift.healed" if finding.ref in repaired_refs else "drift.gone", finding)
        for who, findings in ((f"driftd {self._in_force().commit}", repaired), (by, others)):
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


def _is_homeless(comparison: Comparison, work: Work) -> bool:
    """Whether the cycle found the namespace itself gone, and all that lived there with it."""
    seen = (*comparison.findings, *work.opened.values())
    return any(one.type is FindingType.MISSING and one.ref.kind == "Namespace" and not one.ref.group for one in seen)


def _shape(difference: Difference) -> tuple[Digest | None, Digest | None]:
    """What tells one difference of an object from another: both sides' digests."""
    desired, live = difference.desired, difference.live
    return desired.digest if desired else None, live.digest if live else None
