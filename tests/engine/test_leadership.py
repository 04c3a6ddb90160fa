"""What a term knows of the past that the store could not tell when it began."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from sqlalchemy import Connection
from structlog.testing import capture_logs

from driftd.cluster import Term, Unreachable
from driftd.drift import FightBreaker
from driftd.engine.leadership import Leadership
from driftd.engine.namespaces import KEY as NAMESPACE_UIDS
from driftd.engine.namespaces import KnownNamespaces
from driftd.engine.open_findings import OpenFindings
from driftd.engine.pauses import KEY as PAUSED
from driftd.engine.pauses import Pauses
from driftd.engine.stopped import StoppedKinds
from driftd.store import Store, StoreGone
from driftd.store.errors import StoreUnreadable
from driftd.telemetry import Metrics
from driftd.values import Finding, Intent, Live, ObjectRef, Scope
from tests.support.frail_store import FrailDatabase, T, open_frail
from tests.support.records import SteppingClock, finding, intent

EPOCH = 4
"""`intent` writes under epoch 3."""


class DeafDatabase(FrailDatabase):
    """One that can be asked nothing either while it refuses."""

    async def read(self, body: Callable[[Connection], T]) -> T:
        if self.refusals:
            raise StoreUnreadable("refused")
        return await super().read(body)


class Loop:
    """Works nothing off; its `swept` are the reasons given in this term for looking at everything again."""

    def __init__(self) -> None:
        self.begun = False
        self.swept: list[str] = []
        self.marked: list[Scope] = []
        self.dirty = SimpleNamespace(mark=lambda scope, *_args, **_more: self.marked.append(scope))

    def begin(self) -> None:
        self.begun = True
        self.swept.clear()
        self.marked.clear()

    def sweep(self, why: str) -> None:
        assert self.begun, "what an earlier term has judged would count for this one"
        self.swept.append(why)

    async def run(self) -> None:
        await asyncio.Event().wait()


class Replica:
    """A leader over a store; the cluster holds nothing."""

    def __init__(self, store: Store, clock: SteppingClock) -> None:
        metrics = self.metrics = Metrics()
        self.stopped = StoppedKinds(metrics, lambda _why: None)
        self.store, self.loop, self.findings, self.namespaces = store, Loop(), OpenFindings(metrics), KnownNamespaces()
        self.joined: list[set[str]] = []
        self.pauses = Pauses(store=store, clock=clock, metrics=metrics, changed=lambda _namespace: None)

        async def nothing() -> None:
            return

        async def absent(_ref: ObjectRef) -> Live | None:
            return None

        async def here(_commit: str) -> bool:
            return True

        self.leadership = Leadership(
            store=store,
            loop=cast(Any, self.loop),
            findings=self.findings,
            namespaces=self.namespaces,
            pauses=self.pauses,
            stopped=self.stopped,
            observer=cast(Any, SimpleNamespace(refresh=absent)),
            breaker=FightBreaker(),
            in_force=lambda: None,
            reaches=here,
            publish=nothing,
            joined=lambda: self.joined.append(self.known),
            learn=nothing,
            relearn=nothing,
            judge=nothing,
            clock=clock,
            metrics=metrics,
        )

    @property
    def known(self) -> set[str]:
        return {one.id for one in self.findings.all()}


async def past(folder: Path, clock: SteppingClock) -> None:
    """What a former leader left: an open finding, a write without an outcome, a namespace's uid, a pause."""
    store, _ = await open_frail(folder, clock)
    about = finding("old")
    await store.begin([about], [intent("unsettled", about)])
    now = clock.now().isoformat()
    pause = (
        f'{{"namespace":"globex-prod","begun":"{now}","until":"{now.replace("T02", "T03")}","by":"ann","reason":"x"}}'
    )
    await store.remember_all({NAMESPACE_UIDS + "acme-prod": '"uid-of-before"', PAUSED + "globex-prod": pause})
    await store.close()


@asynccontextmanager
async def leading(folder: Path, clock: SteppingClock, *, away: bool) -> AsyncIterator[tuple[Replica, DeafDatabase]]:
    store, database = await open_frail(folder, clock, DeafDatabase)
    if away:
        database.refusals = 10**9
        await store.note("anything", "driftd", {})
        assert not store.durable
    replica = Replica(store, clock)
    term = asyncio.create_task(replica.leadership.lead(Term(EPOCH, "", "")))
    try:
        yield replica, database
    finally:
        term.cancel()
        await asyncio.gather(term, return_exceptions=True)
        await store.close()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(15):
        while not holds():
            await asyncio.sleep(0.01)


def alter(folder: Path, statement: str) -> None:
    with closing(sqlite3.connect(folder / "s.db", isolation_level=None, timeout=5)) as beside:
        beside.execute(statement)


