import asyncio
import json
import sqlite3
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import Connection

from driftd.store import Head, SchemaTooNew, Store, StoreGone, StoreMode, StoreOptions, StoreUnreadable
from driftd.store.database import Database
from driftd.store.entries import stamp
from driftd.store.errors import DatabaseUnavailable
from driftd.store.ledger import head_of
from tests.support.frail_store import QUICK, FrailDatabase, T, open_frail, until_back
from tests.support.paging import HandClock
from tests.support.records import START, SteppingClock, finding, intent, outcome

OPTIONS = StoreOptions(
    journal_bytes=1 << 20, busy_ms=1, retry_first_seconds=0.02, retry_last_seconds=0.05, idle_seconds=0.0
)


LONG = {"x": "y" * 2000}
ECHOES = 6
"""Fewer than the transactions that replay a journal full of such notes."""


async def opened(folder: Path, options: StoreOptions = OPTIONS) -> Store:
    return await Store.open(folder / "s.db", SteppingClock(), folder, options)


async def story(store: Store) -> list[str]:
    """The evidence without what the store says about itself."""
    rows = await store.audit(limit=10_000)
    return [f"{row.kind} {row.subject}" for row in rows if row.kind.split(".")[0] in ("finding", "write", "note")]


class Lock:
    """Somebody else's write lock on the database."""

    def __init__(self, path: Path) -> None:
        self.connection = sqlite3.connect(path, isolation_level=None, timeout=5)
        self.connection.execute("BEGIN IMMEDIATE")

    def release(self) -> None:
        self.connection.execute("ROLLBACK")
        self.connection.close()


async def test_while_the_database_is_locked_records_wait_in_the_journal_and_then_arrive_in_order(
    tmp_path: Path,
) -> None:
    store = await opened(tmp_path)
    lock = Lock(tmp_path / "s.db")
    await store.begin([finding()], [intent()])
    await store.finish([outcome()], [])
    await store.remember("accepted", '"dir:1"')
    assert store.state.mode is StoreMode.JOURNALLING
    assert "locked" in store.state.reason
    assert not store.durable
    assert await store.recall("accepted") == '"dir:1"'
    await store.close_findings(["f1"], "driftd", START)
    lock.release()
    await until_back(store)
    assert [line.split()[0] for line in await story(store)] == [
        "finding.opened",
        "write.intended",
        "write.settled",
        "finding.closed",
    ]
    assert await store.unsettled() == []
    assert await store.recall("accepted") == '"dir:1"'
    assert (await store.verify()).ok
    await store.close()


async def test_under_a_steady_load_the_store_still_comes_back(tmp_path: Path) -> None:
    """Regression: newcomers were journalled behind the replay for ever, and the replay never reached its end."""
    store = await opened(tmp_path)
    lock = Lock(tmp_path / "s.db")
    stop = False
    told: list[str] = []

    async def talk(who: int) -> None:
        number = 0
        while not stop:
            number += 1
            told.append(f"{who}.{number}")
            await store.note("note.x", told[-1], {})

    talking = [asyncio.create_task(talk(who)) for who in range(6)]
    await asyncio.sleep(0.2)
    lock.release()
    await until_back(store)
    await asyncio.sleep(0.1)
    stop = True
    await asyncio.gather(*talking)
    assert sorted(await story(store)) == sorted(f"note.x {subject}" for subject in told)
    assert store.durable
    await store.close()


