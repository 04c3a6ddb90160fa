"""A pack is looked through before it is believed: how many objects, how big once unpacked, whole to its checksum."""

import contextlib
import mmap
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha1
from typing import IO, Final

from dulwich.object_format import SHA1
from dulwich.pack import PackData, PackInflater

from driftd.source.git.errors import TooMuchToFetch

COMMIT, TREE, BLOB, TAG, OFS_DELTA, REF_DELTA = 1, 2, 3, 4, 6, 7
_WHOLE: Final = frozenset({COMMIT, TREE, BLOB, TAG})
_SLICE = 64 * 1024
_TRAILER = 20


@dataclass(frozen=True, slots=True)
class Caps:
    """How much one fetch may be: bytes sent, objects, bytes of one object and of all of them unpacked."""

    pack_bytes: int = 32 * 1024 * 1024
    objects: int = 100_000
    object_bytes: int = 8 * 1024 * 1024
    unpacked_bytes: int = 96 * 1024 * 1024


class Damaged(Exception):
    """A pack that is not what the format promises; caught by whoever knows the address."""


@dataclass(frozen=True, slots=True)
class Stored:
    """One object: its type and its content."""

    type: int
    data: bytes


def unpacked(pack: IO[bytes], size: int, caps: Caps) -> Mapping[str, Stored]:
    """Every object of a pack by its name. Raises `Damaged`, `TooMuchToFetch`.

    Names are computed from the content: what a server calls an object counts for nothing.
    """
    with mmap.mmap(pack.fileno(), size, access=mmap.ACCESS_READ) as content:
        _look_through(content, caps)
    pack.seek(0)
    with contextlib.closing(PackData.from_file(pack, SHA1, size)) as data:
        return {
            found.id.decode(): Stored(found.type_num, found.as_raw_string())
            for found in PackInflater.for_pack_data(data)
        }


def _look_through(content: mmap.mmap, caps: Caps) -> None:
    """Everything that can be told without holding more than one delta."""
    size = len(content)
    if size < 12 + _TRAILER or content[:4] != b"PACK":
        raise Damaged("it ends before its header does" if size < 12 + _TRAILER else "it does not begin like a pack")
    version, count = int.from_bytes(content[4:8], "big"), int.from_bytes(content[8:12], "big")
    if version not in (2, 3):
        raise Damaged(f"it is of version {version}, expected 2")
    if count > caps.objects:
        raise TooMuchToFetch("the branch", f"{count} objects", str(caps.objects), "DRIFTD_MODEL__GIT__OBJECTS")
    end = size - _TRAILER
    checksum = sha1(usedforsecurity=False)
    for start in range(0, end, _SLICE):
        checksum.update(content[start : min(start + _SLICE, end)])
    if checksum.digest() != content[end:]:
        raise Damaged("its checksum does not fit: it was cut off or changed on the way")
    at, total = 12, 0
    for _ in range(count):
        at, result = _entry(content, at, caps)
        total += result
        if total > caps.unpacked_bytes:
            raise _too_big("the branch, unpacked", total, caps.unpacked_bytes, "UNPACKED_BYTES")
    if at != end:
        raise Damaged("its objects do not end where it ends")


def _entry(body: mmap.mmap, at: int, caps: Caps) -> tuple[int, int]:
    """Where the next entry begins, and how big this one's object is."""
    try:
        kind, size, at = _header(body, at)
        if kind in _WHOLE:
            _bounded(size, caps)
            for _ in (inflating := _Inflating(body, at, size)):
                pass
            return inflating.at, size
        at = _skip_base(body, at, kind)
        _bounded(size, caps)
        inflating = _Inflating(body, at, size)
        delta = b"".join(inflating)
        return inflating.at, _delta_result(delta, caps)
    except IndexError:
        raise Damaged("an object's header is cut off") from None
    except zlib.error as error:
        raise Damaged(f"an object cannot be unpacked: {error}") from None


def _header(body: mmap.mmap, at: int) -> tuple[int, int, int]:
    byte = body[at]
    kind, size, shift = (byte >> 4) & 7, byte & 15, 4
    while byte & 0x80:
        at += 1
        byte = body[at]
        size |= (byte & 0x7F) << shift
        shift += 7
        if shift > 64:
            raise Damaged("an object's size has no end")
    return kind, size, at + 1


def _skip_base(body: mmap.mmap, at: int, kind: int) -> int:
    if kind == REF_DELTA:
        return at + 20
    if kind != OFS_DELTA:
        raise Damaged(f"an object of type {kind}, which packs do not have")
    while body[at] & 0x80:
        at += 1
    return at + 1


class _Inflating:
    """The pieces of one zlib stream that must be exactly `size` bytes; `at` is where it ended."""

    def __init__(self, body: mmap.mmap, at: int, size: int) -> None:
        self._body, self.at, self._size = body, at, size

    def __iter__(self) -> Iterator[bytes]:
        stream, got = zlib.decompressobj(), 0
        while not stream.eof:
            piece = self._body[self.at : self.at + _SLICE]
            if not piece:
                raise Damaged("it ends inside an object")
            data = stream.decompress(piece, self._size - got + 1)
            got += len(data)
            if got > self._size or stream.unconsumed_tail:
                raise Damaged("an object is bigger than it says")
            self.at += len(piece) - len(stream.unused_data)
            yield data
        if got != self._size:
            raise Damaged("an object is smaller than it says")


def _delta_result(delta: bytes, caps: Caps) -> int:
    """The size of what a delta makes, by its own steps: a few bytes can ask for terabytes of copies."""
    _, at = _varint(delta, 0)
    result, at = _varint(delta, at)
    _bounded(result, caps)
    made = 0
    while at < len(delta):
        step = delta[at]
        at += 1
        if step & 0x80:
            at += (step & 0x0F).bit_count()
            length = 0
            for number in range(3):
                if step & (0x10 << number):
                    length |= delta[at] << (8 * number)
                    at += 1
            made += length or 0x10000
        else:
            at += step
            made += step
        if made > result or step == 0:
            raise Damaged("a delta makes more than it says")
    return result


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return value, at
        if shift > 64:
            raise Damaged("a delta's size has no end")


def _bounded(size: int, caps: Caps) -> None:
    if size > caps.object_bytes:
        raise _too_big("a file on the branch", size, caps.object_bytes, "OBJECT_BYTES")


def _too_big(what: str, size: int, limit: int, setting: str) -> TooMuchToFetch:
    return TooMuchToFetch(what, f"{size} bytes", f"{limit} bytes", f"DRIFTD_MODEL__GIT__{setting}")