async def knows_it_all(replica: Replica) -> None:
    await until(lambda: "old" in replica.known and replica.pauses.of("globex-prod") is not None)
    await until(lambda: replica.namespaces.uid_of("acme-prod") == "uid-of-before")

    async def settled() -> list[Intent]:
        return [one for one in await replica.store.unsettled() if one.epoch < EPOCH]

    async with asyncio.timeout(15):
        while await settled():
            await asyncio.sleep(0.01)


async def test_a_term_that_begins_with_its_store_knows_what_a_former_one_left(tmp_path: Path) -> None:
    clock = SteppingClock()
    await past(tmp_path, clock)
    async with leading(tmp_path, clock, away=False) as (replica, _):
        await knows_it_all(replica)
        await until(lambda: bool(replica.loop.swept))
        assert replica.loop.swept == ["leadership"]
        assert not replica.joined


async def test_a_term_that_begins_without_its_store_learns_what_a_former_one_left_when_it_is_back(
    tmp_path: Path,
) -> None:
    clock = SteppingClock()
    await past(tmp_path, clock)
    async with leading(tmp_path, clock, away=True) as (replica, database):
        await until(lambda: replica.loop.swept == ["leadership"])
        assert replica.known == set()
        mine = finding("mine", name="other")
        await replica.store.begin([mine], [replace(intent("mine", mine), epoch=EPOCH)])
        database.refusals = 0
        await knows_it_all(replica)
        assert "old" in replica.joined[0], "who judges workloads looks at it before a cycle can close it"
        await until(lambda: "past" in replica.loop.swept)  # what is over by now ends with its scope's next look
        assert finding("old").scope in replica.loop.marked, "a namespace that the model has left is not swept"
        assert [one.id for one in await replica.store.unsettled()] == ["mine"], "that write is under way"


async def test_what_a_store_tells_again_and_again_while_it_cannot_tell_all_is_news_once(tmp_path: Path) -> None:
    """Seen: each try threw away the judgement of live workloads under way, and none that takes a second was made."""
    clock = SteppingClock()
    await past(tmp_path, clock)
    async with leading(tmp_path, clock, away=True) as (replica, database):
        await until(lambda: replica.loop.swept == ["leadership"])
        alter(tmp_path, "ALTER TABLE intents RENAME TO lost")
        with capture_logs() as logs:
            database.refusals = 0
            await until(lambda: bool(replica.joined))
            logs.clear()
            await until(lambda: [one["event"] for one in logs].count("store.past_unknown") == 2)
        assert replica.store.durable
        alter(tmp_path, "ALTER TABLE lost RENAME TO intents")
        await until(lambda: "past" in replica.loop.swept)
        await knows_it_all(replica)
        assert replica.joined == [{"old"}]


async def test_what_ended_while_records_were_lost_is_looked_at_again_when_the_store_is_back(tmp_path: Path) -> None:
    """Its end was among what was lost: in the store it stood open until the next term."""
    clock = SteppingClock()
    async with leading(tmp_path, clock, away=False) as (replica, database):
        await until(lambda: "leadership" in replica.loop.swept)
        await replica.store.begin([finding("over")], [])
        database.refusals = 10**9
        with pytest.raises(StoreGone, match="is full"):
            await replica.store.note("closing", "x" * (2 << 20), {})
        database.refusals = 0
        await until(lambda: "past" in replica.loop.swept)
        assert replica.known == {"over"}


async def test_what_was_cut_off_is_looked_at_side_by_side_a_few_at_a_time_and_what_cannot_be_read_is_left(
    tmp_path: Path,
) -> None:
    """Nobody heals until it is through: sixty objects, one after the other, were most of a hand-over."""
    clock = SteppingClock()
    store, _ = await open_frail(tmp_path, clock)
    about = [finding(f"f{number}", name=f"p{number}") for number in range(20)]
    await store.begin(about, [intent(one.id, one) for one in about])
    looking, most = 0, 0

    async def slowly(ref: ObjectRef) -> Live | None:
        nonlocal looking, most
        looking += 1
        most = max(most, looking)
        await asyncio.sleep(0.05)
        looking -= 1
        if ref.name == "p7":
            raise Unreachable("GET", "/", "refused", sent=False)
        return None

    replica = Replica(store, clock)
    replica.leadership._observer = cast(Any, SimpleNamespace(refresh=slowly))
    term = asyncio.create_task(replica.leadership.lead(Term(EPOCH, "", "")))
    await until(lambda: replica.loop.swept == ["leadership"])
    assert [one.id for one in await store.unsettled()] == ["f7"]
    assert most == 8
    term.cancel()
    await asyncio.gather(term, return_exceptions=True)
    await store.close()


