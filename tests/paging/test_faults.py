"""Something goes wrong over one page: it is tried again, and costs no other."""

import json
import sqlite3
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from driftd.paging import About, Condition, Machine, Page, PageClass, PageState, Rules, Windows
from driftd.store import Store
from tests.support.frail_store import QUICK
from tests.support.pager import begin
from tests.support.paging import SHAPES, START, HandClock, Scripted, drift, machine

BLIND = Condition(PageClass.BLIND, About("kinds", "kinds", "cluster"), "NetworkPolicy cannot be seen")
PAUSED = Condition(PageClass.PAUSED, About("pause odd", "Namespace", "odd", "odd"), "paused until 12:00 UTC")
EVER = 10**9


class Tripping(Rules):
    """Rules that trip over one namespace so many times: at its maintenance windows, at its plan."""

    def __init__(self, *, muting: int = 0, routing: int = 0) -> None:
        super().__init__(plan_of=self._plan)
        self.muting, self.routing = muting, routing

    def muted(self, about: About, cls: PageClass, at: datetime) -> str:
        if about.namespace == "odd" and self.muting:
            self.muting -= 1
            raise LookupError("no such window")
        return super().muted(about, cls, at)

    def _plan(self, namespace: str) -> str:
        if namespace == "odd" and self.routing:
            self.routing -= 1
            raise LookupError("no such plan")
        return "shared"


def states(one: Machine) -> dict[str, PageState]:
    return {page.about.namespace: page.state for page in one.standing()}


def advance(one: Machine, clock: HandClock, seconds: float) -> None:
    clock.pass_(seconds)
    one.advance(clock.instant())


def test_a_page_that_goes_wrong_when_it_is_due_is_told_a_minute_later() -> None:
    clock, one = HandClock(), machine(rules=Tripping(muting=1))
    one.opened(drift(namespace="odd"), clock.instant())
    advance(one, clock, 1)
    ((about, error),) = one.faults()
    assert (str(about), repr(error)) == ("NetworkPolicy odd/default-deny", "LookupError('no such window')")
    assert one.faults() == ()
    advance(one, clock, 59.9)
    assert states(one) == {"odd": PageState.WAITING}
    advance(one, clock, 0.2)
    assert states(one) == {"odd": PageState.OPEN}


def test_a_page_that_goes_wrong_as_it_is_opened_is_told_a_minute_later_though_its_finding_is_offered_again() -> None:
    clock, one = HandClock(), machine(rules=Tripping(muting=1))
    long_ago = clock.wall
    clock.pass_(100)
    for _ in range(3):
        one.opened(drift(namespace="odd"), clock.instant(), since=long_ago)
    assert len(one.faults()) == 1
    advance(one, clock, 60)
    assert states(one) == {"odd": PageState.OPEN}


def test_who_comes_while_the_page_of_another_goes_wrong_has_one() -> None:
    clock, one = HandClock(), machine(rules=Tripping(muting=EVER))
    one.opened(drift("odd", namespace="odd"), clock.instant())
    one.opened(drift("f1", "unjudged"), clock.instant())
    clock.pass_(2)
    one.opened(drift("f2", namespace="acme-dev"), clock.instant())
    one.reported(drift("f1", "tightening"), clock.instant())
    advance(one, clock, 2)
    assert states(one) == {"odd": PageState.WAITING, "acme-prod": PageState.OPEN, "acme-dev": PageState.OPEN}
    one.closed(["f1", "f2"], clock.instant())
    advance(one, clock, 60)
    assert states(one) == {"odd": PageState.WAITING}


def test_a_page_that_goes_wrong_every_time_is_tried_once_a_minute_and_settled_once_that_is_mended() -> None:
    rules = Tripping(muting=EVER)
    clock, one = HandClock(), machine(rules=rules)
    one.opened(drift(namespace="odd"), clock.instant())
    for _ in range(6000):
        advance(one, clock, 0.1)
    assert len(one.faults()) == 10
    rules.muting = 0
    advance(one, clock, 60)
    assert states(one) == {"odd": PageState.OPEN}
    one.closed(["f1"], clock.instant())
    advance(one, clock, 60)
    assert states(one) == {}


def test_a_condition_whose_page_goes_wrong_costs_no_other_and_is_tried_again_in_a_minute() -> None:
    rules = Tripping(routing=1)
    clock, one = HandClock(), machine(rules=rules)
    for _ in range(10):
        one.conditions([PAUSED, BLIND], clock.instant())
        clock.pass_(1)
    assert len(one.faults()) == 1
    assert states(one) == {"": PageState.OPEN}
    clock.pass_(50)
    for _ in range(2):
        one.conditions([PAUSED, BLIND], clock.instant())
        clock.pass_(2)
    one.advance(clock.instant())
    assert states(one) == {"": PageState.OPEN, "odd": PageState.OPEN}


def test_a_condition_that_is_gone_and_named_again_is_tried_at_once() -> None:
    rules = Tripping(routing=1)
    clock, one = HandClock(), machine(rules=rules)
    for current in ([PAUSED], [], [PAUSED]):
        one.conditions(current, clock.instant())
    assert states(one) == {"odd": PageState.WAITING}


