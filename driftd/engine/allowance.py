"""How much may be held for each owner: so many things, and so many bytes of them."""

from collections import Counter
from collections.abc import Hashable
from typing import Final, Generic, TypeVar

_Key = TypeVar("_Key", bound=Hashable)

MOST_HELD: Final = 500
MOST_BYTES: Final = 4 * 1024 * 1024
"""A tenant chooses how large its objects are, and how often each becomes another one."""


class Allowance(Generic[_Key]):
    """What is held, by its key; one owner's use of it leaves all others theirs."""

    def __init__(self) -> None:
        self._held: dict[_Key, tuple[str, int]] = {}
        self._count: Counter[str] = Counter()
        self._bytes: Counter[str] = Counter()

    def __contains__(self, key: _Key) -> bool:
        return key in self._held

    def take(self, owner: str, key: _Key, size: int) -> bool:
        """Hold a thing of so many bytes, in the place of what was held by its key; False, and nothing, without room."""
        self.release(key)
        if self._count[owner] >= MOST_HELD or self._bytes[owner] + size > MOST_BYTES:
            return False
        self._held[key] = (owner, size)
        self._count[owner] += 1
        self._bytes[owner] += size
        return True

    def release(self, key: _Key) -> None:
        """It is held no longer, if it was."""
        held = self._held.pop(key, None)
        if held is None:
            return
        owner, size = held
        self._count[owner] -= 1
        self._bytes[owner] -= size
        if not self._count[owner]:
            del self._count[owner], self._bytes[owner]
