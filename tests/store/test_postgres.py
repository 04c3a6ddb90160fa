"""What only a database beyond the network does: it goes away, it is shared, its tables belong to a server."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import asyncpg  # type: ignore[import-untyped]
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import URL
from structlog.testing import capture_logs

import driftd.store.migrate as migration
from driftd.store import Head, ReadOnly, Store, StoreMode, StoreOptions, StoreUnreadable, address_of, shown
from driftd.store.errors import Overtaken
from driftd.store.postgres import Postgres
from driftd.store.schema import metadata
from tests.support.postgres import PASSWORD, Server
from tests.support.records import START, SteppingClock, finding, intent, outcome

QUICK = StoreOptions(
    journal_bytes=1 << 20, deadline_seconds=2.0, retry_first_seconds=0.02, retry_last_seconds=0.1, idle_seconds=0.0
)


@asynccontextmanager
async def opened(url: str, folder: Path, clock: SteppingClock | None = None) -> AsyncIterator[Store]:
    store = await Store.open(url, clock or SteppingClock(), folder, QUICK)
    try:
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def replicas(url: str, folder: Path, clock: SteppingClock) -> AsyncIterator[tuple[Store, Store]]:
    """One that leads and one that stands by, each with what it knew when it started."""
    async with opened(url, folder / "standby", clock) as standby, opened(url, folder / "leader", clock) as leader:
        yield leader, standby


@asynccontextmanager
async def relay(port: int, seconds: float = 0.0) -> AsyncIterator[tuple[int, Callable[[], int]]]:
    """A port that leads to another, for whoever waits so long first; and how often something was sent there."""
    ends: set[asyncio.StreamWriter] = set()
    sent = 0

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, count: bool) -> None:
        nonlocal sent
        try:
            while data := await reader.read(65_536):
                sent += count
                writer.write(data)
                await writer.drain()
        except OSError:
            pass  # either side hung up
        finally:
            writer.close()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends.add(writer)
        await asyncio.sleep(seconds)
        inward, outward = await asyncio.open_connection("127.0.0.1", port)
        ends.add(outward)
        await asyncio.gather(pump(reader, outward, count=True), pump(inward, writer, count=False))

    listening = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield int(listening.sockets[0].getsockname()[1]), lambda: sent
    finally:
        listening.close()
        for one in ends:
            one.close()


async def until(store: Store, mode: StoreMode) -> None:
    async with asyncio.timeout(20):
        while store.state.mode is not mode:
            await asyncio.sleep(0.02)


async def test_while_the_server_is_gone_records_wait_in_the_journal_and_arrive_in_order(
    server: Server, tmp_path: Path
) -> None:
    async with opened(server.new_database(), tmp_path) as store:
        await store.begin([finding("before")], [intent("i1", finding("before"))])
        server.stop()
        try:
            await store.finish([outcome("i1")], [])
            for number in range(20):
                await store.note("while.away", str(number), {})
            assert store.state.mode is StoreMode.JOURNALLING
            assert not store.durable
            assert PASSWORD not in store.state.reason
            with pytest.raises(StoreUnreadable) as caught:
                await store.history()
            assert PASSWORD not in str(caught.value)
        finally:
            await asyncio.to_thread(server.start)
        await until(store, StoreMode.OK)
        await store.note("after", "", {})
        rows = await store.audit(limit=1000)
        assert [row.subject for row in rows if row.kind == "while.away"] == [str(number) for number in range(20)]
        assert [row.kind for row in rows][-2:] == ["store.recovered", "after"]
        assert [row.kind for row in rows].count("write.settled") == 1
        assert (await store.verify()).ok


async def test_a_store_that_opens_while_the_server_is_gone_journals_until_it_is_back(
    server: Server, tmp_path: Path
) -> None:
    url = server.new_database()
    server.stop()
    try:
        store = await Store.open(url, SteppingClock(), tmp_path, QUICK)
        await store.begin([finding()], [])
        assert store.state.mode is StoreMode.JOURNALLING
    finally:
        await asyncio.to_thread(server.start)
    await until(store, StoreMode.OK)
    assert len(await store.open_findings()) == 1
    await store.close()


async def test_a_server_that_only_stands_still_keeps_no_repair_waiting(server: Server, tmp_path: Path) -> None:
    url = server.new_database()
    async with opened(url, tmp_path) as store:
        store.epoch = 1
        await store.note("before", "", {})
        loop = asyncio.get_running_loop()
        server.freeze()
        try:
            began = loop.time()
            await store.begin([finding()], [intent()])
            assert loop.time() - began < QUICK.deadline_seconds + 1.5
            assert store.state.mode is StoreMode.JOURNALLING
            began = loop.time()
            for number in range(5):
                await store.note("while.frozen", str(number), {})
            assert loop.time() - began < QUICK.deadline_seconds + 1.5
        finally:
            server.thaw()
        await until(store, StoreMode.OK)
        kinds = [row.kind for row in await store.audit(limit=1000)]
        assert kinds.count("write.intended") == 1
        assert kinds.count("while.frozen") == 5
        assert (await store.verify()).ok


async def test_replicas_that_write_side_by_side_make_one_chain(server: Server, tmp_path: Path) -> None:
    url = server.new_database()
    async with opened(url, tmp_path / "a") as one, opened(url, tmp_path / "b") as two:
        one.epoch, two.epoch = 4, 5

        async def write(store: Store, name: str) -> None:
            for number in range(40):
                await store.note("told", f"{name}{number}", {})

        await asyncio.gather(write(one, "a"), write(two, "b"), write(one, "c"), write(two, "d"))
        rows = await one.audit(limit=1000)
        subjects = [row.subject for row in rows if row.kind == "told"]
        assert len(set(subjects)) == len(subjects) == 160
        for name in "abcd":
            mine = [subject for subject in subjects if subject.startswith(name)]
            assert mine == [f"{name}{number}" for number in range(40)]
        assert one.durable
        assert two.durable
        found = await two.verify(one.known_head)
        assert found.ok, found


async def test_whatever_isolation_the_server_has_by_default_replicas_make_one_chain(
    server: Server, tmp_path: Path
) -> None:
    """A transaction of one moment would look at the chain as it was before its turn came."""
    url = server.new_database()
    server.sql(f"ALTER DATABASE {url.rsplit('/', 1)[1]} SET default_transaction_isolation = 'serializable'")
    async with opened(url, tmp_path / "a") as one, opened(url, tmp_path / "b") as two:
        await asyncio.gather(*(store.note("told", str(number), {}) for number in range(20) for store in (one, two)))
        assert one.durable
        assert two.durable
        found = await two.verify(one.known_head)
        assert found.ok, found


async def test_a_standby_whose_last_row_was_pruned_writes_behind_the_newest(server: Server, tmp_path: Path) -> None:
    """It wrote behind the row it knew, in the past that no auditor walks and that the next pruning takes away."""
    clock = SteppingClock()
    async with replicas(server.new_database(), tmp_path, clock) as (leader, standby):
        for number in range(20):
            await leader.note("old", str(number), {})
        clock.wall += timedelta(days=100)
        await leader.note("young", "", {})
        assert await leader.prune(clock.wall - timedelta(days=1)) == 1
        for number in range(5):
            await standby.note("evidence", str(number), {})
        rows = await leader.audit(limit=100)
        assert [row.seq for row in rows] == list(range(rows[0].seq, rows[0].seq + len(rows)))
        assert [row.kind for row in rows] == ["young", "chain.pruned", *["evidence"] * 5]
        assert (await leader.verify(standby.known_head)).ok
        clock.wall += timedelta(days=100)
        assert await leader.prune(clock.wall - timedelta(days=1)) > 0
        assert (await leader.verify()).ok


@pytest.mark.parametrize("ended", [True, False])
async def test_rows_that_a_failover_lost_are_missed_in_the_evidence_and_the_chain_goes_on(
    server: Server, tmp_path: Path, *, ended: bool
) -> None:
    """The pool replaced a connection that had ended, nothing was an outage, and the chain had a hole for ever."""
    url = server.new_database()
    database = url.rsplit("/", 1)[1]
    async with opened(url, tmp_path) as store:
        for number in range(8):
            await store.note("told", str(number), {})
        lost = store.known_head
        server.sql(f"DELETE FROM audit WHERE seq > {lost.seq - 3}", database)
        if ended:
            server.sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'")
            await asyncio.sleep(0.5)
        await store.note("after", "1", {})
        await store.note("after", "2", {})
        assert store.durable
        rows = await store.audit(limit=100)
        assert [row.kind for row in rows][-4:] == ["told", "chain.discontinued", "after", "after"]
        assert str(lost) in rows[-3].payload
        gap = await store.gap()
        assert gap is not None
        assert gap.expected == str(lost)
        assert (await store.verify()).ok
        assert not (await store.verify(lost)).ok


async def test_a_new_leader_misses_the_row_that_the_one_before_noted_in_the_lease(
    server: Server, tmp_path: Path
) -> None:
    """Leader and database go together: of what the old server had last only the lease still knows."""
    clock, url = SteppingClock(), server.new_database()
    async with replicas(url, tmp_path, clock) as (leader, standby):
        for number in range(5):
            await leader.note("told", str(number), {})
        noted = leader.known_head
        server.sql(f"DELETE FROM audit WHERE seq > {noted.seq - 2}", url.rsplit("/", 1)[1])
        for text in ("", "0:" + "0" * 64, "nonsense", "7:short", str(noted)):
            standby.expect(text)
        await standby.note("leadership.taken", "", {})
        await standby.note("after", "", {})
        rows = await standby.audit(limit=100)
        assert [row.kind for row in rows][-3:] == ["chain.discontinued", "leadership.taken", "after"]
        assert str(noted) in rows[-3].payload
        standby.expect(str(standby.known_head))
        await standby.note("again", "", {})
        assert [row.kind for row in await standby.audit(limit=100)].count("chain.discontinued") == 1


async def test_a_head_that_is_none_is_not_taken_into_a_statement(server: Server, tmp_path: Path) -> None:
    url = server.new_database()
    async with opened(url, tmp_path) as store:
        database = Postgres(_url(url), busy_ms=250, deadline_seconds=2.0)
        head = await store.head()
        assert await database.write(lambda _: "written", head) == "written"
        for wrong in ("' OR '' = '", "", "0" * 64):
            with pytest.raises(Overtaken):
                await database.write(lambda _: "written", Head(head.seq, wrong))
        await database.close()


async def test_a_record_goes_to_the_server_and_back_a_few_times_only(server: Server, tmp_path: Path) -> None:
    """Each way costs a turn of the network and of two processes: fifteen of them were most of a repair's time."""
    url = server.new_database()
    async with (
        relay(server.port) as (port, sent),
        opened(url.replace(f":{server.port}/", f":{port}/"), tmp_path) as store,
    ):
        ways = []
        for number in range(3):
            one, its = finding(f"f{number}"), intent(f"i{number}")
            for record in (store.begin([one], [its]), store.finish([outcome(its.id)], [one])):
                before = sent()
                await record
                ways.append(sent() - before)
        assert max(ways[-2:]) <= 9, ways  # the first times statements are prepared


