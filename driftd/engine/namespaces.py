"""Which namespace we know by which uid: a namespace that comes back under the same name is somebody new."""

from collections.abc import Mapping

import orjson

from driftd.drift import Comparison, LiveScope
from driftd.store import Store
from driftd.values import FindingType, ObjectRef, Scope

KEY = "namespace-uid/"
"""Prefix of the remembered values; the rest is the namespace's name."""


class KnownNamespaces:
    """Uids of governed namespaces as last found; kept in the store, written in batches."""

    def __init__(self) -> None:
        self._uids: dict[str, str] = {}
        self._unsaved: dict[str, str] = {}

    def uid_of(self, namespace: str) -> str | None:
        return self._uids.get(namespace)

    async def load(self, store: Store) -> None:
        """Take over what the store remembers; another uid that was seen meanwhile is told by the next look."""
        values = await store.recall_all(KEY)
        stored = {key.removeprefix(KEY): orjson.loads(value) for key, value in values.items()}
        self._unsaved = {name: uid for name, uid in self._unsaved.items() if name not in stored}
        self._uids = {**self._unsaved, **stored}

    def saw(self, scope: Scope, live: LiveScope, comparison: Comparison) -> bool:
        """Take note of the namespace's uid once the comparison has told of a change; True when it is a new one.

        A known name with a new uid is told whoever made it, driftd included: all that lived there is gone.
        """
        home = live.objects.get(ObjectRef("", "Namespace", "", scope.namespace))
        if home is None or home.terminating or self._uids.get(scope.namespace) == home.uid:
            return False
        known = self._uids.get(scope.namespace)
        told = any(finding.type is FindingType.RECREATED for finding in comparison.findings)
        if known is not None and not told:
            return False
        self._uids[scope.namespace] = home.uid
        self._unsaved[scope.namespace] = home.uid
        return known is not None

    def unsaved(self) -> Mapping[str, str]:
        """Keys and JSON values not yet in the store; hand them to `saved` once they are."""
        return {KEY + name: orjson.dumps(uid).decode() for name, uid in self._unsaved.items()}

    def saved(self, values: Mapping[str, str]) -> None:
        for key, value in values.items():
            name = key.removeprefix(KEY)
            if self._unsaved.get(name) == orjson.loads(value):
                del self._unsaved[name]
