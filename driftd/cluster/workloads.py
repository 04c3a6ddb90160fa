"""Live pods, services and endpoint slices, kept as the little of them that decides who can reach whom.

A cluster has far more pods than policies and they change all the time, so of each one only a `Pod` of the policy room
is kept, where labels, accounts and ports that many pods share are stored once; a change of status alone is no change.
"""

import asyncio
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Final, TypeAlias

import orjson
import structlog

from driftd.cluster.pace import Pace
from driftd.cluster.reducing import POD, SERVICE, SLICE, WORKLOADS, Value, reduced
from driftd.cluster.reflector import Reflector, ReflectorSettings
from driftd.cluster.room import WORKLOAD_BYTES, Room
from driftd.cluster.session import Session
from driftd.cluster.versions import older
from driftd.cluster.wire import Malformed
from driftd.drift import KindState, LiveService, LiveSlice
from driftd.policy.reach import MalformedPod, Pod
from driftd.values import Body, Resource, kind_name

_log = structlog.get_logger()

Name: TypeAlias = tuple[str, str]
"""Namespace and name."""


class News(Enum):
    """What is told of an object."""

    CHANGED = "changed"  # it is another than before, or not kept any more
    GONE = "gone"  # its deletion was told, or a whole list lacks it
    UNSEEN = "unseen"  # it is there and not kept, as before


@dataclass(frozen=True, slots=True)
class Reduced:
    """One object as told; `value` is None where nothing of it is kept: it is over, or nobody asks for it.

    `beyond`: it stands for all objects of a list for which there is no room in that namespace.
    """

    name: Name
    value: Value | None
    resource_version: str
    beyond: bool = False


_NOTHING: Final = Reduced(("", ""), None, "")
"""Stands in a list for whatever nobody asks for: thousands of names would stay until all of it is read."""


@dataclass(slots=True)
class _Store:
    state: KindState = KindState.SYNCING
    why: str = "not listed yet"
    watermark: str = ""
    values: dict[Name, Value] = field(default_factory=dict)
    beyond: set[str] = field(default_factory=set)  # namespaces of which not all is kept
    outdated: bool = False  # what is held is of other namespaces, or of another past
    relisting: bool = False  # and the list under way will be


@dataclass(frozen=True, slots=True)
class WorkloadReader:
    """Reads objects of one kind. `wanted` says of a namespace whether its objects are kept."""

    resource: Resource
    wanted: Callable[[str], bool]
    partial: bool = False

    def live(self, data: memoryview | bytes) -> Reduced:
        """Raises Malformed for what is no such object."""
        try:
            body: Body = orjson.loads(data)
            metadata = body["metadata"]
            name = (sys.intern(metadata["namespace"]), str(metadata["name"]))
            version = str(metadata["resourceVersion"])
            value = reduced(self.resource, body) if self.wanted(name[0]) or self._takes_over(body) else None
        except (KeyError, TypeError, AttributeError, ValueError, MalformedPod) as error:
            raise Malformed(f"not a {self.resource.kind}: {type(error).__name__}: {error}") from error
        return Reduced(name, value, version)

    def _takes_over(self, body: Body) -> bool:
        """Whether it is a Service that takes an external IP, and with it that address in the whole cluster."""
        return self.resource is SERVICE and bool((body.get("spec") or {}).get("externalIPs"))


@dataclass(frozen=True, slots=True)
class WorkloadListing:
    """Reads one whole list: what it makes of it has to fit at once."""

    reader: WorkloadReader
    room: Room
    _beyond: dict[str, Reduced] = field(default_factory=dict, init=False)

    @property
    def resource(self) -> Resource:
        return self.reader.resource

    @property
    def partial(self) -> bool:
        return self.reader.partial

    def live(self, data: memoryview | bytes) -> Reduced:
        """Raises Malformed."""
        told = self.reader.live(data)
        if told.value is None:
            return _NOTHING
        if self.room.take(told.value):
            return told
        namespace = told.name[0]
        return self._beyond.setdefault(namespace, Reduced((namespace, ""), None, "", beyond=True))


