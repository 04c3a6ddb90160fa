"""The audit loop: the mirror held against the truth, object by object and kind by kind, and the watch timed."""

import asyncio
from collections.abc import Callable, Collection

import structlog

from driftd.cluster import Auditor, Canary, ClusterError, Divergence, Gap, Pace, RollingCheck, Watchers
from driftd.policy.kinds import EVALUATED, KINDS
from driftd.telemetry import Metrics
from driftd.values import ObjectRef, Resource

_log = structlog.get_logger()


class AuditLoop:
    """Looks past every cache, for ever.

    Args:
        expected: the objects that the model in force names.
        rewind: told when the server's history turns out to have gone back.
        audited: told of each finished audit.
    """

    def __init__(
        self,
        *,
        auditor: Auditor,
        canary: Canary,
        watchers: Watchers,
        rewind: Callable[[], None],
        pace: Pace,
        relist_seconds: float,
        rolling_rate: float,
        beat_seconds: float,
        expected: Callable[[], Collection[ObjectRef]],
        audited: Callable[[], None],
        metrics: Metrics,
    ) -> None:
        self._auditor = auditor
        self._canary = canary
        self._watchers = watchers
        self._rewind = rewind
        self._pace = pace
        self._relist_seconds = relist_seconds
        self._beat_seconds = beat_seconds
        self._audited = audited
        self._metrics = metrics
        self._rolling = RollingCheck(auditor, expected, self._found, rolling_rate) if rolling_rate > 0 else None
        for _group, kind in KINDS:
            metrics.divergence.labels(kind)  # a counter that begins with its first event hides it from increase()

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._relist(), name="audit-relist")
            group.create_task(self._beat(), name="audit-heartbeat")
            if self._rolling is not None:
                group.create_task(self._rolling.run(), name="audit-rolling")

    async def _relist(self) -> None:
        while True:
            await self._pace.sleep(self._pace.between(0.9, 1.1) * self._relist_seconds)
            for resource in self._watched():
                try:
                    audited = await self._auditor.audit(resource)
                except ClusterError as error:
                    _log.warning("audit.failed", kind=str(resource), why=str(error))
                    continue
                for divergence in audited.divergences:
                    self._found(divergence)
                self._metrics.objects.labels(str(resource)).set(audited.compared)
            self._audited()

    def _watched(self) -> list[Resource]:
        """The kinds that are kept whole and served here, in the group that serves them."""
        return [one for one in self._auditor.mirror.states() if one.key in KINDS or one.key in EVALUATED]

    async def _beat(self) -> None:
        while True:
            await self._pace.sleep(self._beat_seconds)
            for beat in await self._canary.beat():
                if beat.latency is None:
                    _log.error("watch.silent", kind=str(beat.resource), why=beat.why)
                    self._watchers.restart(beat.resource)

    def _found(self, divergence: Divergence) -> None:
        self._metrics.divergence.labels(divergence.ref.kind).inc()
        _log.error(
            "mirror.diverged",
            kind=divergence.ref.kind,
            namespace=divergence.ref.namespace,
            name=divergence.ref.name,
            gap=divergence.gap.value,
        )
        if divergence.gap is Gap.WENT_BACK:
            self._rewind()