ACT = st.tuples(
    st.sampled_from(["open", "judge", "close"]),
    st.sampled_from(["odd", "acme", "globex"]),
    st.sampled_from(sorted(SHAPES)),
    st.sampled_from([0.0, 0.4, 1.0, 5.0, 61.0]),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(ACT, max_size=25))
def test_pages_are_the_same_whether_or_not_one_of_their_neighbours_always_goes_wrong(
    history: list[tuple[str, str, str, float]],
) -> None:
    assert told(history, odd=True) == told(history, odd=False)


def told(history: list[tuple[str, str, str, float]], *, odd: bool) -> list[Page]:
    """Every page the machine gives away of others than the odd one."""
    clock, one = HandClock(), machine(Windows(storm_pages=EVER), Tripping(muting=EVER))
    found: list[Page] = []
    for word, namespace, shape, seconds in history:
        if odd or namespace != "odd":
            if word == "open":
                one.opened(drift(namespace, shape, namespace=namespace), clock.instant())
            elif word == "judge":
                one.reported(drift(namespace, shape, namespace=namespace), clock.instant())
            else:
                one.closed([namespace], clock.instant())
        advance(one, clock, seconds)
        # A life's number counts every life of the cluster.
        found += [replace(page, life=0) for page in one.take() if page.about.namespace != "odd"]
    return found


async def test_the_pager_tells_the_others_in_time_and_says_what_went_wrong(tmp_path: Path) -> None:
    destination = Scripted()
    run = await begin(tmp_path, HandClock(), destination, rules=Tripping(muting=1))
    await run.store.begin([drift("f1", namespace="odd")], [])
    run.clock.pass_(2)
    with capture_logs() as logs:
        await run.store.begin([drift("f2")], [])
    (entry,) = [one for one in logs if one["event"] == "page.fault"]
    assert (entry["about"], repr(entry["exc_info"])) == (
        "NetworkPolicy odd/default-deny",
        "LookupError('no such window')",
    )
    await run.pass_(1)
    assert [page.about.namespace for _, page in destination.accepted] == ["acme-prod"]
    await run.pass_(59)
    assert [page.about.namespace for _, page in destination.accepted] == ["acme-prod", "odd"]
    await run.store.close()


async def test_when_nobody_can_say_what_is_wrong_with_driftd_itself_findings_are_told_all_the_same(
    tmp_path: Path,
) -> None:
    destination = Scripted()
    run = await begin(tmp_path, HandClock(), destination)
    await run.store.begin([drift()], [])

    def broken() -> list[Condition]:
        raise LookupError("no such kind")

    run.pager._conditions = broken
    with capture_logs() as logs:
        await run.pass_(1)
    assert [one["about"] for one in logs if one["event"] == "page.fault"] == ["conditions"]
    assert destination.said == ["trigger"]
    await run.store.close()


# -- taking over ------------------------------------------------------------------------------------------------------


def spoil(folder: Path, namespace: str) -> None:
    """The reasons of a kept page were written down without a time zone."""
    database = sqlite3.connect(folder / "s.db")
    ((text,),) = database.execute("SELECT body FROM pages WHERE namespace = ?", [namespace]).fetchall()
    body = json.loads(text)
    body["reasons"][0]["opened"] = body["reasons"][0]["opened"].removesuffix("Z")
    database.execute("UPDATE pages SET body = ? WHERE namespace = ?", [json.dumps(body), namespace])
    database.commit()
    database.close()


async def close_while_nobody_pages(folder: Path, clock: HandClock, *ids: str) -> None:
    store = await Store.open(folder / "s.db", clock, folder, QUICK)
    await store.close_findings(ids, "driftd", START)
    await store.close()


async def test_a_kept_page_that_makes_no_sense_costs_no_other_its_end(tmp_path: Path) -> None:
    clock, destination = HandClock(), Scripted()
    run = await begin(tmp_path, clock, destination)
    for id, namespace in (("f1", "odd"), ("f2", "acme-prod"), ("f3", "acme-dev")):
        await run.store.begin([drift(id, namespace=namespace)], [])
        await run.pass_(1)
    await run.die()
    spoil(tmp_path, "odd")
    await close_while_nobody_pages(tmp_path, clock, "f2")
    with capture_logs() as logs:
        run = await begin(tmp_path, clock, destination)
    assert [one["about"] for one in logs if one["event"] == "page.fault"] == ["NetworkPolicy odd/default-deny"]
    await run.pass_(60)
    told = [(word, page.about.namespace) for word, page in destination.accepted]
    assert told[:3] == [("trigger", "odd"), ("trigger", "acme-prod"), ("trigger", "acme-dev")]
    # What is still open of the odd one is told under the same key, which nobody is woken by.
    assert sorted(told[3:]) == [("resolve", "acme-prod"), ("trigger", "odd")]
    assert len({page.key for _, page in destination.accepted if page.about.namespace == "odd"}) == 1
    await run.store.close()


async def test_an_open_finding_that_nobody_has_made_a_page_of_gets_one_at_the_start(tmp_path: Path) -> None:
    clock, destination = HandClock(), Scripted()
    store = await Store.open(tmp_path / "s.db", clock, tmp_path, QUICK)
    await store.begin([drift()], [])
    await store.close()
    clock.pass_(300)
    run = await begin(tmp_path, clock, destination)
    await run.pass_(0)
    assert [(word, page.reasons[0].opened) for word, page in destination.accepted] == [("trigger", START)]
    await run.store.close()
