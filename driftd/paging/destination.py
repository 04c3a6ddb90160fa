"""What a destination of pages is to the outbox, and the two ways in which it does not take one."""

from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Protocol

from driftd.paging.step import Step


class NotAccepted(Exception):
    """The destination did not take it this time, or nobody knows: it is told again. Never carries a secret."""

    def __init__(self, destination: str, why: str, retry_after: float | None = None) -> None:
        super().__init__(f"{destination} did not take a page: {why}; it is tried again")
        self.why = why
        self.retry_after = retry_after


class Refused(Exception):
    """The destination will never take this page: a fault of the page, or of how driftd words it."""

    def __init__(self, destination: str, why: str) -> None:
        super().__init__(f"{destination} refuses a page: {why}; `driftd page` shows it, please report this")
        self.why = why


class Destination(Protocol):
    """Somebody who can be told of pages.

    `refresh_seconds` says how often what is open must be said again, 0 for never; `takes_changes` whether it is told
    what was repaired in its window.
    """

    name: str
    takes_changes: bool
    refresh_seconds: float

    async def send(self, step: Step, at: datetime) -> None:
        """Return when the step was accepted; raises `NotAccepted` or `Refused`, within a deadline of its own."""
        ...

    async def refresh(self, steps: Sequence[Step], at: datetime) -> None:
        """Say again what is open; raises `NotAccepted`."""
        ...

    async def close(self) -> None:
        """Give connections and threads back."""
        ...


def retry_after(header: str | None, now: datetime) -> float | None:
    """Seconds of a Retry-After header, which holds seconds or a date (RFC 9110, 10.2.3); None for anything else."""
    if not header:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, ((date if date.tzinfo else date.replace(tzinfo=UTC)) - now).total_seconds())
