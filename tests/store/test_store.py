import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from driftd.store import ReadOnly, Store, StoreOptions, StoreUnreadable, UnsupportedDatabase
from driftd.telemetry import Traces
from driftd.values import Direction, Result
from tests.support.records import START, SteppingClock, change, finding, intent, outcome
from tests.support.spans import InMemory

OPTIONS = StoreOptions(journal_bytes=1 << 20, idle_seconds=0.0)


@pytest_asyncio.fixture
async def store(address: str, tmp_path: Path) -> AsyncIterator[Store]:
    opened = await Store.open(address, SteppingClock(), tmp_path, OPTIONS)
    yield opened
    await opened.close()


async def kinds(store: Store) -> list[str]:
    return [row.kind for row in await store.audit(limit=1000)]


async def test_a_repair_leaves_its_whole_story_as_evidence(store: Store) -> None:
    await store.begin([finding()], [intent()])
    await store.finish([outcome()], [finding(changes=(change(),))])
    await store.close_findings(["f1"], "driftd", START + timedelta(minutes=1))
    assert (await kinds(store))[2:] == [
        "finding.opened",
        "write.intended",
        "write.settled",
        "finding.reported",
        "finding.closed",
    ]
    (past,) = await store.history()
    assert past.seen.finding.changes == (change(),)
    assert past.seen.closed_by == "driftd"
    (write,) = past.writes
    assert write.intent == intent()
    assert write.outcome == outcome()
    found = await store.verify()
    assert found.ok
    assert found.head == store.known_head == await store.head()


async def test_evidence_names_the_trace_in_which_it_happened_and_nothing_where_there_is_none(store: Store) -> None:
    trace = Traces(InMemory()).begin("driftd.reconcile", {})
    trace.keep()
    await store.begin([finding()], [intent()])
    trace.end("repaired", eventful=True)
    await store.finish([outcome()], [])
    rows = await store.audit(limit=1000)
    named = {row.kind: json.loads(row.payload).get("trace") for row in rows}
    assert named["finding.opened"] == named["write.intended"] == trace.id
    assert named["write.settled"] is None
    assert (await store.verify()).ok


async def test_a_finding_seen_again_stays_one_and_keeps_its_report(store: Store) -> None:
    await store.begin([finding()], [])
    await store.finish([], [finding(changes=(change(),))])
    before = await kinds(store)
    await store.begin([finding()], [])
    assert await kinds(store) == before
    (seen,) = await store.open_findings()
    assert seen.finding.changes == (change(),)
    assert seen.confirmed > seen.opened


async def test_a_finding_whose_meaning_changes_says_so_in_the_evidence(store: Store) -> None:
    await store.begin([finding(direction=Direction.TIGHTENS)], [])
    await store.begin([finding(direction=Direction.LOOSENS)], [])
    assert (await kinds(store))[-1] == "finding.changed"
    assert len(await store.history(directions=[Direction.LOOSENS])) == 1


async def test_a_difference_that_comes_back_is_a_new_episode(store: Store) -> None:
    for _ in range(3):
        await store.begin([finding()], [])
        await store.close_findings(["f1"], "driftd", START + timedelta(hours=1))
    assert [past.episode for past in await store.history()] == [3, 2, 1]
    assert await store.open_findings() == []


async def test_closing_what_is_not_open_changes_nothing(store: Store) -> None:
    before = await kinds(store)
    await store.close_findings(["nobody"], "driftd", START)
    assert await kinds(store) == before


async def test_intents_without_an_end_are_found_again_after_a_restart(address: str, tmp_path: Path) -> None:
    store = await Store.open(address, SteppingClock(), tmp_path, OPTIONS)
    await store.begin([finding()], [intent("i1"), intent("i2")])
    await store.finish([outcome("i1")], [])
    await store.close()
    store = await Store.open(address, SteppingClock(), tmp_path, OPTIONS)
    assert [left.id for left in await store.unsettled()] == ["i2"]
    await store.finish([outcome("i2", result=Result.UNKNOWN)], [])
    assert await store.unsettled() == []
    assert (await store.verify()).ok
    await store.close()


async def test_only_the_first_end_of_an_intent_counts(store: Store) -> None:
    await store.begin([finding()], [intent()])
    await store.finish([outcome()], [])
    await store.finish([outcome(result=Result.FAILED)], [])
    (past,) = await store.history()
    assert past.writes[0].outcome == outcome()
    assert (await kinds(store)).count("write.settled") == 1


