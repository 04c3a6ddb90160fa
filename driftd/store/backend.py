"""What the store needs of a database, whichever it is, and which one an address names."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

from sqlalchemy import URL, Connection, make_url
from sqlalchemy.exc import ArgumentError

from driftd.store.chain import Head
from driftd.store.database import Database
from driftd.store.errors import UnsupportedDatabase
from driftd.store.sqlite import Setback
from driftd.values import Clock

T = TypeVar("T")


class Backend(Protocol):
    """Runs transaction bodies and names what goes wrong; see `Database` and `Postgres`."""

    @property
    def name(self) -> str:
        """For the evidence: which database, and no secret."""
        ...

    @property
    def setbacks(self) -> tuple[Setback, ...]:
        """What the records suffered and is not yet in the evidence."""
        ...

    def forget_setbacks(self) -> None:
        """They are in the evidence now."""
        ...

    async def open(self) -> None:
        """Check, migrate, connect. Raises `DatabaseUnavailable`, `SchemaTooNew`."""
        ...

    async def write(self, body: Callable[[Connection], T], after: Head | None = None, *, patient: bool = False) -> T:
        """One durable transaction; with `after`, only while that is the newest row of the evidence.

        `patient`: no repair waits for it, so that other replicas' turns may take their time.

        Raises `DatabaseUnavailable` (commit unknown), `EntryRefused` (rolled back), `Overtaken` (another row is).
        """
        ...

    async def read(self, body: Callable[[Connection], T]) -> T:
        """One read transaction. Raises `StoreUnreadable`."""
        ...

    async def recover(self) -> None:
        """After a failed `write`: connect again. Raises `DatabaseUnavailable` if that must wait."""
        ...

    async def close(self) -> None:
        """Let go of every connection, within the deadline."""
        ...


def address_of(url_or_path: str | Path) -> Path | URL:
    """A path, `sqlite:///path`, or `postgresql://` with or without `+asyncpg`.

    Raises:
        UnsupportedDatabase: any other scheme, or an address that cannot be read; its password is in no message.
    """
    text = str(url_or_path)
    if text.startswith("sqlite:///"):
        return Path(text.removeprefix("sqlite:///"))
    if "://" not in text:
        if isinstance(url_or_path, str) and "@" in text:  # a login, in an address that lacks a slash
            raise UnsupportedDatabase(text)
        return Path(url_or_path)
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):  # a port that is no number
        raise UnsupportedDatabase(text) from None
    if url.drivername not in {"postgresql", "postgresql+asyncpg"} or not url.host or not url.database:
        raise UnsupportedDatabase(text)
    return url.set(drivername="postgresql+asyncpg")


def shown(address: Path | URL) -> str:
    """The address for people: without its password."""
    return str(address) if isinstance(address, Path) else address.render_as_string(hide_password=True)


def backend_at(address: Path | URL, clock: Clock, *, busy_ms: int, deadline_seconds: float) -> Backend:
    """The database behind an address; nothing is opened yet."""
    if isinstance(address, Path):
        return Database(address, clock, busy_ms=busy_ms, deadline_seconds=deadline_seconds)
    from driftd.store.postgres import Postgres  # noqa: PLC0415 - asyncpg is for those who use it

    return Postgres(address, busy_ms=busy_ms, deadline_seconds=deadline_seconds)
