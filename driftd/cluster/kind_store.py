"""One kind as the mirror holds it: its objects, how far they may be believed, and who waits for a version."""

import asyncio
from dataclasses import dataclass, field
from typing import Final

import structlog

from driftd.cluster.budget import Budget
from driftd.cluster.versions import older, passed
from driftd.cluster.wire import ObjectReader
from driftd.drift import KindState
from driftd.values import Live, ObjectRef, Resource

_BURIED: Final = 4096
_log = structlog.get_logger()


@dataclass(slots=True)
class KindStore:
    """One kind. `watermark` is the version up to which the server has told everything.

    `buried` are the uids that went last, oldest first: a uid never comes back, so whatever is told of one later is old.
    `left_out` are namespaces of which objects are not here that nobody needs.
    """

    resource: Resource
    reader: ObjectReader
    state: KindState = KindState.SYNCING
    why: str = "not listed yet"
    since: float = 0.0
    watermark: str = ""
    objects: dict[ObjectRef, Live] = field(default_factory=dict)
    buried: dict[str, None] = field(default_factory=dict)
    waiters: list[tuple[ObjectRef, str, asyncio.Future[None]]] = field(default_factory=list)
    budget: Budget = field(default_factory=Budget)
    left_out: set[str] = field(default_factory=set)

    def bury(self, uid: str) -> None:
        """This very object is gone for good."""
        self.buried.pop(uid, None)
        self.buried[uid] = None
        if len(self.buried) > _BURIED:
            del self.buried[next(iter(self.buried))]

    def leave_out(self, namespace: str) -> None:
        """An object there is not kept, since nobody needs it."""
        if namespace not in self.left_out:
            self.left_out.add(namespace)
            self.oversized(namespace)

    def oversized(self, namespace: str) -> None:
        """Tell that not all is kept of what a namespace holds."""
        _log.warning("cluster.namespace.oversized", kind=str(self.resource), namespace=namespace)

    def advance(self, version: str, *, force: bool = False) -> None:
        """Everything up to a version has been told."""
        if force or not older(version, self.watermark):
            self.watermark = version
        self.wake()

    def wake(self) -> None:
        """Let those go on who wait for a version that is here."""
        if not self.waiters:
            return
        for ref, version, waiter in tuple(self.waiters):
            if not waiter.done() and self.has(ref, version):
                waiter.set_result(None)

    def has(self, ref: ObjectRef, version: str) -> bool:
        """Whether the store has passed a version of an object."""
        if passed(self.watermark, version):
            return True
        known = self.objects.get(ref)
        return known is not None and passed(known.resource_version, version)
