"""Which kinds the API server serves, in which version, and which of them driftd must look at.

CRDs come and go while driftd runs, so this is asked again and again. A group whose own server does not answer is
remembered as it was: not to hear of a kind is not to hear that it is gone.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final, TypeVar

import msgspec
import structlog

from driftd.cluster.errors import BadAnswer, NotFound, ServerFault, Unreachable
from driftd.cluster.session import JSON, Session, Timeouts
from driftd.values import Resource

_AGGREGATED: Final = f"application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,{JSON}"
_TIMEOUTS: Final = Timeouts(connect=5.0, read=15.0, total=30.0)
_log = structlog.get_logger()
_Shape = TypeVar("_Shape")


class Interest(StrEnum):
    """What driftd wants of a kind."""

    NONE = "none"
    METADATA = "metadata"  # watched, names and labels only (a policy kind we do not understand; pods)
    FULL = "full"  # watched whole


@dataclass(frozen=True, slots=True)
class Served:
    """The kinds of interest that are served, by group and kind; `stale` are groups that could not be asked now."""

    kinds: Mapping[tuple[str, str], tuple[Resource, Interest]]
    stale: frozenset[str] = frozenset()

    def watched(self) -> Mapping[Resource, bool]:
        """Kinds to watch, and whether metadata is enough."""
        wanted = (Interest.METADATA, Interest.FULL)
        return {found: interest is Interest.METADATA for found, interest in self.kinds.values() if interest in wanted}


@dataclass(slots=True)
class Discovery:
    """Asks what is served. `interest` classifies (group, kind); `pinned` names versions that driftd understands.

    A pinned kind that is served only in other versions is not served, as far as driftd can use it. Other kinds are
    taken in the version that `preferred` names, or else in the one the server prefers. `aliases` names groups that
    serve the kinds of another one a second time: each kind is taken from one of them, from the alias only where its own
    group does not serve it.
    """

    session: Session
    interest: Callable[[str, str], Interest]
    pinned: Mapping[tuple[str, str], str] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    preferred: Mapping[tuple[str, str], str] = field(default_factory=dict)
    _last: dict[str, list[Resource]] = field(default_factory=dict, init=False)

    async def look(self) -> Served:
        """What is served now. Raises ClusterError when the server does not say."""
        groups: dict[str, list[Resource]] = {}
        stale: set[str] = set()
        for root in ("/api", "/apis"):
            answer = await self.session.request("GET", root, accept=_AGGREGATED, timeouts=_TIMEOUTS)
            aggregated = _decode(answer.body, _Groups, root)
            if aggregated.kind == "APIGroupDiscoveryList":
                found, silent = _from_aggregated(aggregated)
            else:
                found, silent = await self._ask_each(root, aggregated)
            groups |= found
            stale |= silent
        for group in stale:
            groups.setdefault(group, self._last.get(group, []))
        self._last = groups
        return Served(self._choose(groups), frozenset(stale))

    def _choose(self, groups: Mapping[str, list[Resource]]) -> dict[tuple[str, str], tuple[Resource, Interest]]:
        chosen: dict[tuple[str, str], tuple[Resource, Interest]] = {}
        for group in sorted(groups, key=lambda name: name in self.aliases):
            for resource in sorted(groups[group], key=self._is_second_choice):  # most preferred version first
                served = replace(resource, identity=self.aliases.get(group, ""))
                interest = self.interest(*served.key)
                if interest is Interest.NONE or served.key in chosen:
                    continue
                if self.pinned.get((group, resource.kind), resource.version) == resource.version:
                    chosen[served.key] = (served, interest)
        return chosen

    def _is_second_choice(self, resource: Resource) -> bool:
        return self.preferred.get((resource.group, resource.kind), resource.version) != resource.version

    async def _ask_each(self, root: str, groups: "_Groups") -> tuple[dict[str, list[Resource]], set[str]]:
        """The classic way, a request a version, for servers without aggregated discovery (before 1.26)."""
        found: dict[str, list[Resource]] = {}
        stale: set[str] = set()
        wanted = [("", version) for version in groups.versions or ()]
        for group in groups.groups or ():
            preferred = group.preferredVersion.version if group.preferredVersion else ""
            ordered = sorted((entry.version for entry in group.versions), key=lambda name: name != preferred)
            wanted += [(group.name, version) for version in ordered]
        for name, version in wanted:
            path = f"{root}/{name}/{version}" if name else f"{root}/{version}"
            try:
                answer = await self.session.request("GET", path, timeouts=_TIMEOUTS)
            except NotFound:
                continue  # went away between the two questions
            except (ServerFault, Unreachable) as error:
                _log.info("cluster.discovery.group_silent", group=name, error=str(error))
                stale.add(name)
                continue
            listed = _decode(answer.body, _Resources, path)
            found.setdefault(name, []).extend(
                Resource(name, version, entry.kind, entry.name, entry.namespaced)
                for entry in listed.resources
                if "/" not in entry.name and {"list", "watch"} <= set(entry.verbs)
            )
        for name in stale:
            found.pop(name, None)
        return found, stale


class _Version(msgspec.Struct):
    version: str


class _ResponseKind(msgspec.Struct):
    kind: str = ""


class _DiscoveredResource(msgspec.Struct):
    resource: str
    responseKind: _ResponseKind | None = None  # noqa: N815 (the API's spelling)
    scope: str = ""
    verbs: list[str] = []


class _DiscoveredVersion(msgspec.Struct):
    version: str
    freshness: str = "Current"
    resources: list[_DiscoveredResource] | None = None


class _Named(msgspec.Struct):
    name: str = ""


class _DiscoveredGroup(msgspec.Struct):
    metadata: _Named = msgspec.field(default_factory=_Named)
    versions: list[_DiscoveredVersion] | None = None


class _Group(msgspec.Struct):
    name: str
    versions: list[_Version]
    preferredVersion: _Version | None = None  # noqa: N815 (the API's spelling)


class _Groups(msgspec.Struct):
    """Any of APIGroupDiscoveryList (items), APIGroupList (groups) and APIVersions (versions)."""

    kind: str = ""
    items: list[_DiscoveredGroup] | None = None
    groups: list[_Group] | None = None
    versions: list[str] | None = None


class _Resource(msgspec.Struct):
    name: str
    kind: str
    namespaced: bool
    verbs: list[str] = []


class _Resources(msgspec.Struct):
    resources: list[_Resource] = []


def _from_aggregated(listed: _Groups) -> tuple[dict[str, list[Resource]], set[str]]:
    found: dict[str, list[Resource]] = {}
    stale: set[str] = set()
    for group in listed.items or ():
        name = group.metadata.name
        for version in group.versions or ():
            if version.freshness == "Stale" and not version.resources:
                stale.add(name)
            for entry in version.resources or ():
                if entry.responseKind is None or not {"list", "watch"} <= set(entry.verbs):
                    continue
                kind, namespaced = entry.responseKind.kind, entry.scope == "Namespaced"
                found.setdefault(name, []).append(Resource(name, version.version, kind, entry.resource, namespaced))
    for name in stale:
        found.pop(name, None)
    return found, stale


def _decode(body: bytes, shape: type[_Shape], path: str) -> _Shape:
    try:
        return msgspec.json.decode(body, type=shape)
    except msgspec.MsgspecError as error:
        raise BadAnswer("GET", path, str(error)) from error
