"""Evidence that the database has lost, as a condition that wakes somebody once, and is over after a day."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from driftd.paging import About, Condition, PageClass
from driftd.store import Gap, Store, StoreUnreadable
from driftd.values import Clock

STANDS: Final = timedelta(days=1)
"""A loss is no state that ends, so this does: who has seen it may resolve it sooner where it was told, and is not told
again. The evidence keeps its row for ever."""

_LOOK_SECONDS = 10.0


class LostEvidence:
    """The newest loss that the store knows of, whichever replica has noticed it."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._gap: Gap | None = None

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(_LOOK_SECONDS)

    async def look(self) -> None:
        """Ask the store; while it cannot say, what was known stands."""
        try:
            self._gap = await self._store.gap()
        except StoreUnreadable:
            return  # that is a condition of its own

    def conditions(self) -> Iterator[Condition]:
        """One, while the loss is younger than a day; another loss is another page."""
        gap = self._gap
        if gap is None or self._clock.now() - gap.at >= STANDS:
            return
        about = About(f"evidence {gap.expected}", "Store", "evidence")
        lost, found = gap.expected.partition(":")[0], gap.found.partition(":")[0]
        on = f"goes on behind row {found}" if found != "0" else "begins anew"
        summary = f"row {lost} was recorded and is not there any more, the chain {on}"
        yield Condition(PageClass.EVIDENCE, about, summary)
