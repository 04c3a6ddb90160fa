"""One SQLite file: opened so that a commit is durable, checked at start, never trusted blindly, never lost silently.

All of this blocks: it runs on the one thread that owns the connection (`database`).
"""

import os
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from sqlalchemy import Connection, Engine, NullPool, create_engine, event, text
from sqlalchemy.exc import DBAPIError

from driftd.store import ledger, migrate
from driftd.store.chain import Head
from driftd.store.errors import DatabaseUnavailable, Overtaken

T = TypeVar("T")

_CORRUPT = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_SIDES = ("-wal", "-shm")


@dataclass(frozen=True, slots=True)
class Setback:
    """Something the file suffered, for the evidence: what, which file was kept, the last known head."""

    kind: str  # store.quarantined | store.restored
    reason: str
    kept: str
    last_head: str
    salvaged: Mapping[str, str] = field(default_factory=dict)  # remembered values a broken file could still tell


def engine(path: Path, busy_ms: int, *, read_only: bool = False) -> Engine:
    """An engine whose connections commit durably: WAL with a sync at each commit, write lock taken at BEGIN."""

    def connect() -> sqlite3.Connection:
        mode = "ro" if read_only else "rwc"
        connection = sqlite3.connect(
            f"file:{quote(str(path))}?mode={mode}",
            uri=True,
            isolation_level=None,
            timeout=busy_ms / 1000,
            check_same_thread=False,
        )
        try:
            if not read_only:
                connection.execute("PRAGMA journal_mode=WAL").fetchall()
                connection.execute("PRAGMA journal_size_limit=67108864").fetchall()
            connection.execute("PRAGMA synchronous=FULL").fetchall()
            connection.execute("PRAGMA trusted_schema=OFF").fetchall()
        except BaseException:
            connection.close()
            raise
        return connection

    # hide_parameters: a failing statement's values must not end up in logs.
    made = create_engine("sqlite://", creator=connect, poolclass=NullPool, hide_parameters=True)
    begin = "BEGIN" if read_only else "BEGIN IMMEDIATE"

    @event.listens_for(made, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return made


def unavailable(error: Exception) -> DatabaseUnavailable | None:
    """The error as a condition of the database, or None when the fault lies with what was asked of it."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(cause, OSError):
        return DatabaseUnavailable(f"{type(cause).__name__}: {cause.strerror}")
    if not isinstance(cause, sqlite3.DatabaseError) or isinstance(
        cause, sqlite3.IntegrityError | sqlite3.DataError | sqlite3.ProgrammingError
    ):
        return None
    code = getattr(cause, "sqlite_errorcode", 0) & 0xFF
    missing_table = code == sqlite3.SQLITE_ERROR and "no such table" in str(cause)
    corrupt = code in _CORRUPT or missing_table
    return DatabaseUnavailable(str(cause)[:256], corrupt=corrupt, suspect=corrupt or code == sqlite3.SQLITE_IOERR)


class SqliteFile:
    """The file, its single writing connection, and what to do when either fails."""

    def __init__(self, path: Path, now: Callable[[], datetime], busy_ms: int) -> None:
        self.path = path
        self._now = now
        self._engine = engine(path, busy_ms)
        self._connection: Connection | None = None
        self._inodes: tuple[int, ...] = ()
        self._suspect = False
        self.setbacks: list[Setback] = []

    def open(self, *, check: bool = True) -> None:
        """Check, migrate, connect. A corrupt file is moved aside and a fresh one begun (see `setbacks`).

        Raises `DatabaseUnavailable` when it cannot be opened now, `SchemaTooNew` when it must not be.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        problem = self._problem() if check and self.path.exists() and self.path.stat().st_size else ""
        if problem:
            self._quarantine(problem)
        connection = self._engine.connect()
        try:
            self._migrate(connection)
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        self._inodes = self._identity()
        self._suspect = False

    def transact(self, body: Callable[[Connection], T], after: Head | None = None) -> T:
        """Run `body` in one durable transaction on the owned connection, if `after` is (still) the newest row."""
        if self._connection is None:
            raise DatabaseUnavailable("not open")
        if self._identity() != self._inodes:
            raise DatabaseUnavailable(f"{self.path} was removed or replaced while in use")
        try:
            with self._connection.begin():
                if after is not None and ledger.head_of(self._connection) != after:
                    raise Overtaken
                return body(self._connection)
        except DBAPIError as error:
            condition = unavailable(error)
            self._suspect = self._suspect or bool(condition and condition.suspect)
            raise

    def recover(self) -> None:
        """Make the file usable again after `transact` failed; raises when that is not possible yet."""
        if self._connection is not None and not self._suspect and self._identity() != self._inodes:
            self._restore(self._connection)
        self.close()
        self.open(check=self._suspect)

    def close(self) -> None:
        """Close the connection; the last one also folds the WAL into the file."""
        if self._connection is not None:
            with suppress(DBAPIError):
                self._connection.close()
            self._connection = None

    def _identity(self) -> tuple[int, ...]:
        """Inodes of file and WAL: SQLite goes on writing into an unlinked file and calls that committed."""
        try:
            return (self.path.stat().st_ino, Path(f"{self.path}-wal").stat().st_ino)
        except FileNotFoundError:
            return ()

    def _problem(self) -> str:
        """Why the file cannot be trusted; empty when it can. Raises when it cannot even be asked."""
        try:
            with self._engine.connect() as connection:
                lines = [str(row[0]) for row in connection.exec_driver_sql("PRAGMA quick_check(3)")]
                if lines != ["ok"]:
                    return "; ".join(lines)[:256]
                found = migrate.version(connection)
                missing = migrate.incomplete(connection) if found else ()
                migrate.refuse_newer(str(self.path), found)
                return f"tables are missing: {', '.join(missing)}" if missing and found == migrate.HEAD else ""
        except (DBAPIError, sqlite3.DatabaseError) as error:
            condition = unavailable(error)
            if condition is None or not condition.corrupt:
                raise
            return condition.reason

    def _quarantine(self, problem: str) -> None:
        """Move the file aside under a name that says when; nothing of it is ever deleted."""
        head = self._last_words(ledger.head_of)
        salvaged = self._last_words(ledger.remembered) or {}
        kept = self._aside("corrupt")
        self.setbacks.append(
            Setback("store.quarantined", problem, kept.name, str(head) if head else "unknown", salvaged)
        )

    def _last_words(self, ask: Callable[[Connection], T]) -> T | None:
        """What a broken file still tells."""
        try:
            with self._engine.connect() as connection:
                return ask(connection)
        except (DBAPIError, sqlite3.DatabaseError, UnicodeError):
            return None

    def _restore(self, connection: Connection) -> None:
        """The file's name is gone or means another file, but our handle still reads the true one: put it back."""
        rescued = self.path.with_name(f"{self.path.name}.rescued")
        rescued.unlink(missing_ok=True)
        _copy(connection, rescued)
        head = ledger.head_of(connection)
        connection.rollback()
        # Closing first: the last connection to a WAL database removes the side files by *name*.
        self.close()
        # A WAL that is still ours must not lie beside a foreign file: SQLite would play it into it.
        wal = Path(f"{self.path}-wal")
        if wal.exists() and wal.stat().st_ino in self._inodes:
            wal.unlink()
        kept = self._aside("foreign").name if self.path.exists() else ""
        for side in _SIDES:
            Path(f"{self.path}{side}").unlink(missing_ok=True)
        rescued.rename(self.path)
        _sync(self.path.parent)
        self.setbacks.append(
            Setback("store.restored", "the file was removed or replaced while in use", kept, str(head))
        )

    def _aside(self, why: str) -> Path:
        stamp = self._now().strftime("%Y%m%dT%H%M%SZ")
        number = 0
        while True:
            kept = self.path.with_name(f"{self.path.name}.{why}-{stamp}{f'-{number}' if number else ''}")
            if not kept.exists():
                break
            number += 1
        for side in _SIDES:
            with suppress(FileNotFoundError):
                Path(f"{self.path}{side}").rename(f"{kept}{side}")
        self.path.rename(kept)
        _sync(self.path.parent)
        return kept

    def _migrate(self, connection: Connection) -> None:
        found = migrate.version(connection)
        connection.rollback()
        migrate.refuse_newer(str(self.path), found)
        if found == migrate.HEAD:
            return
        old = migrate.holds_anything(connection)
        if old:
            copy = self.path.with_name(f"{self.path.name}.before-{migrate.HEAD}")
            copy.unlink(missing_ok=True)
            _copy(connection, copy)
        with connection.begin():
            (migrate.upgrade if old else migrate.create)(connection)


def _copy(connection: Connection, target: Path) -> None:
    """A consistent, synced copy of everything the connection can see."""
    source = connection.connection.driver_connection
    if not isinstance(source, sqlite3.Connection):
        raise TypeError(f"expected a sqlite3 connection, got {type(source).__name__}")
    copy = sqlite3.connect(target)
    try:
        source.backup(copy)
    finally:
        copy.close()
    fd = os.open(target, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _sync(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def reader(path: Path, busy_ms: int) -> Connection:
    """A read-only connection beside the writer: a long walk along the chain never holds up a repair."""
    connection = engine(path, busy_ms, read_only=True).connect()
    connection.execute(text("SELECT 1")).close()
    connection.rollback()
    return connection
