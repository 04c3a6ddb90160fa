"""What the store remembers of the revision that was accepted last: replicas that share a store share that.

A new pod has no data folder to find the last good model in. Without it a tenant whose file is broken would be governed
no longer, what has left the model would not be missed, and a change of any size would pass for a first model.
"""

import asyncio
import base64
import binascii
import zlib

import msgspec

from driftd.source import Kept, Revision, packed, unpacked
from driftd.store import Store

IN_FORCE = "model"
"""Under this the store remembers the revision's name."""
LAST_GOOD = "last-good"
"""Under this its files, as far as they are in force, with those that quarantined tenants are kept at."""

_MOST_BYTES = 32 * 1024 * 1024
_WHERE = "in the store"


class TooLargeToRemember(ValueError):
    """A model whose files, packed, are more than the store is given."""

    def __init__(self, packed_bytes: int) -> None:
        mebibytes = 1024 * 1024
        super().__init__(
            f"its files are {packed_bytes / mebibytes:.1f} MiB when they are packed, and the store keeps at most "
            f"{_MOST_BYTES // mebibytes}: take what is no model out of its folder"
        )


class LastAccepted:
    """Name and files of that revision, in the store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def is_(self, commit: str) -> bool:
        """Whether it is this one. Raises `StoreError`."""
        return await self._store.recall(IN_FORCE) == _json(commit)

    async def recall(self) -> Kept:
        """It, with its files in force; nothing where a driftd that kept none accepted it. Raises `StoreError`."""
        value = await self._store.recall(LAST_GOOD)
        if value is None:
            return Kept(None)
        kept = await asyncio.to_thread(_load, value)
        if kept.revision is not None and not await self.is_(kept.revision.commit):
            return Kept(None)
        return kept

    async def values(self, revision: Revision, quarantined: tuple[str, ...]) -> dict[str, str]:
        """What the store has to remember of a revision in force. Raises `TooLargeToRemember`."""
        return {IN_FORCE: _json(revision.commit), LAST_GOOD: await asyncio.to_thread(_dump, revision, quarantined)}


def _dump(revision: Revision, quarantined: tuple[str, ...]) -> str:
    squeeze = zlib.compressobj()
    pieces = [squeeze.compress(piece) for piece in packed(revision, quarantined)]
    data = base64.b64encode(b"".join([*pieces, squeeze.flush()]))
    if len(data) > _MOST_BYTES:
        raise TooLargeToRemember(len(data))
    return _json(data.decode())


def _load(value: str) -> Kept:
    try:
        data = zlib.decompress(base64.b64decode(msgspec.json.decode(value, type=str), validate=True))
    except (msgspec.MsgspecError, binascii.Error, ValueError, zlib.error) as error:
        return Kept(None, f"the last good model {_WHERE} cannot be read: {error}")
    return unpacked(data, _WHERE)


def _json(text: str) -> str:
    return msgspec.json.encode(text).decode()
