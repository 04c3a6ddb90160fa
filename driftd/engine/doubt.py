"""How long slices and pods disagree about addresses: they are told apart from each other, and one may be behind."""

from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

_PATIENCE_SECONDS: Final = 10.0
"""For which an address in doubt counts for nothing."""
_MEMORY_SECONDS: Final = 60.0
"""For which what an address has had of that is remembered after it was last in doubt: else whoever ends the doubt for a
moment, by a pod that is listed and left out again, has all of it anew."""
_MOST_REMEMBERED: Final = 20_000


@dataclass(slots=True)
class _Doubt:
    """`since`: when it began, None while there is none; `last`: when it was there last."""

    had: float
    since: float | None
    last: float


class Doubts:
    """Adds up for each address. Times are monotonic seconds of the looks."""

    def __init__(self) -> None:
        self._addresses: OrderedDict[str, _Doubt] = OrderedDict()

    def look(self, doubtful: Collection[str], at: float) -> dict[str, float]:
        """Of the addresses in doubt now those with patience left, and for how many seconds."""
        for address, one in tuple(self._addresses.items()):
            if one.since is not None:
                one.last = at
                if address not in doubtful:
                    one.had, one.since = one.had + at - one.since, None
            elif at - one.last > _MEMORY_SECONDS:
                del self._addresses[address]
        fresh = {}
        for address in doubtful:
            one = self._addresses.setdefault(address, _Doubt(0.0, at, at))
            self._addresses.move_to_end(address)
            one.since = at if one.since is None else one.since
            left = _PATIENCE_SECONDS - one.had - (at - one.since)
            if left > 0:
                fresh[address] = left
        while len(self._addresses) > max(_MOST_REMEMBERED, len(doubtful)):
            self._addresses.popitem(last=False)
        return fresh
