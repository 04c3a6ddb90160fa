"""How many bytes of one kind are kept of a namespace: a tenant may make thousands of objects of a megabyte each.

Beyond the budget an object is kept *abridged*: who it is, which version, the digest of all it was, its content if that
is little, and of its metadata what driftd reads. So it is known to differ or not as before; what else it holds is read
again when it is needed. What would cost as much abridged is kept, and left out altogether where nobody needs it.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

import msgspec

from driftd.cluster.wire import ObjectReader
from driftd.values import Body, Digest, Live, ObjectRef, Resource, pack

Spare = Callable[[ObjectRef], bool]
"""Whether nobody needs to know of an object, as of one of an open kind that the model does not name."""

NAMESPACE_BYTES: Final = 1024 * 1024
"""Honest namespaces hold some kilobytes of a kind; five hundred rules in one policy are a hundred."""

LITTLE: Final = 2048
"""Bytes of an object of which no more could be saved than it takes: it is kept whole whatever its namespace holds."""

OVERHEAD: Final = 1024
"""Bytes that each object takes beside its content: its names, digest and version, and its places in the mirror."""

NOT_KEPT: Final = "(not kept: read it again)"
"""Stands where the content was, and where very many labels were. No kind takes a text there, and neither does whoever
reads labels, so that nobody can mistake the rest for the object."""

_OURS: Final = "driftd.dev/"
_IDENTITY: Final = ("name", "namespace", "uid", "resourceVersion", "deletionTimestamp")
_LABELS_BYTES: Final = 4096
_MOST_NAMES: Final = 16


def never_spare(_ref: ObjectRef) -> bool:
    """Whatever there is has to be known."""
    return False


@dataclass(slots=True)
class Budget:
    """Bytes of one kind by namespace; 0 means without end.

    Objects without a namespace are not counted: they are few, and not a tenant's to make. `spare` is asked about
    objects for which there is no room.
    """

    namespace_bytes: int = NAMESPACE_BYTES
    spare: Spare = never_spare
    kept: Counter[str] = field(default_factory=Counter)
    abridged: Counter[str] = field(default_factory=Counter)

    def admit(self, live: Live) -> Live | None:
        """The object as it may be kept, counted; None where it is to be left out."""
        namespace = live.ref.namespace
        kept = live
        if not self._fits(live):
            if self.spare(live.ref):
                return None
            kept = live if live.abridged or live.size <= LITTLE else abridged(live)
        if namespace:
            self.kept[namespace] += OVERHEAD + kept.size
            if kept.abridged:
                self.abridged[namespace] += 1
        return kept

    def has_room(self, live: Live) -> bool:
        """Whether the object may be kept whole; one that is little always may."""
        return live.size <= LITTLE or self._fits(live)

    def _fits(self, live: Live) -> bool:
        namespace = live.ref.namespace
        if not namespace or not self.namespace_bytes:
            return True
        return self.kept[namespace] + OVERHEAD + live.size <= self.namespace_bytes

    def release(self, live: Live) -> None:
        """The object is kept no longer, or another version takes its place."""
        namespace = live.ref.namespace
        if not namespace:
            return
        for counted, amount in ((self.kept, OVERHEAD + live.size), (self.abridged, int(live.abridged))):
            counted[namespace] -= amount
            if not counted[namespace]:
                del counted[namespace]


@dataclass(frozen=True, slots=True)
class BudgetedReader:
    """Reads one whole list: what it makes of it has to fit at once."""

    reader: ObjectReader
    budget: Budget
    _left_out: dict[str, Live] = field(default_factory=dict, init=False)

    @property
    def resource(self) -> Resource:
        return self.reader.resource

    @property
    def partial(self) -> bool:
        return self.reader.partial

    def live(self, data: memoryview | bytes) -> Live:
        """Raises Malformed."""
        live = self.reader.live(data)
        kept = self.budget.admit(live)
        if kept is not None:
            return kept
        namespace = live.ref.namespace
        return self._left_out.setdefault(namespace, left_out(live.ref))


def left_out(ref: ObjectRef) -> Live:
    """What stands in a list for all objects of a namespace that are left out of it: no object has no name."""
    nameless = replace(ref, name="")
    return Live(nameless, b"{}", Digest(b""), "", "", terminating=False, managers=(), abridged=True, hollow=True)


def abridged(live: Live) -> Live:
    """The object without foreign annotations; without its content as well, where that is more than a little.

    An object that was emptied to be deleted is little again, so that a plan knows of it.
    """
    body = live.body()
    metadata: Body = body.get("metadata") or {}
    annotations = metadata.get("annotations") or {}
    ours = {key: value for key, value in annotations.items() if key.startswith(_OURS)}
    slim = msgspec.json.encode({**body, "metadata": {**metadata, "annotations": ours}})
    if len(slim) <= LITTLE:
        return replace(live, kept=pack(slim), abridged=True)
    kept: Body = {key: metadata[key] for key in _IDENTITY if key in metadata}
    kept["annotations"] = ours
    labels = metadata.get("labels") or {}
    few = sum(len(key) + len(value) for key, value in labels.items()) <= _LABELS_BYTES
    kept["labels"] = labels if few else NOT_KEPT
    if finalizers := metadata.get("finalizers"):
        kept["finalizers"] = finalizers[:_MOST_NAMES]
    rest = dict.fromkeys(("spec", "automountServiceAccountToken"), NOT_KEPT)
    raw = msgspec.json.encode(
        {"apiVersion": body.get("apiVersion"), "kind": body.get("kind"), "metadata": kept, **rest}
    )
    return replace(live, kept=pack(raw), abridged=True, hollow=True)


def completed(body: Body, whole: Live) -> Body:
    """What is to be written, made of an abridged object, with all that the whole one holds besides (D3)."""
    there = whole.body()
    metadata: Body = body.get("metadata") or {}
    annotations: Body = (there.get("metadata") or {}).get("annotations") or {}
    merged = {key: value for key, value in annotations.items() if not key.startswith(_OURS)}
    merged |= {key: value for key, value in (metadata.get("annotations") or {}).items() if key.startswith(_OURS)}
    return {**there, **body, "metadata": {**metadata, "annotations": merged}}
