"""The parts of one daemon, made and tied together. Nothing runs before `daemon` starts it."""

import asyncio

import structlog

from driftd.app.api import api_server
from driftd.app.judging import Judging
from driftd.app.opening import Outside, reflector_settings
from driftd.app.paging import Inside, Paging
from driftd.app.readiness import Readiness
from driftd.app.source import model_source
from driftd.app.system import new_id
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
    Truth,
    Writer,
)
from driftd.drift import FightBreaker
from driftd.engine import (
    NEW_MODEL,
    Actor,
    Approvals,
    AuditLoop,
    CompiledCache,
    Cycle,
    Defaults,
    InForce,
    KnownNamespaces,
    Leadership,
    LiveAdmins,
    ModelLoop,
    Observer,
    OpenFindings,
    Pauses,
    ReadModel,
    Recording,
    ScopeLoop,
    Setbacks,
    StoppedKinds,
    Teller,
    Watching,
    changed_scopes,
    is_spare,
    last_epoch,
    pending,
)
from driftd.policy.kinds import KINDS, Coverage, digests_under
from driftd.settings import Settings
from driftd.source import LastGood
from driftd.store import Store, StoreMode, StoreState
from driftd.values import ObjectRef, Scope
from driftd.web import HealthServer

_log = structlog.get_logger()

EVENTS_PER_SECOND = 20.0
"""A bound on what telling costs the API server; a first install must not keep a tenant waiting for minutes."""


