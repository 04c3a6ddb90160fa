"""One daemon: its parts wired together, its loops started in order and ended in reverse."""

import asyncio
import contextlib
import gc
import signal
import time

import structlog

from driftd.app.api import api_server
from driftd.app.opening import Outside, open_outside, reflector_settings
from driftd.app.paging import Inside, Paging
from driftd.app.readiness import Readiness
from driftd.app.retention import keep_days
from driftd.app.rights import warn_of_guards, warn_of_rights
from driftd.app.source import model_source
from driftd.app.system import SystemClock, new_id
from driftd.app.workloads import LiveWorkloads
from driftd.cluster import (
    HARMLESS,
    Auditor,
    Canary,
    Elector,
    EventRecorder,
    LeaseSettings,
    Mirror,
    NotLeading,
    Pace,
    Session,
    Term,
    Truth,
    Writer,
)
from driftd.drift import FightBreaker
from driftd.engine import (
    Actor,
    Approvals,
    AuditLoop,
    CompiledCache,
    Cycle,
    Defaults,
    InForce,
    KnownNamespaces,
    Leadership,
    Meaning,
    ModelLoop,
    Observer,
    OpenFindings,
    Pauses,
    Recording,
    ScopeLoop,
    Setbacks,
    StoppedKinds,
    Teller,
    Watching,
    changed_scopes,
    digests_under,
    last_epoch,
    pending,
)
from driftd.policy.kinds import KINDS, Coverage
from driftd.settings import Settings
from driftd.source import LastGood, SourceError
from driftd.store import EntryRefused, Store, StoreError, StoreGone, StoreMode, StoreState
from driftd.telemetry import configure_logs
from driftd.values import Finding, ObjectRef, Scope
from driftd.web import HealthServer
from driftd.web.api import ApiUnusable

_log = structlog.get_logger()

EVENTS_PER_SECOND = 20.0
"""A bound on what telling costs the API server; a first install must not keep a tenant waiting for minutes."""


_FIRST_PASS_SECONDS = 30.0
"""How long live workloads wait to be judged for the first pass over all scopes."""
_FIRST_READING_SECONDS = 5.0
"""How long a restarted daemon waits for its source before it heals by the last good model."""

_COLLECTED_AFTER = (20_000, 20, 20)
"""Objects made before the garbage collector looks, and how often it looks at older ones. Reading a model of a thousand
namespaces makes millions of objects and hardly a cycle: at the usual 700, a fifth of that time is spent looking."""


async def run(settings: Settings) -> int:
    """Run the daemon until SIGTERM or SIGINT; the exit code of the process.

    Start order: logs, store, health server, model, mirrors, elector, leader-only work. Stop is the reverse.
    """
    configure_logs(level=settings.log.level, json=settings.log.json_lines)
    gc.set_threshold(*_COLLECTED_AFTER)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        async with contextlib.AsyncExitStack() as stack:
            outside = await open_outside(settings, SystemClock(), stack)
            return await App(settings, outside).run(stop)
    except StoreError as error:
        _log.critical("store.unusable", why=str(error))
        return 1
    except SourceError as error:
        _log.critical("model.source.unusable", why=str(error))
        return 2
    except ApiUnusable as error:
        _log.critical("api.unusable", why=str(error))
        return 2


