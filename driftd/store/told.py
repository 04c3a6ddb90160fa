"""What the outbox keeps: pages as they stand, and what each destination has been told of them.

The store knows columns, not meaning: `body` belongs to the room above that writes it.
"""

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
