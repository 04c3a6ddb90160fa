"""Judging wired: who says what differences and live workloads mean, when that begins, and where an answer goes."""

import asyncio
import contextlib
from collections.abc import Callable

import structlog

from driftd.app.opening import Outside, reflector_settings
from driftd.app.workloads import LiveWorkloads
from driftd.cluster import EventRecorder, Mirror
from driftd.engine import InForce, LiveAdmins, Meaning, OpenFindings, ScopeLoop
from driftd.settings import Settings
from driftd.store import EntryRefused, StoreGone
from driftd.values import Finding

_log = structlog.get_logger()

_FIRST_PASS_SECONDS = 30.0
"""How long live workloads wait to be judged for the first pass over all scopes."""


class Judging:
    """Judges beside the loop, as long as `run` is awaited. `loop` and `in_force` are asked when they are needed."""

    def __init__(
        self,
        settings: Settings,
        outside: Outside,
        *,
        mirror: Mirror,
        admins: LiveAdmins,
        findings: OpenFindings,
        recorder: EventRecorder,
        in_force: Callable[[], InForce | None],
        loop: Callable[[], ScopeLoop],
    ) -> None:
        self._store = outside.store
        self._findings = findings
        self._in_force = in_force
        self._loop = loop
        self.meaning = Meaning(
            compiled=lambda: self._model().compiled,
            policies=settings.engine.judged_policies,
            judged=self._judged,
            decided=lambda scope: loop().dirty.mark(scope, "judged"),
            admins=lambda: admins.current,
        )
        admins.subscribe(self.meaning.ask_anew)
        self.workloads = LiveWorkloads(
            session=outside.session,
            pace=outside.pace,
            settings=reflector_settings(settings),
            relist_seconds=settings.watch.workloads_relist_seconds,
            namespace_bytes=settings.watch.namespace_workload_bytes,
            mirror=mirror,
            compiled=lambda: model.compiled if (model := in_force()) else None,
            meaning=self.meaning,
            findings=findings,
            recorder=recorder,
            changed=lambda scope: loop().dirty.mark(scope, "workloads"),
            judged=self._judged,
            metrics=outside.metrics,
        )
        admins.subscribe(self.workloads.drift.admins_changed)

    def _model(self) -> InForce:
        model = self._in_force()
        assert model is not None  # noqa: S101 - nothing is compared, so nothing judged, without a model
        return model

    async def run(self) -> None:
        """Say what differences and live workloads mean, until cancelled: the leader's to do."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.meaning.run(), name="meaning")
            group.create_task(self._judge_workloads(), name="workloads")

    async def _judge_workloads(self) -> None:
        """What driftd repairs comes first: the first pass over all pods takes the processor for seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FIRST_PASS_SECONDS):
                while not self._loop().swept:  # noqa: ASYNC110 - no hurry, and nothing else waits for it
                    await asyncio.sleep(0.1)
        await self.workloads.drift.run()

    async def _judged(self, finding: Finding) -> None:
        """A direction has become known: into the store, the gauges and the log."""
        self._findings.judged(finding)
        if finding.id in self._findings.of(finding.scope):
            self.workloads.drift.policies_changed(finding.scope.namespace)
        _log.info(
            "drift.judged",
            finding=finding.id,
            direction=finding.direction.value,
            severity=finding.severity.value,
            witness=str(finding.witness or ""),
            neutral_now=finding.neutral_now,
            dialect=finding.dialect,
        )
        try:
            await self._store.finish((), (finding,))
        except (StoreGone, EntryRefused) as error:
            _log.error("store.not_recorded", why=str(error))
