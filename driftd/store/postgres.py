"""PostgreSQL: the same transaction bodies over asyncpg, for several replicas that share one set of records.

Writers take turns by one advisory lock a transaction, so each sees what the one before left. Who knows the chain's head
has it confirmed by the message that begins the transaction (`Overtaken`): the unique keys, the second line, do not see
a head that was pruned meanwhile, nor one that the server has lost. A replica that freezes inside a transaction is cut
off by the server (`idle_in_transaction_session_timeout`), or nobody else could write.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from string import hexdigits
from typing import Any, Final, TypeVar

import structlog
from asyncpg import InterfaceError, PostgresError  # type: ignore[import-untyped]
from sqlalchemy import URL, Connection, event, text
from sqlalchemy.engine import AdaptedConnection
from sqlalchemy.exc import DBAPIError, DisconnectionError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from driftd.store import migrate
from driftd.store.chain import Head
from driftd.store.errors import DatabaseUnavailable, EntryRefused, Overtaken, StoreError, StoreUnreadable
from driftd.store.schema import metadata
from driftd.store.sqlite import Setback

T = TypeVar("T")

_WRITERS: Final = 0x6472_6966_7464  # "driftd": every transaction that appends to the chain
_TURN: Final = f"SELECT pg_advisory_xact_lock({_WRITERS})"
_BEGIN: Final = "BEGIN ISOLATION LEVEL READ COMMITTED"
"""Whatever the server's default is: one moment for the whole transaction would be one before the turn came."""
_PATIENT_TURN: Final = f"SET LOCAL lock_timeout = 0; {_TURN}"
_MIGRATION_SECONDS: Final = 900.0
_READ_SECONDS: Final = 30.0
_RECONNECT_SECONDS: Final = 15.0
"""While the journal serves, a server may take its time to let us in. Whatever somebody waits for may not."""
_PATIENT_SECONDS: Final = 5.0
"""Turns are given in the order of asking: who asks again each 250 ms, while a busy leader writes, never has one."""
_TERMINATION_SECONDS: Final = 3.0
"""A driver waits two seconds for a connection to end in good order before it cuts it."""
_AWAY: Final = frozenset({"08", "25", "28", "3D", "40", "53", "55", "57", "58", "XX"})
"""SQLSTATE classes that tell of the database, not of what was asked: connection, role, deadlock, resources, end."""
_TWICE: Final = "23505"
_CHAIN: Final = ("audit_pkey", "audit_prev_hash_key")
"""What holds the chain together: the server's names of the unique keys of its rows."""
_NO_TABLE: Final = frozenset({"42P01", "42501"})
"""A table that is missing, or that this role may not touch: somebody changed the database under us."""

_log = structlog.get_logger("driftd.store")


