"""Keeps one reflector running for each kind of interest, as kinds come and go."""

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

import structlog

from driftd.cluster.discovery import Discovery, Served
from driftd.cluster.errors import ClusterError
from driftd.cluster.mirror import Mirror
from driftd.cluster.pace import Pace
from driftd.cluster.reflector import Reflector, ReflectorCounts, ReflectorSettings
from driftd.cluster.session import Session
from driftd.drift import KindState
from driftd.values import Live, Resource

_PARALLEL_LISTS: Final = 2
"""Lists under way at once: after a restart of the API server all its clients come back together."""

_log = structlog.get_logger()


@dataclass(slots=True)
class Watchers:
    """Discovery's loop and the reflectors it leads to.

    `required` kinds are reflected from the start, whatever discovery says: then their absence is a state that
    somebody sees, not a kind nobody asked for. `poll` is the range in seconds between two looks; `poke` brings the
    next one forward (a CRD or APIService has changed).
    """

    session: Session
    mirror: Mirror
    discovery: Discovery
    pace: Pace
    required: Collection[Resource]
    settings: Callable[[Resource], ReflectorSettings] = field(default=lambda _resource: ReflectorSettings())
    poll: tuple[float, float] = (30.0, 60.0)
    served: Served = field(default_factory=lambda: Served({}), init=False)
    _running: dict[tuple[str, str], tuple[Reflector[Live], "asyncio.Task[None]"]] = field(
        default_factory=dict, init=False
    )
    asked: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    """Set when discovery was asked for the first time, whatever it answered."""
    _group: asyncio.TaskGroup | None = field(default=None, init=False)
    _poked: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _changed: list[Callable[[Served], None]] = field(default_factory=list, init=False)
    _turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_PARALLEL_LISTS), init=False)

    async def run(self) -> None:
        """Runs until cancelled; a fault in a reflector ends all of it and is raised."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            try:
                for resource in self.required:
                    self._start(resource, partial=False)
                while True:
                    await self._look()
                    self.asked.set()
                    await self._wait()
            finally:
                self._group = None

    def subscribe(self, callback: Callable[[Served], None]) -> None:
        """Called with what is served whenever that has changed."""
        self._changed.append(callback)

    def poke(self) -> None:
        """Looks again now."""
        self._poked.set()

    def restart(self, resource: Resource) -> None:
        """Drops the kind's watch and lists afresh: the canary did not sing, or an audit found a gap."""
        found = self._running.get(resource.key)
        if found is not None and self._group is not None:
            reflector, task = found
            task.cancel()
            _log.warning("cluster.reflector.restarted", kind=str(resource))
            self._start(reflector.resource, partial=reflector.partial)

    def rewind(self) -> None:
        """Lists every kind afresh and believes the lists: the server's history went back (etcd put back from a backup).

        A watch can resume there without an error, in a past that is another one than it was, and never tell of it.
        """
        if self._group is not None:
            _log.error("cluster.history.went_back", kinds=len(self._running))
            for reflector, task in tuple(self._running.values()):
                task.cancel()
                self._start(reflector.resource, partial=reflector.partial, rewound=True)

    def counts(self) -> Mapping[Resource, ReflectorCounts]:
        """What each reflector went through."""
        return {reflector.resource: reflector.counts for reflector, _ in self._running.values()}

    async def _wait(self) -> None:
        pause = asyncio.ensure_future(self.pace.sleep(self.pace.between(*self.poll)))
        poked = asyncio.ensure_future(self._poked.wait())
        try:
            await asyncio.wait({pause, poked}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            pause.cancel()
            poked.cancel()
            await asyncio.gather(pause, poked, return_exceptions=True)
        self._poked.clear()

    async def _look(self) -> None:
        try:
            served = await self.discovery.look()
        except ClusterError as error:
            _log.warning("cluster.discovery.failed", error=str(error))
            return
        if served == self.served:
            return
        self.served = served
        for resource, partial in served.watched().items():
            running = self._running.get(resource.key)
            if running is None:
                self._start(resource, partial=partial)
            elif running[0].resource != resource or running[0].partial != partial:
                running[1].cancel()
                self._start(resource, partial=partial)
            elif self.mirror.state(resource) is KindState.ABSENT:
                running[0].poke()
        for callback in self._changed:
            callback(served)

    def _start(self, resource: Resource, *, partial: bool, rewound: bool = False) -> None:
        # A kind that goes away keeps its reflector: it finds the 404 itself, calls the kind ABSENT and waits.
        assert self._group is not None  # noqa: S101 (only called while running)
        reflector = Reflector(
            self.session,
            self.mirror,
            resource,
            self.pace,
            self.settings(resource),
            partial=partial,
            turns=self._turns,
            rewound=rewound,
        )
        self.mirror.watch(resource, partial=partial)
        task = self._group.create_task(reflector.run(), name=f"reflector {resource}")
        self._running[resource.key] = (reflector, task)