async def test_connections_that_the_server_has_ended_meanwhile_cost_no_outage(server: Server, tmp_path: Path) -> None:
    url = server.new_database()
    with capture_logs() as logs:
        async with opened(url, tmp_path) as store:
            await store.note("before", "", {})
            await store.head()
            server.sql(
                f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{url.rsplit('/', 1)[1]}'"
            )
            await asyncio.sleep(0.5)
            await store.note("after", "", {})
            assert (await store.verify()).ok
    assert "store.mode" not in {entry["event"] for entry in logs}


async def test_a_second_successor_of_a_row_is_refused_by_the_database(server: Server, tmp_path: Path) -> None:
    url = server.new_database()
    async with opened(url, tmp_path) as store:
        await store.note("told", "x", {})
    raw = await asyncpg.connect(url)
    try:
        columns = "at, epoch, kind, subject, payload, prev_hash, hash"
        fork = f"INSERT INTO audit (seq, {columns}) SELECT seq + 100, {columns} FROM audit LIMIT 1"
        with pytest.raises(asyncpg.UniqueViolationError):
            await raw.execute(fork)
    finally:
        await raw.close()


async def test_somebody_who_holds_the_writers_turn_delays_nothing_but_the_database(
    server: Server, tmp_path: Path
) -> None:
    url = server.new_database()
    async with opened(url, tmp_path) as store:
        store.epoch = 1
        other = await asyncpg.connect(url)
        await other.execute("SELECT pg_advisory_lock($1)", 0x6472_6966_7464)
        began = asyncio.get_running_loop().time()
        await store.begin([finding()], [intent()])
        assert asyncio.get_running_loop().time() - began < 2.0
        assert store.state.mode is StoreMode.JOURNALLING
        await other.close()
        await until(store, StoreMode.OK)
        assert len(await store.unsettled()) == 1


