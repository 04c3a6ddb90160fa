"""The Lease object: what it says, and the three writes that move it. Who may make them is the elector's matter."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import msgspec
import orjson

from driftd.cluster.errors import BadAnswer, NotFound
from driftd.cluster.session import Session, Timeouts
from driftd.values import EPOCH, Body

COMMIT: Final = "driftd.dev/commit"
CHAIN_HEAD: Final = "driftd.dev/chain-head"


class _Meta(msgspec.Struct, rename="camel"):
    uid: str = ""
    resource_version: str = ""
    annotations: dict[str, str] | None = None
    labels: dict[str, str] | None = None


class _Spec(msgspec.Struct, rename="camel"):
    holder_identity: str | None = None
    lease_duration_seconds: int | None = None
    acquire_time: str | None = None
    renew_time: str | None = None
    lease_transitions: int | None = None


class _Lease(msgspec.Struct):
    metadata: _Meta
    spec: _Spec | None = None


@dataclass(frozen=True, slots=True)
class LeaseRecord:
    """What a Lease says. `duration` is in seconds; times are the holder's wall clock and are never compared."""

    holder: str
    duration: int
    acquired: str
    renewed: str
    transitions: int
    uid: str
    resource_version: str
    annotations: Mapping[str, str]
    labels: Mapping[str, str]

    @property
    def epoch(self) -> int:
        """The epoch in the annotation; 0 if there is none."""
        text = self.annotations.get(EPOCH, "")
        return int(text) if text.isascii() and text.isdecimal() and len(text) <= 18 else 0


@dataclass(frozen=True, slots=True)
class LeaseObject:
    """One Lease on the API server. Each write is bound to the version it was decided on."""

    session: Session
    namespace: str
    name: str
    timeouts: Timeouts

    @property
    def _collection(self) -> str:
        return f"/apis/coordination.k8s.io/v1/namespaces/{self.namespace}/leases"

    async def read(self) -> LeaseRecord | None:
        """What the Lease says; None if it is not there. Raises ClusterError when nothing is known."""
        path = f"{self._collection}/{self.name}"
        try:
            answer = await self.session.request("GET", path, timeouts=self.timeouts)
        except NotFound as error:
            if error.is_object(self.name):
                return None
            raise
        return _record("GET", path, answer.body)

    async def write(
        self, before: LeaseRecord | None, holder: str, duration: int, now: datetime, annotations: Mapping[str, str]
    ) -> LeaseRecord:
        """Creates the Lease, or replaces exactly the version `before`; returns what is stored.

        Another holder than before is a transition. An empty holder is a release.
        """
        moment = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        same = before is not None and before.holder == holder
        transitions = 0 if before is None else before.transitions + (not same and bool(holder))
        metadata: Body = {"name": self.name, "namespace": self.namespace}
        spec: Body = {
            "holderIdentity": holder,
            "leaseDurationSeconds": duration,
            "acquireTime": before.acquired if before is not None and (same or not holder) else moment,
            "renewTime": moment,
            "leaseTransitions": transitions,
        }
        if before is not None:
            metadata |= {"uid": before.uid, "resourceVersion": before.resource_version, "labels": dict(before.labels)}
        metadata["annotations"] = dict(before.annotations if before else {}) | dict(annotations)
        if not spec["acquireTime"]:
            del spec["acquireTime"]
        body: Body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}
        verb, path = ("POST", self._collection) if before is None else ("PUT", f"{self._collection}/{self.name}")
        query = {"fieldManager": "driftd", "fieldValidation": "Strict"}
        answer = await self.session.request(verb, path, query=query, body=orjson.dumps(body), timeouts=self.timeouts)
        return _record(verb, path, answer.body)


def _record(verb: str, path: str, body: bytes) -> LeaseRecord:
    try:
        lease = msgspec.json.decode(body, type=_Lease)
    except msgspec.MsgspecError as error:
        raise BadAnswer(verb, path, str(error)) from error
    spec = lease.spec or _Spec()
    return LeaseRecord(
        holder=spec.holder_identity or "",
        duration=spec.lease_duration_seconds or 0,
        acquired=spec.acquire_time or "",
        renewed=spec.renew_time or "",
        transitions=spec.lease_transitions or 0,
        uid=lease.metadata.uid,
        resource_version=lease.metadata.resource_version,
        annotations=lease.metadata.annotations or {},
        labels=lease.metadata.labels or {},
    )
