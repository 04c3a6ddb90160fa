"""From the API server's bytes to `Live`, without typed models: fields nobody knows yet must survive.

An object is opened one level deep, `metadata` one deeper; everything else stays the bytes it was. That is as fast as
a partial struct, and a number or a key order we do not understand passes through unharmed.
"""

import hashlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, TypeAlias

import msgspec
import orjson
import structlog

from driftd.values import Body, Digest, Live, Manager, ObjectRef, Resource, pack

METADATA_LIST: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
METADATA: Final = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"

_MOST_MANAGERS: Final = 32
"""Writers of one object that are kept, the latest. A server-side apply under one more name makes one more of them, and
the API server keeps as many as fit into an object."""

DigestOf: TypeAlias = Callable[[Resource, Body], Digest]
"""The covered digest of an object. May raise ValueError for one it cannot read: then the whole object is digested."""

_log = structlog.get_logger()


class Malformed(ValueError):
    """Bytes that are not an object, an event or a list as the API promises them."""


class _ManagedField(msgspec.Struct):
    manager: str = ""
    operation: str = ""
    time: str = ""


class _Meta(msgspec.Struct, rename="camel"):
    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    deletion_timestamp: str | None = None
    managed_fields: list[_ManagedField] | None = None


class _ListMeta(msgspec.Struct, rename="camel"):
    resource_version: str = ""
    continue_: str = msgspec.field(default="", name="continue")


class _Page(msgspec.Struct):
    metadata: _ListMeta
    items: list[msgspec.Raw] | None = None


class _Event(msgspec.Struct):
    type: str
    object: msgspec.Raw


_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_META = msgspec.json.Decoder(_Meta)
_PAGE = msgspec.json.Decoder(_Page)
_EVENT = msgspec.json.Decoder(_Event)
_ENCODER = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list: its items' bytes (views into the page), the list's version, where to go on."""

    items: tuple[memoryview | bytes, ...]
    resource_version: str
    token: str


@dataclass(frozen=True, slots=True)
class Event:
    """One line of a watch."""

    type: str
    object: memoryview | bytes


def read_page(body: bytes) -> Page:
    """Raises Malformed unless the bytes are a list with a resourceVersion."""
    try:
        page = _PAGE.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Malformed(f"not a list: {error}") from error
    if not page.metadata.resource_version:
        raise Malformed("a list without metadata.resourceVersion")
    return Page(
        tuple(memoryview(item) for item in page.items or ()), page.metadata.resource_version, page.metadata.continue_
    )


def read_event(line: bytes) -> Event:
    """Raises Malformed unless the line is a watch event."""
    try:
        event = _EVENT.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Malformed(f"not a watch event: {error}") from error
    return Event(event.type, memoryview(event.object))


def read_version(data: memoryview | bytes) -> str:
    """The resourceVersion of an object that carries nothing else (a bookmark)."""
    meta, _, _ = _open(data)
    if not meta.resource_version:
        raise Malformed("a bookmark without metadata.resourceVersion")
    return meta.resource_version


@dataclass(frozen=True, slots=True)
class Listed:
    """An object as a list names it, without its content."""

    ref: ObjectRef
    uid: str
    resource_version: str


@dataclass(frozen=True, slots=True)
class ObjectReader:
    """Turns objects of one kind into `Live`. `partial` objects are metadata only (kinds we do not understand)."""

    resource: Resource
    digest: DigestOf
    partial: bool = False

    def live(self, data: memoryview | bytes, *, stored: bool = True) -> Live:
        """The object as driftd keeps it: no managedFields, apiVersion and kind always there, a copy of the bytes.

        Items of a list come without apiVersion and kind, and metadata-only ones with those of the wrapper. What a
        dry run answers is not `stored` and has no version.

        Raises:
            Malformed: no object, or one without name, uid or resourceVersion.
        """
        meta, fields, metadata = _open(data)
        if not meta.name or (stored and not (meta.uid and meta.resource_version)):
            raise Malformed(f"a {self.resource.kind} without metadata.name, uid or resourceVersion")
        metadata.pop("managedFields", None)
        head: dict[str, object] = {"apiVersion": self.resource.api_version, "kind": self.resource.kind}
        raw = _ENCODER.encode(head | {**fields, **head, "metadata": metadata})
        return Live(
            ref=self.resource.ref(sys.intern(meta.namespace), sys.intern(meta.name)),
            kept=pack(raw),
            digest=self.digest_of(raw),
            uid=meta.uid,
            resource_version=meta.resource_version,
            terminating=meta.deletion_timestamp is not None,
            managers=_managers(meta.managed_fields),
            earlier_managers=max(0, len(meta.managed_fields or ()) - _MOST_MANAGERS),
            finalized="finalizers" in metadata,
        )

    def listed(self, data: memoryview | bytes) -> Listed:
        """Which version of which object the bytes are: no digest is made and no content kept.

        Raises:
            Malformed: as `live`.
        """
        meta, _, _ = _open(data)
        if not (meta.name and meta.uid and meta.resource_version):
            raise Malformed(f"a {self.resource.kind} without metadata.name, uid or resourceVersion")
        ref = self.resource.ref(sys.intern(meta.namespace), sys.intern(meta.name))
        return Listed(ref, meta.uid, meta.resource_version)

    def digest_of(self, raw: bytes) -> Digest:
        """The covered digest; of an object that the policy room cannot read, a digest that equals no desired one."""
        body: Body = orjson.loads(raw)
        try:
            return self.digest(self.resource, body)
        except ValueError as error:
            # One poisonous object must not stop the stream of its kind (it is drift, and stays visible as such).
            _log.warning("cluster.object.unreadable", kind=self.resource.kind, error=type(error).__name__)
            return Digest(hashlib.blake2b(b"unreadable\0" + raw, digest_size=16).digest())


def _open(data: memoryview | bytes) -> tuple[_Meta, dict[str, msgspec.Raw], dict[str, msgspec.Raw]]:
    try:
        fields = _OBJECT.decode(data)
        section = fields["metadata"]
        return _META.decode(section), fields, _OBJECT.decode(section)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Malformed(f"not an object: {error}") from error
    except KeyError as error:
        raise Malformed("an object without metadata") from error


def _managers(fields: list[_ManagedField] | None) -> tuple[Manager, ...]:
    ordered = sorted(fields or (), key=lambda entry: entry.time)[-_MOST_MANAGERS:]
    return tuple(_manager(entry.manager, entry.operation, entry.time) for entry in ordered)


@lru_cache(maxsize=4096)
def _manager(name: str, operation: str, time: str) -> Manager:
    """One value for all the objects that a roll-out wrote in the same second."""
    return Manager(sys.intern(name), sys.intern(operation), time)
