"""In which condition the store is, and how patient it may be."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from driftd.store.journal import DEFAULT_BYTES


class StoreMode(StrEnum):
    """Where records go: to the database, to the journal, or nowhere."""

    OK = "ok"
    JOURNALLING = "journalling"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class StoreState:
    """Where records go, since when, why it is not the database, and how many records of this outage nobody took."""

    mode: StoreMode
    since: datetime
    reason: str = ""
    lost: int = 0


@dataclass(frozen=True, slots=True)
class StoreOptions:
    """How patient the store is, and how much it keeps for a database that is away.

    `busy_ms` bounds the wait for somebody else's lock and `deadline_seconds` a hanging file system: a repair waits
    no longer than that before its intent goes to the journal.
    """

    journal_bytes: int = DEFAULT_BYTES
    busy_ms: int = 250
    deadline_seconds: float = 2.0
    retry_first_seconds: float = 0.1
    retry_last_seconds: float = 5.0
    steady_seconds: float = 30.0  # so long well, and the next outage starts with a short retry again
    idle_seconds: float = 1.0  # how often confirmations and the head's anchor are written