class App:
    """All parts of one daemon, wired."""

    def __init__(self, settings: Settings, outside: Outside) -> None:
        self._settings = settings
        clock, pace, store, session = outside.clock, outside.pace, outside.store, outside.session
        self._clock = clock
        self._pace = pace
        self._store = store
        self._session = session
        self._traces = outside.traces
        self.metrics = outside.metrics
        self.mirror = Mirror(digests_under(Coverage()), pace)
        self._truth = Truth(session, lambda ref: self.mirror.reader(self.mirror.resource_of(ref)))
        self.namespaces = KnownNamespaces()
        self._watching = Watching(
            session,
            self.mirror,
            pace,
            settings=reflector_settings(settings),
            poll_seconds=settings.watch.discovery_seconds,
            metrics=self.metrics,
        )
        self._observer = Observer(self.mirror, self._truth, self.namespaces.uid_of, self._watching.unlisted)
        self._recorder = EventRecorder(session, pace, settings.identity, rate=EVENTS_PER_SECOND)
        self.elector = Elector(
            session=outside.lease,
            pace=pace,
            namespace=settings.namespace,
            identity=settings.identity,
            known_epoch=lambda: last_epoch(store),
            name=settings.lease.name,
            settings=LeaseSettings(
                duration=settings.lease.duration_seconds,
                renew_deadline=settings.lease.renew_deadline_seconds,
                retry=settings.lease.retry_seconds,
                stop=settings.engine.stop_seconds,
            ),
            went_back=self._rewind,
        )
        self._breaker = FightBreaker()
        self._findings = OpenFindings(self.metrics)
        self.pauses = Pauses(store=store, clock=clock, metrics=self.metrics, changed=self._pause_changed)
        self._stopped = StoppedKinds(self.metrics, self._kind_stopped)
        self.models = self._model_loop(store)
        self._loop = self._scope_loop(store)
        self._audits = self._audit_loop(session, pace)
        self._leadership = Leadership(
            store=store,
            loop=self._loop,
            findings=self._findings,
            namespaces=self.namespaces,
            pauses=self.pauses,
            observer=self._observer,
            breaker=self._breaker,
            in_force=lambda: self.models.in_force,
            reaches=lambda commit: self.models.reaches(commit, settings.model.settle_seconds),
            publish=self._publish,
            learn=self._learn,
            relearn=self._defaults.relearn,
            judge=self._judge,
            clock=clock,
            metrics=self.metrics,
        )
        store.watch(self._store_changed)
        inside = Inside(self.mirror, self.models, self._breaker, self.pauses, store, self.elector, clock)
        self._paging = Paging(settings.paging, inside, self.metrics)
        self._recovered = False
        health = Readiness(
            identity=settings.identity,
            mirror=self.mirror,
            observer=self._observer,
            models=self.models,
            loop=self._loop,
            stopped=self._stopped,
            pauses=self.pauses,
            elector=self.elector,
            store=store,
            workloads=self._workloads,
        )
        self.api = api_server(
            settings,
            session=session,
            clock=clock,
            models=self.models,
            pauses=self.pauses,
            store=store,
            elector=self.elector,
            poke=self._source.poke,
        )
        self.health = HealthServer(
            metrics=self.metrics, live=health.live, ready=health.ready, host=settings.web.host, port=settings.web.port
        )

    async def run(self, stop: asyncio.Event) -> int:
        """Run all loops until `stop`, then end them in reverse order."""
        await self.health.start()
        _log.info("health.listening", port=self.health.port)
        try:
            await self.api.start()
            _log.info("api.listening", port=self.api.port)
            await self.models.recover()
            self._recovered = True
            async with asyncio.TaskGroup() as group:
                feeding = group.create_task(self._watching.run(), name="watching")
                following = group.create_task(self._follow_workloads(), name="workloads")
                lag = group.create_task(self._measure_lag(), name="loop-lag")
                auditing = group.create_task(self._audit(), name="audit-loop")
                telling = group.create_task(self._recorder.run(), name="events")
                paging = group.create_task(self._paging.run(), name="paging")
                leading = group.create_task(self._lead(), name="elector")
                modelling = group.create_task(self._model(), name="model-loop")
                keeping = keep_days(
                    self._settings.store.retention_days, self._store, self._clock, lambda: self.elector.leading
                )
                ageing = group.create_task(keeping, name="retention")
                await stop.wait()
                _log.info("stopping")
                for task in (modelling, leading):
                    task.cancel()
                await asyncio.wait({modelling, leading}, timeout=self._settings.engine.stop_seconds + 5)
                for task in (auditing, telling, feeding, following, lag, paging, ageing):
                    task.cancel()
        finally:
            await self.api.stop()
            await self.health.stop()
        _log.info("stopped")
        return 0

    # -- the loops ------------------------------------------------------------------------------------------------

    async def _lead(self) -> None:
        await self._watching.settled()
        await self._first_model.wait()
        await self.elector.run(self._term)

    async def _term(self, term: Term) -> None:
        """Pages are taken over before the first finding of the term is recorded."""
        await self._paging.pager.activate()
        await self._leadership.lead(term)

    async def _model(self) -> None:
        """The model is first considered when the mirrors can tell what enforcing it would do."""
        await self._watching.settled()
        gc.collect()
        gc.freeze()  # what is there now stays: the collector need not walk it again
        async with asyncio.TaskGroup() as group:
            reading = group.create_task(self.models.consider(), name="first-model")
            await asyncio.wait({reading}, timeout=_FIRST_READING_SECONDS if self.models.in_force else None)
            self._first_model.set()
        await self.models.run()

    async def _audit(self) -> None:
        await self._watching.settled()
        await warn_of_rights(self._session, self._settings.namespace, self._settings.lease.name)
        await warn_of_guards(self._session, self._settings.namespace)
        await self._audits.run()

    async def _publish(self) -> None:
        """The next leader starts from the commit in the lease."""
        model = self.models.in_force
        if model is not None and self.elector.leading:
            await self.elector.publish(commit=model.commit, chain_head=str(self._store.known_head))

    async def _learn(self) -> None:
        model = self.models.in_force
        if model is not None:
            await self._defaults.learn(model.compiled)

    async def _judge(self) -> None:
        """What differences and live workloads mean: the leader's to say."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._meaning.run(), name="meaning")
            group.create_task(self._judge_workloads(), name="workloads")

    async def _judge_workloads(self) -> None:
        """What driftd repairs comes first: the first pass over all pods takes the processor for seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FIRST_PASS_SECONDS):
                while not self._loop.swept:  # noqa: ASYNC110 - no hurry, and nothing else waits for it
                    await asyncio.sleep(0.1)
        await self._workloads.drift.run()

    async def _follow_workloads(self) -> None:
        await self._first_model.wait()
        await self._workloads.watchers.run()

    async def _judged(self, finding: Finding) -> None:
        """A direction has become known: into the store, the gauges and the log."""
        self._findings.judged(finding)
        if finding.id in self._findings.of(finding.scope):
            self._workloads.drift.policies_changed(finding.scope.namespace)
        _log.info(
            "drift.judged",
            finding=finding.id,
            direction=finding.direction.value,
            severity=finding.severity.value,
            witness=str(finding.witness or ""),
            dialect=finding.dialect,
        )
        try:
            await self._store.finish((), (finding,))
        except (StoreGone, EntryRefused) as error:
            _log.error("store.not_recorded", why=str(error))

    async def _measure_lag(self) -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.25)
            self.metrics.loop_lag.set(max(0.0, time.monotonic() - before - 0.25))

    # -- wiring ---------------------------------------------------------------------------------------------------

    def _model_loop(self, store: Store) -> ModelLoop:
        self._first_model = asyncio.Event()
        settings = self._settings
        self._approvals = Approvals(store, self._clock)
        self._source = model_source(settings, self._clock, self._commit, lambda: self._approvals.commit)
        return ModelLoop(
            source=self._source.source,
            descends=self._source.descends,
            last_good=LastGood(settings.data_dir),
            cache=CompiledCache(settings.data_dir),
            store=store,
            clock=self._clock,
            metrics=self.metrics,
            own_namespace=settings.namespace,
            approvals=self._approvals,
            pending=lambda before, after: pending(before, after, self.mirror),
            prepare=self._prepare,
            accepted=self._accepted,
        )

    def _commit(self) -> str:
        return self.models.in_force.commit if self.models.in_force else ""

    def _audit_loop(self, session: Session, pace: Pace) -> AuditLoop:
        audit = self._settings.audit
        bodies = {
            kind.resource: HARMLESS[kind.resource.kind]
            for kind in KINDS.values()
            if kind.resource.kind in HARMLESS and not kind.dialect
        }
        return AuditLoop(
            auditor=Auditor(session, self._truth, self.mirror, pace),
            canary=Canary(
                session,
                self.mirror,
                pace,
                self.elector.state,
                self._settings.namespace,
                bodies,
                audit.heartbeat_bound_seconds,
            ),
            watchers=self._watching.watchers,
            rewind=self._rewind,
            pace=pace,
            relist_seconds=audit.relist_seconds,
            rolling_rate=audit.rolling_gets_per_second,
            beat_seconds=audit.heartbeat_seconds,
            expected=self._expected,
            audited=lambda: self._loop.sweep("audit"),
            metrics=self.metrics,
        )

    def _expected(self) -> list[ObjectRef]:
        model = self.models.in_force
        return [ref for one in model.compiled.every_scope() for ref in one.objects] if model else []

    async def _prepare(self, before: InForce | None, after: InForce) -> None:
        if before is not None and self.elector.leading:
            try:
                await self.elector.publish(commit=after.commit)  # the next leader starts there
            except NotLeading as error:
                _log.warning("model.not_published", why=str(error))  # the next leader reads the source itself
        # Last, and without a pause before the model changes: live digests must be those of its coverage.
        if before is None or before.compiled.coverage != after.compiled.coverage:
            depending = [kind.resource for kind in KINDS.values() if kind.reads_coverage]
            await self.mirror.rebase_in_slices(digests_under(after.compiled.coverage), depending)

    def _accepted(self, before: InForce | None, after: InForce) -> None:
        for scope in changed_scopes(before, after):
            self._loop.dirty.mark(scope, "model", urgent=before is not None)
        self._workloads.model_changed(after.compiled)
        if self._recovered:
            self._paging.rollouts.accepted(before, after)

    def _scope_loop(self, store: Store) -> ScopeLoop:
        settings = self._settings.engine

        def in_force() -> InForce:
            assert self.models.in_force is not None  # noqa: S101 - no scope is dirty without a model
            return self.models.in_force

        setbacks = Setbacks(first_seconds=settings.retry_min_seconds, longest_seconds=settings.retry_max_seconds)
        writer = Writer(self._session, self._truth.reader_of, self.elector.state)
        self._defaults = Defaults(
            session=self._session,
            writer=writer,
            stopped=self._stopped,
            namespace=self._settings.namespace,
            epoch=lambda: self.elector.epoch,
            compiled=lambda: in_force().compiled,
            clock=self._clock,
            again_seconds=settings.relearn_seconds,
        )
        self._meaning = Meaning(
            compiled=lambda: in_force().compiled,
            policies=settings.judged_policies,
            judged=self._judged,
            decided=lambda scope: self._loop.dirty.mark(scope, "judged"),
        )
        self._workloads = LiveWorkloads(
            session=self._session,
            pace=self._pace,
            settings=reflector_settings(self._settings),
            relist_seconds=self._settings.watch.workloads_relist_seconds,
            mirror=self.mirror,
            compiled=lambda: self.models.in_force.compiled if self.models.in_force else None,
            meaning=self._meaning,
            findings=self._findings,
            recorder=self._recorder,
            changed=lambda scope: self._loop.dirty.mark(scope, "workloads"),
            judged=self._judged,
            metrics=self.metrics,
        )
        actor = Actor(
            writer=writer,
            store=store,
            observer=self._observer,
            clock=self._clock,
            metrics=self.metrics,
            new_id=new_id,
            epoch=lambda: self.elector.epoch,
            commit=lambda: in_force().commit,
            told=Teller(self._recorder).told,
        )
        recording = Recording(
            in_force=in_force,
            store=store,
            findings=self._findings,
            breaker=self._breaker,
            meaning=self._meaning,
            clock=self._clock,
            metrics=self.metrics,
        )
        cycle = Cycle(
            in_force=in_force,
            observer=self._observer,
            actor=actor,
            recording=recording,
            breaker=self._breaker,
            setbacks=setbacks,
            stopped=self._stopped,
            meaning=self._meaning,
            workloads=self._workloads.drift,
            pauses=self.pauses,
            namespaces=self.namespaces,
            epoch=lambda: self.elector.epoch,
            clock=self._clock,
            metrics=self.metrics,
        )
        return ScopeLoop(
            mirror=self.mirror,
            cycle=cycle,
            in_force=lambda: self.models.in_force,
            workers=settings.workers,
            clock=self._clock,
            metrics=self.metrics,
            traces=self._traces,
        )

    def _rewind(self) -> None:
        """The API server's history went back: nothing that is known counts any more."""
        self._watching.watchers.rewind()
        self._workloads.watchers.relist()

    def _kind_stopped(self, why: str) -> None:
        """A kind is not written any more, or again: every scope may hold objects of it."""
        self._loop.sweep(why)

    def _pause_changed(self, namespace: str) -> None:
        self._loop.dirty.mark(Scope(namespace), "pause", urgent=True)

    def _store_changed(self, state: StoreState) -> None:
        """A model that was held because it could not be recorded is looked at again when the store is back."""
        self.metrics.store_ok.set(1 if state.mode is StoreMode.OK else 0)
        if state.mode is StoreMode.OK:
            self.models.poke()
