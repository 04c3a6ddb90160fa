"""The journal: where entries wait, fsynced and in order, while the database is gone.

A file of NDJSON lines `{"sum": "<crc32>", "entry": {...}}`. Its space is reserved beforehand, because a full disk
is the most likely day it is needed, and a NUL byte ends what is written: whatever a torn write left behind it is
never read. One process owns it (flock). It is bounded: what does not fit is refused, never dropped silently.
"""

import errno
import fcntl
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import msgspec
import structlog

from driftd.store.entries import Entry, decode, encode
from driftd.store.errors import EntryRefused, StoreError, StoreInUse

_log = structlog.get_logger("driftd.store")

DEFAULT_BYTES = 16 * 1024 * 1024
_READ_BYTES = 256 * 1024


class JournalRefused(StoreError):
    """The journal is full or its own file cannot be written."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What the journal holds from some offset on: entries, bytes up to here, and lines that could not be read."""

    entries: tuple[Entry, ...]
    end: int
    damaged: int = 0


class Journal:
    """An append-only, bounded, fsynced file of entries. Blocking: call it in a thread. Not thread-safe."""

    def __init__(self, path: Path, max_bytes: int = DEFAULT_BYTES) -> None:
        self.path = path
        self._max = max_bytes
        path.parent.mkdir(parents=True, exist_ok=True)
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._fd)
            raise StoreInUse(path) from error
        self._reserve()
        _sync_directory(path.parent)
        self._end = 0
        while (reading := self.read(self._end)).entries:
            self._end = reading.end
        self._highest = self._end  # of what this process finds or writes, whether or not it is durable

    @property
    def used(self) -> int:
        """Bytes of entries that wait."""
        return self._end

    def append(self, entries: Sequence[Entry]) -> None:
        """Make all of `entries` durable, or raise `JournalRefused` and keep none of them."""
        try:
            data = b"".join(map(_line, entries))
        except (TypeError, ValueError) as error:  # text that is no Unicode, and the like
            raise EntryRefused("an entry", f"{type(error).__name__}: {error}") from error
        end = self._end + len(data)
        if end + 1 > self._max:
            raise JournalRefused(f"{self.path} is full ({self._end} of {self._max} bytes wait for the database)")
        self._highest = max(self._highest, end)
        try:
            _write_all(self._fd, data + b"\0", self._end)
            os.fdatasync(self._fd)
        except OSError as error:
            raise JournalRefused(f"{self.path}: {error.strerror}") from error
        self._end = end

    def read(self, offset: int) -> Reading:
        """The next entries from `offset` on, in order; without any where nothing is left.

        Some hundred KiB at a time: the journal of a long outage takes no more memory than that of a short one. A torn
        last line is cut; damage before an entry is counted.
        """
        entries: list[Entry] = []
        rest, pending, damaged = b"", 0, 0
        end = position = ahead = offset
        while not entries:
            try:
                part = os.pread(self._fd, _READ_BYTES, ahead)
            except OSError as error:
                raise JournalRefused(f"{self.path}: {error.strerror}") from error
            ahead += len(part)
            written, zero, _reserved = part.partition(b"\0")
            *lines, rest = (rest + written).split(b"\n")
            for line in lines:
                position += len(line) + 1
                entry = _parse(line)
                if entry is None:
                    pending += 1
                    continue
                entries.append(entry)
                damaged, pending, end = damaged + pending, 0, position
            if zero or not part:
                break
        return Reading(tuple(entries), end, damaged)

    def clear(self) -> None:
        """Forget everything: all of it is in the database now. Space that is reserved is kept, not asked for anew."""
        self._end = 0
        try:
            if self._is_reserved():
                _wipe(self._fd, self._highest)
                self._highest = 0
            else:
                os.ftruncate(self._fd, 0)
                self._reserve()
            os.fsync(self._fd)
        except OSError as error:
            raise JournalRefused(f"{self.path}: {error.strerror}") from error

    def close(self) -> None:
        """Release the file and its lock."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _is_reserved(self) -> bool:
        stat = os.fstat(self._fd)
        return stat.st_size >= self._max and stat.st_blocks * 512 >= self._max

    def _reserve(self) -> None:
        if self._is_reserved():
            return  # where the file system cannot reserve, asking means to read and write every block: minutes on NFS
        before = os.fstat(self._fd).st_size
        try:
            os.posix_fallocate(self._fd, 0, self._max)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                # Some file systems keep what they found until then: the database would have no room left at all.
                os.ftruncate(self._fd, before)
            elif error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
                raise JournalRefused(f"{self.path}: {error.strerror}") from error
            # Append and see; the bound still holds.
            _log.warning("journal.not_reserved", path=str(self.path), bytes=self._max, reason=error.strerror)


def _line(entry: Entry) -> bytes:
    body = encode(entry)
    return b'{"sum":"%08x","entry":%s}\n' % (crc32(body), body)


class _Line(msgspec.Struct):
    sum: str
    entry: msgspec.Raw


_LINES = msgspec.json.Decoder(_Line)


def _parse(line: bytes) -> Entry | None:
    try:
        parsed = _LINES.decode(line)
        body = bytes(parsed.entry)
        return decode(body) if parsed.sum == f"{crc32(body):08x}" else None
    except msgspec.DecodeError:
        return None


def _write_all(fd: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(fd, view, offset)
        view, offset = view[written:], offset + written


def _wipe(fd: int, count: int) -> None:
    """NUL bytes in place of so many and of the one that ended them: none shows behind a later torn write."""
    for offset in range(0, count + 1, _READ_BYTES):
        _write_all(fd, bytes(min(_READ_BYTES, count + 1 - offset)), offset)


def _sync_directory(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
