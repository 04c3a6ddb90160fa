"""Policies of tenants' own that may stand by what they do: which ones are followed, and for which there is no room."""

import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

import structlog

from driftd.drift import Difference
from driftd.values import Digest, FindingType, ObjectRef, Scope

Key = tuple[ObjectRef, FindingType, Digest | None, Digest | None]
"""What a judgement is remembered by: the object, and what exactly the two sides hold."""

MOST_OWN = 50
"""Policies of its own that a namespace may have standing. Each is judged anew whenever a pod there changes, so that
without a bound one tenant would keep the judge to itself. One more is not waited for, and goes."""

_PATIENCE_SECONDS = 5.0
"""For which such a policy stands without a judgement, and without a finding. Not once more within the flicker time."""
_FLICKER_SECONDS = 60.0
_FLICKER_VERSIONS = 8
"""More versions of one object in that time, each not judged when it was first seen, and it is tolerated no longer."""
_MOST_FLICKERING = 4096
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Own:
    """One such policy, as it was last seen, and the scope that it stands in."""

    scope: Scope
    difference: Difference


class OwnPolicies:
    """Every policy that is judged by its effect, or tolerated because it was. `now` only goes forward."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._scopes: dict[Scope, dict[ObjectRef, Own]] = {}
        self._found: dict[ObjectRef, Own] = {}
        self._versions: OrderedDict[ObjectRef, OrderedDict[Key, float]] = OrderedDict()
        self._full: set[Scope] = set()
        self._since: dict[ObjectRef, float] = {}

    def __len__(self) -> int:
        return len(self._found)

    def __iter__(self) -> Iterator[Own]:
        return iter(tuple(self._found.values()))

    def get(self, ref: ObjectRef) -> Own | None:
        return self._found.get(ref)

    def of(self, scope: Scope) -> tuple[Own, ...]:
        return tuple(self._scopes.get(scope, {}).values())

    def follow(self, scope: Scope, difference: Difference) -> bool:
        """Take this version in; False where its namespace has as many others as it may have."""
        here = self._scopes.setdefault(scope, {})
        if difference.ref not in here and len(here) >= MOST_OWN:
            if scope not in self._full:
                _log.warning("meaning.too_many_own", namespace=scope.namespace, limit=MOST_OWN)
                self._full.add(scope)
            return False
        here[difference.ref] = self._found[difference.ref] = Own(scope, difference)
        return True

    def forget(self, own: Own) -> None:
        """It is gone, or nothing of the tenants' own may stand there any more."""
        ref = own.difference.ref
        self._found.pop(ref, None)
        if self._now() < self._since.get(ref, 0.0) + _PATIENCE_SECONDS:
            del self._since[ref]
        here = self._scopes.get(own.scope, {})
        here.pop(ref, None)
        self._full.discard(own.scope)
        if not here:
            self._scopes.pop(own.scope, None)

    def keep_only(self, namespaces: Collection[str]) -> None:
        """Forget what stands in other namespaces: nobody looks there any more."""
        for own in self:
            if own.scope.namespace not in namespaces:
                self.forget(own)

    def waits_until(self, ref: ObjectRef) -> float:
        """When the patience with an object that has no answer is over. Another version of it does not begin anew."""
        now = self._now()
        if now - self._since.get(ref, now) > _FLICKER_SECONDS:
            del self._since[ref]
        if len(self._since) > _MOST_FLICKERING:
            self._since.pop(next(iter(self._since)))
        return self._since.setdefault(ref, now) + _PATIENCE_SECONDS

    def answered(self, ref: ObjectRef) -> None:
        """It waits no longer."""
        self._since.pop(ref, None)

    def flickers(self, difference: Difference) -> bool:
        """Whether an object has been so many others lately that no judgement can keep up: it is not waited for."""
        versions = self._versions.setdefault(difference.ref, OrderedDict())
        self._versions.move_to_end(difference.ref)
        if len(self._versions) > _MOST_FLICKERING:
            self._versions.popitem(last=False)
        now = self._now()
        versions.setdefault(key_of(difference), now)
        while versions and (
            now - next(iter(versions.values())) > _FLICKER_SECONDS or len(versions) > _FLICKER_VERSIONS + 1
        ):
            versions.popitem(last=False)
        return len(versions) > _FLICKER_VERSIONS


def key_of(difference: Difference) -> Key:
    """By what the judgement of this difference is remembered."""
    desired, live = difference.desired, difference.live
    return difference.ref, difference.type, desired.digest if desired else None, live.digest if live else None
