"""The live admin policies as the mirror has them: one value for each state, and a call when it is another."""

from collections.abc import Callable, Iterator, Mapping

from driftd.cluster import Mirror
from driftd.drift import NO_ADMIN_POLICIES, AdminPolicies, KindState
from driftd.policy.kinds import EVALUATED, is_evaluated
from driftd.values import Digest, Live, ObjectRef, Resource, kind_name


class LiveAdmins:
    """Follows AdminNetworkPolicy, its baseline and ClusterNetworkPolicy.

    A kind that is not served has no objects. Of one that is served in versions alone that nobody here reads nothing is
    known: its objects are of a kind that is not understood. One that was read once and is listed anew counts as seen.
    """

    def __init__(self, mirror: Mirror) -> None:
        self._mirror = mirror
        self._current = NO_ADMIN_POLICIES
        self._outdated = False
        self._read: set[Resource] = set()
        self._changed: list[Callable[[], None]] = []
        mirror.subscribe(self._object_changed)
        mirror.subscribe_states(self._state_changed)

    @property
    def current(self) -> AdminPolicies:
        """The same value for as long as nothing changes that is judged."""
        if self._outdated:
            self._outdated = False
            live, seen = self.objects(), not self.unseen
            if seen != self._current.seen or _digests(live) != _digests(self._current.live):
                self._current = AdminPolicies(live, seen)
        return self._current

    @property
    def unseen(self) -> tuple[str, ...]:
        """Names of kinds that are served and cannot be read now."""
        return tuple(sorted(kind_name(*one.key) for one in self._served() if not self._is_seen(one)))

    def subscribe(self, callback: Callable[[], None]) -> None:
        """Called when `current` may be another value. Callbacks must be quick."""
        self._changed.append(callback)

    def reads(self, ref: ObjectRef) -> bool:
        """Whether an object is of a kind that is read as it is served now, or was before it went away."""
        return (ref.group, ref.kind) in EVALUATED and is_evaluated(self._mirror.resource_of(ref))

    def objects(self) -> dict[ObjectRef, Live]:
        """All that are known, by name."""
        found: dict[ObjectRef, Live] = {}
        for resource in self._served():
            found |= self._mirror.of_kind(resource).copy()
        return found

    def _served(self) -> Iterator[Resource]:
        for resource, (state, _) in self._mirror.states().items():
            if is_evaluated(resource) and state is not KindState.ABSENT:
                yield resource

    def _is_seen(self, resource: Resource) -> bool:
        state = self._mirror.state(resource)
        return state is KindState.READY or (state is KindState.SYNCING and resource in self._read)

    def _object_changed(self, ref: ObjectRef, before: Live | None, after: Live | None) -> None:
        if (ref.group, ref.kind) in EVALUATED and (before is None or after is None or before.digest != after.digest):
            self._outdate()

    def _state_changed(self, resource: Resource, state: KindState, _why: str) -> None:
        if resource.key not in EVALUATED:
            return
        if state is KindState.READY:
            self._read.add(resource)
        elif state is not KindState.SYNCING:
            self._read.discard(resource)
        self._outdate()

    def _outdate(self) -> None:
        """Told once, until somebody asks: a list of a thousand is one change."""
        if not self._outdated:
            self._outdated = True
            for callback in self._changed:
                callback()


def _digests(policies: Mapping[ObjectRef, Live]) -> dict[ObjectRef, Digest]:
    return {ref: one.digest for ref, one in policies.items()}
