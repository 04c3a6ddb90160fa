"""What is known of one scope right now: the mirror's objects, what is not ready, and proofs of absence from etcd."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from types import MappingProxyType

import structlog

from driftd.cluster import Mirror, Truth
from driftd.drift import KIND_ITSELF, KindState, LiveScope
from driftd.engine.admins import LiveAdmins
from driftd.policy.kinds import KINDS, Bearing, bearing, kinds_under
from driftd.values import CLUSTER, Digest, Live, ObjectRef, Resource, Scope, kind_name, scope_of

_log = structlog.get_logger()
_PROOFS_AT_ONCE = 8
_NONE: Mapping[ObjectRef, Live] = MappingProxyType({})


class Observer:
    """Reads scopes from the mirror.

    Args:
        mirror: holds the governed kinds, those that are judged and never written, and the objects of policy-bearing
            kinds that nobody here understands.
        truth: GETs past every cache, for proofs of absence.
        uid_of: the uid a namespace was last known by, None if it was never seen.
        unlisted: served kinds of policy groups that driftd's table lacks.
        admins: the live admin policies of that mirror.
    """

    def __init__(
        self,
        mirror: Mirror,
        truth: Truth,
        uid_of: Callable[[str], str | None],
        unlisted: Callable[[], Iterable[Resource]],
        admins: LiveAdmins,
    ) -> None:
        self._unlisted = unlisted
        self._mirror = mirror
        self._truth = truth
        self._uid_of = uid_of
        self._admins = admins
        self._foreign: dict[Scope, dict[ObjectRef, Live]] = {}
        self._not_ready: tuple[str, ...] = tuple(kind_name(*key) for key in KINDS)
        mirror.subscribe(self._follow)
        mirror.subscribe_states(self._states_changed)
        self._count_states()

    @property
    def not_ready(self) -> tuple[str, ...]:
        """Governed kinds of every network layer that may not be judged now."""
        return self._not_ready

    def unready_under(self, dialect: str) -> tuple[str, ...]:
        """Those of them that a model of this dialect governs."""
        wanted = {kind_name(*key) for key in kinds_under(dialect)}
        return tuple(name for name in self._not_ready if name in wanted)

    def look(
        self, scope: Scope, proved: Collection[ObjectRef] = (), whole: Mapping[ObjectRef, Live] = _NONE
    ) -> LiveScope:
        """The scope as the mirror has it. `proved` are absences proved since the caller began.

        `whole` are objects that are hollow in the mirror, read anew; those that have changed since are hollow again.
        """
        objects = self._mirror.scope(scope)
        if whole:
            objects = {ref: _same_version(whole.get(ref), live) for ref, live in objects.items()}
        foreign = self._foreign.get(scope)
        if scope == CLUSTER:  # CRDs are mirrored for their coming and going only
            objects = {ref: live for ref, live in objects.items() if (ref.group, ref.kind) in KINDS}
        if foreign and objects:
            objects = {ref: live for ref, live in objects.items() if ref not in foreign}
        evaluated = self._admins.objects() if scope == CLUSTER else {}
        unknown = [live for ref, live in foreign.items() if not self._admins.reads(ref)] if foreign else []
        return LiveScope(
            scope=scope,
            objects=objects,
            not_ready=(*self._not_ready, *self._admins.unseen) if scope == CLUSTER else self._not_ready,
            evaluated=tuple(evaluated.values()),
            unknown=(*unknown, *self._unlisted_kinds(scope)),
            proved_absent=frozenset(proved),
            namespace_uid_known=self._uid_of(scope.namespace),
        )

    async def prove(self, refs: Iterable[ObjectRef]) -> frozenset[ObjectRef]:
        """Those of `refs` that etcd does not have. One that it has is put into the mirror.

        Raises:
            ClusterError: for the first ref of which nothing could be learned.
        """
        gate = asyncio.Semaphore(_PROOFS_AT_ONCE)

        async def one(ref: ObjectRef) -> ObjectRef | None:
            async with gate:
                return None if await self.refresh(ref) is not None else ref

        answers = await asyncio.gather(*(one(ref) for ref in refs), return_exceptions=True)
        absent = set()
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
            if answer is not None:
                absent.add(answer)
        return frozenset(absent)

    async def read_whole(self, refs: Iterable[ObjectRef]) -> dict[ObjectRef, Live]:
        """Objects from etcd with all they hold; one that is gone, or another version by now, is news for the mirror.

        Raises:
            ClusterError: for the first of which nothing could be learned.
        """
        found = {}
        for ref in refs:  # one by one: each may be megabytes
            live = await self.refresh(ref)
            if live is not None:
                found[ref] = live
        return found

    async def refresh(self, ref: ObjectRef) -> Live | None:
        """The object from etcd, put into the mirror; None is the proof that it is gone, taken there as well."""
        known = self._mirror.get(ref)
        fresh = await self._truth.get(ref)
        if fresh is not None:
            self._mirror.correct(fresh)
        elif known is not None:
            self._mirror.bury(ref, known.uid)
        return fresh

    def get(self, ref: ObjectRef) -> Live | None:
        """The object as last seen."""
        return self._mirror.get(ref)

    def absorb(self, live: Live) -> None:
        """Put an answer to a write into the mirror, ahead of its event."""
        self._mirror.absorb(live)

    def _unlisted_kinds(self, scope: Scope) -> Iterator[Live]:
        """One stand-in for each kind that nobody listed: that it is served at all is for a person to look at."""
        if scope == CLUSTER:
            for resource in self._unlisted():
                ref = ObjectRef(resource.group, resource.kind, "", KIND_ITSELF)
                yield Live(ref, b"{}", Digest(b""), "", "", terminating=False, managers=())

    def _follow(self, ref: ObjectRef, _before: Live | None, after: Live | None) -> None:
        if bearing(ref.group, ref.kind) not in (Bearing.POLICY, Bearing.UNLISTED, Bearing.EVALUATED):
            return
        scope = scope_of(ref)
        held = self._foreign.setdefault(scope, {})
        if after is None:
            held.pop(ref, None)
        else:
            held[ref] = after
        if not held:
            del self._foreign[scope]

    def _states_changed(self, resource: Resource, _state: KindState, _why: str) -> None:
        if resource.key in KINDS:
            self._count_states()

    def _count_states(self) -> None:
        self._not_ready = tuple(
            kind_name(*key) for key, kind in KINDS.items() if self._mirror.state(kind.resource) is not KindState.READY
        )


def _same_version(whole: Live | None, live: Live) -> Live:
    return whole if whole is not None and live.hollow and whole.resource_version == live.resource_version else live
