"""The machine's time for commands; the daemon's own stands in `app`, with all that a daemon needs."""

import time
from datetime import UTC, date, datetime


class CommandClock:
    """Real time."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()


def today() -> date:
    """The day in UTC, as exemptions count it."""
    return datetime.now(UTC).date()
