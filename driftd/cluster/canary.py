"""Measures the watch from end to end: writes a harmless object and waits until its event comes back.

The only check that covers a middlebox which keeps a dead connection acknowledged. Only in driftd's own namespace, and
only kinds for which a harmless object exists.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import orjson
import structlog

from driftd.cluster.errors import BadAnswer, ClusterError, NotFound
from driftd.cluster.fence import Fence
from driftd.cluster.mirror import Mirror
from driftd.cluster.pace import Pace
from driftd.cluster.paths import collection_path, object_path
from driftd.cluster.session import Session
from driftd.cluster.wire import Malformed
from driftd.drift import KindState
from driftd.values import EPOCH, Body, Live, ObjectRef, Resource

BEAT: Final = "driftd.dev/beat"
CANARY: Final = "driftd-canary"
HARMLESS: Final[Mapping[str, Body]] = {
    # Selects pods with a label nobody carries, and asks nothing of them.
    "NetworkPolicy": {
        "spec": {"podSelector": {"matchLabels": {"driftd.dev/canary": "nobody"}}, "policyTypes": ["Ingress"]}
    },
    "ResourceQuota": {"spec": {"hard": {}}},
    "LimitRange": {"spec": {"limits": []}},
    "ServiceAccount": {"automountServiceAccountToken": False},
}
"""Bodies without identity that change nothing for anybody, for the core kinds."""

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Beat:
    """One heartbeat of a kind: the seconds from the write's answer to its event; None if it did not come in time."""

    resource: Resource
    latency: float | None
    why: str = ""


@dataclass(slots=True)
class Canary:
    """Writes one object of each kind in `bodies`, in `namespace` only, and waits `bound` seconds for its event."""

    session: Session
    mirror: Mirror
    pace: Pace
    fence: Fence
    namespace: str
    bodies: Mapping[Resource, Body]
    bound: float = 10.0
    _count: int = field(default=0, init=False)

    async def beat(self) -> tuple[Beat, ...]:
        """One beat of each kind that is READY; nothing while not leading (only leaders write)."""
        self._count += 1
        beats = []
        for resource, body in self.bodies.items():
            state = self.fence()
            if not state.leading:
                break
            if self.mirror.state(resource) is KindState.READY:
                beats.append(await self._one(resource, body, state.epoch))
        return tuple(beats)

    async def _one(self, resource: Resource, body: Body, epoch: int) -> Beat:
        ref = ObjectRef(resource.group, resource.kind, self.namespace, CANARY)
        try:
            written = await self._write(resource, ref, body, epoch)
        except ClusterError as error:
            # Not a word about the watch: the write itself did not go through.
            _log.info("cluster.canary.not_written", kind=str(resource), error=str(error))
            return Beat(resource, 0.0, str(error))
        began = self.pace.clock.monotonic()
        if await self.mirror.seen(ref, written.resource_version, self.bound):
            return Beat(resource, self.pace.clock.monotonic() - began)
        _log.error("cluster.canary.silent", kind=str(resource), bound=self.bound)
        return Beat(resource, None, f"no event within {self.bound:.0f} s of a write")

    async def _write(self, resource: Resource, ref: ObjectRef, body: Body, epoch: int) -> Live:
        """Replaces the canary, or creates it. Read first: the mirror is what is on trial here."""
        path, reader = object_path(resource, ref), self.mirror.reader(resource)
        query = {"fieldManager": "driftd", "fieldValidation": "Strict"}
        notes = {EPOCH: str(epoch), BEAT: f"{self._count}-{self.pace.clock.now():%H%M%S}"}
        metadata: Body = {"name": ref.name, "namespace": ref.namespace, "annotations": notes}
        fresh = {"apiVersion": resource.api_version, "kind": resource.kind, **body, "metadata": metadata}
        try:
            try:
                known = reader.live((await self.session.request("GET", path)).body)
                metadata |= {"uid": known.uid, "resourceVersion": known.resource_version}
                answer = await self.session.request("PUT", path, query=query, body=orjson.dumps(fresh))
            except NotFound as error:
                if not error.is_object(ref.name):
                    raise
                metadata.pop("uid", None)
                metadata.pop("resourceVersion", None)
                where = collection_path(resource, ref.namespace)
                answer = await self.session.request("POST", where, query=query, body=orjson.dumps(fresh))
            return reader.live(answer.body)
        except Malformed as error:
            raise BadAnswer("PUT", path, str(error)) from error
