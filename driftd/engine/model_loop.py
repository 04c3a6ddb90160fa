"""The model loop: a new revision is read, admitted, compiled and guarded before any of it is in force (D8)."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

import structlog

from driftd.compile import Compiled, GovernedNamespace
from driftd.drift import guard, loosened, orphans
from driftd.engine.approvals import Approvals, NotApprovable, NotHeld, named
from driftd.engine.candidate import Candidate, ReadModel, read_here
from driftd.engine.compiled_cache import CompiledCache
from driftd.engine.inforce import InForce, ModelStatus
from driftd.engine.orphans import NotOrphaned, Orphans
from driftd.engine.past import Past
from driftd.model import Problem
from driftd.source import Kept, LastGood, Revision, Source, SourceError
from driftd.store import Store, StoreError
from driftd.telemetry import Metrics, Trace, Traces, names
from driftd.values import Clock

_log = structlog.get_logger()
_SHOWN_PROBLEMS = 50
_RECALL_SECONDS = 1.0
_RETIRED_SECONDS = 60.0  # another replica's word may have waited in its journal


class ModelLoop:
    """Decides which model is in force and tells `accepted` of each change.

    Args:
        read_model: reads, admits and compiles revisions.
        settled: waits until the mirrors can tell what a model would do; reading it need not wait for that.
        pending: counts, for each namespace that a model newly enforces, the live objects it would write over.
        approvals: the one held revision that a person let pass.
        descends: whether one commit comes after another, where the source can tell; raises `SourceError`.
        prepare: awaited with the model before and after, directly before the change (digests under a new coverage).
        accepted: called with both directly after it, in the event loop; must not block.
    """

    def __init__(
        self,
        *,
        source: Source,
        last_good: LastGood,
        cache: CompiledCache,
        store: Store,
        clock: Clock,
        metrics: Metrics,
        traces: Traces,
        own_namespace: str,
        approvals: Approvals,
        settled: Callable[[], Awaitable[None]],
        pending: Callable[[Compiled | None, Compiled], Mapping[str, int]],
        prepare: Callable[[InForce | None, InForce], Awaitable[None]],
        accepted: Callable[[InForce | None, InForce], None],
        descends: Callable[[str, str], Awaitable[bool]] | None = None,
        read_model: ReadModel = read_here,
        signed: bool = False,
    ) -> None:
        self._source = source
        self._store = store
        self._clock = clock
        self._metrics = metrics
        self._traces = traces
        self._own_namespace = own_namespace
        self._approvals = approvals
        self._settled = settled
        self._pending = pending
        self._prepare = prepare
        self._accepted = accepted
        self._turn = asyncio.Lock()
        self._poked = asyncio.Event()
        self._entered = asyncio.Event()
        self._past = Past(
            last_good=last_good,
            cache=cache,
            store=store,
            clock=clock,
            descends=descends,
            read_model=read_model,
            signed=signed,
        )
        self._entry = ModelStatus()
        self.orphans = Orphans(store)
        self.in_force: InForce | None = None
        self.status = ModelStatus()

    async def recover(self) -> None:
        """Put the last good model in force again, before the source is asked (D8)."""
        await self._go_on_with(await self._past.here())

    async def _go_on_with(self, kept: Kept) -> bool:
        """Put in force what was in force before, here or in another replica; whether it was of use."""
        trace = self._traces.begin(names.MODEL_LOAD, {})
        found = await self._past.usable(kept)
        if found is None:
            return False
        compiled, self._entry = found
        commit = self._entry.commit
        self._tell(self._entry.problems)
        self._traces.of_cluster(compiled.cluster)
        trace.keep()
        left: Mapping[str, GovernedNamespace] = {}
        with contextlib.suppress(StoreError):  # told, and asked again
            left = orphans(None, compiled, await self.orphans.recall())
        await self._enter(InForce(compiled, commit, left, rolled_out=True, trace=trace.id))
        trace.note({names.REVISION: commit})
        trace.end("recovered", eventful=True)
        return True

    async def run(self) -> None:
        """Consider each change of the source, and a held model again when poked, for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow(), name="model-source")
            group.create_task(self._again(), name="model-again")
            group.create_task(self._recall(), name="model-orphans")

    def poke(self) -> None:
        """Something else than the source has changed (the store is back): look at a held model again."""
        self._poked.set()

    async def reaches(self, commit: str, seconds: float) -> bool:
        """Whether what is in force here is this revision or one after it; waits so long at most for it to become so.

        What was in force here since the start was followed by what this replica's own source put after it; of other
        revisions a source that knows ancestry is asked. What people told the former leader is learned first.
        """
        self.poke()  # an approval lets a held revision through
        try:
            async with asyncio.timeout(seconds):
                await self._forget_retired()
                while not await self._past.has_had(commit):
                    self._entered.clear()
                    await self._entered.wait()
        except TimeoutError:
            return False
        return True

    async def _forget_retired(self) -> None:
        """Let go of the namespaces that another replica was told to retire."""
        if self.in_force is None or not self.in_force.orphaned:
            return
        async with self._turn:
            self._hold_orphans(await self.orphans.still(self.in_force.orphaned))

    def _hold_orphans(self, left: Mapping[str, GovernedNamespace]) -> None:
        before = self.in_force
        if before is not None and left.keys() != before.orphaned.keys():
            self.in_force = replace(before, orphaned=left, rolled_out=True)
            self._accepted(before, self.in_force)

    async def _recall(self) -> None:
        looked = self._clock.monotonic()
        while True:
            await asyncio.sleep(_RECALL_SECONDS)
            if self.orphans.unknown:
                await self.recall_orphans()
            elif self._past.unknown:
                await self._look_back()
            elif self._store.durable and self._clock.monotonic() >= looked + _RETIRED_SECONDS:
                looked = self._clock.monotonic()
                await self._forget_retired()

    async def recall_orphans(self) -> None:
        """Ask the store once more for the orphans that it could not tell before."""
        async with self._turn:
            try:
                found = await self.orphans.recall()
            except StoreError:
                return
            if self.in_force is not None:
                found |= self.in_force.orphaned
                self._hold_orphans(orphans(None, self.in_force.compiled, found))
        self.poke()  # a model may be held for it

    async def _look_back(self) -> None:
        """Consider the held model again once the store can tell what was in force before this replica was there."""
        with contextlib.suppress(StoreError):
            await self._past.look()
            self.poke()

    async def approve(self, commit: str, by: str, reason: str) -> str:
        """Let the held revision of this name pass, and no other; its whole name. It is considered again at once.

        Raises `NotHeld`, `NotApprovable`, `StoreGone`.
        """
        status = self.status
        if not status.held or not named(commit, status.newest):
            raise NotHeld(commit, status.newest if status.held else "")
        if not status.approvable:
            raise NotApprovable(status.newest, status.held)
        await self._approvals.grant(status.newest, by, reason, status.held)
        self.poke()
        return status.newest

    async def retire(self, namespace: str, by: str, reason: str) -> GovernedNamespace:
        """Stop governing a namespace whose environment is gone from the model; what it was held at.

        Nothing in the cluster is touched: its objects stay as they are, and whoever owns the namespace may delete it.
        Raises `NotOrphaned`, `StoreGone`.
        """
        async with self._turn:
            before = self.in_force
            if before is None or namespace not in before.orphaned:
                raise NotOrphaned(namespace, governed=before is not None and namespace in before.compiled.governed)
            kept = before.orphaned[namespace]
            detail = await self.orphans.retire(kept, by, reason)
            self._hold_orphans({name: one for name, one in before.orphaned.items() if name != namespace})
        _log.warning("namespace.retired", namespace=namespace, **detail)
        return kept

    async def _follow(self) -> None:
        async for _ in self._source.changes():
            await self.consider()

    async def _again(self) -> None:
        while True:
            await self._poked.wait()
            self._poked.clear()
            if self.status.held:
                await self.consider()

    async def consider(self) -> None:
        """Read the source once and decide. What is in force stays in force unless a whole new model is accepted."""
        async with self._turn:
            await self._consider()

    async def _consider(self) -> None:
        trace, before = self._traces.begin(names.MODEL_LOAD, {}), self.status
        await self._approvals.look()
        unknown = "" if self.in_force else await self._take_over()
        try:
            revision = await self._source.read()
        except SourceError as error:
            if str(error) != before.held:
                trace.keep()
            self._hold(error.commit or "(unreadable)", str(error), approvable=error.approvable)
        else:
            if unknown:
                self._hold(revision.commit, unknown)
            elif await self._is_in_force(revision):
                self._settle(self._entry)
                return
            else:
                await self._decide(await self._past.judged(revision), trace)
        trace.note({names.REVISION: self.status.newest})
        trace.end("held" if self.status.held else "accepted", eventful=self.status != before)

    async def _take_over(self) -> str:
        """Put in force what others accepted last, where nothing is in force here; why that is unknown, or empty."""
        try:
            kept = await self._past.elsewhere()
        except StoreError as error:
            return f"which model was in force before cannot be read: {error}"
        if await self._go_on_with(kept) and kept.revision is not None:
            await self._past.taken_over(kept.revision, kept.quarantined)
        return ""

    async def _is_in_force(self, revision: Revision) -> bool:
        """Whether there is nothing to decide."""
        if self.in_force is None or revision.commit != self.in_force.commit:
            return False
        entry = await self._past.confirmed(revision, self._entry)
        if entry is None:
            return False
        self._entry = entry
        return True

    # -- deciding -------------------------------------------------------------------------------------------------

    async def _decide(self, candidate: Candidate, trace: Trace) -> None:
        commit, admitted = candidate.revision.commit, candidate.admitted
        if self.in_force is None and candidate.compiled is not None:
            self._traces.of_cluster(candidate.compiled.cluster)
        if commit != self.status.newest:
            trace.keep()  # from here on the log and the records name it
        problems = tuple(admitted.problems)
        self._tell(problems)
        if candidate.compiled is None:
            self._hold(commit, candidate.why, problems)
            return
        await self._settled()
        before = self.in_force
        was = before.compiled if before else None
        known = await self._past.was_in_force(commit)
        held = guard(
            was,
            candidate.compiled,
            self._own_namespace,
            platform=candidate.platform,
            pending={} if known else self._pending(was, candidate.compiled),
            loosened=await self._loosened(was, candidate.compiled),
        )
        if held is not None and not (held.approvable and commit == self._approvals.commit):
            way_on = f" (`driftd approve {commit}`)" if held.approvable else ""
            self._hold(commit, held.reason + way_on, problems, approvable=held.approvable)
            return
        if not self._store.durable:
            self._hold(
                commit, "the store is away, and a changed model must be recorded before it is in force", problems
            )
            return
        await self._accept(candidate, problems, trace, known=known)

    @staticmethod
    async def _loosened(before: Compiled | None, after: Compiled) -> int:
        """How many objects open something; counted only as far as the guard lets pass at most."""
        return 0 if before is None else await asyncio.to_thread(loosened, before, after, before.mass_objects)

    async def _accept(self, candidate: Candidate, problems: tuple[Problem, ...], trace: Trace, *, known: bool) -> None:
        assert candidate.compiled is not None  # noqa: S101 - _decide has seen to it
        trace.keep()
        revision = replace(candidate.revision, files=candidate.admitted.files)
        before = self.in_force
        try:
            carried = before.orphaned if before and not self.orphans.unknown else await self.orphans.recall()
            retired = await self.orphans.retired()
        except StoreError as error:
            why = f"which namespaces are held since their environments left the model cannot be read: {error}"
            self._hold(revision.commit, why, problems)
            return
        left = orphans(before.compiled if before else None, candidate.compiled, carried)
        left = {name: one for name, one in left.items() if name not in retired}
        after = InForce(candidate.compiled, revision.commit, left, rolled_out=known, trace=trace.id)
        changes = self.orphans.changes(carried, left, retired & after.compiled.governed.keys())
        quarantined = tuple(candidate.admitted.quarantined)
        try:
            await self._past.record(revision, quarantined, changes, self._detail(before, after, quarantined))
        except (StoreError, OSError) as error:
            self._hold(revision.commit, f"it could not be recorded: {error}", problems)
            return
        await self._approvals.spend()
        await self._past.accepted(revision, after.compiled)
        self._entry = ModelStatus(revision.commit, revision.commit, "", problems, quarantined)
        await self._enter(after)
        self._settle(self._entry)
        _log.info(
            "model.accepted",
            commit=revision.commit,
            namespaces=len(after.compiled.governed),
            objects=sum(len(one.objects) for one in after.compiled.every_scope()),
            orphaned=sorted(after.orphaned),
            quarantined=quarantined,
        )

    def _detail(self, before: InForce | None, after: InForce, quarantined: tuple[str, ...]) -> dict[str, str]:
        detail = {
            "before": before.commit if before else "",
            "namespaces": str(len(after.compiled.governed)),
            "orphaned": " ".join(sorted(after.orphaned)),
            "quarantined": " ".join(sorted(quarantined)),
        }
        if self._approvals.commit == after.commit:
            detail["approved_by"] = self._approvals.by
        return detail

    # -- telling --------------------------------------------------------------------------------------------------

    async def _enter(self, after: InForce) -> None:
        before = self.in_force
        await self._prepare(before, after)
        self.in_force = after
        self._traces.of_cluster(after.compiled.cluster)
        self._past.entered(after.commit)
        self._entered.set()
        self._metrics.model_accepted.set(self._clock.now().timestamp())
        if not self.status.commit:
            self._settle(self._entry)
        self._accepted(before, after)

    def _hold(self, newest: str, why: str, problems: tuple[Problem, ...] = (), *, approvable: bool = False) -> None:
        commit = self.in_force.commit if self.in_force else ""
        known = self.status.held == why and self.status.newest == newest
        self._settle(ModelStatus(commit, newest, why, problems, self._entry.quarantined, approvable))
        if not known:
            _log.error("model.held", newest=newest, in_force=commit, why=why)

    def _settle(self, status: ModelStatus) -> None:
        self.status = status
        self._metrics.model_held.set(1 if status.held else 0)
        self._metrics.model_quarantined.set(len(status.quarantined))
        for severity in ("error", "warning"):
            count = sum(problem.severity == severity for problem in status.problems)
            self._metrics.model_problems.labels(severity).set(count)

    @staticmethod
    def _tell(problems: tuple[Problem, ...]) -> None:
        for problem in problems[:_SHOWN_PROBLEMS]:
            (_log.error if problem.is_error else _log.warning)("model.problem", problem=str(problem))
        if len(problems) > _SHOWN_PROBLEMS:
            _log.error("model.problems.more", count=len(problems) - _SHOWN_PROBLEMS)
