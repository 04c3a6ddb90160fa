"""What driftd knows of the cluster: one store a kind, indexed by scope, with how far each may be believed.

The mirror is written by reflectors (and by answers to our own writes) in the event loop and read there; subscribers
are called synchronously, so what they see is never half a change.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final, TypeAlias

import structlog

from driftd.cluster.budget import NAMESPACE_BYTES, Budget, BudgetedReader, Spare, never_spare
from driftd.cluster.errors import ClusterError
from driftd.cluster.kind_store import KindStore
from driftd.cluster.pace import Pace
from driftd.cluster.versions import older, passed
from driftd.cluster.wire import DigestOf, ObjectReader
from driftd.drift import KindState
from driftd.values import Body, Digest, Live, ObjectRef, Resource, Scope, scope_of

Subscriber: TypeAlias = Callable[[ObjectRef, Live | None, Live | None], None]
"""Called with what was known before and after. `after` None: the object vanished, which is a hint and no proof.

Both None: the object stands and is left out, as it was if it was told before; a ref without a name stands for all that
a list leaves out in that namespace, whoever they are.
"""

StateSubscriber: TypeAlias = Callable[[Resource, KindState, str], None]
"""Called with a kind, its new state and why."""

_SLICE: Final = 24
_EMPTY: MappingProxyType[ObjectRef, Live] = MappingProxyType({})
_log = structlog.get_logger()


class KindNotWatched(ClusterError):
    """The mirror holds no store for the kind of this object: nothing is known of it."""


class Mirror:
    """The objects of the watched kinds as the API server last told them.

    `digest` gives the covered digest of an object; it changes with the model's coverage, see `rebase_in_slices`. Not
    READY means unknown: objects of such a kind stay as last seen, and no absence may be read from it (D6).

    `namespace_bytes` bounds what is kept whole of one kind in one namespace, 0 not at all; the rest is abridged, or
    left out where `spare` says that nobody needs it.
    """

    def __init__(
        self, digest: DigestOf, pace: Pace, namespace_bytes: int = NAMESPACE_BYTES, spare: Spare = never_spare
    ) -> None:
        self._digest, self._pace, self._namespace_bytes, self._spare = digest, pace, namespace_bytes, spare
        self._stores: dict[tuple[str, str], KindStore] = {}
        self._scopes: dict[Scope, dict[ObjectRef, Live]] = {}
        self._subscribers: list[Subscriber] = []
        self._state_subscribers: list[StateSubscriber] = []

    # -- reading ------------------------------------------------------------------------------------------------

    def get(self, ref: ObjectRef) -> Live | None:
        """The object as last seen. None means nothing known, never "absent" (that takes a 404 and a READY kind)."""
        return self._scopes.get(scope_of(ref), _EMPTY).get(ref)

    def scope(self, scope: Scope) -> Mapping[ObjectRef, Live]:
        """All watched objects of a scope, a read-only view that follows changes."""
        return MappingProxyType(self._scopes[scope]) if scope in self._scopes else _EMPTY

    def scopes(self) -> frozenset[Scope]:
        """Scopes with at least one object."""
        return frozenset(scope for scope, objects in self._scopes.items() if objects)

    def of_kind(self, resource: Resource) -> MappingProxyType[ObjectRef, Live]:
        """All objects of one kind, a read-only view. Its own `copy` is quick: any other hashes each ref anew."""
        store = self._stores.get(resource.key)
        return MappingProxyType(store.objects) if store else _EMPTY

    def state(self, resource: Resource) -> KindState:
        """How far the kind may be believed; a kind nobody watches is ABSENT."""
        store = self._stores.get(resource.key)
        return store.state if store else KindState.ABSENT

    def states(self) -> Mapping[Resource, tuple[KindState, str]]:
        """Every watched kind with its state and the reason for it."""
        return {store.resource: (store.state, store.why) for store in self._stores.values()}

    def since(self, resource: Resource) -> float:
        """Monotonic second at which the kind came into its state."""
        return self._store(resource).since

    def watermark(self, resource: Resource) -> str:
        """The version up to which the kind's list and watch have told everything; empty before the first list."""
        store = self._stores.get(resource.key)
        return store.watermark if store else ""

    def reader(self, resource: Resource) -> ObjectReader:
        """The reader that makes this kind's `Live` values."""
        return self._store(resource).reader

    def listing(self, resource: Resource) -> BudgetedReader:
        """A reader for one whole list of this kind, which is held back to the budget as it is read."""
        return BudgetedReader(self._store(resource).reader, self._budget())

    def abridged(self) -> Mapping[tuple[Resource, str], int]:
        """How many objects of a kind, in a namespace, are not kept whole."""
        return {
            (store.resource, namespace): count
            for store in self._stores.values()
            for namespace, count in store.budget.abridged.items()
        }

    def left_out(self) -> frozenset[tuple[Resource, str]]:
        """Kinds and namespaces of which objects that the model does not name are not known."""
        stores = self._stores.values()
        return frozenset((store.resource, namespace) for store in stores for namespace in store.left_out)

    def leaves_out(self, ref: ObjectRef) -> bool:
        """Whether an object is not known because nobody needs it."""
        store = self._stores.get((ref.group, ref.kind))
        if store is None or ref.namespace not in store.left_out or ref in store.objects:
            return False
        return self._spare(ref)

    def is_gone(self, live: Live) -> bool:
        """Whether the deletion of this very object was told, or proved, not long ago."""
        store = self._stores.get((live.ref.group, live.ref.kind))
        return store is not None and live.uid in store.buried

    def recount(self, resource: Resource, namespaces: Collection[str]) -> None:
        """A look at every object of the kind has met some that are left out in these namespaces only."""
        self._store(resource).left_out.intersection_update(namespaces)

    def resource_of(self, ref: ObjectRef) -> Resource:
        """The watched kind of an object. Raises KindNotWatched."""
        try:
            return self._stores[ref.group, ref.kind].resource
        except KeyError:
            raise KindNotWatched(f"{ref}: kind {ref.kind} of group {ref.group!r} is not watched") from None

    # -- wiring -------------------------------------------------------------------------------------------------

    def watch(self, resource: Resource, *, partial: bool = False) -> None:
        """Opens a store, SYNCING. The same kind served otherwise keeps its objects until the new list comes."""
        key = resource.key
        reader = ObjectReader(resource, self._current_digest, partial=partial)
        store = self._stores.get(key)
        if store is None:
            since = self._pace.clock.monotonic()
            self._stores[key] = KindStore(resource, reader, since=since, budget=self._budget())
        else:
            store.resource, store.reader = resource, reader
        self.mark(resource, KindState.SYNCING, "not listed yet")

    def subscribe(self, callback: Subscriber) -> None:
        """Callbacks must be quick and must not raise: they run inside the reflector's step."""
        self._subscribers.append(callback)

    def subscribe_states(self, callback: StateSubscriber) -> None:
        self._state_subscribers.append(callback)

    def mark(self, resource: Resource, state: KindState, why: str = "") -> None:
        """Sets how far a kind may be believed. Its objects stay as they are: a blind kind is not an empty one."""
        store = self._store(resource)
        if store.state is state:
            store.why = why
            return
        store.state, store.why, store.since = state, why, self._pace.clock.monotonic()
        _log.info("cluster.kind.state", kind=str(resource), state=state.value, why=why)
        for callback in self._state_subscribers:
            callback(resource, state, why)

    async def rebase_in_slices(self, digest: DigestOf, only: Collection[Resource] | None = None) -> int:
        """Digest all objects again after the coverage changed. How many digests are new: subscribers hear of those.

        The loop is not held up; until this returns all digests are those of the old coverage.

        Objects that change meanwhile are digested again at the end. `only` names the kinds whose digests may differ
        at all; those of the others are taken to be as good as new.
        """
        kinds = None if only is None else {one.key for one in only}
        touched = [store for key, store in self._stores.items() if kinds is None or key in kinds]
        fresh: dict[ObjectRef, tuple[Live, Digest]] = {}
        for store in touched:
            reader = replace(store.reader, digest=digest)
            for count, live in enumerate(tuple(store.objects.values()), start=1):
                fresh[live.ref] = live, _digest_of(reader, live)
                if count % _SLICE == 0:
                    await asyncio.sleep(0)
        self._digest = digest
        changed = 0
        for store in touched:
            for live in tuple(store.objects.values()):
                known = fresh.get(live.ref)
                same = known is not None and known[0] is live
                now = known[1] if known and same else _digest_of(store.reader, live)
                changed += self._redigest(store, live, now)
        return changed

    def _redigest(self, store: KindStore, live: Live, digest: Digest) -> bool:
        if digest == live.digest:
            return False
        self._put(store, replace(live, digest=digest))
        return True

    # -- writing: the reflector -----------------------------------------------------------------------------------

    def replace_all(self, resource: Resource, listed: Iterable[Live], version: str, *, rewound: bool = False) -> None:
        """Takes a complete list as of `version`; objects that it lacks vanish.

        An object we know at a later version than the list (an answer to our own write) is kept, unless `rewound`:
        history went back (a restored etcd), and the list is all there is.
        """
        store = self._store(resource)
        known = {live.ref: live for live in listed}
        store.left_out.clear()
        for ref in [ref for ref in known if not ref.name]:
            del known[ref]
            store.leave_out(ref.namespace)
            self._tell(ref, None, None)
        for live in known.values():
            store.buried.pop(live.uid, None)  # the list decides; deletions it does not know yet follow in the watch
            self._offer(store, live, authoritative=rewound)
        for ref, live in tuple(store.objects.items()):
            if ref not in known and (rewound or not older(version, live.resource_version)):
                self._drop(store, ref, buried=ref.namespace not in store.left_out)  # there it may be
        store.advance(version, force=rewound)

    def apply(self, resource: Resource, live: Live) -> None:
        """Takes one ADDED or MODIFIED event."""
        store = self._store(resource)
        self._offer(store, live)
        store.advance(live.resource_version)

    def vanish(self, resource: Resource, live: Live) -> None:
        """Takes one DELETED event; ignored if a later version, or a successor of the name, is known."""
        store = self._store(resource)
        known = store.objects.get(live.ref)
        if known is not None and (known.uid == live.uid or older(known.resource_version, live.resource_version)):
            self._drop(store, live.ref)
        store.bury(live.uid)
        store.advance(live.resource_version)

    def bookmark(self, resource: Resource, version: str) -> None:
        """Takes a bookmark: nothing else happened up to `version`."""
        self._store(resource).advance(version)

    # -- writing: ourselves ---------------------------------------------------------------------------------------

    def absorb(self, live: Live) -> bool:
        """Takes an object from an answer to a write or a GET at once; False if it is no news.

        An object that is not known, at a version the watch has passed, was deleted in between: it stays away.
        """
        store = self._stores.get((live.ref.group, live.ref.kind))
        if store is None:
            return False
        if live.ref not in store.objects and store.watermark and passed(store.watermark, live.resource_version):
            return False
        taken = self._offer(store, live)
        store.wake()
        return taken

    def correct(self, live: Live) -> bool:
        """Takes an object from a GET (`Truth.get`), however far the watch claims to be; False if it is no news.

        Unlike `absorb` this believes in an object whose creation the watch failed to tell.
        """
        store = self._stores.get((live.ref.group, live.ref.kind))
        return store is not None and self._offer(store, live)

    def bury(self, ref: ObjectRef, uid: str) -> None:
        """Takes the proof (a 404, or the answer to a DELETE) that this very object is gone.

        Its events that are still under way, told before its deletion, do not bring it back.
        """
        store = self._stores.get((ref.group, ref.kind))
        known = store.objects.get(ref) if store else None
        if store is not None:
            store.bury(uid)
            if known is not None and known.uid == uid:
                self._drop(store, ref)

    async def seen(self, ref: ObjectRef, version: str, seconds: float) -> bool:
        """Waits until the mirror has passed a version that was written (read your own writes, KEP-5647).

        Returns False when `seconds` have gone by before.
        """
        store = self._stores.get((ref.group, ref.kind))
        if store is None:
            return False
        if store.has(ref, version):
            return True
        waiter = asyncio.get_running_loop().create_future()
        entry = (ref, version, waiter)
        store.waiters.append(entry)
        try:
            async with asyncio.timeout(seconds):
                await waiter
        except TimeoutError:
            return False
        finally:
            if entry in store.waiters:
                store.waiters.remove(entry)
        return True

    # -- inside -------------------------------------------------------------------------------------------------

    def _current_digest(self, resource: Resource, body: Body) -> Digest:
        return self._digest(resource, body)  # bound late: `rebase_in_slices` may have changed it

    def _budget(self) -> Budget:
        return Budget(self._namespace_bytes, self._spare)

    def _store(self, resource: Resource) -> KindStore:
        try:
            return self._stores[resource.key]
        except KeyError:
            raise KindNotWatched(f"{resource} is not watched; call watch() first") from None

    def _offer(self, store: KindStore, live: Live, *, authoritative: bool = False) -> bool:
        known = store.objects.get(live.ref)
        if live.uid in store.buried:
            return False
        if known is not None:
            if known.resource_version == live.resource_version and known.uid == live.uid:
                if not _served_otherwise(known, live):
                    self._complete(store, known, live)
                    return False
            elif not authoritative and older(live.resource_version, known.resource_version):
                return False
        self._put(store, live)
        return True

    def _complete(self, store: KindStore, known: Live, live: Live) -> None:
        """Keep an object whole of which this is the same version, if there is room for it by now."""
        if known.abridged and not live.abridged and store.budget.has_room(live):
            self._put(store, live)

    def _put(self, store: KindStore, found: Live) -> None:
        before = store.objects.get(found.ref)
        if before is not None:
            store.budget.release(before)
        live = store.budget.admit(found)
        if live is None:
            store.leave_out(found.ref.namespace)
            if before is None:
                self._tell(found.ref, None, None)
            else:
                self._forget(store, before)
            return
        newly = live.abridged and not (before is not None and before.abridged)
        if newly and store.budget.abridged[live.ref.namespace] == 1:
            store.oversized(live.ref.namespace)
        if before is not None:
            live = replace(live, ref=before.ref)  # one ref object for key, value and index
        store.objects[live.ref] = live
        self._scopes.setdefault(scope_of(live.ref), {})[live.ref] = live
        self._tell(live.ref, before, live)

    def _drop(self, store: KindStore, ref: ObjectRef, *, buried: bool = True) -> None:
        before = store.objects.get(ref)
        if before is None:
            return
        store.budget.release(before)
        if buried:
            store.bury(before.uid)
        self._forget(store, before)

    def _forget(self, store: KindStore, before: Live) -> None:
        ref = before.ref
        del store.objects[ref]
        scope = scope_of(ref)
        objects = self._scopes[scope]
        objects.pop(ref, None)
        if not objects:
            del self._scopes[scope]
        self._tell(ref, before, None)

    def _tell(self, ref: ObjectRef, before: Live | None, after: Live | None) -> None:
        for callback in self._subscribers:
            callback(ref, before, after)


def _served_otherwise(known: Live, live: Live) -> bool:
    """Whether the server shows the same version of an object with other content than before.

    A CRD or a server that learns a default fills it in at each read: nothing is stored anew, and no watch tells. Both
    bytes and digest have to differ: digests alone do while the coverage changes, bytes alone mean nothing.
    """
    return not (known.abridged or live.abridged) and known.kept != live.kept and known.digest != live.digest


def _digest_of(reader: ObjectReader, live: Live) -> Digest:
    """The digest under another coverage. What is hollow keeps its own: the kinds that read it have no namespace."""
    return live.digest if live.hollow else reader.digest_of(live.raw)
