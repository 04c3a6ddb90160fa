"""The two sides of a comparison: what the model wants and what the cluster holds."""

from dataclasses import dataclass

import orjson

from driftd.values.packed import unpack
from driftd.values.refs import Body, Digest, ObjectRef, Origin

PROVENANCE = "driftd.dev/model"
"""Annotation on every object driftd writes: the origin's `provenance`. Covered: another value is drift."""
EPOCH = "driftd.dev/epoch"
"""Annotation with the writer's leadership epoch (D10). Never compared."""
CONDEMNED = "driftd.dev/condemned"
"""Annotation of an object emptied for deletion, with the epoch that condemned it. On a canonical object it is drift."""
TENANT = "driftd.dev/tenant"
"""Label with the tenant of a governed namespace."""


@dataclass(frozen=True, slots=True)
class Desired:
    """One object the cluster must hold, fully specified (D1).

    `kept` is its canonical JSON as `pack` leaves it.
    """

    ref: ObjectRef
    kept: bytes
    digest: Digest
    origin: Origin

    @property
    def raw(self) -> bytes:
        """Canonical JSON."""
        return unpack(self.kept)

    def body(self) -> Body:
        """A fresh, mutable copy of the object."""
        body: Body = orjson.loads(self.raw)
        return body


@dataclass(frozen=True, slots=True)
class Manager:
    """One writer as `metadata.managedFields` names it: chosen by the client, therefore a claim and no proof."""

    name: str
    operation: str
    time: str


@dataclass(frozen=True, slots=True)
class Live:
    """One object as the API server last told it.

    `kept` is the whole object as `pack` leaves it, without `metadata.managedFields` (the server keeps those itself when
    a PUT leaves them out); `digest` covers what its kind covers. `managers` is ordered from the oldest to the newest
    write; `earlier_managers` have written before all of these and are not kept. `finalized`: it names finalizers.

    `abridged`: there is more of such objects than is kept. The digest is that of the whole object, and `raw` lacks what
    is foreign: it has to be asked for again before it is written. A `hollow` one lacks its content as well, and cannot
    be read as one of its kind.
    """

    ref: ObjectRef
    kept: bytes
    digest: Digest
    uid: str
    resource_version: str
    terminating: bool
    managers: tuple[Manager, ...]
    abridged: bool = False
    hollow: bool = False
    earlier_managers: int = 0
    finalized: bool = False

    @property
    def raw(self) -> bytes:
        """The object's JSON."""
        return unpack(self.kept)

    @property
    def size(self) -> int:
        """Bytes of its JSON."""
        return len(self.raw)

    def body(self) -> Body:
        """A fresh, mutable copy of the object."""
        body: Body = orjson.loads(self.raw)
        return body
