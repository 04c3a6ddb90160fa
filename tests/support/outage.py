"""What the store is told of a fight for one object while its database is away, as the daemon tells it."""

import asyncio
from dataclasses import replace
from pathlib import Path

import orjson

from driftd.drift import Difference, report
from driftd.paging import Condition, PageClass, about_object
from driftd.policy.kinds import digest_of, kind_of
from driftd.store import Store
from driftd.store.anchor import Anchor
from driftd.store.entries import Begin, Entry, Finish
from driftd.store.journal import Journal
from driftd.store.scribe import Scribe
from driftd.values import Clock, Finding, FindingType, Intent, Live, Manager, ObjectRef, Outcome, Result
from tests.support.frail_store import QUICK, FrailDatabase
from tests.support.meaning import judging, platform
from tests.support.pager import replica
from tests.support.paging import HandClock, Scripted

VICTIM = ObjectRef("networking.k8s.io", "NetworkPolicy", "acme-prod", "worker-egress")
_UID = "6f1a3d4e-0c55-4a4e-9d39-3f0b2b7d1a11"
_COMMIT = "git:0123456789abcdef0123456789abcdef01234567"


async def open_away(folder: Path, clock: Clock, journal_bytes: int) -> tuple[Store, FrailDatabase]:
    """A store of which the journal alone takes records, until `refusals` of its database are 0."""
    database = FrailDatabase(folder / "s.db", clock, busy_ms=QUICK.busy_ms, deadline_seconds=60.0)
    journal = Journal(folder / "store.journal", journal_bytes)
    scribe = Scribe(
        database, journal, Anchor(folder / "store.head"), clock, replace(QUICK, journal_bytes=journal_bytes)
    )
    await scribe.start()
    database.refusals = 10**9
    return Store(database, scribe), database


def waiting(folder: Path, journal_bytes: int) -> list[Entry]:
    """What waits in the journal of a store that is closed."""
    journal, found, offset = Journal(folder / "store.journal", journal_bytes), list[Entry](), 0
    while (reading := journal.read(offset)).entries:
        found += reading.entries
        offset = reading.end
    journal.close()
    return found


async def hole() -> tuple[Finding, Finding]:
    """What is found, and reported, where a policy of the example platform lets everything through."""
    compiled = platform("never")
    wanted = compiled.governed[VICTIM.namespace].objects[VICTIM]
    body = wanted.body()
    body["spec"] |= {"egress": [{}], "ingress": [{}], "policyTypes": ["Ingress", "Egress"]}
    digest = digest_of(kind_of(VICTIM), body, compiled.coverage)
    edited = Manager("kubectl-edit", "Update", "2026-11-22T02:00:00Z")
    live = Live(VICTIM, orjson.dumps(body), digest, _UID, "123456", terminating=False, managers=(edited,))
    difference = Difference(FindingType.MODIFIED, VICTIM, wanted, live)
    async with judging(compiled) as judge:
        judge.offer(difference)
        await judge.done(1)
    return judge.found[0], report(judge.found[0], wanted, live, compiled.coverage)


async def fight(folder: Path, journal_bytes: int, heals: int) -> list[Entry]:
    """What so many heals, two a second, leave in the journal: found, judged, repaired, closed and paged."""
    clock, (found, reported) = HandClock(), await hole()
    store, _ = await open_away(folder, clock, journal_bytes)
    known = Condition(PageClass.FIGHT, about_object(VICTIM, found.tenant), "somebody changes it back each time")
    run = replica(store, clock, Scripted(), conditions=[known])  # type: ignore[arg-type]
    await run.pager.step()
    missing = replace(reported, id="missing", type=FindingType.MISSING, changes=())  # somebody had deleted it before
    await store.begin([missing], [])
    await store.close_findings([missing.id], f"driftd {_COMMIT}", clock.now())
    for number in range(heals):
        intent = Intent(name(number), found.id, VICTIM, "replace", _UID, "123456", 3, _COMMIT, clock.now())
        await store.begin([found], [])
        await store.finish([], [reported])
        await store.begin([], [intent])  # in a fight it waits for its turn
        await store.finish([Outcome(intent.id, Result.DONE, clock.now(), "123457", "")], [])
        await store.close_findings([found.id], f"driftd {_COMMIT}", clock.now())
        clock.pass_(0.5)
        await run.pager.step()
        await run.pager.deliver()
    await store.close()
    return waiting(folder, journal_bytes)


def name(number: int) -> str:
    """The id of the intent of one heal of a fight."""
    return f"{number:032x}"


async def again(store: Store, heal: list[Entry], number: int) -> None:
    """Tell the store of a heal once more, as another one."""
    recordings = []
    for entry in heal:
        act = entry.act
        if isinstance(act, Begin):
            act = Begin(act.findings, tuple(replace(one, id=name(number)) for one in act.intents))
        elif isinstance(act, Finish):
            act = Finish(tuple(replace(one, intent=name(number)) for one in act.outcomes), act.reports)
        recordings.append(store._scribe.submit(act, entry.epoch, entry.pages))
    await asyncio.gather(*recordings)