async def test_an_intent_told_twice_is_written_once(store: Store) -> None:
    await store.begin([finding()], [intent()])
    await store.begin([finding()], [intent()])
    assert (await kinds(store)).count("write.intended") == 1


async def test_callers_at_the_same_time_share_a_transaction_and_all_come_home(store: Store) -> None:
    await asyncio.gather(*(store.begin([finding(f"f{n}")], [intent(f"i{n}", finding(f"f{n}"))]) for n in range(300)))
    assert len(await store.unsettled()) == 300
    assert (await store.verify()).ok


async def test_a_thousand_values_are_remembered_changed_and_forgotten(store: Store) -> None:
    await store.remember_all({f"uid/{n}": f'"{n}"' for n in range(1000)})
    await store.remember_all({"uid/1": '"new"', "uid/2": None, "uie": '"x"'})
    values = await store.recall_all("uid/")
    assert len(values) == 999
    assert await store.recall("uid/1") == '"new"'
    assert await store.recall("uid/2") is None


async def test_history_is_narrowed_by_each_of_its_questions(store: Store) -> None:
    await store.begin([finding("a", tenant="acme", namespace="acme-prod")], [])
    await store.begin([finding("b", tenant="globex", namespace="globex-prod", direction=Direction.TIGHTENS)], [])

    async def ids(**question: object) -> list[str]:
        return [past.seen.finding.id for past in await store.history(**question)]  # type: ignore[arg-type]

    assert await ids() == ["b", "a"]
    assert await ids(tenant="acme") == ["a"]
    assert await ids(namespace="globex-prod") == ["b"]
    assert await ids(kind="NetworkPolicy", limit=1) == ["b"]
    assert await ids(kind="Namespace") == []
    assert await ids(directions=[Direction.TIGHTENS]) == ["b"]
    assert await ids(since=START + timedelta(days=1)) == []


async def test_confirmations_reach_the_database_without_evidence(address: str, tmp_path: Path) -> None:
    clock = SteppingClock()
    store = await Store.open(address, clock, tmp_path, OPTIONS)
    await store.begin([finding()], [])
    before = await kinds(store)
    later = START + timedelta(minutes=5)
    await store.confirm(["f1", "nobody"], later)
    assert await kinds(store) == before
    await store.close()
    store = await Store.open(address, clock, tmp_path, OPTIONS)
    (seen,) = await store.open_findings()
    assert seen.confirmed == later
    await store.close()


async def test_a_record_the_database_cannot_take_fails_alone(store: Store) -> None:
    results = await asyncio.gather(
        store.note("a", "ok", {}),
        store.note("b", "\ud800", {}),
        store.note("c", "ok", {}),
        return_exceptions=True,
    )
    assert [type(result).__name__ for result in results] == ["NoneType", "EntryRefused", "NoneType"]
    assert (await kinds(store))[-2:] == ["a", "c"]
    assert store.durable


async def test_records_carry_the_epoch_of_their_leader(store: Store) -> None:
    store.epoch = 17
    await store.note("leadership.gained", "driftd-0", {"epoch": "17"})
    (*_, row) = await store.audit(limit=1000)
    assert row.epoch == 17


async def test_an_address_of_another_database_is_refused_without_its_password(tmp_path: Path) -> None:
    for wrong in ("mysql://me:secret@db/x", "postgresql+psycopg://me:secret@db/x", "postgresql://me:secret@/x"):
        with pytest.raises(UnsupportedDatabase) as caught:
            await Store.open(wrong, SteppingClock(), tmp_path)
        assert "secret" not in str(caught.value)


async def test_a_command_reads_beside_a_running_daemon_and_after_it(address: str, tmp_path: Path) -> None:
    clock = SteppingClock()
    store = await Store.open(address, clock, tmp_path, OPTIONS)
    await store.begin([finding()], [intent()])
    beside = ReadOnly.at(address, clock)
    assert len(await beside.history()) == 1
    await store.close_findings(["f1"], "driftd", START)
    assert await beside.open_findings() == []
    await store.close()
    await beside.close()
    after = ReadOnly.at(address, clock)
    assert (await after.verify()).ok
    await after.close()


async def test_a_command_is_told_when_there_is_no_database(tmp_path: Path) -> None:
    with pytest.raises(StoreUnreadable, match="there is no file"):
        ReadOnly.at(tmp_path / "none.db", SteppingClock())
