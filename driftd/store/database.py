"""The database behind two threads: one owns the writing connection, one reads; every wait has a deadline.

A transaction body is a plain function over a SQLAlchemy `Connection` and runs in one hop. An async driver for SQLite
crosses between threads several times a statement: 3.1 ms instead of 1.7 ms before each repair, measured. On a network
database the same bodies run under `AsyncConnection.run_sync`.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from driftd.store import sqlite
from driftd.store.chain import Head
from driftd.store.errors import DatabaseUnavailable, EntryRefused, StoreError, StoreUnreadable
from driftd.values import Clock

T = TypeVar("T")


class Database:
    """Runs bodies on the file's threads and names what goes wrong."""

    def __init__(self, path: Path, clock: Clock, *, busy_ms: int, deadline_seconds: float) -> None:
        self.path = path
        self.name = path.name
        self._file = sqlite.SqliteFile(path, clock.now, busy_ms)
        self._busy_ms = busy_ms
        self._deadline = deadline_seconds
        self._writing = ThreadPoolExecutor(1, thread_name_prefix="driftd-store")
        self._reading = ThreadPoolExecutor(1, thread_name_prefix="driftd-store-read")
        self._reader: Connection | None = None
        self._recovery: asyncio.Future[None] | None = None

    async def open(self) -> None:
        """Check, migrate, connect; without a deadline, since a check or a migration may take its time."""
        await self._on_writer(self._file.open, None)

    async def write(
        self,
        body: Callable[[Connection], T],
        after: Head | None = None,
        *,
        patient: bool = False,  # noqa: ARG002 - the file is this process's own: there are no turns
    ) -> T:
        """One durable transaction: see `Backend.write`."""
        return await self._on_writer(lambda: self._file.transact(body, after), self._deadline)

    async def recover(self) -> None:
        """After a failed `write`: reopen, restore or quarantine. Raises `DatabaseUnavailable` if it must wait.

        A recovery that outlasts the deadline goes on in its thread; the next call waits for the same one.
        """
        if self._recovery is None:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._reading, self._forget_reader)
            self._recovery = loop.run_in_executor(self._writing, _named, self._file.recover)
        done, _ = await asyncio.wait([self._recovery], timeout=self._deadline)
        if not done:
            raise DatabaseUnavailable(f"still recovering after {self._deadline} s")
        recovery, self._recovery = self._recovery, None
        recovery.result()

    async def read(self, body: Callable[[Connection], T]) -> T:
        """Run `body` in a read transaction of its own. Raises `StoreUnreadable`."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._reading, self._read, body)

    @property
    def setbacks(self) -> tuple[sqlite.Setback, ...]:
        """What the file suffered and is not yet in the evidence."""
        return tuple(self._file.setbacks)

    def forget_setbacks(self) -> None:
        """They are in the evidence now."""
        self._file.setbacks.clear()

    async def close(self) -> None:
        """Close both connections; waits no longer than the deadline for a hanging file system."""
        loop = asyncio.get_running_loop()
        closing = [
            loop.run_in_executor(self._reading, self._forget_reader),
            loop.run_in_executor(self._writing, self._file.close),
        ]
        await asyncio.wait(closing, timeout=self._deadline)
        self._reading.shutdown(wait=False)
        self._writing.shutdown(wait=False)

    async def _on_writer(self, work: Callable[[], T], deadline: float | None) -> T:
        future = asyncio.get_running_loop().run_in_executor(self._writing, _named, work)
        done, _ = await asyncio.wait([future], timeout=deadline)
        if not done:
            future.add_done_callback(_observe)
            raise DatabaseUnavailable(f"no answer within {deadline} s")
        return future.result()

    def _read(self, body: Callable[[Connection], T]) -> T:
        try:
            if self._reader is None:
                self._reader = sqlite.reader(self.path, self._busy_ms)
            with self._reader.begin():
                return body(self._reader)
        except Exception as error:  # the thread border
            self._forget_reader()
            condition = sqlite.unavailable(error)
            if condition is None:
                raise
            raise StoreUnreadable(condition.reason) from error

    def _forget_reader(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None


def _named(work: Callable[[], T]) -> T:
    try:
        return work()
    except StoreError:
        raise
    except Exception as error:  # the thread border: everything leaves it under one of two names
        condition = sqlite.unavailable(error)
        if condition is not None:
            raise condition from error
        cause = error.orig if isinstance(error, DBAPIError) else error
        raise EntryRefused("an entry", f"{type(cause).__name__}: {str(cause)[:256]}") from error


def _observe(future: asyncio.Future[T]) -> None:
    """Take a late answer's exception, so that nobody calls it forgotten."""
    if not future.cancelled():
        future.exception()
