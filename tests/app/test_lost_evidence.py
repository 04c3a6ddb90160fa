"""Evidence that is gone from the database wakes somebody once, and is no news a day later."""

import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from driftd.app.evidence import STANDS, LostEvidence
from driftd.paging import PageClass
from tests.support.pager import Run, begin
from tests.support.paging import HandClock, Scripted


async def put_back(folder: Path, clock: HandClock) -> None:
    """The database as it was before its last rows, as from a backup."""
    run = await begin(folder, clock)
    await run.store.note("note.a", "x", {})
    with closing(sqlite3.connect(folder / "s.db")) as now, closing(sqlite3.connect(folder / "backup")) as then:
        now.backup(then)
    await run.store.note("note.b", "y", {})
    await run.store.close()
    for file in folder.glob("s.db*"):
        file.unlink()
    (folder / "backup").rename(folder / "s.db")


async def watching(folder: Path, clock: HandClock, one: Scripted) -> tuple[Run, LostEvidence]:
    run = await begin(folder, clock, one)
    evidence = LostEvidence(run.store, clock)
    run.pager._conditions = lambda: [*evidence.conditions()]
    await evidence.look()
    await run.pager.step()
    return run, evidence


async def test_lost_evidence_is_one_page_that_is_over_after_a_day(tmp_path: Path) -> None:
    clock, one = HandClock(), Scripted()
    await put_back(tmp_path, clock)
    run, evidence = await watching(tmp_path, clock, one)
    await run.pass_(2.0)
    ((action, page),) = one.accepted
    assert (action, page.cls, page.urgency.value) == ("trigger", PageClass.EVIDENCE, "warning")
    assert "is not there any more" in page.reasons[0].summary
    await run.store.note("note.c", "z", {})
    await run.store.close()
    clock.pass_(3600.0)
    run, evidence = await watching(tmp_path, clock, one)
    await run.pass_(3600.0, steps=4)
    assert one.said == ["trigger"], "a restart tells nobody anew"
    clock.pass_(STANDS.total_seconds())
    await evidence.look()
    await run.pass_(0.0)
    await run.pass_(60.0)
    assert one.said == ["trigger", "resolve"]
    await run.store.close()


async def test_a_second_loss_is_another_page(tmp_path: Path) -> None:
    clock, one = HandClock(), Scripted()
    for _ in range(2):
        await put_back(tmp_path, clock)
        run, _ = await watching(tmp_path, clock, one)
        await run.pass_(2.0)
        await run.store.close()
    assert len({page.key for action, page in one.accepted if action == "trigger"}) == 2


async def test_a_whole_chain_is_nobodys_alarm_and_an_odd_record_is_none(tmp_path: Path) -> None:
    clock, one = HandClock(), Scripted()
    run, evidence = await watching(tmp_path, clock, one)
    without_zone = '{"at": "2026-11-22T10:00:00", "expected": "3:x", "found": "2:y"}'
    for text in (None, "", "nonsense", '{"at": 3}', "[]", without_zone):
        await run.store.remember_all({"chain.gap": text})
        await evidence.look()
        assert list(evidence.conditions()) == []
    await run.store.close()


@pytest.mark.parametrize("jump", [timedelta(hours=1), timedelta(hours=-1)])
async def test_a_wall_clock_that_jumps_ends_no_page_of_it(tmp_path: Path, jump: timedelta) -> None:
    clock = HandClock()
    await put_back(tmp_path, clock)
    run, evidence = await watching(tmp_path, clock, Scripted())
    clock.jump(jump.total_seconds())
    assert len(list(evidence.conditions())) == 1
    await run.store.close()
