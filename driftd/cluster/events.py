"""Events on objects, for people with kubectl: a courtesy, never a duty; they are slow, lossy and limited by design."""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

import orjson
import structlog

from driftd.cluster.errors import ClusterError, clean
from driftd.cluster.pace import Pace
from driftd.cluster.session import Session, Timeouts
from driftd.values import Body, ObjectRef, Resource

_TIMEOUTS: Final = Timeouts(connect=3.0, read=5.0, total=8.0)
_QUEUE: Final = 256
_REMEMBERED: Final = 1024
_REPEAT_AFTER: Final = 600.0
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Notice:
    """One event to be. `reason` is a CamelCase word, `action` what was done or asked, `note` a sentence."""

    resource: Resource
    ref: ObjectRef
    uid: str
    warning: bool
    reason: str
    action: str
    note: str


@dataclass(slots=True)
class EventRecorder:
    """Creates events.k8s.io/v1 Events, at most `rate` a second and never the same one twice in ten minutes.

    `instance` names this process. What does not fit into the queue, or fails, is counted and dropped.
    """

    session: Session
    pace: Pace
    instance: str
    rate: float = 1.0
    dropped: int = 0
    written: int = 0
    _queue: asyncio.Queue[Notice] = field(default_factory=lambda: asyncio.Queue(_QUEUE), init=False)
    _told: OrderedDict[Notice, float] = field(default_factory=OrderedDict, init=False)
    _count: int = field(default=0, init=False)

    def tell(self, notice: Notice) -> None:
        """Queues an event; returns at once and never raises."""
        now = self.pace.clock.monotonic()
        if now - self._told.get(notice, float("-inf")) < _REPEAT_AFTER:
            return
        try:
            self._queue.put_nowait(notice)
        except asyncio.QueueFull:
            self.dropped += 1
            return
        self._told[notice] = now
        self._told.move_to_end(notice)
        if len(self._told) > _REMEMBERED:
            self._told.popitem(last=False)

    async def run(self) -> None:
        """Writes what is queued; ends only by cancellation."""
        while True:
            notice = await self._queue.get()
            try:
                await self._write(notice)
                self.written += 1
            except ClusterError as error:
                self.dropped += 1
                _log.info("cluster.event.dropped", kind=notice.ref.kind, error=str(error))
            await self.pace.sleep(1.0 / self.rate)

    async def _write(self, notice: Notice) -> None:
        # Events of cluster-scoped objects live in "default" (events.k8s.io/v1, `regarding` without a namespace).
        namespace = notice.ref.namespace or "default"
        now = self.pace.clock.now()
        self._count += 1
        name = f"{notice.ref.name[:200]}.{int(now.timestamp() * 1e6):x}{self._count % 4096:03x}"
        regarding = {
            "apiVersion": notice.resource.api_version,
            "kind": notice.ref.kind,
            "name": notice.ref.name,
            "uid": notice.uid,
        }
        if notice.ref.namespace:
            regarding["namespace"] = notice.ref.namespace
        body: Body = {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": namespace},
            "eventTime": now.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "reportingController": "driftd.dev/driftd",
            "reportingInstance": self.instance[:128],
            "type": "Warning" if notice.warning else "Normal",
            "reason": notice.reason[:128],
            "action": notice.action[:128],
            "regarding": regarding,
            "note": clean(notice.note),
        }
        path = f"/apis/events.k8s.io/v1/namespaces/{namespace}/events"
        await self.session.request("POST", path, body=orjson.dumps(body), timeouts=_TIMEOUTS)
