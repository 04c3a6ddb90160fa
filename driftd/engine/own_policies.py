"""Policies of tenants' own that may stand by what they do: which ones are followed, and for which there is no room."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import structlog

from driftd.drift import Difference
from driftd.values import ObjectRef, Scope

MOST_OWN = 50
"""Policies of its own that a namespace may have standing. Each is judged anew whenever a pod there changes, so that
without a bound one tenant would keep the judge to itself. One more is not waited for, and goes."""

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Own:
    """One such policy, as it was last seen, and the scope that it stands in."""

    scope: Scope
    difference: Difference


class OwnPolicies:
    """Every policy that is judged by its effect, or tolerated because it was."""

    def __init__(self) -> None:
        self._scopes: dict[Scope, dict[ObjectRef, Own]] = {}
        self._found: dict[ObjectRef, Own] = {}
        self._full: set[Scope] = set()

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
