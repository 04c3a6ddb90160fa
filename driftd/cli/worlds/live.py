"""A world from a live cluster: one complete list of every kind that bears on who can reach whom."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

import orjson

from driftd.cli.clock import CommandClock
from driftd.cli.exits import Exit
from driftd.cli.failures import CommandError
from driftd.cli.live import reader_of
from driftd.cli.worlds.bodies import EVALUATED, Bodies
from driftd.cli.worlds.manifests import world_of_bodies
from driftd.cli.worlds.world import Unread, World
from driftd.cluster import (
    ClusterError,
    Credentials,
    CredentialsUnusable,
    Discovery,
    Interest,
    KindNotServed,
    Pace,
    Session,
    Unauthorized,
    Unreachable,
)
from driftd.cluster.truth import ListExpired, pages
from driftd.policy.kinds import Bearing, Coverage, bearing
from driftd.policy.reach import Dialect, Surroundings
from driftd.values import Body, Resource

_LISTS: Final = 3
"""Tries for one list: its continue token may expire when the server compacts on the way."""
_COVERAGE: Final = Coverage(frozenset(), {})
_TWIN: Final = "crd.projectcalico.org"
_PINNED: Final = {key: next(iter(versions)) for key, versions in EVALUATED.items()}


def live_world(
    credentials: Credentials,
    dialect: Dialect,
    say: Callable[[str], None],
    surroundings: Surroundings | None = None,
) -> World:
    """The cluster now; `surroundings` are its address ranges, where a model tells them.

    Raises:
        CommandError: the API server cannot be reached or takes no login (exit code 3).
    """
    return asyncio.run(_read(credentials, Bodies(dialect, surroundings or Surroundings()), say))


async def _read(credentials: Credentials, bodies: Bodies, say: Callable[[str], None]) -> World:
    pace = Pace(CommandClock(), asyncio.sleep, random.random)
    async with Session(credentials, pace) as session:
        reading = _Reading(session, bodies, say)
        try:
            await reading.run()
        except (CredentialsUnusable, Unauthorized, Unreachable) as error:
            raise CommandError(f"the cluster cannot be asked: {error}", Exit.UNKNOWN) from error
        except ClusterError as error:
            raise CommandError(f"the cluster does not say which kinds it serves: {error}", Exit.UNKNOWN) from error
    return world_of_bodies(bodies, f"cluster ({credentials})")


@dataclass(frozen=True, slots=True)
class _Reading:
    """One pass over the cluster."""

    session: Session
    bodies: Bodies
    say: Callable[[str], None]

    async def run(self) -> None:
        self.say("asking what is served")
        served = await Discovery(self.session, _interest, _PINNED).look()
        for group in sorted(served.stale):
            if group in {key[0] for key in EVALUATED} or bearing(group, "") is Bearing.UNLISTED:
                self.bodies.unread.append(Unread(group, "the API group does not answer"))
        resources = sorted(served.watched())
        calico = any(one.group == "projectcalico.org" for one in resources)
        for resource in resources:
            if calico and resource.group == _TWIN:
                continue  # the same objects as they are stored
            self.say(f"listing {resource}")
            await self._kind(resource)

    async def _kind(self, resource: Resource) -> None:
        try:
            items = await self._list(resource)
        except KindNotServed:
            return  # it went away since discovery named it
        except (CredentialsUnusable, Unauthorized, Unreachable):
            raise
        except ClusterError as error:
            self.bodies.unread.append(Unread(str(resource), str(error)))
            return
        for body, content in items:
            metadata = body.get("metadata") or {}
            namespace = metadata.get("namespace")
            name = f"{namespace}/{metadata.get('name')}" if namespace else str(metadata.get("name"))
            self.bodies.take(body, f"{resource} {name}", content)

    async def _list(self, resource: Resource) -> list[tuple[Body, str]]:
        reader = reader_of(resource, _COVERAGE)
        for _ in range(_LISTS - 1):
            try:
                return [item async for page in pages(self.session, reader) for item in _items(resource, page.items)]
            except ListExpired:
                continue
        return [item async for page in pages(self.session, reader) for item in _items(resource, page.items)]


def _items(resource: Resource, raw: tuple[memoryview | bytes, ...]) -> list[tuple[Body, str]]:
    """Items of lists leave out what they are."""
    head = {"apiVersion": resource.api_version, "kind": resource.kind}
    return [({**orjson.loads(item), **head}, blake2b(item, digest_size=8).hexdigest()) for item in raw]


def _interest(group: str, kind: str) -> Interest:
    wanted = (group, kind) in EVALUATED or bearing(group, kind) in (Bearing.POLICY, Bearing.UNLISTED)
    return Interest.FULL if wanted else Interest.NONE
