"""What the store remembers of the revision that was accepted last: replicas that share a store share that.

A new pod has no data folder to find the last good model in. Without it a tenant whose file is broken would be governed
no longer, what has left the model would not be missed, and a change of any size would pass for a first model.
"""

import asyncio
import base64
import binascii
import zlib

import msgspec
import structlog

from driftd.source import Kept, Revision, packed, unpacked
from driftd.store import Store

IN_FORCE = "model"
"""Under this the store remembers the revision's name."""
LAST_GOOD = "last-good"
"""Under this its files, as far as they are in force, with those that quarantined tenants are kept at."""

_MOST_BYTES = 4 * 1024 * 1024
"""As text: each replica writes it in one turn of a database that they share. Models are tens of kilobytes."""
_MOST_INFLATED = 80 * 1024 * 1024
"""More than a source may bring (`Limits.total_bytes`)."""
_WHERE = "in the store"
_log = structlog.get_logger()


class LastAccepted:
    """Name and files of that revision, in the store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def commit(self) -> str:
        """Its name, empty where there is none. Raises `StoreError`."""
        try:
            return msgspec.json.decode(await self._store.recall(IN_FORCE) or '""', type=str)
        except msgspec.MsgspecError:
            return ""

    async def recall(self) -> Kept:
        """It, with its files in force; nothing where whoever accepted it kept none. Raises `StoreError`."""
        value = await self._store.recall(LAST_GOOD)
        if value is None:
            return Kept(None)
        kept = await asyncio.to_thread(_load, value)
        if kept.revision is not None and kept.revision.commit != await self.commit():
            return Kept(None)
        return kept

    async def values(self, revision: Revision, quarantined: tuple[str, ...]) -> dict[str, str | None]:
        """What the store has to remember of a revision in force. Raises `StoreError`."""
        name: dict[str, str | None] = {IN_FORCE: _json(revision.commit)}
        record = await asyncio.to_thread(_dump, revision, quarantined)
        if len(record) > _MOST_BYTES:
            _log.warning("model.not_shared", commit=revision.commit, bytes=len(record), most=_MOST_BYTES)
            return {**name, LAST_GOOD: None}
        # Every replica accepts it; the record is written once.
        return name if await self._store.recall(LAST_GOOD) == record else {**name, LAST_GOOD: record}


def _dump(revision: Revision, quarantined: tuple[str, ...]) -> str:
    squeeze = zlib.compressobj()
    pieces = [squeeze.compress(piece) for piece in packed(revision, quarantined)]
    return _json(base64.b64encode(b"".join([*pieces, squeeze.flush()])).decode())


def _load(value: str) -> Kept:
    try:
        data = _inflated(base64.b64decode(msgspec.json.decode(value, type=str), validate=True))
    except (msgspec.MsgspecError, binascii.Error, ValueError, zlib.error) as error:
        return Kept(None, f"the last good model {_WHERE} cannot be read: {error}")
    return unpacked(data, _WHERE)


def _inflated(data: bytes) -> bytes:
    flow = zlib.decompressobj()
    found = flow.decompress(data, _MOST_INFLATED)
    if not flow.eof:
        raise ValueError(f"it is cut short, or more than {_MOST_INFLATED} bytes")
    return found


def _json(text: str) -> str:
    return msgspec.json.encode(text).decode()