class Postgres:
    """One database by URL. `busy_ms` bounds the wait for another replica's transaction, the deadline everything."""

    def __init__(self, url: URL, *, busy_ms: int, deadline_seconds: float) -> None:
        self.name = f"postgresql {url.host}/{url.database}"
        self._url, self._busy_ms, self._deadline = url, busy_ms, deadline_seconds
        self._engine = self._made()
        self._recovery: asyncio.Task[None] | None = None
        self._left: set[asyncio.Task[Any]] = set()

    @property
    def setbacks(self) -> tuple[Setback, ...]:
        """None: a server looks after its own files, and a chain that was cut is found by its anchor."""
        return ()

    def forget_setbacks(self) -> None:
        """There are none."""

    async def open(self) -> None:
        """Migrate if need be, one replica at a time, the tables copied first."""
        await self._open(self._deadline)

    async def _open(self, seconds: float) -> None:
        if await self._transact(migrate.version, seconds, turn=False) != migrate.HEAD:
            await self._transact(lambda connection: _migrate(connection, self.name), _MIGRATION_SECONDS, patient=True)

    async def write(self, body: Callable[[Connection], T], after: Head | None = None, *, patient: bool = False) -> T:
        """One durable transaction, in turn with every other replica's: see `Backend.write`."""
        return await self._transact(body, _PATIENT_SECONDS if patient else self._deadline, patient=patient, after=after)

    async def read(self, body: Callable[[Connection], T]) -> T:
        """One reading of one moment."""

        async def reading() -> T:
            async with self._engine.connect() as connection:
                await connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
                async with connection.begin():
                    return await connection.run_sync(body)

        try:
            return await self._within(_READ_SECONDS, reading())
        except DatabaseUnavailable as error:
            raise StoreUnreadable(error.reason) from error
        except (SQLAlchemyError, OSError, TimeoutError) as error:
            condition = unavailable(error)
            if condition is None:
                raise
            raise StoreUnreadable(condition.reason) from error

    async def recover(self) -> None:
        """Connect anew, with nothing of what was there before. It goes on while the records go to the journal."""
        if self._recovery is None:
            self._recovery = asyncio.create_task(self._reconnect(), name="store-reconnect")
        done, _ = await asyncio.wait({self._recovery}, timeout=self._busy_ms / 1000)
        if not done:
            raise DatabaseUnavailable("no connection yet")
        recovery, self._recovery = self._recovery, None
        recovery.result()

    async def close(self) -> None:
        """Let go of every connection; one that hangs is left to the server."""
        if self._recovery is not None:
            self._recovery.cancel()
            self._left.add(self._recovery)
        self._leave(self._engine.dispose())
        _, hanging = await asyncio.wait(self._left, timeout=self._deadline + _TERMINATION_SECONDS)
        for task in hanging:
            _log.warning("store.not_closed", database=self.name)
            task.cancel()

    async def _reconnect(self) -> None:
        old, self._engine = self._engine, self._made()
        self._leave(old.dispose())
        await self._open(_RECONNECT_SECONDS)

    def _made(self) -> AsyncEngine:
        settings = {
            "application_name": "driftd",
            "lock_timeout": str(max(self._busy_ms, 1)),
            "idle_in_transaction_session_timeout": "10000",
        }
        engine = create_async_engine(
            self._url,
            pool_size=2,  # one writes, one reads
            max_overflow=2,
            pool_timeout=self._deadline,
            hide_parameters=True,  # a failing statement's values must not end up in logs
            connect_args={"timeout": _RECONNECT_SECONDS, "server_settings": settings},
        )
        event.listen(engine.sync_engine, "checkout", _must_be_open)
        return engine

    async def _transact(
        self,
        body: Callable[[Connection], T],
        seconds: float,
        *,
        turn: bool = True,
        patient: bool = False,
        after: Head | None = None,
    ) -> T:
        """One transaction, in turn with other replicas unless it only looks; `patient` waits for the turn."""
        first = (_PATIENT_TURN if patient else _TURN) if turn else ""

        async def writing() -> T:
            async with self._engine.connect() as connection:
                await connection.execution_options(isolation_level="AUTOCOMMIT")
                async with _transaction(connection, first, after):
                    return await connection.run_sync(body)

        try:
            return await self._within(seconds, writing())
        except StoreError:
            raise
        except Exception as error:  # the border: everything leaves it under one of two names
            condition = unavailable(error)
            if condition is not None:
                raise condition from error
            cause = error.orig if isinstance(error, DBAPIError) else error
            if _is_overtaken(cause):
                raise Overtaken from error
            raise EntryRefused("an entry", f"{type(cause).__name__}: {str(cause)[:256]}") from error

    async def _within(self, seconds: float, work: Coroutine[Any, Any, T]) -> T:
        """The end of `work`; past its time it is cancelled and not waited for.

        Rolling back on a connection that stands still takes as long again.
        """
        task = self._leave(work)
        try:
            done, _ = await asyncio.wait({task}, timeout=seconds)
        except asyncio.CancelledError:
            task.cancel()
            raise
        if not done:
            task.cancel()
            raise DatabaseUnavailable(f"no answer within {seconds:.0f} s")
        return task.result()

    def _leave(self, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        """Run `work` as a task that nobody need wait for."""
        task = asyncio.ensure_future(work)
        self._left.add(task)
        task.add_done_callback(self._left.discard)
        task.add_done_callback(_observed)
        return task


def _observed(task: "asyncio.Task[Any]") -> None:
    """Take a late answer's exception, so that nobody calls it forgotten."""
    if not task.cancelled():
        task.exception()


@asynccontextmanager
async def _transaction(connection: AsyncConnection, turn: str, after: Head | None) -> AsyncIterator[None]:
    """A transaction on a connection that begins none itself: beginning, turn and the look at the head are one message.

    What a transaction takes is its ways to the server and back: eight, and fifteen where the driver is left to itself.
    """
    raw = (await connection.get_raw_connection()).driver_connection
    assert raw is not None  # noqa: S101 - a pool hands out none that is not connected
    over = False
    try:
        await _begin(raw, turn, after)
        yield
        await raw.execute("COMMIT")
        over = True
    except Exception:
        with suppress(PostgresError, InterfaceError, OSError):
            await raw.execute("ROLLBACK")
            over = True
        raise
    finally:
        if not over:
            raw.terminate()  # nobody else gets it; what it was doing is the server's to end


async def _begin(raw: Any, turn: str, after: Head | None) -> None:
    """Begin, wait for the turn, and see that the newest row is `after`; raises `Overtaken` where it is not."""
    if after is None:
        await raw.execute(f"{_BEGIN}; {turn}")
        return
    digest = "".join(one for one in after.hash if one in hexdigits)  # several statements take no parameters
    newest = "SELECT hash FROM audit ORDER BY seq DESC LIMIT 1"
    answer = await raw.execute(f"{_BEGIN}; {turn}; SELECT FROM ({newest}) AS newest WHERE hash = '{digest}'")
    if answer != "SELECT 1":
        raise Overtaken


def _must_be_open(pooled: AdaptedConnection, _record: object, _proxy: object) -> None:
    """A connection that the server has ended meanwhile is known to be; one that only stands still meets a deadline."""
    if pooled.driver_connection.is_closed():
        raise DisconnectionError


def unavailable(error: BaseException) -> DatabaseUnavailable | None:
    """The error as a condition of the database, or None when the fault lies with what was asked of it."""
    if isinstance(error, TimeoutError):
        return DatabaseUnavailable("no answer in time")
    if isinstance(error, OSError):
        return DatabaseUnavailable(f"{type(error).__name__}: {error.strerror or 'no connection'}")
    said: BaseException | None = error  # the driver's own, where a transaction begins and ends
    if isinstance(error, SQLAlchemyError):
        if not isinstance(error, DBAPIError):
            return DatabaseUnavailable(type(error).__name__)
        said = error.orig
    elif not isinstance(error, PostgresError | InterfaceError):
        return None
    state = str(getattr(said, "sqlstate", None) or "")
    if not state or (isinstance(error, DBAPIError) and error.connection_invalidated):
        return None if _is_ours(error) else DatabaseUnavailable(f"{type(said).__name__}: the connection is gone")
    if state[:2] in _AWAY or state in _NO_TABLE:
        return DatabaseUnavailable(f"{state}: {_words(said)}")
    return None


def _is_overtaken(cause: BaseException | None) -> bool:
    """Whether the chain has a row already where one was to be appended."""
    said = str(cause)
    return getattr(cause, "sqlstate", None) == _TWICE and any(f'"{name}"' in said for name in _CHAIN)


def _is_ours(error: BaseException) -> bool:
    """A value that the driver could not even send: without a SQLSTATE, and the connection is well."""
    if not isinstance(error, DBAPIError):
        return False
    names = {kind.__name__ for kind in type(error.orig).__mro__}
    return not error.connection_invalidated and bool(names & {"DataError", "ProgrammingError", "IntegrityError"})


def _words(said: object) -> str:
    return str(said).rsplit(">: ", 1)[-1].splitlines()[0][:200]


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