async def writing(url: str, over: asyncio.Event) -> None:
    """One turn of 0.2 s after the other."""
    other = await asyncpg.connect(url)
    while not over.is_set():
        async with other.transaction():
            await other.execute("SELECT pg_advisory_xact_lock($1)", 0x6472_6966_7464)
            await asyncio.sleep(0.2)
    await other.close()


async def test_a_replica_that_stands_by_comes_back_from_an_outage_beside_a_busy_leader(
    server: Server, tmp_path: Path
) -> None:
    url, over = server.new_database(), asyncio.Event()
    store = await Store.open(url, SteppingClock(), tmp_path, StoreOptions())
    server.stop()
    await store.note("by.a.standby", "", {})
    assert store.state.mode is StoreMode.JOURNALLING
    await asyncio.to_thread(server.start)
    writers = [asyncio.create_task(writing(url, over)) for _ in range(2)]
    try:
        await until(store, StoreMode.OK)
    finally:
        over.set()
        await asyncio.gather(*writers)
    assert "by.a.standby" in [row.kind for row in await store.audit(limit=100)]
    await store.close()


async def test_a_replica_that_stands_by_waits_for_its_turn_as_a_leader_does_not(server: Server, tmp_path: Path) -> None:
    """55P03, seen in a rolling update: a new replica's first records met transactions of a busy leader."""
    url, over = server.new_database(), asyncio.Event()
    async with opened(url, tmp_path / "standby") as standby, opened(url, tmp_path / "leader") as leader:
        leader.epoch = 1
        await leader.note("leads", "", {})
        writers = [asyncio.create_task(writing(url, over)) for _ in range(3)]
        try:
            await asyncio.sleep(0.3)
            for _ in range(2):
                await standby.note("stands.by", "", {})
                assert standby.state.mode is StoreMode.OK
            await asyncio.gather(*(leader.note("told", str(number), {}) for number in range(3)))
            assert leader.state.mode is StoreMode.JOURNALLING, "nothing that a repair waits for takes its time"
        finally:
            over.set()
            await asyncio.gather(*writers)
        await until(leader, StoreMode.OK)