class Parts:
    """Everything one daemon consists of. Public are the parts that are started, stopped or asked from outside."""

    def __init__(self, settings: Settings, outside: Outside, read_model: ReadModel) -> None:
        self.settings = settings
        clock, pace, store, session = outside.clock, outside.pace, outside.store, outside.session
        self.clock = clock
        self.store = store
        self.session = session
        self._traces = outside.traces
        self.metrics = outside.metrics
        self.mirror = Mirror(
            digests_under(Coverage()),
            pace,
            settings.watch.namespace_bytes,
            spare=lambda ref: is_spare(ref, self.models.in_force),
        )
        self._truth = Truth(session, lambda ref: self.mirror.reader(self.mirror.resource_of(ref)))
        self.namespaces = KnownNamespaces()
        self.watching = Watching(
            session,
            self.mirror,
            pace,
            settings=reflector_settings(settings),
            poll_seconds=settings.watch.discovery_seconds,
            metrics=self.metrics,
        )
        admins = LiveAdmins(self.mirror)
        self._observer = Observer(self.mirror, self._truth, self.namespaces.uid_of, self.watching.unlisted, admins)
        self.recorder = EventRecorder(session, pace, settings.identity, rate=EVENTS_PER_SECOND)
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
        self.models = self._model_loop(store, read_model)
        self._judging = Judging(
            settings,
            outside,
            mirror=self.mirror,
            admins=admins,
            findings=self._findings,
            recorder=self.recorder,
            in_force=lambda: self.models.in_force,
            loop=lambda: self._loop,
        )
        self.workloads = self._judging.workloads
        self._loop = self._scope_loop(store)
        self.audits = self._audit_loop(session, pace)
        self.leadership = Leadership(
            store=store,
            loop=self._loop,
            findings=self._findings,
            namespaces=self.namespaces,
            pauses=self.pauses,
            stopped=self._stopped,
            observer=self._observer,
            breaker=self._breaker,
            in_force=lambda: self.models.in_force,
            reaches=lambda commit: self.models.reaches(commit, settings.model.settle_seconds),
            publish=self._publish,
            joined=self.workloads.drift.past_known,
            learn=self._learn,
            relearn=self._defaults.relearn,
            judge=self._judging.run,
            clock=clock,
            metrics=self.metrics,
        )
        self._lost = 0
        store.watch(self._store_changed)
        self._store_changed(store.state)
        inside = Inside(
            mirror=self.mirror,
            workloads=self.workloads,
            models=self.models,
            breaker=self._breaker,
            pauses=self.pauses,
            store=store,
            elector=self.elector,
            clock=clock,
            began=clock.monotonic(),
        )
        self.paging = Paging(settings.paging, inside, self.metrics, self._traces)
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
            workloads=self.workloads,
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

    def _model_loop(self, store: Store, read_model: ReadModel) -> ModelLoop:
        self.first_model = asyncio.Event()
        settings = self.settings
        self._approvals = Approvals(store, self.clock)
        self._source = model_source(settings, self.clock, self._commit, lambda: self._approvals.commit)
        return ModelLoop(
            source=self._source.source,
            descends=self._source.descends,
            read_model=read_model,
            last_good=LastGood(settings.data_dir),
            cache=CompiledCache(settings.data_dir),
            store=store,
            clock=self.clock,
            metrics=self.metrics,
            traces=self._traces,
            own_namespace=settings.namespace,
            approvals=self._approvals,
            settled=self.watching.settled,
            pending=lambda before, after: pending(before, after, self.mirror),
            prepare=self._prepare,
            accepted=self._accepted,
            signed=settings.model.git.allowed_signers_file is not None,
        )

    def _commit(self) -> str:
        return self.models.in_force.commit if self.models.in_force else ""

    def _audit_loop(self, session: Session, pace: Pace) -> AuditLoop:
        audit = self.settings.audit
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
                self.settings.namespace,
                bodies,
                audit.heartbeat_bound_seconds,
            ),
            watchers=self.watching.watchers,
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
            self._loop.dirty.mark(scope, NEW_MODEL, urgent=before is not None)
        self.workloads.model_changed(after.compiled)
        if not after.rolled_out:
            self.paging.rollouts.accepted(before, after)

    def _model_in_force(self) -> InForce:
        assert self.models.in_force is not None  # noqa: S101 - no scope is dirty without a model
        return self.models.in_force

    def _scope_loop(self, store: Store) -> ScopeLoop:
        """The loop, and who learns the server's defaults through the same writer."""
        settings = self.settings.engine
        setbacks = Setbacks(first_seconds=settings.retry_min_seconds, longest_seconds=settings.retry_max_seconds)
        writer = Writer(self.session, self._truth.reader_of, self.elector.state)
        self._defaults = Defaults(
            session=self.session,
            writer=writer,
            stopped=self._stopped,
            namespace=self.settings.namespace,
            epoch=lambda: self.elector.epoch,
            compiled=lambda: self._model_in_force().compiled,
            clock=self.clock,
            again_seconds=settings.relearn_seconds,
        )
        actor = Actor(
            writer=writer,
            store=store,
            observer=self._observer,
            clock=self.clock,
            metrics=self.metrics,
            new_id=new_id,
            epoch=lambda: self.elector.epoch,
            commit=lambda: self._model_in_force().commit,
            coverage=lambda: self._model_in_force().compiled.coverage,
            told=Teller(self.recorder).told,
        )
        recording = Recording(
            in_force=self._model_in_force,
            store=store,
            findings=self._findings,
            breaker=self._breaker,
            meaning=self._judging.meaning,
            clock=self.clock,
            metrics=self.metrics,
        )
        cycle = Cycle(
            in_force=self._model_in_force,
            observer=self._observer,
            actor=actor,
            recording=recording,
            breaker=self._breaker,
            setbacks=setbacks,
            stopped=self._stopped,
            meaning=self._judging.meaning,
            workloads=self.workloads.drift,
            pauses=self.pauses,
            namespaces=self.namespaces,
            epoch=lambda: self.elector.epoch,
            clock=self.clock,
            metrics=self.metrics,
        )
        return ScopeLoop(
            mirror=self.mirror,
            cycle=cycle,
            in_force=lambda: self.models.in_force,
            workers=settings.workers,
            clock=self.clock,
            metrics=self.metrics,
            traces=self._traces,
        )

    def _rewind(self) -> None:
        """The API server's history went back: nothing that is known counts any more."""
        self.watching.watchers.rewind()
        self.workloads.watchers.rewind()

    def _kind_stopped(self, why: str) -> None:
        """A kind is not written any more, or again: every scope may hold objects of it."""
        self._loop.sweep(why)

    def _pause_changed(self, namespace: str) -> None:
        self._loop.dirty.mark(Scope(namespace), "pause", urgent=True)

    def _store_changed(self, state: StoreState) -> None:
        """A model that was held because it could not be recorded is looked at again when the store is back."""
        self.metrics.store_ok.set(1 if state.mode is StoreMode.OK else 0)
        self.metrics.records_lost.inc(max(0, state.lost - self._lost))
        self._lost = state.lost
        if state.mode is StoreMode.OK:
            self.models.poke()

    async def _publish(self) -> None:
        """The next leader starts from the commit in the lease."""
        model = self.models.in_force
        if model is not None and self.elector.leading:
            head = self.store.known_head
            await self.elector.publish(commit=model.commit, chain_head=str(head) if head.seq else None)

    async def _learn(self) -> None:
        model = self.models.in_force
        if model is not None:
            await self._defaults.learn(model.compiled)
