"""What is old goes, what is open stays, and the chain can be verified as before."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection, delete, text, update

from driftd.app.retention import keep_days
from driftd.store import Head, Store, StoreOptions
from driftd.store.retention import BASE
from driftd.store.schema import audit, state
from tests.support.records import START, SteppingClock, finding, intent, outcome

OPTIONS = StoreOptions(journal_bytes=1 << 20, idle_seconds=0.0)
DAY = timedelta(days=1)


async def opened(address: str, folder: Path, clock: SteppingClock) -> Store:
    return await Store.open(address, clock, folder, OPTIONS)


async def lived(store: Store, clock: SteppingClock, days: int) -> None:
    """A healed finding a day, and one of the first day that is open to this day."""
    await store.begin([finding("open")], [])
    for day in range(days):
        name = f"f{day}"
        await store.begin([finding(name)], [intent(f"i{day}", finding(name))])
        await store.finish([outcome(f"i{day}")], [])
        await store.close_findings([name], "driftd", clock.wall)
        clock.wall += DAY


async def write(store: Store, statement: object) -> None:
    def body(connection: Connection) -> None:
        connection.execute(statement)  # type: ignore[call-overload]

    await store._scribe._database.write(body)


async def test_what_is_older_than_asked_goes_and_the_rest_verifies(address: str, tmp_path: Path) -> None:
    clock = SteppingClock()
    store = await opened(address, tmp_path, clock)
    await lived(store, clock, 10)
    whole = await store.verify()
    cutoff = START + 6 * DAY
    assert await store.prune(cutoff) > 0
    rows = await store.audit(limit=1000)
    assert rows[0].seq > 1
    assert all(row.at >= "2026-11-28T02" for row in rows)
    assert rows[-1].kind == "chain.pruned"
    assert {past.seen.finding.id for past in await store.history()} == {"open", "f6", "f7", "f8", "f9"}
    assert [seen.finding.id for seen in await store.open_findings()] == ["open"]
    found = await store.verify(store.known_head)
    assert found.ok, found
    assert found.rows < whole.rows
    assert (await store.verify(whole.head)).ok
    assert (await store.verify(Head(2, "0" * 64))).ok, "an anchor from before is older than what is kept"
    assert await store.prune(cutoff) == 0, "nothing more is that old"
    await store.close()
    again = await opened(address, tmp_path, clock)
    await again.note("after", "", {})
    assert "chain.discontinued" not in [row.kind for row in await again.audit(limit=1000)]
    assert (await again.verify()).ok
    await again.close()


async def test_a_replica_that_saw_nothing_since_before_finds_no_fault(address: str, tmp_path: Path) -> None:
    clock = SteppingClock()
    store = await opened(address, tmp_path, clock)
    await store.close()
    noted = (tmp_path / "store.head").read_text()
    store = await opened(address, tmp_path, clock)
    await lived(store, clock, 3)
    await store.prune(START + 2 * DAY)
    await store.close()
    (tmp_path / "store.head").write_text(noted)
    again = await opened(address, tmp_path, clock)
    assert "chain.discontinued" not in [row.kind for row in await again.audit(limit=1000)]
    await again.close()


async def test_a_beginning_that_was_cut_off_by_somebody_else_is_found_out(address: str, tmp_path: Path) -> None:
    clock = SteppingClock()
    store = await opened(address, tmp_path, clock)
    await lived(store, clock, 3)
    rows = await store.audit(limit=1000)
    await write(store, delete(audit).where(audit.c.seq <= rows[4].seq))
    assert not (await store.verify()).ok
    forged = f'"{rows[4].seq}:{rows[4].hash}"'
    await store.remember(BASE, forged)
    found = await store.verify()
    assert not found.ok
    assert "no row says that they were pruned" in found.problem
    await store.close()


async def test_a_base_that_was_moved_after_pruning_is_found_out(address: str, tmp_path: Path) -> None:
    clock = SteppingClock()
    store = await opened(address, tmp_path, clock)
    await lived(store, clock, 4)
    await store.prune(START + 2 * DAY)
    rows = await store.audit(limit=1000)
    await write(store, delete(audit).where(audit.c.seq <= rows[2].seq))
    await write(store, update(state).where(state.c.key == BASE).values(value=f'"{rows[2].seq}:{rows[2].hash}"'))
    assert not (await store.verify()).ok
    await store.close()


async def test_many_old_rows_go_in_steps_and_repairs_come_between(tmp_path: Path) -> None:
    clock = SteppingClock()
    store = await opened(f"sqlite:///{tmp_path}/s.db", tmp_path, clock)
    await asyncio.gather(*(store.note("old", str(number), {}) for number in range(5000)))
    clock.wall += DAY
    await store.note("young", "", {})
    steps, _ = await asyncio.gather(store.prune(START + DAY / 2), store.begin([finding()], [intent()]))
    assert steps >= 3
    kinds = [row.kind for row in await store.audit(limit=100)]
    assert "old" not in kinds
    assert kinds.count("write.intended") == 1
    assert (await store.verify()).ok
    await store.close()


async def test_a_row_that_somebody_deleted_keeps_none_of_the_others_for_ever(address: str, tmp_path: Path) -> None:
    """The search for the next rows met the hole: on SQLite the daemon ended by it, an hour after each start."""
    clock = SteppingClock()
    store = await opened(address, tmp_path, clock)
    await lived(store, clock, 8)
    rows = await store.audit(limit=1000)
    for hole in range(3, len(rows) - 3, 4):
        await write(store, delete(audit).where(audit.c.seq == rows[hole].seq))
    assert await store.prune(START + 6 * DAY) > 0
    left = await store.audit(limit=1000)
    assert left[0].at >= "2026-11-28"
    assert not (await store.verify()).ok, "what is kept lacks rows all the same"
    await store.close()


async def test_no_young_row_goes_although_its_number_is_low(address: str, tmp_path: Path) -> None:
    """A replica whose clock goes wrong writes young rows between old ones, or old ones behind young ones."""
    clock = SteppingClock()
    store = await opened(address, tmp_path, clock)
    await store.note("old", "1", {})
    clock.wall += 9 * DAY
    await store.note("young", "2", {})
    clock.wall -= 9 * DAY
    for number in range(5):
        await store.note("old", str(number), {})
    clock.wall += 9 * DAY
    await store.prune(START + 6 * DAY)
    assert [row.kind for row in await store.audit(limit=1000)] == ["young", *["old"] * 5, "chain.pruned"]
    assert (await store.verify()).ok
    await store.close()


@pytest.mark.parametrize(("days", "leads", "kept"), [(2, True, False), (2, False, True), (0, True, True)])
async def test_the_leader_alone_prunes_and_only_where_days_are_set(
    tmp_path: Path, days: int, leads: bool, kept: bool
) -> None:
    clock = SteppingClock()
    store = await opened(f"sqlite:///{tmp_path}/s.db", tmp_path, clock)
    await lived(store, clock, 5)
    task = asyncio.create_task(keep_days(days, store, clock, lambda: leads, first_seconds=0.0))
    await asyncio.sleep(0.5)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert ((await store.audit(limit=1))[0].seq == 1) is kept
    await store.close()


async def test_the_settled_writes_of_old_findings_go_and_no_row_is_orphaned(address: str, tmp_path: Path) -> None:
    clock = SteppingClock()
    store = await opened(address, tmp_path, clock)
    await lived(store, clock, 4)
    await store.prune(START + 3 * DAY)

    def count(connection: Connection) -> int:
        return int(connection.execute(text("SELECT count(*) FROM intents")).scalar_one())

    assert await store._scribe._database.read(count) == 1
    await store.close()
