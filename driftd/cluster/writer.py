"""Carries one planned write to the API server, bound to what was judged, and says what came of it.

POST, PUT and DELETE only: a forced apply leaves another manager's fields in place, and an apply with nothing but a
resourceVersion re-creates a deleted object (D3). Every write carries the epoch, so that the API server itself can
refuse a leader that has been replaced (D10).
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import orjson
import structlog

from driftd.cluster.answers import Answer, difference
from driftd.cluster.errors import (
    ApiError,
    BadAnswer,
    ClusterError,
    Conflict,
    CredentialsUnusable,
    Forbidden,
    Gone,
    Invalid,
    NotFound,
    TooLarge,
    Unauthorized,
    UnexpectedStatus,
    Unreachable,
)
from driftd.cluster.fence import Fence
from driftd.cluster.guards import FENCE_POLICY, refused_by
from driftd.cluster.paths import collection_path, object_path
from driftd.cluster.session import Response, Session, Timeouts
from driftd.cluster.wire import Malformed, ObjectReader
from driftd.policy.kinds import same_policy, slim_condemned, slim_repair, taken_off
from driftd.values import (
    CONDEMNED,
    EPOCH,
    PROVENANCE,
    Body,
    Condemn,
    Create,
    Delete,
    Live,
    ObjectRef,
    Replace,
    Resource,
    Result,
    Write,
)

FIELD_MANAGER: Final = "driftd"
WRITE_TIMEOUTS: Final = Timeouts(connect=3.0, read=32.0, total=35.0)
_MARGIN: Final = 0.25
"""Seconds of the leader's time that a write must leave unused: clocks and queues are not exact."""

_ANNOTATIONS_LIMIT: Final = 256 * 1024
_OURS: Final = frozenset({PROVENANCE, EPOCH, CONDEMNED})

_log = structlog.get_logger()


class NamespaceDeletion(ValueError):
    """Somebody asked to delete a Namespace. driftd never does (D8); this is a fault in a plan."""


class _Fenced(Exception):
    """The fence closed between the decision and the sending."""


