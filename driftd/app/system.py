"""What the pure rooms are handed instead of the machine: its clock, and ids that are unique."""

import secrets
import time
from datetime import UTC, datetime


class SystemClock:
    """The machine's own time."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()


def new_id() -> str:
    """Unique, and sorted by time."""
    return f"{time.time_ns():016x}{secrets.token_hex(4)}"
