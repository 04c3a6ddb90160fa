"""Which kinds are watched: Kubernetes' own governed ones always, every other that bears policy once it is served."""

import asyncio

from driftd.cluster import Discovery, Interest, Mirror, Pace, ReflectorSettings, Served, Session, Watchers
from driftd.drift import KindState
from driftd.policy.kinds import ALIASES, EVALUATED, KINDS, VERSIONS, Bearing, bearing
from driftd.telemetry import Metrics
from driftd.values import Live, ObjectRef, Resource

CRD = ("apiextensions.k8s.io", "CustomResourceDefinition")
GOVERNED = tuple(kind.resource for kind in KINDS.values())
REQUIRED = tuple(kind.resource for kind in KINDS.values() if not kind.dialect)
"""Kinds that every cluster has. Those of a network layer are watched from the group that serves them, or not at all."""


def interest(group: str, kind: str) -> Interest:
    """What driftd wants of a kind (D4). CRDs are watched for their coming and going only."""
    match bearing(group, kind):
        case Bearing.GOVERNED | Bearing.EVALUATED:
            return Interest.FULL
        case Bearing.POLICY | Bearing.UNLISTED:
            return Interest.METADATA
        case _:
            return Interest.METADATA if (group, kind) == CRD else Interest.NONE


class Watching:
    """Keeps the mirror fed, and knows when a look at it means something."""

    def __init__(
        self,
        session: Session,
        mirror: Mirror,
        pace: Pace,
        *,
        settings: ReflectorSettings,
        poll_seconds: float,
        metrics: Metrics,
    ) -> None:
        self._mirror = mirror
        self._metrics = metrics
        self._settled = asyncio.Event()
        self.watchers = Watchers(
            session=session,
            mirror=mirror,
            discovery=Discovery(session, interest, VERSIONS, ALIASES, EVALUATED),
            pace=pace,
            required=REQUIRED,
            settings=lambda _resource: settings,
            poll=(poll_seconds, poll_seconds * 2),
        )
        mirror.subscribe(self._changed)
        mirror.subscribe_states(self._told)

    async def settled(self) -> None:
        """Wait until it was asked what is served, and every governed kind was listed, or found absent or blind."""
        await self.watchers.asked.wait()
        self._look_around()
        await self._settled.wait()

    async def run(self) -> None:
        """Watch until cancelled."""
        await self.watchers.run()

    def unlisted(self) -> tuple[Resource, ...]:
        """Kinds of policy groups that driftd's table lacks: their being served is a finding itself."""
        served: Served = self.watchers.served
        return tuple(
            resource
            for resource, _ in served.kinds.values()
            if bearing(resource.group, resource.kind) is Bearing.UNLISTED
        )

    def _changed(self, ref: ObjectRef, _before: Live | None, _after: Live | None) -> None:
        if (ref.group, ref.kind) == CRD:
            self.watchers.poke()

    def _told(self, resource: Resource, state: KindState, _why: str) -> None:
        for one in KindState:
            self._metrics.kind_state.labels(str(resource), one.value).set(1 if one is state else 0)
        self._look_around()

    def _look_around(self) -> None:
        syncing = any(self._mirror.state(kind) is KindState.SYNCING for kind in GOVERNED)
        if self.watchers.asked.is_set() and not syncing:
            self._settled.set()
