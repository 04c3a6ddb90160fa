"""Live objects from the cluster: one complete list of each governed kind, and of policy kinds nobody understands."""

import asyncio
import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from driftd.cli.clock import CommandClock
from driftd.cli.exits import Exit
from driftd.cli.failures import CommandError
from driftd.cli.live import Gap, LiveState, reader_of
from driftd.cluster import (
    ClusterError,
    Credentials,
    CredentialsUnusable,
    Discovery,
    Interest,
    KindNotServed,
    ObjectReader,
    Pace,
    Session,
    Unauthorized,
    Unreachable,
)
from driftd.cluster.truth import ListExpired, pages
from driftd.cluster.wire import Malformed
from driftd.policy.kinds import KINDS, Bearing, Coverage, bearing
from driftd.values import Live, ObjectRef, Resource

_LISTS = 3
"""Tries for one list: its continue token may expire when the server compacts on the way."""


def read_cluster(
    credentials: Credentials, coverage: Coverage, say: Callable[[str], None], kinds: Iterable[str] | None = None
) -> LiveState:
    """Everything the comparison needs, read once; `kinds` narrows it to some governed kinds and nothing else.

    Raises:
        CommandError: the API server cannot be reached or takes no login; nothing at all is known (exit code 3).
    """
    return asyncio.run(_read(credentials, coverage, say, frozenset(kinds) if kinds is not None else None))


async def _read(
    credentials: Credentials, coverage: Coverage, say: Callable[[str], None], kinds: frozenset[str] | None
) -> LiveState:
    pace = Pace(CommandClock(), asyncio.sleep, random.random)
    async with Session(credentials, pace) as session:
        reading = _Reading(session, coverage, say)
        try:
            for kind in KINDS.values():
                if kinds is None or kind.resource.kind in kinds:
                    await reading.governed(kind.resource)
            if kinds is None:
                await reading.foreign()
        except (CredentialsUnusable, Unauthorized, Unreachable) as error:
            raise CommandError(f"the cluster cannot be asked: {error}", Exit.UNKNOWN) from error
    return LiveState(
        source="cluster",
        objects=reading.objects,
        unknown=tuple(reading.unknown),
        blind=frozenset(reading.blind),
        gaps=tuple(reading.gaps),
    )


@dataclass(slots=True)
class _Reading:
    """One pass over the cluster."""

    session: Session
    coverage: Coverage
    say: Callable[[str], None]
    objects: dict[ObjectRef, Live] = field(default_factory=dict)
    unknown: list[Live] = field(default_factory=list)
    blind: set[str] = field(default_factory=set)
    gaps: list[Gap] = field(default_factory=list)

    async def governed(self, resource: Resource) -> None:
        self.say(f"listing {resource}")
        try:
            self.objects |= await self._list(reader_of(resource, self.coverage))
        except (CredentialsUnusable, Unauthorized, Unreachable):
            raise
        except ClusterError as error:
            self.blind.add(resource.kind)
            self.gaps.append(Gap(resource.kind, str(error)))

    async def foreign(self) -> None:
        """Instances of kinds that bear policy and are not understood: names are enough."""
        self.say("looking for policies of other kinds")
        discovery = Discovery(self.session, _interest)
        try:
            served = await discovery.look()
        except (CredentialsUnusable, Unauthorized, Unreachable):
            raise
        except ClusterError as error:
            self.gaps.append(Gap("policies of other kinds", str(error)))
            return
        silent = sorted(group for group in served.stale if bearing(group, "") is Bearing.UNLISTED)
        self.gaps += [Gap(group, "the API group does not answer; its policies are not known") for group in silent]
        for resource in sorted(served.watched()):
            await self._foreign_kind(resource)

    async def _foreign_kind(self, resource: Resource) -> None:
        self.say(f"listing {resource}")
        try:
            found = await self._list(reader_of(resource, self.coverage, partial=True))
        except KindNotServed:
            return  # it went away since discovery named it
        except (CredentialsUnusable, Unauthorized, Unreachable):
            raise
        except ClusterError as error:
            self.gaps.append(Gap(str(resource), str(error)))
            return
        self.unknown += found.values()

    async def _list(self, reader: ObjectReader) -> Mapping[ObjectRef, Live]:
        for attempt in range(1, _LISTS + 1):
            found: dict[ObjectRef, Live] = {}
            try:
                async for page in pages(self.session, reader):
                    for item in page.items:
                        live = reader.live(item)
                        found[live.ref] = live
            except ListExpired:
                if attempt == _LISTS:
                    raise
            except Malformed as error:
                raise UnreadableList(f"a list of {reader.resource} holds {error}") from error
            else:
                return found
        raise AssertionError("unreachable: the last attempt returns or raises")


class UnreadableList(ClusterError):
    """An item of a list is not an object: the list proves nothing."""


def _interest(group: str, kind: str) -> Interest:
    return Interest.METADATA if bearing(group, kind) in (Bearing.POLICY, Bearing.UNLISTED) else Interest.NONE
