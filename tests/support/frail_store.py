"""A store whose database fails on command, and one that kills its own process at a named step.

Run as a program (`python -m tests.support.frail_store FOLDER STEP NTH`) it records three repairs, the second one into
the journal, prints a line for each acknowledged record, and dies at the NTH passing of STEP.
"""

import asyncio
import os
import signal
import sqlite3
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection

from driftd.store import Head, Store, StoreMode, StoreOptions
from driftd.store.anchor import Anchor
from driftd.store.database import Database
from driftd.store.entries import Entry
from driftd.store.errors import DatabaseUnavailable
from driftd.store.journal import Journal
from driftd.store.scribe import Scribe
from driftd.values import Clock
from tests.support.records import START, SteppingClock, finding, intent, outcome

T = TypeVar("T")

QUICK = StoreOptions(
    journal_bytes=1 << 20, busy_ms=1, retry_first_seconds=0.005, retry_last_seconds=0.01, idle_seconds=0.0
)
STEPS = ("commit", "committed", "journal", "journalled", "clear", "cleared")


class FrailDatabase(Database):
    """Fails as often as told: before the transaction, or after its commit has landed."""

    refusals = 0
    lies = 0

    async def write(self, body: Callable[[Connection], T], after: Head | None = None, *, patient: bool = False) -> T:
        if self.refusals:
            self.refusals -= 1
            raise DatabaseUnavailable("refused before anything happened")
        answer = await super().write(body, after, patient=patient)
        if self.lies:
            self.lies -= 1
            raise DatabaseUnavailable("the commit landed, and nobody heard of it")
        return answer


Frail = TypeVar("Frail", bound=FrailDatabase)


async def open_frail(
    folder: Path,
    clock: Clock,
    kind: type[Frail] = FrailDatabase,  # type: ignore[assignment]
) -> tuple[Store, Frail]:
    database = kind(folder / "s.db", clock, busy_ms=QUICK.busy_ms, deadline_seconds=QUICK.deadline_seconds)
    journal = Journal(folder / "store.journal", QUICK.journal_bytes)
    scribe = Scribe(database, journal, Anchor(folder / "store.head"), clock, QUICK)
    await scribe.start()
    return Store(database, scribe), database


async def crash(store: Store) -> None:
    """Leave everything as a killed process leaves it: nothing flushed, nothing said, the lock gone."""
    scribe = store._scribe
    if scribe._task is not None:
        scribe._task.cancel()
        await asyncio.gather(scribe._task, return_exceptions=True)
    await scribe._database.close()
    await scribe._in_journal_thread(scribe._journal.close)


async def until_back(store: Store, seconds: float = 10.0) -> None:
    back = asyncio.Event()
    store.watch(lambda state: back.set() if state.mode is StoreMode.OK else None)
    if not store.durable:
        await asyncio.wait_for(back.wait(), seconds)


class Fuse:
    """Burns down at each passing of one step and then kills the process, as the kernel would."""

    def __init__(self, step: str, nth: int) -> None:
        self.step, self.left = step, nth

    def passes(self, step: str) -> None:
        if step == self.step:
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


class DyingDatabase(Database):
    fuse: Fuse

    async def write(self, body: Callable[[Connection], T], after: Head | None = None, *, patient: bool = False) -> T:
        def dying(connection: Connection) -> T:
            answer = body(connection)
            self.fuse.passes("commit")
            return answer

        answer = await super().write(dying, after, patient=patient)
        self.fuse.passes("committed")
        return answer


class DyingJournal(Journal):
    fuse: Fuse

    def append(self, entries: Sequence[Entry]) -> None:
        self.fuse.passes("journal")
        super().append(entries)
        self.fuse.passes("journalled")

    def clear(self) -> None:
        self.fuse.passes("clear")
        super().clear()
        self.fuse.passes("cleared")


async def _repair(store: Store, n: int) -> None:
    about = finding(f"f{n}", name=f"p{n}")
    await store.begin([about], [intent(f"i{n}", about)])
    print(f"begin {n}", flush=True)
    await store.finish([outcome(f"i{n}")], [])
    print(f"finish {n}", flush=True)
    await store.close_findings([f"f{n}"], "driftd", START)
    print(f"close {n}", flush=True)


async def _main(folder: Path, step: str, nth: int) -> None:
    clock, fuse = SteppingClock(), Fuse(step, nth)
    database = DyingDatabase(folder / "s.db", clock, busy_ms=1, deadline_seconds=2.0)
    journal = DyingJournal(folder / "store.journal", QUICK.journal_bytes)
    database.fuse = journal.fuse = fuse
    scribe = Scribe(database, journal, Anchor(folder / "store.head"), clock, QUICK)
    await scribe.start()
    store = Store(database, scribe)
    await _repair(store, 1)
    lock = sqlite3.connect(folder / "s.db", isolation_level=None, timeout=5)
    lock.execute("BEGIN IMMEDIATE")
    await _repair(store, 2)
    lock.execute("ROLLBACK")
    lock.close()
    await until_back(store)
    await _repair(store, 3)
    await store.close()


if __name__ == "__main__":
    asyncio.run(_main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
