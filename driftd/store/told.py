"""What the outbox keeps: pages as they stand, and what each destination has been told of them.

The store knows columns, not meaning: `body` belongs to the room above that writes it.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec


class PageRow(msgspec.Struct, frozen=True):
    """One life of one page. `settled`: nobody has to be told anything more; `gone`: it came to nothing, forget it."""

    key: str
    life: int
    state: str
    page_class: str
    urgency: str
    tenant: str
    namespace: str
    opened: datetime
    body: str
    settled: bool = False
    gone: bool = False


class DeliveryRow(msgspec.Struct, frozen=True):
    """What one destination was last told of one life of a page.

    `revision` is the newest that it accepted (0: none), `resolved` that it accepted the end, `refused` why it will
    never accept this page, `superseded` that a later life of the same page took this one's place.
    """

    key: str
    life: int
    destination: str
    revision: int
    resolved: bool
    urgency: str
    attempts: int
    at: datetime
    refused: str = ""
    superseded: bool = False


class Told(msgspec.Struct, frozen=True):
    """A page with all that is known of its deliveries."""

    page: PageRow
    deliveries: tuple[DeliveryRow, ...]


class Overlay:
    """Pages and deliveries that still wait in the journal: what the database says of them is out of date."""

    def __init__(self) -> None:
        self._pages: dict[tuple[str, int], PageRow] = {}
        self._deliveries: dict[tuple[str, int], dict[str, DeliveryRow]] = {}

    def take(self, pages: Iterable[PageRow], deliveries: Iterable[DeliveryRow]) -> None:
        """Rows that went to the journal."""
        for page in pages:
            self._pages[page.key, page.life] = page
        for row in deliveries:
            self._deliveries.setdefault((row.key, row.life), {})[row.destination] = row

    def clear(self) -> None:
        """All of it is in the database now."""
        self._pages.clear()
        self._deliveries.clear()

    def over(self, told: Sequence[Told]) -> Sequence[Told]:
        """The unsettled pages of the database, brought up to date."""
        found = {(one.page.key, one.page.life): one for one in told}
        for name, page in self._pages.items():
            before = found.pop(name, None)
            if not page.settled and not page.gone:
                found[name] = Told(page, before.deliveries if before else ())
        for name, rows in self._deliveries.items():
            if name in found:
                known = {row.destination: row for row in found[name].deliveries} | rows
                found[name] = Told(found[name].page, tuple(known.values()))
        return list(found.values())