async def test_a_store_that_opens_while_others_write_all_the_time_waits_for_its_turns(
    server: Server, tmp_path: Path
) -> None:
    """Two who take turns of 0.2 s leave no moment in which nobody has one."""
    url, over = server.new_database(), asyncio.Event()
    async with opened(url, tmp_path / "first"):
        pass

    writers = [asyncio.create_task(writing(url, over)) for _ in range(2)]
    try:
        await asyncio.sleep(0.5)
        with capture_logs() as logs:
            store = await Store.open(url, SteppingClock(), tmp_path / "second", StoreOptions())
            assert store.state.mode is StoreMode.OK
            assert "store.mode" not in {entry["event"] for entry in logs}
    finally:
        over.set()
        await asyncio.gather(*writers)
    await store.close()


async def test_a_server_that_lets_nobody_in_quickly_is_back_all_the_same(server: Server, tmp_path: Path) -> None:
    url = server.new_database()
    async with relay(server.port, QUICK.deadline_seconds + 0.5) as (port, _):
        store = await Store.open(url.replace(f":{server.port}/", f":{port}/"), SteppingClock(), tmp_path, QUICK)
        assert store.state.mode is StoreMode.JOURNALLING
        await store.begin([finding()], [])
        await until(store, StoreMode.OK)
        assert len(await store.open_findings()) == 1
        await store.close()