@dataclass(frozen=True, slots=True)
class Writer:
    """Executes writes one at a time for its caller; safe to use from many tasks.

    `reader_of` gives the reader of an object's kind (`Mirror.resource_of` and `Mirror.reader` do). `fence` is asked
    directly before the bytes leave. `timeouts` should outlast the slowest admission webhook of the cluster (30 s).
    """

    session: Session
    reader_of: Callable[[ObjectRef], ObjectReader]
    fence: Fence
    timeouts: Timeouts = WRITE_TIMEOUTS

    async def execute(self, write: Write, epoch: int, *, dry_run: bool = False, unbound: bool = False) -> Answer:
        """Sends the write and compares what came back with what was sent.

        Never raises for what a cluster may do; each end has its `Result`. A conflict is not tried again: the object
        moved on, so the judgement is void. With `dry_run` the server goes through everything but storing, and the
        fence is not asked (nothing can happen). An `unbound` PUT replaces the object of its uid whatever its version:
        the API server itself tries until nobody else comes between.

        Raises:
            NamespaceDeletion: before anything is sent.
        """
        if isinstance(write, Condemn | Delete) and write.ref.kind == "Namespace" and not write.ref.group:
            raise NamespaceDeletion(
                f"refused to delete {write.ref}: driftd never deletes a Namespace; retire it by hand"
            )
        try:
            resource = self.reader_of(write.ref).resource
            async with asyncio.timeout(self.timeouts.total + 1):
                if isinstance(write, Delete):
                    return await self._delete(write, resource, epoch, dry_run=dry_run)
                return await self._store(write, resource, epoch, dry_run=dry_run, unbound=unbound)
        except _Fenced as error:
            return Answer(Result.FENCED, message=str(error))
        except ClusterError as error:
            if refused_by(FENCE_POLICY, error):
                return Answer(Result.FENCED, message=str(error))
            return _failed(write, error)
        except TimeoutError:
            return Answer(Result.UNKNOWN, message=f"{write.ref}: no answer in {self.timeouts.total + 1:.0f} s")

    async def learn(self, resource: Resource, body: Body, epoch: int) -> Answer:
        """What the server would make of a new object: a dry-run create, to find defaults that nobody here knows.

        The object should carry a name that is not taken; CONFLICT says that it is. A dry run passes admission, so
        the epoch must be the current one where the fencing policy is installed.
        """
        metadata = body["metadata"]
        ref = resource.ref(metadata.get("namespace", ""), metadata["name"])
        return await self.execute(Create(ref, body, "", "learn defaults"), epoch, dry_run=True)

    # -- creating and replacing -----------------------------------------------------------------------------------

    async def _store(
        self, write: Create | Replace | Condemn, resource: Resource, epoch: int, *, dry_run: bool, unbound: bool
    ) -> Answer:
        body = _marked(write, resource, epoch)
        query = {"fieldManager": FIELD_MANAGER, "fieldValidation": "Strict"}
        if isinstance(write, Create):
            verb, path = "POST", collection_path(resource, write.ref.namespace)
        else:
            if not (write.uid and write.resource_version):
                raise ValueError(f"{write.ref}: a PUT without uid and resourceVersion could hit another object")
            verb, path = "PUT", object_path(resource, write.ref)
            if unbound:
                del body["metadata"]["resourceVersion"]
                _log.warning(
                    "cluster.write.unbound", kind=write.ref.kind, namespace=write.ref.namespace, name=write.ref.name
                )
        try:
            answer = await self._send(verb, path, query, body, epoch, dry_run=dry_run)
        except TooLarge as error:
            slim = _slim(write, body)
            if slim == body:
                raise
            _log.warning(
                "cluster.write.slimmed",
                kind=write.ref.kind,
                namespace=write.ref.namespace,
                name=write.ref.name,
                labels=len(body["metadata"].get("labels") or {}),
                annotations=len(body["metadata"].get("annotations") or {}),
                error=str(error),
            )
            body = slim
            answer = await self._send(verb, path, query, body, epoch, dry_run=dry_run)
        end = self._compare(write.ref, body, answer, dry_run=dry_run)
        return replace(end, message=taken_off(write.body, body)) if end.result is Result.DONE else end

    def _compare(self, ref: ObjectRef, sent: Body, answer: Response, *, dry_run: bool) -> Answer:
        reader = self.reader_of(ref)
        try:
            live = reader.live(answer.body, stored=not dry_run)
        except Malformed as error:
            # Stored, as far as the status says; what exactly, only the next look can tell.
            return Answer(Result.UNKNOWN, message=f"{ref}: accepted, but the answer is unusable: {error}")
        if not same_policy(live.ref, ref):
            return Answer(Result.DIFFERS, live, f"{ref}: the server stored {live.ref} instead")
        known = None if dry_run else live
        if live.digest == reader.digest_of(orjson.dumps(sent)):
            return Answer(Result.DONE, known)
        found = difference(sent, live.body())
        parts = [
            f"{what} {', '.join(paths)}"
            for what, paths in (("added", found.added), ("changed", found.changed))
            if paths
        ]
        return Answer(
            Result.DIFFERS,
            known,
            f"{ref}: what came back is not what was sent ({'; '.join(parts) or 'only in covered metadata'})",
            found.added,
            found.changed,
        )

    # -- deleting -------------------------------------------------------------------------------------------------

    async def _delete(self, write: Delete, resource: Resource, epoch: int, *, dry_run: bool) -> Answer:
        if not (write.uid and write.resource_version):
            raise ValueError(f"{write.ref}: a DELETE needs the uid and resourceVersion of its condemning PUT")
        options: Body = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {"uid": write.uid, "resourceVersion": write.resource_version},
            "propagationPolicy": "Background",
        }
        answer = await self._send("DELETE", object_path(resource, write.ref), {}, options, epoch, dry_run=dry_run)
        held = self._held(write, answer)
        if held is None:
            return Answer(Result.DONE)
        return Answer(Result.DIFFERS, held, f"{write.ref}: deleted, but finalizers keep it; it stays, emptied")

    def _held(self, write: Delete, answer: Response) -> Live | None:
        """The object if the server kept it for its finalizers: it answers with the object, not with a Status."""
        try:
            live = self.reader_of(write.ref).live(answer.body)
        except Malformed:
            return None
        if live.ref != write.ref or live.uid != write.uid or not live.terminating:
            return None
        return live if live.body()["metadata"].get("finalizers") else None

    # -- sending --------------------------------------------------------------------------------------------------

    async def _send(
        self, verb: str, path: str, query: dict[str, str], body: Body, epoch: int, *, dry_run: bool
    ) -> Response:
        data = orjson.dumps(body)
        if dry_run:
            return await self.session.request(
                verb, path, query=query | {"dryRun": "All"}, body=data, timeouts=self.timeouts
            )
        state = self.fence()
        total = min(self.timeouts.total, max(state.remaining - _MARGIN, 0.01))
        limits = Timeouts(min(self.timeouts.connect, total), min(self.timeouts.read, total), total)

        def gate() -> None:
            now = self.fence()
            if not now.leading or now.remaining <= _MARGIN:
                raise _Fenced(f"{verb} {path}: not sent, the lease has run out")
            if now.epoch != epoch:
                raise _Fenced(f"{verb} {path}: not sent, epoch {now.epoch} rules and this write is of epoch {epoch}")

        return await self.session.request(verb, path, query=query, body=data, timeouts=limits, gate=gate)