async def test_a_journal_of_many_transactions_is_replayed_while_newcomers_wait_in_line(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    lock = Lock(tmp_path / "s.db")
    await asyncio.gather(*(store.note("note.x", f"{n}", {}) for n in range(1500)))
    lock.release()
    late = [asyncio.create_task(store.note("note.x", f"{n}", {})) for n in range(1500, 1600)]
    await until_back(store)
    await asyncio.gather(*late)
    assert await story(store) == [f"note.x {n}" for n in range(1600)]
    await store.close()


async def test_whoever_finds_no_room_in_the_journal_while_it_is_replayed_waits_for_the_database(tmp_path: Path) -> None:
    """The database was there again, the journal still full, and each record of those seconds was lost."""
    store, database = await open_frail(tmp_path, SteppingClock(), EchoingDatabase)
    database.refusals = 10**9
    kept = 0
    while store.state.mode is not StoreMode.GONE:
        with suppress(StoreGone):
            await store.note("note.x", f"{kept}", LONG)
            kept += 1
    database.late, database.refusals = [], 0
    database.echo = lambda number: store.note("note.x", f"late {number}", LONG)
    await until_back(store)
    late = [f"note.x late {number}" for number in range(len(database.late))]
    assert len(late) == ECHOES
    await asyncio.gather(*database.late)
    assert await story(store) == [f"note.x {number}" for number in range(kept)] + late
    await store.close()


@pytest.mark.parametrize("kept", [True, False])
async def test_nobody_is_kept_from_going_on_by_the_replay_of_a_full_journal(tmp_path: Path, *, kept: bool) -> None:
    """A repair waits for its intent: none began while tens of seconds were replayed.

    A repair goes on without, so its record is taken all the same; a pause does not, so it is none.
    """
    clock = HandClock()
    store, database = await open_frail(tmp_path, clock, EchoingDatabase)
    database.refusals = 10**9
    while store.state.mode is not StoreMode.GONE:
        with suppress(StoreGone):
            await store.note("note.x", "x", LONG)

    def late(number: int) -> Coroutine[None, None, None]:
        clock.pass_(QUICK.deadline_seconds)
        return store.begin([finding(f"late {number}")], []) if kept else store.remember(f"late {number}", "y" * 2000)

    database.late, database.echo, database.refusals = [], late, 0
    clock.pass_(1)
    await until_back(store)
    told = await asyncio.gather(*database.late, return_exceptions=True)
    gone = [number for number, one in enumerate(told) if isinstance(one, StoreGone)]
    assert gone
    there = {one.finding.id for one in await store.open_findings()} if kept else set(await store.recall_all("late"))
    assert all((f"late {number}" in there) is (kept or number not in gone) for number in range(len(told)))
    await store.close()


class EchoingDatabase(FrailDatabase):
    """One that has something new recorded with each of its first transactions."""

    echo: Callable[[int], Coroutine[None, None, None]] | None = None
    late: list[asyncio.Task[None]]

    async def write(self, body: Callable[[Connection], T], after: Head | None = None, *, patient: bool = False) -> T:
        if self.echo is not None and not self.refusals and len(self.late) < ECHOES:
            self.late.append(asyncio.create_task(self.echo(len(self.late))))
        return await super().write(body, after, patient=patient)


class TiredDatabase(FrailDatabase):
    """One that gives up on a transaction of more rows than this."""

    most = 10**9

    async def write(self, body: Callable[[Connection], T], after: Head | None = None, *, patient: bool = False) -> T:
        def bounded(connection: Connection) -> T:
            before, answer = head_of(connection).seq, body(connection)
            if head_of(connection).seq - before > self.most:
                raise DatabaseUnavailable("no answer within 2 s")
            return answer

        return await super().write(bounded, after, patient=patient)


async def test_a_journal_is_replayed_by_a_database_under_load_that_is_through_with_little_at_a_time(
    tmp_path: Path,
) -> None:
    """Two hundred records in one transaction took PostgreSQL longer than its deadline, again and again."""
    store, database = await open_frail(tmp_path, SteppingClock(), TiredDatabase)
    database.most, database.refusals = 100, 10**9
    for number in range(300):
        await store.note("note", str(number), {})
    database.refusals = 0
    await until_back(store)
    assert await story(store) == [f"note {number}" for number in range(300)]
    await store.close()


async def test_a_store_that_opens_while_the_database_is_locked_journals_until_it_is_free(tmp_path: Path) -> None:
    await (await opened(tmp_path)).close()
    lock = Lock(tmp_path / "s.db")
    store = await opened(tmp_path)
    await store.note("note.a", "x", {})
    assert store.state.mode is StoreMode.JOURNALLING
    lock.release()
    await until_back(store)
    assert await story(store) == ["note.a x"]
    await store.close()


async def test_what_waits_in_the_journal_survives_a_restart(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    lock = Lock(tmp_path / "s.db")
    await store.begin([finding()], [intent()])
    await store.remember("k", '"v"')
    await store.close()
    again = await opened(tmp_path)
    assert not again.durable
    assert await again.recall("k") == '"v"'
    lock.release()
    await until_back(again)
    assert [left.id for left in await again.unsettled()] == ["i1"]
    assert await again.recall("k") == '"v"'
    await again.close()


async def test_of_a_long_journal_the_last_remembered_value_counts_after_a_restart(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    lock = Lock(tmp_path / "s.db")
    await store.remember("k", '"first"')
    await asyncio.gather(*(store.note("note.x", "y" * 3000, {}) for _ in range(200)))
    await store.remember("k", '"last"')
    await store.close()
    again = await opened(tmp_path)
    assert await again.recall("k") == '"last"'
    lock.release()
    await until_back(again)
    assert await again.recall("k") == '"last"'
    await again.close()


async def test_a_full_journal_is_told_to_the_caller_and_ends_with_the_outage(tmp_path: Path) -> None:
    changes: list[tuple[StoreMode, int]] = []
    store = await opened(
        tmp_path,
        StoreOptions(journal_bytes=2048, busy_ms=1, retry_first_seconds=0.02, retry_last_seconds=0.05),
    )
    store.watch(lambda state: changes.append((state.mode, state.lost)))
    lock = Lock(tmp_path / "s.db")
    kept = 0
    refusal = ""
    while not refusal and kept < 100:
        try:
            await store.note("note.n", str(kept), {})
            kept += 1
        except StoreGone as error:
            refusal = str(error)
    assert "is full" in refusal
    assert store.state.mode is StoreMode.GONE
    with pytest.raises(StoreGone):
        await store.note("note.n", "one more", {})
    lock.release()
    await until_back(store)
    assert await story(store) == [f"note.n {n}" for n in range(kept)]
    gone = StoreMode.GONE
    assert changes == [(StoreMode.JOURNALLING, 0), (gone, 0), (gone, 1), (gone, 2), (StoreMode.OK, 0)]
    (recovered,) = [json.loads(row.payload) for row in await store.audit() if row.kind == "store.recovered"]
    assert (recovered["replayed"], recovered["lost"]) == (str(kept), "2")
    await store.close()


async def test_a_full_disk_sends_records_to_the_reserved_journal(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    await store.note("note.a", "before", {})

    def cap(connection: sqlite3.Connection) -> None:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count={pages}").fetchone()

    database = store._scribe._database
    assert isinstance(database, Database)
    owned = database._file._connection
    assert owned is not None
    raw = owned.connection.driver_connection
    assert isinstance(raw, sqlite3.Connection)
    cap(raw)
    for n in range(40):
        await store.note("note.b", f"{n}", {"filler": "x" * 500})
    assert store.state.mode is StoreMode.JOURNALLING or len(await story(store)) == 41
    await until_back(store)  # a new connection has no such bound
    assert await story(store) == ["note.a before", *(f"note.b {n}" for n in range(40))]
    reasons = [row.payload for row in await store.audit(limit=1000) if row.kind == "store.recovered"]
    assert any("full" in reason for reason in reasons)
    assert (await store.verify()).ok
    await store.close()


async def test_a_database_deleted_under_a_running_daemon_is_put_back_with_all_its_rows(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    await store.begin([finding()], [intent()])
    for file in tmp_path.glob("s.db*"):
        file.unlink()
    await store.finish([outcome()], [])
    await until_back(store)
    assert [line.split()[0] for line in await story(store)] == ["finding.opened", "write.intended", "write.settled"]
    assert "store.restored" in [row.kind for row in await store.audit(limit=100)]
    assert (await store.verify()).ok
    await store.close()
    again = await opened(tmp_path)
    assert len(await story(again)) == 3
    await again.close()


async def test_a_foreign_file_in_place_of_the_database_is_kept_aside(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    await store.note("note.a", "x", {})
    (tmp_path / "other").write_text("not ours")
    (tmp_path / "other").replace(tmp_path / "s.db")
    await store.note("note.b", "y", {})
    await until_back(store)
    assert await story(store) == ["note.a x", "note.b y"]
    (kept,) = tmp_path.glob("s.db.foreign-*Z")
    assert kept.read_text() == "not ours"
    await store.close()


def scribble(path: Path) -> None:
    data = bytearray(path.read_bytes())
    for page in range(1, len(data) // 4096):
        data[page * 4096 : page * 4096 + 64] = b"\xff" * 64
    path.write_bytes(bytes(data))


async def test_a_database_that_begins_or_goes_on_has_lost_nothing(tmp_path: Path) -> None:
    for _ in range(2):
        store = await opened(tmp_path)
        await store.note("note.a", "x", {})
        assert await store.gap() is None
        await store.close()


async def test_a_corrupt_file_is_kept_aside_and_the_new_chain_names_it(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    for n in range(50):
        await store.begin([finding(f"f{n}")], [])
    last = store.known_head
    await store.close()
    scribble(tmp_path / "s.db")
    store = await opened(tmp_path)
    assert store.durable
    (kept,) = tmp_path.glob("s.db.corrupt-*")
    first = (await store.audit(limit=1))[0]
    assert first.kind == "chain.begun"
    assert kept.name in first.payload
    assert str(last) in first.payload
    gap = await store.gap()
    assert gap is not None
    assert (gap.expected, gap.found) == (str(last), str(Head()))
    assert (await store.verify()).ok
    await store.close()


async def test_what_a_corrupt_file_still_remembers_is_carried_over(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    await store.remember_all({"orphan/acme": '{"objects":[]}', "accepted": '"dir:1"'})
    for n in range(50):
        await store.begin([finding(f"f{n}")], [])
    await store.close()
    other = sqlite3.connect(tmp_path / "s.db")
    (root,) = other.execute("SELECT rootpage FROM sqlite_master WHERE name='findings' AND type='table'").fetchone()
    (size,) = other.execute("PRAGMA page_size").fetchone()
    other.close()
    with (tmp_path / "s.db").open("r+b") as file:
        file.seek((root - 1) * size)
        file.write(b"\xff" * 64)
    store = await opened(tmp_path)
    assert await store.recall("accepted") == '"dir:1"'
    assert await store.recall("orphan/acme") == '{"objects":[]}'
    assert "store.salvaged" in [row.kind for row in await store.audit()]
    assert await store.open_findings() == []
    await store.close()


async def test_a_file_that_is_no_database_at_all_is_kept_aside(tmp_path: Path) -> None:
    (tmp_path / "s.db").write_bytes(b"hello" * 1000)
    store = await opened(tmp_path)
    (kept,) = tmp_path.glob("s.db.corrupt-*")
    assert kept.read_bytes() == b"hello" * 1000
    await store.note("note.a", "x", {})
    await store.close()


async def test_a_database_that_loses_its_tables_is_kept_aside_while_running(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    await store.note("note.a", "x", {})
    other = sqlite3.connect(tmp_path / "s.db")
    other.execute("DROP TABLE audit")
    other.commit()
    other.close()
    await store.note("note.b", "y", {})
    await until_back(store)
    assert await story(store) == ["note.b y"]
    assert len(list(tmp_path.glob("s.db.corrupt-*"))) == 1
    await store.close()


async def test_an_older_copy_put_in_its_place_while_stopped_is_noticed(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    await store.note("note.a", "x", {})
    await store.close()
    old = (tmp_path / "s.db").read_bytes()
    store = await opened(tmp_path)
    await store.note("note.b", "hidden", {})
    head = store.known_head
    await store.close()
    (tmp_path / "s.db").write_bytes(old)
    store = await opened(tmp_path)
    rows = await store.audit(limit=100)
    (row,) = [row for row in rows if row.kind == "chain.discontinued"]
    assert str(head) in row.payload
    gap = await store.gap()
    assert gap is not None
    assert (gap.expected, stamp(gap.at)) == (str(head), row.at), "known without a walk along the chain"
    assert not (await store.verify(head)).ok
    assert (await store.verify()).ok
    await store.close()


async def test_rows_cut_off_the_end_of_the_chain_are_missed(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    for n in range(5):
        await store.note("note.n", str(n), {})
    other = sqlite3.connect(tmp_path / "s.db")
    other.execute("DELETE FROM audit WHERE seq >= 5")
    other.commit()
    other.close()
    found = await store.verify()
    assert not found.ok
    assert found.first_bad == 5
    await store.close()


async def test_a_row_altered_in_place_is_named(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    for n in range(5):
        await store.note("note.n", str(n), {})
    other = sqlite3.connect(tmp_path / "s.db")
    other.execute("UPDATE audit SET subject='innocent' WHERE seq=4")
    other.commit()
    other.close()
    found = await store.verify()
    assert (found.ok, found.first_bad) == (False, 4)
    assert "altered" in found.problem
    await store.close()


async def test_a_schema_of_a_newer_driftd_is_refused_and_left_untouched(tmp_path: Path) -> None:
    await (await opened(tmp_path)).close()
    other = sqlite3.connect(tmp_path / "s.db")
    other.execute("UPDATE alembic_version SET version_num='9999'")
    other.commit()
    other.close()
    before = (tmp_path / "s.db").read_bytes()
    with pytest.raises(SchemaTooNew, match="9999"):
        await opened(tmp_path)
    assert (tmp_path / "s.db").read_bytes() == before


async def test_questions_say_when_the_database_cannot_answer(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    for file in tmp_path.glob("s.db*"):
        file.unlink()
    (tmp_path / "s.db").mkdir()
    with pytest.raises(StoreUnreadable):
        await store.open_findings()
    await store.note("note.a", "x", {})
    assert store.state.mode is StoreMode.JOURNALLING
    (tmp_path / "s.db").rmdir()
    await until_back(store)
    assert await story(store) == ["note.a x"]
    await store.close()