class WorkloadMirror:
    """What is known of live workloads: one store a kind, written by its reflector alone.

    Not READY means unknown: what is held stays as last seen, and nothing may be concluded from what is not there. Of a
    namespace that holds more than there is room for the rest is not known, until the next list at the soonest.

    Args:
        wanted: whether pods and services of a namespace are kept. Slices, and Services with external IPs, are kept
            everywhere: whoever made one chooses where it stands.
        namespace_bytes: what may be kept of one namespace, of all kinds together; 0: without end.
    """

    def __init__(self, wanted: Callable[[str], bool], namespace_bytes: int = WORKLOAD_BYTES) -> None:
        self._wanted = wanted
        self._room = Room(namespace_bytes)
        self._stores = {resource: _Store() for resource in WORKLOADS}
        self._changed: list[Callable[[Resource, Name, News], None]] = []
        self._told: list[Callable[[Resource, KindState, str], None]] = []

    # -- reading --------------------------------------------------------------------------------------------------

    @property
    def pods(self) -> MappingProxyType[Name, Pod]:
        """A read-only view that follows changes; its own `copy` is quick."""
        return self._view(POD)  # type: ignore[return-value]  # one store holds one type of value

    @property
    def services(self) -> Mapping[Name, LiveService]:
        return self._view(SERVICE)  # type: ignore[return-value]

    @property
    def slices(self) -> Mapping[Name, LiveSlice]:
        return self._view(SLICE)  # type: ignore[return-value]

    @property
    def not_ready(self) -> tuple[str, ...]:
        """Kinds of which nothing may be concluded now."""
        states = self._stores.items()
        return tuple(kind_name(one.group, one.kind) for one, store in states if store.state is not KindState.READY)

    def states(self) -> Mapping[Resource, tuple[KindState, str]]:
        """Every kind with its state and the reason for it."""
        return {resource: (store.state, store.why) for resource, store in self._stores.items()}

    @property
    def beyond(self) -> frozenset[tuple[Resource, str]]:
        """Kinds and namespaces of which not all is kept: nothing may be concluded from what is not there."""
        stores = self._stores.items()
        return frozenset((resource, namespace) for resource, store in stores for namespace in store.beyond)

    def subscribe(self, callback: Callable[[Resource, Name, News], None]) -> None:
        """Called after each change of a value, inside the reflector's step: be quick, do not raise.

        Where not all is kept also after every event of what is not. With a namespace and no name: of its objects not
        all is kept any more, or all is again; UNSEEN: a whole list had no room for all of them, nor for their names.
        """
        self._changed.append(callback)

    def subscribe_states(self, callback: Callable[[Resource, KindState, str], None]) -> None:
        self._told.append(callback)

    # -- writing: the reflectors ----------------------------------------------------------------------------------

    def watch(self, resource: Resource, *, partial: bool = False) -> None:
        """A reflector begins. What is known stays known: a new list follows, and replaces it at once."""
        del partial
        store = self._stores[resource]
        store.relisting = store.outdated

    def outdate(self, resource: Resource, why: str) -> None:
        """What is held is not what is asked for: unknown until a list that begins after this is whole."""
        self.mark(resource, KindState.SYNCING, why)
        store = self._stores[resource]
        store.outdated, store.relisting = True, False

    def reader(self, resource: Resource) -> WorkloadReader:
        return WorkloadReader(resource, _anywhere if resource is SLICE else self._wanted)

    def listing(self, resource: Resource) -> WorkloadListing:
        """A reader for one whole list of this kind, which is held back to the room there is as it is read."""
        return WorkloadListing(self.reader(resource), Room(self._room.namespace_bytes))

    def state(self, resource: Resource) -> KindState:
        return self._stores[resource].state

    def watermark(self, resource: Resource) -> str:
        return self._stores[resource].watermark

    def mark(self, resource: Resource, state: KindState, why: str = "") -> None:
        store = self._stores[resource]
        if store.outdated and state is KindState.READY:
            return  # the watch of the time before is still alive
        before, store.state, store.why = store.state, state, why
        if before is not state:
            for callback in self._told:
                callback(resource, state, why)

    def replace_all(self, resource: Resource, listed: list[Reduced], version: str, *, rewound: bool = False) -> None:
        store = self._stores[resource]
        known = {one.name for one in listed if one.value is not None}
        cut = {one.name[0] for one in listed if one.beyond}
        for name in [name for name in store.values if name not in known]:
            self._put(resource, name, None, News.CHANGED if name[0] in cut else News.GONE)
        before, store.beyond = store.beyond, set()
        for one in listed:
            if one.beyond:
                self._overflow(resource, one.name[0])
            else:
                self._put(resource, one.name, one.value)
        for namespace in cut:
            self._tell(resource, (namespace, ""), News.UNSEEN)
        for namespace in before - store.beyond:
            self._tell(resource, (namespace, ""), News.CHANGED)
        if rewound or not older(version, store.watermark):
            store.watermark = version
        if store.relisting:
            store.outdated = store.relisting = False

    def apply(self, resource: Resource, told: Reduced) -> None:
        self._put(resource, told.name, told.value)
        self.bookmark(resource, told.resource_version)

    def vanish(self, resource: Resource, told: Reduced) -> None:
        self._put(resource, told.name, None)
        self.bookmark(resource, told.resource_version)

    def bookmark(self, resource: Resource, version: str) -> None:
        store = self._stores[resource]
        if not older(version, store.watermark):
            store.watermark = version

    # -- inside ---------------------------------------------------------------------------------------------------

    def _view(self, resource: Resource) -> MappingProxyType[Name, Value]:
        return MappingProxyType(self._stores[resource].values)

    def _put(self, resource: Resource, name: Name, value: Value | None, without: News = News.GONE) -> None:
        """Keep a value if there is room, or none; `without` is what that is then."""
        store = self._stores[resource]
        before = store.values.get(name)
        if before == value and before is not None:
            return
        if before is not None:
            self._room.give_back(before)
        kept = value
        if value is not None and not self._room.take(value):
            self._overflow(resource, name[0])
            kept = None
        if kept is not None:
            store.values[name] = kept
        elif before is not None:
            del store.values[name]
        if value is None and (before is not None or name[0] in store.beyond):
            self._tell(resource, name, without)
        elif value is not None:
            self._tell(resource, name, News.UNSEEN if kept is before else News.CHANGED)

    def _overflow(self, resource: Resource, namespace: str) -> None:
        store = self._stores[resource]
        if namespace not in store.beyond:
            store.beyond.add(namespace)
            _log.warning("cluster.namespace.oversized", kind=str(resource), namespace=namespace)
            self._tell(resource, (namespace, ""), News.CHANGED)

    def _tell(self, resource: Resource, name: Name, news: News) -> None:
        for callback in self._changed:
            callback(resource, name, news)


