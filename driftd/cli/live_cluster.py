"""Live objects from the cluster: one complete list of each governed kind, and of policy kinds nobody understands."""

import asyncio
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
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
    Served,
    Session,
    Unauthorized,
    Unreachable,
)
from driftd.cluster.truth import ListExpired, pages
from driftd.cluster.wire import Malformed
from driftd.compile import Compiled
from driftd.policy.kinds import ALIASES, EVALUATED, KINDS, VERSIONS, Bearing, Coverage, Kind, bearing, is_evaluated
from driftd.values import Live, ObjectRef, Resource, kind_name

_LISTS = 3
"""Tries for one list: its continue token may expire when the server compacts on the way."""


def read_cluster(
    credentials: Credentials, compiled: Compiled, say: Callable[[str], None], kinds: Iterable[str] | None = None
) -> LiveState:
    """Everything the comparison needs, read once; `kinds` narrows it to some governed kinds and nothing else.

    Raises:
        CommandError: the API server cannot be reached or takes no login; nothing at all is known (exit code 3).
    """
    return asyncio.run(_read(credentials, compiled, say, frozenset(kinds) if kinds is not None else None))


async def _read(
    credentials: Credentials, compiled: Compiled, say: Callable[[str], None], kinds: frozenset[str] | None
) -> LiveState:
    pace = Pace(CommandClock(), asyncio.sleep, random.random)
    async with Session(credentials, pace) as session:
        reading = _Reading(session, compiled.coverage, say)
        wanted = [kind for key, kind in KINDS.items() if kinds is None or kind_name(*key) in kinds]
        try:
            for kind in wanted:
                if not kind.dialect:
                    await reading.governed(kind.resource)
            if kinds is None or any(kind.dialect for kind in wanted):
                await reading.served([kind for kind in wanted if kind.dialect], compiled.dialect)
            if kinds is None:
                await reading.foreign()
        except (CredentialsUnusable, Unauthorized, Unreachable) as error:
            raise CommandError(f"the cluster cannot be asked: {error}", Exit.UNKNOWN) from error
    return LiveState(
        source=f"cluster ({credentials})",
        objects=reading.objects,
        evaluated=tuple(reading.evaluated),
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
    evaluated: list[Live] = field(default_factory=list)
    unknown: list[Live] = field(default_factory=list)
    blind: set[str] = field(default_factory=set)
    gaps: list[Gap] = field(default_factory=list)
    found: Served | None = None

    async def served(self, layered: Sequence[Kind], dialect: str) -> None:
        """Kinds of a network layer, from whichever group serves them. Where the model needs one, its lack is told."""
        self.say("asking what is served")
        try:
            self.found = await Discovery(self.session, _interest, VERSIONS, ALIASES, EVALUATED).look()
        except (CredentialsUnusable, Unauthorized, Unreachable):
            raise
        except ClusterError as error:
            self.gaps.append(Gap("which kinds are served", str(error)))
        for kind in layered:
            known = self.found.kinds.get(kind.resource.key) if self.found else None
            if known is not None:
                await self.governed(known[0])
                continue
            self.blind.add(kind_name(*kind.resource.key))
            if kind.dialect == dialect and self.found is not None:
                why = f"the API server does not serve {kind.resource}, and cni.dialect is {dialect}"
                self.gaps.append(Gap(kind_name(*kind.resource.key), why))

    async def governed(self, resource: Resource) -> None:
        self.say(f"listing {resource}")
        try:
            self.objects |= await self._list(reader_of(resource, self.coverage))
        except (CredentialsUnusable, Unauthorized, Unreachable):
            raise
        except ClusterError as error:
            name = kind_name(*resource.key)
            self.blind.add(name)
            self.gaps.append(Gap(name, str(error)))

    async def foreign(self) -> None:
        """Instances of kinds that bear policy and are never written; of what is not understood names are enough."""
        self.say("looking for policies of other kinds")
        if self.found is None:
            return
        silent = sorted(group for group in self.found.stale if bearing(group, "") is Bearing.UNLISTED)
        self.gaps += [Gap(group, "the API group does not answer; its policies are not known") for group in silent]
        for resource, partial in sorted(self.found.watched().items()):
            if partial or resource.key in EVALUATED:
                await self._foreign_kind(resource, partial=partial)

    async def _foreign_kind(self, resource: Resource, *, partial: bool) -> None:
        self.say(f"listing {resource}")
        try:
            found = await self._list(reader_of(resource, self.coverage, partial=partial))
        except KindNotServed:
            return  # it went away since discovery named it
        except (CredentialsUnusable, Unauthorized, Unreachable):
            raise
        except ClusterError as error:
            self.gaps.append(Gap(str(resource), str(error)))
            if not partial:
                self.blind.add(kind_name(*resource.key))
            return
        (self.evaluated if is_evaluated(resource) else self.unknown).extend(found.values())

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
    if (group, kind) in KINDS or (group, kind) in EVALUATED:
        return Interest.FULL
    return Interest.METADATA if bearing(group, kind) in (Bearing.POLICY, Bearing.UNLISTED) else Interest.NONE