def _marked(write: Create | Replace | Condemn, resource: Resource, epoch: int) -> Body:
    """The body as it leaves: identity and preconditions from the write, our annotations, nothing the server owns."""
    metadata = dict(write.body.get("metadata") or {})
    for key in ("managedFields", "selfLink"):
        metadata.pop(key, None)
    annotations = dict(metadata.get("annotations") or {})
    annotations[EPOCH] = str(epoch)
    if isinstance(write, Condemn):
        annotations[CONDEMNED] = str(epoch)
    else:
        annotations.pop(CONDEMNED, None)
    metadata |= {"name": write.ref.name, "annotations": _fitting(write.ref, annotations)}
    if write.ref.namespace:
        metadata["namespace"] = write.ref.namespace
    if isinstance(write, Create):
        for key in ("uid", "resourceVersion", "creationTimestamp", "generation"):
            metadata.pop(key, None)
    else:
        metadata |= {"uid": write.uid, "resourceVersion": write.resource_version}
    body = {key: value for key, value in write.body.items() if key != "status"}
    return {**body, "apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata}


def _slim(write: Create | Replace | Condemn, body: Body) -> Body:
    """What is sent instead of a body that is too large; the body itself where nothing can be left out."""
    match write:
        case Condemn():
            return slim_condemned(write.ref, body)
        case Replace():
            return slim_repair(write.ref, body)
        case _:
            return body


def _fitting(ref: ObjectRef, annotations: dict[str, str]) -> dict[str, str]:
    """The annotations within what an object may carry in all (256 KiB, apimachinery `TotalAnnotationSizeLimitB`).

    Trap: somebody who fills an object up to the limit would make every write of ours fail for our own few bytes, and
    the object unrepairable. So the largest foreign ones go until it fits.
    """
    total = sum(len(key.encode()) + len(str(value).encode()) for key, value in annotations.items())
    if total <= _ANNOTATIONS_LIMIT:
        return annotations
    foreign = sorted((key for key in annotations if key not in _OURS), key=lambda key: len(str(annotations[key])))
    kept = dict(annotations)
    while foreign and total > _ANNOTATIONS_LIMIT:
        key = foreign.pop()
        total -= len(key.encode()) + len(str(kept.pop(key)).encode())
    _log.warning(
        "cluster.write.annotations_dropped",
        kind=ref.kind,
        namespace=ref.namespace,
        name=ref.name,
        dropped=len(annotations) - len(kept),
    )
    return kept


def _failed(write: Write, error: ClusterError) -> Answer:
    _log.info("cluster.write.failed", kind=write.ref.kind, verb=type(write).__name__.lower(), error=str(error))
    retry_after = error.retry_after if isinstance(error, ApiError) else None
    message = str(error)
    match error:
        case Conflict() | Gone() | NotFound():
            result = Result.CONFLICT
        case TooLarge():
            result = Result.REFUSED
            message += "; the object is full: take finalizers, labels or annotations off it"
        case Forbidden() | Invalid() | Unauthorized() | UnexpectedStatus() | CredentialsUnusable():
            result = Result.REFUSED
        case Unreachable(sent=True) | BadAnswer():
            result = Result.UNKNOWN
        case _:
            # 429 and 5xx. A 504 may hide a write that went through; the next look tells, as after UNKNOWN.
            result = Result.UNKNOWN if isinstance(error, ApiError) and error.status == 504 else Result.FAILED
    return Answer(result, message=message, retry_after=retry_after)
