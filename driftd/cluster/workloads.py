"""Live pods, services and endpoint slices, kept as the little of them that decides who can reach whom.

A cluster has far more pods than policies and they change all the time, so of each one only a `Pod` of the policy room
is kept, where labels, accounts and ports that many pods share are stored once; a change of status alone is no change.
"""

import asyncio
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from types import MappingProxyType
from typing import Final, TypeAlias, TypeVar

import orjson

from driftd.cluster.pace import Pace
from driftd.cluster.reflector import Reflector, ReflectorSettings
from driftd.cluster.session import Session
from driftd.cluster.versions import older
from driftd.cluster.wire import Malformed
from driftd.drift import KindState, LiveService, LiveSlice, service_from_body, slice_from_body
from driftd.policy.reach import MalformedPod, Pod, pod_from_body
from driftd.values import Body, Resource, kind_name

POD: Final = Resource("", "v1", "Pod", "pods")
SERVICE: Final = Resource("", "v1", "Service", "services")
SLICE: Final = Resource("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices")
WORKLOADS: Final = (POD, SERVICE, SLICE)

_MOST_LABELS: Final = 64 * 1024
_MOST_PORTS: Final = 1000
"""Characters of labels, and named ports, of one pod. An object may be megabytes of them, which nobody needs; such a pod
is taken for one that no policy governs, so that it is told and not overlooked."""
_SHARED: Final = 64
"""Labels or ports of which one value is kept for all pods of a template."""

Name: TypeAlias = tuple[str, str]
"""Namespace and name."""
Value: TypeAlias = Pod | LiveService | LiveSlice
_Part = TypeVar("_Part", bound=tuple[object, ...])


@dataclass(frozen=True, slots=True)
class Reduced:
    """One object as told; `value` is None where it stands in a namespace that is of no interest."""

    name: Name
    value: Value | None
    resource_version: str


@dataclass(slots=True)
class _Store:
    state: KindState = KindState.SYNCING
    why: str = "not listed yet"
    watermark: str = ""
    values: dict[Name, Value] = field(default_factory=dict)
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
            value = _reduced(self.resource, body) if self.wanted(name[0]) else None
        except (KeyError, TypeError, AttributeError, ValueError, MalformedPod) as error:
            raise Malformed(f"not a {self.resource.kind}: {type(error).__name__}: {error}") from error
        return Reduced(name, value, version)


class WorkloadMirror:
    """What is known of live workloads: one store a kind, written by its reflector alone.

    Not READY means unknown: what is held stays as last seen, and nothing may be concluded from what is not there.

    Args:
        wanted: whether pods and services of a namespace are kept. Slices are kept everywhere: whoever made one
            chooses where it stands.
    """

    def __init__(self, wanted: Callable[[str], bool]) -> None:
        self._wanted = wanted
        self._stores = {resource: _Store() for resource in WORKLOADS}
        self._changed: list[Callable[[Resource, Name], None]] = []
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

    def subscribe(self, callback: Callable[[Resource, Name], None]) -> None:
        """Called after each change of a value, inside the reflector's step: be quick, do not raise."""
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

    def listing(self, resource: Resource) -> WorkloadReader:
        """The same for a whole list: what is kept of each object is little."""
        return self.reader(resource)

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
        for name in [name for name in store.values if name not in known]:
            self._put(resource, name, None)
        for one in listed:
            self._put(resource, one.name, one.value)
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

    def _put(self, resource: Resource, name: Name, value: Value | None) -> None:
        values = self._stores[resource].values
        if values.get(name) == value:
            return
        if value is None:
            del values[name]
        else:
            values[name] = value
        for callback in self._changed:
            callback(resource, name)


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


def _reduced(resource: Resource, body: Body) -> Value:
    if resource is SERVICE:
        return service_from_body(body)
    if resource is SLICE:
        return slice_from_body(body)
    pod = pod_from_body(body)
    if sum(map(len, pod.labels)) + sum(map(len, pod.labels.values())) > _MOST_LABELS or len(pod.ports) > _MOST_PORTS:
        pod = replace(pod, labels={}, ports=(), host_network=True)
    return replace(
        pod,
        namespace=sys.intern(pod.namespace),
        labels=_few_labels(tuple(sorted(pod.labels.items()))),
        service_account=sys.intern(pod.service_account),
        ports=_shared(pod.ports),
        owner=sys.intern(pod.owner),
        node_ips=_shared(pod.node_ips),
    )


def _few_labels(pairs: tuple[tuple[str, str], ...]) -> Mapping[str, str]:
    """What is remembered outlives its pod, so that is never much."""
    return _shared_labels(pairs) if len(pairs) <= _SHARED else MappingProxyType(dict(pairs))


@lru_cache(maxsize=8192)
def _shared_labels(pairs: tuple[tuple[str, str], ...]) -> Mapping[str, str]:
    """One mapping for all pods that a template made."""
    return MappingProxyType(dict(pairs))


def _shared(value: _Part) -> _Part:
    return _one_for_all(value) if len(value) <= _SHARED else value


@lru_cache(maxsize=8192)
def _one_for_all(value: _Part) -> _Part:
    return value
