"""Pages lie in the transaction of their finding, survive what findings survive, and are written whole."""

import sqlite3
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest_asyncio

from driftd.store import Act, Begin, Close, DeliveryRow, PageRow, Store, StoreMode
from tests.support.frail_store import QUICK, crash, open_frail, until_back
from tests.support.records import START, SteppingClock, finding


def page(
    key: str = "k", life: int = 1, state: str = "waiting", *, settled: bool = False, gone: bool = False
) -> PageRow:
    return PageRow(key, life, state, "crossing", "critical", "acme", "acme-prod", START, "{}", settled, gone)


def delivery(key: str = "k", life: int = 1, *, revision: int = 1, resolved: bool = False) -> DeliveryRow:
    return DeliveryRow(key, life, "pagerduty", revision, resolved, "critical", 1, START)


@dataclass
class Scripted:
    """Writes one page for each finding it hears of."""

    heard: list[Act] = field(default_factory=list)
    free: list[PageRow] = field(default_factory=list)

    def pages_for(self, act: Act) -> tuple[PageRow, ...]:
        self.heard.append(act)
        match act:
            case Begin(findings=found):
                return tuple(page(one.id) for one in found)
            case Close(ids=ids):
                return tuple(page(id, state="open") for id in ids)
            case _:
                return ()

    def recorded(self, pages: Sequence[PageRow]) -> None:
        self.free += pages


@pytest_asyncio.fixture
async def store(address: str, tmp_path: Path) -> AsyncIterator[Store]:
    opened = await Store.open(address, SteppingClock(), tmp_path, QUICK)
    opened.companion = Scripted()
    yield opened
    await opened.close()


async def test_a_page_is_there_when_its_finding_is(store: Store) -> None:
    await store.begin([finding("f1"), finding("f2")], [])
    assert [told.page for told in await store.unsettled_pages()] == [page("f1"), page("f2")]
    await store.close_findings(["f1"], "driftd", START)
    assert [told.page.state for told in await store.unsettled_pages()] == ["open", "waiting"]


async def test_people_may_be_told_once_the_page_is_durable(store: Store) -> None:
    scripted = store.companion
    assert isinstance(scripted, Scripted)
    await store.begin([finding("f1")], [])
    assert scripted.free == [page("f1")]


async def test_pages_and_findings_go_through_the_journal_together(tmp_path: Path) -> None:
    clock = SteppingClock()
    store, _ = await open_frail(tmp_path, clock)
    store.companion = Scripted()
    lock = sqlite3.connect(tmp_path / "s.db", isolation_level=None, timeout=5)
    lock.execute("BEGIN IMMEDIATE")
    await store.begin([finding("f1")], [])
    await store.tell([page("f1", state="open")], [delivery("f1")])
    assert store.state.mode is StoreMode.JOURNALLING
    await crash(store)
    lock.execute("ROLLBACK")
    lock.close()
    again, _ = await open_frail(tmp_path, clock)
    await until_back(again)
    (told,) = await again.unsettled_pages()
    assert told.page == page("f1", state="open")
    assert told.deliveries == (delivery("f1"),)
    assert len(await again.open_findings()) == 1
    await again.close()


async def test_who_was_told_is_evidence(store: Store) -> None:
    await store.tell([page()], [delivery()])
    await store.tell([page(settled=True)], [delivery(resolved=True)])
    rows = [row for row in await store.audit(limit=100) if row.kind.startswith("page.")]
    assert [(row.kind, row.subject) for row in rows] == [("page.told", "k"), ("page.resolved", "k")]
    assert (await store.verify()).ok


async def test_settled_pages_are_history_and_nothing_else(store: Store) -> None:
    await store.tell([page("old", settled=True), page("new")], [delivery("old")])
    assert [told.page.key for told in await store.unsettled_pages()] == ["new"]
    assert {told.page.key for told in await store.pages(limit=10)} == {"old", "new"}
    assert await store.pages(tenant="other") == []


async def test_a_page_that_came_to_nothing_leaves_no_row(store: Store) -> None:
    await store.tell([page()])
    await store.tell([page(gone=True)])
    assert await store.pages() == []


async def test_the_lives_of_a_page_are_told_apart(store: Store) -> None:
    await store.tell([page(life=1, settled=True), page(life=2)], [delivery(life=1, resolved=True), delivery(life=2)])
    newest, older = await store.pages()
    assert (newest.page.life, newest.deliveries) == (2, (delivery(life=2),))
    assert (older.page.life, older.deliveries) == (1, (delivery(life=1, resolved=True),))


async def test_names_of_unsettled_pages_are_told_alone_and_any_life_is_read_by_its_name(store: Store) -> None:
    await store.tell([page("old", settled=True), page("new"), page("other")], [delivery("old")])
    old, new, other = ((one, 1) for one in ("old", "new", "other"))
    assert await store.unsettled_page_names() == {new, other}
    found = await store.pages_named([old, new, ("none", 1), ("new", 2)])
    assert [(told.page.key, told.page.settled, len(told.deliveries)) for told in found] == [
        ("new", False, 0),
        ("old", True, 1),
    ]
