"""A queue in which owners take turns: one that puts in a thousand delays another by one."""

from collections import OrderedDict, deque
from typing import Generic, TypeVar

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class Turns(Generic[_Key, _Value]):
    """Within an owner values come in the order of their keys' first mark; a key waits once."""

    def __init__(self) -> None:
        self._owners: deque[str] = deque()
        self._waiting: dict[str, OrderedDict[_Key, _Value]] = {}
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def of(self, owner: str) -> int:
        """How many wait for this owner's turns."""
        return len(self._waiting.get(owner, ()))

    def waits(self, owner: str, key: _Key) -> bool:
        """Whether this value has not had its turn yet."""
        return key in self._waiting.get(owner, ())

    def put(self, owner: str, key: _Key, value: _Value) -> None:
        """Have a value wait; of a key that waits already it takes the value's place."""
        waiting = self._waiting.get(owner)
        if waiting is None:
            waiting = self._waiting[owner] = OrderedDict()
            self._owners.append(owner)
        self._size += key not in waiting
        waiting[key] = value

    def drop(self, owner: str, key: _Key) -> _Value | None:
        """Take a value out of turn; None if it does not wait."""
        waiting = self._waiting.get(owner)
        if waiting is None or key not in waiting:
            return None
        self._size -= 1
        return waiting.pop(key)

    def next(self) -> tuple[str, _Value] | None:
        """The owner whose turn it is, and its oldest value; None if nothing waits."""
        while self._owners:
            owner = self._owners.popleft()
            waiting = self._waiting[owner]
            if not waiting:
                del self._waiting[owner]
                continue
            _, value = waiting.popitem(last=False)
            self._size -= 1
            self._owners.append(owner)
            return owner, value
        return None
