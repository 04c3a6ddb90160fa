"""The last good model on disk: what driftd goes on with when its source is broken, unreadable or emptied.

One file, replaced whole: a JSON line that lists paths and sizes, the bytes of all files, and a SHA-256 over both. The
store keeps the same bytes for replicas without that file.
"""

import asyncio
import os
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import msgspec

from driftd.model import SourceFile
from driftd.source.revision import Revision

_FORMAT = 1


class _Header(msgspec.Struct, frozen=True):
    format: int
    commit: str
    files: tuple[tuple[str, int], ...]
    quarantined: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Kept:
    """What was found: a revision, or None; `problem` says why something that was there is of no use.

    The revision's files are those in force; of the tenants `quarantined` they are older than its commit.
    """

    revision: Revision | None
    problem: str = ""
    quarantined: tuple[str, ...] = ()


class LastGood:
    """Keeps exactly one revision in `directory`."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "last-good.model"

    async def keep(self, revision: Revision, quarantined: tuple[str, ...] = ()) -> None:
        """Replace what is kept, durably; raises `OSError` and then the older one still stands."""
        await asyncio.to_thread(self._write, revision, quarantined)

    async def load(self) -> Kept:
        """What is kept. Damage is a problem told in words and gives no revision: half a model is none."""
        return await asyncio.to_thread(self._load)

    def _write(self, revision: Revision, quarantined: tuple[str, ...]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        draft = self.path.with_suffix(".new")
        with draft.open("wb") as out:
            for piece in packed(revision, quarantined):
                out.write(piece)
            out.flush()
            os.fsync(out.fileno())
        draft.replace(self.path)
        directory = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def _load(self) -> Kept:
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return Kept(None)
        except OSError as error:
            return Kept(None, f"the last good model {self.path} cannot be read: {error.strerror}")
        return unpacked(data, str(self.path))


def packed(revision: Revision, quarantined: tuple[str, ...]) -> Iterator[bytes]:
    """What `unpacked` takes, piece by piece."""
    files = tuple((_escaped(file.path), len(file.data)) for file in revision.files)
    header = msgspec.json.encode(_Header(_FORMAT, revision.commit, files, quarantined)) + b"\n"
    digest = sha256(header)
    yield header
    for file in revision.files:
        digest.update(file.data)
        yield file.data
    yield digest.digest()


def unpacked(data: bytes, where: str) -> Kept:
    """The reverse of `packed`, found at `where`."""
    if len(data) < 32 or sha256(data[:-32]).digest() != data[-32:]:
        return Kept(
            None,
            f"the last good model {where} is damaged: its checksum does not fit; "
            "driftd starts from the source alone, and a new copy is kept once a revision is accepted",
        )
    line, _, rest = data[:-32].partition(b"\n")
    try:
        header = msgspec.json.decode(line, type=_Header)
    except msgspec.DecodeError as error:
        return Kept(None, f"the last good model {where} has a header that cannot be read: {error}")
    if header.format != _FORMAT or sum(size for _, size in header.files) != len(rest):
        return Kept(None, f"the last good model {where} is of format {header.format}; expected {_FORMAT}")
    files = []
    at = 0
    for path, size in header.files:
        try:
            files.append(SourceFile(_unescaped(path), rest[at : at + size]))
        except UnicodeError:
            return Kept(None, f"the last good model {where} names a file that no source has: {path!r}")
        at += size
    return Kept(Revision(tuple(files), header.commit), quarantined=header.quarantined)


def _escaped(path: str) -> str:
    """A path as text that JSON can carry, also when the file system's bytes are no UTF-8."""
    return path.encode("utf-8", "surrogateescape").decode("latin-1")


def _unescaped(text: str) -> str:
    return text.encode("latin-1").decode("utf-8", "surrogateescape")
