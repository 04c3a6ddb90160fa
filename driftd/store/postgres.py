"""PostgreSQL: the same transaction bodies over asyncpg, for several replicas that share one set of records.

Writers take turns by one advisory lock a transaction, so each sees the chain's head as the one before left it; the
unique previous hash is the second line behind that. A replica that freezes inside a transaction is cut off by the
server (`idle_in_transaction_session_timeout`), or nobody else could write.
"""

import asyncio
from collections.abc import Callable
from typing import Final, TypeVar

import structlog
from sqlalchemy import URL, Connection, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from driftd.store import migrate
from driftd.store.errors import DatabaseUnavailable, EntryRefused, StoreError, StoreUnreadable
from driftd.store.schema import metadata
from driftd.store.sqlite import Setback

T = TypeVar("T")

_WRITERS: Final = 0x6472_6966_7464  # "driftd": every transaction that appends to the chain
_MIGRATION_SECONDS: Final = 900.0
_READ_SECONDS: Final = 30.0
_AWAY: Final = frozenset({"08", "25", "28", "3D", "40", "53", "55", "57", "58", "XX"})
"""SQLSTATE classes that tell of the database, not of what was asked: connection, role, deadlock, resources, end."""
_NO_TABLE: Final = frozenset({"42P01", "42501"})
"""A table that is missing, or that this role may not touch: somebody changed the database under us."""

_log = structlog.get_logger("driftd.store")


class Postgres:
    """One database by URL. `busy_ms` bounds the wait for another replica's transaction, the deadline everything."""

    shared = True

    def __init__(self, url: URL, *, busy_ms: int, deadline_seconds: float) -> None:
        self.name = f"postgresql {url.host}/{url.database}"
        self._deadline = deadline_seconds
        settings = {
            "application_name": "driftd",
            "lock_timeout": str(max(busy_ms, 1)),
            "idle_in_transaction_session_timeout": "10000",
        }
        self._engine: AsyncEngine = create_async_engine(
            url,
            pool_size=2,  # one writes, one reads
            max_overflow=2,
            pool_pre_ping=True,
            hide_parameters=True,  # a failing statement's values must not end up in logs
            connect_args={"timeout": deadline_seconds, "server_settings": settings},
        )

    @property
    def setbacks(self) -> tuple[Setback, ...]:
        """None: a server looks after its own files, and a chain that was cut is found by its anchor."""
        return ()

    def forget_setbacks(self) -> None:
        """There are none."""

    async def open(self) -> None:
        """Migrate if need be, one replica at a time, the tables copied first."""
        await self._transact(lambda connection: _migrate(connection, self.name), _MIGRATION_SECONDS, patient=True)

    async def write(self, body: Callable[[Connection], T]) -> T:
        """One durable transaction, in turn with every other replica's."""
        return await self._transact(body, self._deadline)

    async def read(self, body: Callable[[Connection], T]) -> T:
        """One reading of one moment."""
        try:
            async with asyncio.timeout(_READ_SECONDS), self._engine.connect() as connection:
                await connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
                async with connection.begin():
                    return await connection.run_sync(body)
        except (SQLAlchemyError, OSError, TimeoutError) as error:
            condition = unavailable(error)
            if condition is None:
                raise
            raise StoreUnreadable(condition.reason) from error

    async def recover(self) -> None:
        """Forget every connection, then see whether the tables are there."""
        await self.close()
        await self.open()

    async def close(self) -> None:
        """Let go of every connection; one that hangs is left to the server."""
        try:
            async with asyncio.timeout(self._deadline):
                await self._engine.dispose()
        except TimeoutError:
            _log.warning("store.not_closed", database=self.name)

    async def _transact(self, body: Callable[[Connection], T], seconds: float, *, patient: bool = False) -> T:
        try:
            async with asyncio.timeout(seconds), self._engine.connect() as connection, connection.begin():
                await _take_turn(connection, patient=patient)
                return await connection.run_sync(body)
        except StoreError:
            raise
        except Exception as error:  # the border: everything leaves it under one of two names
            condition = unavailable(error)
            if condition is not None:
                raise condition from error
            cause = error.orig if isinstance(error, DBAPIError) else error
            raise EntryRefused("an entry", f"{type(cause).__name__}: {str(cause)[:256]}") from error


async def _take_turn(connection: AsyncConnection, *, patient: bool) -> None:
    if patient:  # a migration of another replica takes as long as it takes
        await connection.execute(text("SET LOCAL lock_timeout = 0"))
    await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _WRITERS})


def unavailable(error: BaseException) -> DatabaseUnavailable | None:
    """The error as a condition of the database, or None when the fault lies with what was asked of it."""
    if isinstance(error, TimeoutError):
        return DatabaseUnavailable("no answer in time")
    if isinstance(error, OSError):
        return DatabaseUnavailable(f"{type(error).__name__}: {error.strerror or 'no connection'}")
    if not isinstance(error, SQLAlchemyError):
        return None
    if not isinstance(error, DBAPIError):
        return DatabaseUnavailable(type(error).__name__)
    state = str(getattr(error.orig, "sqlstate", None) or "")
    if error.connection_invalidated or not state:
        return None if _is_ours(error) else DatabaseUnavailable(f"{type(error.orig).__name__}: the connection is gone")
    if state[:2] in _AWAY or state in _NO_TABLE:
        return DatabaseUnavailable(f"{state}: {_words(error)}")
    return None


def _is_ours(error: DBAPIError) -> bool:
    """A value that the driver could not even send: without a SQLSTATE, and the connection is well."""
    names = {kind.__name__ for kind in type(error.orig).__mro__}
    return not error.connection_invalidated and bool(names & {"DataError", "ProgrammingError", "IntegrityError"})


def _words(error: DBAPIError) -> str:
    return str(error.orig).rsplit(">: ", 1)[-1].splitlines()[0][:200]


def _migrate(connection: Connection, name: str) -> None:
    found = migrate.version(connection)
    migrate.refuse_newer(name, found)
    if found == migrate.HEAD:
        return
    if not found:
        migrate.create(connection)
        return
    for table in metadata.tables:
        _copy(connection, table, f"{table}_before_{migrate.HEAD}")
    migrate.upgrade(connection)


def _copy(connection: Connection, table: str, kept: str) -> None:
    """The table as it is, beside it, in the migration's own transaction. What is no table yet needs no copy."""
    there = connection.execute(text("SELECT to_regclass(:name)"), {"name": table}).scalar_one()
    if there is not None:
        connection.execute(text(f'DROP TABLE IF EXISTS "{kept}"'))
        connection.execute(text(f'CREATE TABLE "{kept}" AS TABLE "{table}"'))