def said_by_leaders_only(metrics: Metrics) -> dict[str, float]:
    gauges = (
        metrics.leading,
        metrics.findings,
        metrics.tenant_findings,
        metrics.fights,
        metrics.fight_open,
        metrics.paused,
        metrics.kind_stopped,
        metrics.queue,
    )
    samples = [sample for gauge in gauges for family in gauge.collect() for sample in family.samples]
    return {sample.name: sample.value for sample in samples if sample.value}


async def test_a_term_that_is_over_leaves_nothing_said_that_only_a_leader_knows(tmp_path: Path) -> None:
    """Seen: the finding of a replica that lost the lease fired DriftdIsolationOpen until its pod was restarted."""
    clock = SteppingClock()
    await past(tmp_path, clock)
    said = {
        "driftd_leading": 1.0,
        "driftd_findings_open": 1.0,
        "driftd_tenant_findings_open": 1.0,
        "driftd_paused_namespaces": 1.0,
        "driftd_kind_stopped": 1.0,
    }
    async with leading(tmp_path, clock, away=False) as (replica, _):
        await knows_it_all(replica)
        replica.stopped.stop(ObjectRef("", "ResourceQuota", "acme-prod", "quota"), "it adds spec.new")
        await until(lambda: said_by_leaders_only(replica.metrics) == said)
        for gauge in (replica.metrics.fights, replica.metrics.fight_open, replica.metrics.queue):
            gauge.set(1)
    assert said_by_leaders_only(replica.metrics) == {}


async def test_a_replica_that_leads_again_says_what_it_still_knows(tmp_path: Path) -> None:
    clock = SteppingClock()
    store, _ = await open_frail(tmp_path, clock)
    replica = Replica(store, clock)
    replica.stopped.stop(ObjectRef("", "ResourceQuota", "acme-prod", "quota"), "it adds spec.new")
    for epoch in (EPOCH, EPOCH + 1):
        term = asyncio.create_task(replica.leadership.lead(Term(epoch, "", "")))
        await until(lambda: said_by_leaders_only(replica.metrics).keys() == {"driftd_leading", "driftd_kind_stopped"})
        term.cancel()
        await asyncio.gather(term, return_exceptions=True)
        assert said_by_leaders_only(replica.metrics) == {}
    await store.close()


@asynccontextmanager
async def term_of(replica: Replica, term: Term) -> AsyncIterator[None]:
    """Until the term works, and until it is over."""
    task = asyncio.create_task(replica.leadership.lead(term))
    await until(lambda: said_by_leaders_only(replica.metrics).get("driftd_leading") == 1.0)
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def open_here(replica: Replica, finding: Finding) -> None:
    replica.findings.take(finding.scope, replica.findings.sift(finding.scope, [finding], ()))


@pytest.mark.parametrize("kind", [DeafDatabase, FrailDatabase], ids=["tells nothing", "tells what it has"])
async def test_what_was_open_is_in_hand_when_a_lease_is_won_back_while_the_database_is_away(
    tmp_path: Path, kind: type[FrailDatabase]
) -> None:
    """Seen: it was found a second time, and what was over by then never ended."""
    store, database = await open_frail(tmp_path, SteppingClock(), kind)
    replica = Replica(store, SteppingClock())
    marked: list[Scope] = []
    replica.loop.dirty = SimpleNamespace(mark=lambda scope, *_args, **_more: marked.append(scope))
    database.refusals = 10**9
    async with term_of(replica, Term(EPOCH, "", "")):
        open_here(replica, mine := finding("mine"))
        await store.begin([mine], [])
    assert said_by_leaders_only(replica.metrics) == {}
    async with term_of(replica, Term(EPOCH + 2, "", "", EPOCH)):  # another try to open it came to nothing
        said = said_by_leaders_only(replica.metrics)
        assert (said["driftd_findings_open"], said["driftd_tenant_findings_open"]) == (1.0, 1.0)
        assert (replica.known, marked) == ({"mine"}, [mine.scope])
    async with term_of(replica, Term(EPOCH + 4, "", "", EPOCH + 3)):
        assert replica.known == set(), "who led meanwhile may have closed it, and what differs now is told to nobody"
    await store.close()


async def test_what_the_store_says_replaces_what_was_in_hand(tmp_path: Path) -> None:
    store, _ = await open_frail(tmp_path, SteppingClock())
    replica = Replica(store, SteppingClock())
    async with term_of(replica, Term(EPOCH, "", "")):
        await store.begin([finding("recorded")], [])
        open_here(replica, finding("closed when the term ended"))
    async with term_of(replica, Term(EPOCH + 1, "", "", EPOCH)):
        assert replica.known == {"recorded"}
        assert said_by_leaders_only(replica.metrics)["driftd_findings_open"] == 1.0
    await store.close()
