"""Which kinds are watched, by one reflector each: the governed ones always, policy-bearing ones when discovered."""

import asyncio

from driftd.cluster import Mirror, Pace, Reflector, ReflectorSettings, Session
from driftd.drift import KindState
from driftd.policy.kinds import KINDS
from driftd.telemetry import Metrics
from driftd.values import Resource


class Watching:
    """Keeps the mirror fed."""

    def __init__(
        self, session: Session, mirror: Mirror, pace: Pace, settings: ReflectorSettings, metrics: Metrics
    ) -> None:
        self._session = session
        self._mirror = mirror
        self._pace = pace
        self._settings = settings
        self._metrics = metrics
        self._settled = asyncio.Event()
        mirror.subscribe_states(self._told)

    async def settled(self) -> None:
        """Wait until every governed kind has been listed once, or found absent or blind: a look means something."""
        await self._settled.wait()

    async def run(self) -> None:
        """Watch until cancelled."""
        async with asyncio.TaskGroup() as group:
            for kind in KINDS.values():
                reflector = Reflector(self._session, self._mirror, kind.resource, self._pace, self._settings)
                group.create_task(reflector.run(), name=f"reflector-{kind.resource}")

    def _told(self, resource: Resource, state: KindState, _why: str) -> None:
        for one in KindState:
            self._metrics.kind_state.labels(str(resource), one.value).set(1 if one is state else 0)
        if all(self._mirror.state(kind.resource) is not KindState.SYNCING for kind in KINDS.values()):
            self._settled.set()