async def test_driftds_sessions_are_ended_when_they_stand_still_in_a_transaction(server: Server) -> None:
    database = Postgres(_url(server.new_database()), busy_ms=250, deadline_seconds=2.0)
    limit = await database.write(
        lambda connection: connection.exec_driver_sql("SHOW idle_in_transaction_session_timeout").scalar_one()
    )
    assert limit == "10s"
    await database.close()


async def test_the_tables_are_those_of_the_code_on_postgresql_too(server: Server, tmp_path: Path) -> None:
    url = server.new_database()
    async with opened(url, tmp_path):
        pass
    database = Postgres(_url(url), busy_ms=250, deadline_seconds=5.0)
    assert (
        await database.read(lambda connection: compare_metadata(MigrationContext.configure(connection), metadata)) == []
    )
    await database.close()


async def test_an_older_schema_is_migrated_once_its_tables_copied_first(server: Server, tmp_path: Path) -> None:
    url = server.new_database()
    async with opened(url, tmp_path / "old") as store:
        await store.begin([finding()], [])
    name = url.rsplit("/", 1)[1]
    later = [table for table in ("pages", "deliveries") if table in metadata.tables]
    server.sql(f"DROP TABLE {', '.join(later)}; UPDATE alembic_version SET version_num = '0001'", name)
    async with opened(url, tmp_path / "a") as one, opened(url, tmp_path / "b"):
        assert len(await one.open_findings()) == 1
        assert (await one.verify()).ok
    assert server.sql("SELECT version_num FROM alembic_version", name) == migration.HEAD
    assert server.sql(f"SELECT count(*) FROM findings_before_{migration.HEAD}", name) == "1"


async def test_nobody_is_told_the_password(server: Server, tmp_path: Path) -> None:
    url = server.new_database().replace(PASSWORD, "wrong-but-secret")
    store = await Store.open(url, SteppingClock(), tmp_path, QUICK)
    assert store.state.mode is StoreMode.JOURNALLING
    assert "wrong-but-secret" not in store.state.reason
    archive = ReadOnly.at(url, SteppingClock())
    with pytest.raises(StoreUnreadable) as caught:
        await archive.head()
    told = [str(caught.value), shown(address_of(url)), repr(caught.value.__cause__)]
    assert not [text for text in told if "wrong-but-secret" in text]
    await archive.close()
    await store.close()


async def test_evidence_reaches_back_over_both_ends_of_a_takeover(server: Server, tmp_path: Path) -> None:
    url = server.new_database()
    async with opened(url, tmp_path / "a") as first:
        await first.begin([finding()], [intent()])
        async with opened(url, tmp_path / "b") as second:
            second.epoch = 2
            assert [left.id for left in await second.unsettled()] == ["i1"]
            await second.finish([outcome()], [])
            await second.close_findings(["f1"], "driftd", START)
        assert await first.unsettled() == []
        await first.note("late", "", {})
        assert (await first.verify()).ok


def _url(text: str) -> URL:
    address = address_of(text)
    assert not isinstance(address, Path)
    return address