@dataclass(slots=True)
class WorkloadWatchers:
    """A reflector for each kind, listed anew about every `relist_seconds`: the watch is only a hint (D6).

    They list in turns: each holds a page of the list in memory, and pages of big objects are big.
    """

    session: Session
    mirror: WorkloadMirror
    pace: Pace
    settings: ReflectorSettings = field(default_factory=ReflectorSettings)
    relist_seconds: float = 1800.0
    _again: dict[Resource, asyncio.Event] = field(
        default_factory=lambda: {resource: asyncio.Event() for resource in WORKLOADS}, init=False
    )
    _turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1), init=False)

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            for resource in WORKLOADS:
                group.create_task(self._keep(resource), name=f"workloads {resource}")

    def relist(self) -> None:
        """List again now: other namespaces are of interest than before. Unknown until that is done."""
        self._list_again((POD, SERVICE), "other namespaces are of interest")

    def rewind(self) -> None:
        """The server's history went back: list every kind again now. Unknown until that is done."""
        self._list_again(WORKLOADS, "the server's history went back")

    def _list_again(self, resources: Iterable[Resource], why: str) -> None:
        for resource in resources:
            self.mirror.outdate(resource, why)
            self._again[resource].set()

    async def _keep(self, resource: Resource) -> None:
        while True:
            self._again[resource].clear()
            reflector = Reflector(self.session, self.mirror, resource, self.pace, self.settings, turns=self._turns)
            running = asyncio.ensure_future(reflector.run())
            try:
                await self._until_due(resource, running)
            finally:
                running.cancel()
                await asyncio.wait({running})
            if not running.cancelled():
                await running  # it ends by itself only with a fault, which is for the supervisor

    async def _until_due(self, resource: Resource, running: "asyncio.Future[None]") -> None:
        """Wait until it is time for another list, or somebody asks for one."""
        pause = self.relist_seconds * self.pace.between(0.9, 1.1)
        waits = (asyncio.ensure_future(self.pace.sleep(pause)), asyncio.ensure_future(self._again[resource].wait()))
        try:
            await asyncio.wait((running, *waits), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waits:
                one.cancel()
            await asyncio.gather(*waits, return_exceptions=True)


def _anywhere(_namespace: str) -> bool:
    return True
