"""Who is told what and when: the rules one by one, and any history against a naive account."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

from hypothesis import example, given, settings
from hypothesis import strategies as st

from driftd.paging import About, Condition, Maintenance, Page, PageClass, PageState, Rules, Urgency, Windows
from driftd.values import FindingType
from tests.oracle.pages import Naive, Told
from tests.support.paging import START, HandClock, Watched, drift, machine

CALM = Windows(storm_pages=10**6)
BLIND = Condition(PageClass.BLIND, About("kinds", "kinds", "cluster"), "NetworkPolicy cannot be seen")


def test_an_open_way_across_tenants_is_critical_after_one_second() -> None:
    one = Watched()
    one.open()
    assert one.only(0.99).state is PageState.WAITING
    page = one.only(0.02)
    assert (page.state, page.urgency, page.cls) == (PageState.OPEN, Urgency.CRITICAL, PageClass.CROSSING)


def test_a_way_across_tenants_that_was_closed_at_once_is_a_warning_within_its_second() -> None:
    one = Watched()
    one.open()
    one.clock.pass_(0.01)
    one.close()
    page = one.only(0.5)
    assert (page.state, page.urgency) == (PageState.OPEN, Urgency.WARNING)


def test_what_nobody_has_judged_within_its_second_counts_as_crossing() -> None:
    one = Watched()
    one.open(shape="unjudged")
    one.close()
    assert one.only(0.9).state is PageState.WAITING
    page = one.only(0.1)
    assert (page.state, page.urgency) == (PageState.OPEN, Urgency.WARNING)


def test_a_judgement_that_comes_in_time_decides() -> None:
    one = Watched()
    one.open(shape="unjudged")
    one.close()
    one.clock.pass_(0.2)
    one.judge("tightening")
    assert one(100) == []


def test_a_judgement_that_comes_too_late_is_told_once_more() -> None:
    one = Watched()
    one.open(shape="unjudged")
    assert one.only(1).revision == 1
    one.judge("crossing")
    page = one.only()
    assert (page.revision, page.urgency, page.reasons[0].judged) == (2, Urgency.CRITICAL, True)


def test_other_loosening_is_told_after_five_seconds() -> None:
    one = Watched()
    one.open(shape="loosening")
    assert one.only(4.9).state is PageState.WAITING
    page = one.only(0.1)
    assert (page.state, page.urgency, page.cls) == (PageState.OPEN, Urgency.ERROR, PageClass.LOOSENING)


def test_other_loosening_that_is_healed_in_time_is_a_change_event() -> None:
    one = Watched()
    one.open(shape="loosening")
    one.clock.pass_(4)
    one.close()
    page = one.only(1)
    assert (page.state, page.told, page.triggered) == (PageState.CHANGE, True, None)


def test_tightening_is_told_after_a_minute_and_not_at_all_when_healed() -> None:
    one = Watched()
    one.open("f1", "tightening", name="a")
    one.open("f2", "tightening", name="b")
    one.clock.pass_(59)
    one.close("f1")
    page = one.only(1)
    assert (str(page.about), page.urgency, page.state) == ("NetworkPolicy acme-prod/b", Urgency.WARNING, PageState.OPEN)


def test_drift_that_means_nothing_leaves_no_page_but_is_watched_for_getting_worse() -> None:
    one = Watched()
    one.open(shape="neutral")
    assert one(100) == []
    one.judge("crossing")
    assert one.only(1).urgency is Urgency.CRITICAL


def test_a_page_becomes_more_urgent_when_its_drift_does_and_never_less() -> None:
    one = Watched()
    one.open(shape="tightening")
    assert one.only(60).urgency is Urgency.WARNING
    one.judge("crossing")
    worse = one.only()
    assert (worse.urgency, worse.revision) == (Urgency.CRITICAL, 2)
    one.judge("tightening")
    assert one.only().urgency is Urgency.CRITICAL


def test_a_page_is_resolved_when_all_was_well_for_a_minute() -> None:
    one = Watched()
    one.open()
    one.clock.pass_(2)
    one.close()
    assert one.only(59.9).state is PageState.OPEN
    assert one.only(0.1).state is PageState.RESOLVED


def test_flapping_stays_one_page() -> None:
    one = Watched()
    for _ in range(50):
        one.open()
        one.clock.pass_(0.05)
        one.close()
        one(30)
    page = one.only()
    assert (page.state, page.revision, page.reasons[0].times) == (PageState.OPEN, 1, 50)


def test_repairs_that_never_hold_are_as_bad_as_none() -> None:
    one = Watched()
    for _ in range(10):
        one.open()
        one.clock.pass_(0.3)
        one.close()
        one.clock.pass_(0.05)
    assert one.only().urgency is Urgency.CRITICAL


def test_whatever_is_wrong_with_one_object_is_one_page() -> None:
    one = Watched()
    now = one.clock.instant()
    one.machine.opened(drift("modified"), now)
    one.machine.opened(drift("blocked", type_=FindingType.BLOCKED, summary="the server said: password=hunter2"), now)
    about = next(one.machine.standing()).about
    one.machine.conditions([Condition(PageClass.FIGHT, about, "repaired 5 times in a minute")], now)
    page = one.only(2)
    assert {reason.what for reason in page.reasons} == {"modified", "blocked", "fight"}
    assert page.cls is PageClass.CROSSING
    assert "hunter2" not in repr(page)


def test_a_drift_that_comes_back_after_the_end_is_another_life_under_the_same_key() -> None:
    one = Watched()
    one.open()
    one(1)
    one.close()
    one(60)
    one.open()
    first, second = one(1)
    assert (first.key, first.state) == (second.key, PageState.RESOLVED)
    assert second.life > first.life
    assert second.state is PageState.OPEN


def test_a_condition_is_a_warning_for_as_long_as_it_is_named() -> None:
    one = Watched()
    one.machine.conditions([BLIND], one.clock.instant())
    page = one.only(2)
    assert (page.state, page.urgency, page.cls) == (PageState.OPEN, Urgency.WARNING, PageClass.BLIND)
    one.machine.conditions([], one.clock.instant())
    assert one.only(60).state is PageState.RESOLVED


def test_a_condition_of_a_moment_is_not_told() -> None:
    one = Watched()
    one.machine.conditions([BLIND], one.clock.instant())
    one.clock.pass_(1)
    one.machine.conditions([], one.clock.instant())
    assert one(100) == []


def test_a_jump_of_the_wall_clock_changes_nothing() -> None:
    for jump in (3600.0, -3600.0):
        one = Watched()
        one.open(shape="tightening")
        one(30)
        one.clock.jump(jump)
        assert one.only(29).state is PageState.WAITING
        assert one.only(1).state is PageState.OPEN
        one.close()
        one.clock.jump(-jump)
        assert one.only(59).state is PageState.OPEN
        assert one.only(1).state is PageState.RESOLVED


# -- restarts ---------------------------------------------------------------------------------------------------------


def test_a_restart_goes_on_where_the_window_was() -> None:
    one = Watched()
    one.open(shape="tightening")
    kept = one(50)
    again = Watched()
    again.clock = one.clock
    again.clock.pass_(5)
    again.clock.seconds = 3.0  # monotonic time begins anew with the machine
    assert again.machine.load(kept, again.clock.instant()) == ["f1"]
    again.machine.opened(drift("f1", "tightening"), again.clock.instant(), since=START)
    assert all(page.state is PageState.WAITING for page in again(4.9))
    assert again.only(0.1).state is PageState.OPEN


def test_what_was_healed_while_nobody_ran_is_told_and_resolved() -> None:
    one = Watched()
    one.open()
    kept = one(0.1)
    again = Watched()
    again.clock = one.clock
    again.clock.pass_(10)
    again.close(*again.machine.load(kept, again.clock.instant()))
    page = again.only()
    assert (page.state, page.urgency) == (
        PageState.OPEN,
        Urgency.CRITICAL,
    )  # open for its second as far as anybody knows
    assert again.only(60).state is PageState.RESOLVED


def test_a_finding_that_has_been_open_for_long_is_told_at_once() -> None:
    one = Watched()
    one.machine.opened(drift(), one.clock.instant(), since=START - timedelta(minutes=5))
    assert one.only().urgency is Urgency.CRITICAL


def test_of_two_unfinished_lives_of_one_object_the_later_goes_on_and_is_counted_once() -> None:
    one = Watched()
    one.open()
    first = one.only(1)
    later = replace(first, life=first.life + 1)
    again = Watched()
    again.clock = one.clock
    assert again.machine.load([first, later], again.clock.instant()) == ["f1"]
    assert again.machine.open_counts() == {(PageClass.CROSSING, Urgency.CRITICAL): 1}
    again.close()
    assert [(page.life, page.state) for page in again(60)] == [(later.life, PageState.RESOLVED)]
    assert again.machine.open_counts() == {}


def test_lives_are_numbered_onwards_when_the_clock_was_set_back() -> None:
    one = Watched()
    one.open()
    (kept,) = one(1)
    again = Watched()
    again.clock.jump(-3600)
    again.close(*again.machine.load([kept], again.clock.instant()))
    again(61)
    again.open()
    assert max(page.life for page in again(1)) > kept.life


# -- storms -----------------------------------------------------------------------------------------------------------


def storm_of(count: int, shape: str = "crossing") -> Watched:
    one = Watched()
    for n in range(count):
        one.open(f"f{n}", shape, name=f"p{n}")
    return one


def test_a_thousand_findings_at_once_are_one_incident_with_a_count() -> None:
    one = storm_of(1000)
    told = [page for page in one(2) if page.told]
    (storm,) = told
    assert (storm.cls, storm.members, storm.standing, storm.urgency) == (PageClass.STORM, 1000, 1000, Urgency.CRITICAL)


def test_a_thousand_findings_that_are_repaired_one_by_one_are_one_incident() -> None:
    one = Watched()
    for n in range(1000):
        one.open(f"f{n}", "unjudged", name=f"p{n}")
        one.clock.pass_(0.002)
        one.close(f"f{n}")
        one.judge("crossing", f"f{n}") if n % 7 else None
    (storm,) = [page for page in one(2) if page.told]
    assert storm.members == 1000
    assert storm.revision < 20
    assert [page.state for page in one(60) if page.told] == [PageState.RESOLVED]


def test_a_storm_is_over_when_its_last_page_is() -> None:
    one = storm_of(30)
    one(2)
    one.close(*(f"f{n}" for n in range(29)))
    (storm,) = [page for page in one(61) if page.told]
    assert (storm.state, storm.standing) == (PageState.OPEN, 1)
    one.close("f29")
    (storm,) = [page for page in one(61) if page.told]
    assert storm.state is PageState.RESOLVED


def test_what_comes_after_a_storm_is_a_page_of_its_own() -> None:
    one = storm_of(30)
    one(2)
    one(200)
    one.open("late", name="late")
    told = [page for page in one(1) if page.told]
    assert [page.cls for page in told] == [PageClass.STORM, PageClass.CROSSING]


def test_ten_pages_a_minute_are_no_storm() -> None:
    one = storm_of(10)
    assert sum(page.told for page in one(2)) == 10


def test_what_is_over_and_never_told_makes_no_storm_of_one_page() -> None:
    """Seen: right after a first install a way across tenants was told as one page at once, of the class of storms."""
    one = storm_of(30, "tightening")
    one.clock.pass_(0.1)
    one.open("hole", name="hole")
    one.close(*(f"f{n}" for n in range(30)))
    assert [page.cls for page in one(2) if page.told] == [PageClass.CROSSING]


def test_a_storm_becomes_as_urgent_as_its_worst_page() -> None:
    one = storm_of(30, "loosening")
    (storm,) = [page for page in one(6) if page.told]
    assert storm.urgency is Urgency.ERROR
    one.machine.reported(drift("f3", "crossing", name="p3"), one.clock.instant())
    (storm,) = [page for page in one(0) if page.told]
    assert storm.urgency is Urgency.CRITICAL


def test_a_storm_survives_a_restart() -> None:
    one = storm_of(30)
    kept = one(2)
    again = Watched()
    again.clock = one.clock
    assert len(again.machine.load(kept, again.clock.instant())) == 30
    again(10)
    again.close(*(f"f{n}" for n in range(30)))
    (storm,) = [page for page in again(61) if page.told]
    assert (storm.cls, storm.state) == (PageClass.STORM, PageState.RESOLVED)


# -- maintenance and routes -------------------------------------------------------------------------------------------


def quiet_hour(**more: object) -> Rules:
    window = Maintenance(START, START + timedelta(hours=1), "INC-1", **more)  # type: ignore[arg-type]
    return Rules(maintenance=lambda: [window])


def test_what_is_open_at_the_end_of_maintenance_is_told_then() -> None:
    one = Watched(rules=quiet_hour(tenants=frozenset({"acme"})))
    one.open(shape="loosening")
    page = one.only(1800)
    assert (page.state, page.muted) == (PageState.WAITING, "INC-1")
    assert one.only(1801).state is PageState.OPEN


def test_what_is_over_by_the_end_of_maintenance_wakes_nobody_and_is_kept() -> None:
    one = Watched(rules=quiet_hour())
    one.open(shape="loosening")
    one(10)
    one.close()
    page = one.only(3600)
    assert (page.state, page.told) == (PageState.MUTED, False)


def test_maintenance_does_not_cover_drift_across_tenants_unless_it_says_so() -> None:
    one = Watched(rules=quiet_hour())
    one.open()
    assert one.only(1).state is PageState.OPEN
    two = Watched(rules=quiet_hour(classes=frozenset(PageClass)))
    two.open()
    assert two.only(1).state is PageState.WAITING


def test_maintenance_of_one_tenant_is_nothing_to_another() -> None:
    one = Watched(rules=quiet_hour(tenants=frozenset({"globex"})))
    one.open(shape="loosening")
    assert one.only(5).state is PageState.OPEN


# -- any history ------------------------------------------------------------------------------------------------------

SHAPE = st.sampled_from(["crossing", "unjudged", "loosening", "tightening", "neutral"])
ID = st.sampled_from(["a", "b"])
WAIT = st.one_of(st.integers(0, 12), st.sampled_from([49, 50, 51, 599, 600, 601, 1300]))
ACT = st.one_of(
    st.tuples(st.just("open"), ID, SHAPE),
    st.tuples(st.just("judge"), ID, SHAPE),
    st.tuples(st.just("close"), ID, SHAPE),
)

History = list[tuple[tuple[str, str, str], int]]
Ending = tuple[str, str, int]


def by_machine(history: History, *, every_tenth: bool) -> tuple[list[Told], list[Ending]]:
    """What the machine tells, with the tenth in which it does, and how each page ends."""
    clock, one = HandClock(seconds=0.0), machine(CALM)
    told: list[Told] = []
    known: dict[int, Page] = {}

    def look(tenth: int) -> None:
        clock.seconds = tenth / 10 + 1e-6
        one.advance(clock.instant())
        note(tenth)

    def note(tenth: int) -> None:
        for page in one.take():
            before = known.get(page.life)
            known[page.life] = page
            told.extend((tenth, *words) for words in news(before, page))

    now = 0
    for (word, id, shape), wait in history:
        clock.seconds = now / 10
        instant = clock.instant()
        if word == "open":
            one.opened(drift(id, shape), instant)
        elif word == "judge":
            one.reported(drift(id, shape), instant)
        else:
            one.closed([id], instant)
        note(now)
        for tenth in range(now + 1, now + wait + 1) if every_tenth else ():
            look(tenth)
        now += wait
    for late in (700, 1400):
        look(now + late)
    return told, [(page.state.value, page.urgency.value, page.revision) for page in known.values() if page.told]


def news(before: Page | None, page: Page) -> Iterator[tuple[str, str]]:
    """What is new in a page, in words."""
    if not page.told:
        return
    revision, urgency = (before.revision, before.urgency) if before else (0, None)
    if page.state is PageState.CHANGE:
        yield "change", ""
        return
    louder = revision == 0 or page.urgency is not urgency
    more = page.revision - revision - louder
    yield from [("again", urgency.value if urgency and revision else page.urgency.value)] * more
    if louder:
        yield "page", page.urgency.value
    if page.state is PageState.RESOLVED:
        yield "resolved", page.urgency.value


def by_hand(history: History) -> list[Told]:
    one, now = Naive(), 0
    for (word, id, shape), wait in history:
        one.settle(now)
        if word == "open":
            one.open(id, shape, now)
        elif word == "judge":
            one.judge(id, shape, now)
        else:
            one.close(id, now)
        for tenth in range(now + 1, now + wait + 1):
            one.settle(tenth)
        now += wait
    for tenth in range(now + 1, now + 1401):
        one.settle(tenth)
    return one.told


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(ACT, WAIT), max_size=12))
def test_any_history_is_told_as_the_rules_say(history: History) -> None:
    expected = by_hand(history)
    found, _ = by_machine(history, every_tenth=True)
    end = sum(wait for _, wait in history)
    assert [one for one in found if one[0] <= end] == [one for one in expected if one[0] <= end]
    assert [one[1:] for one in found] == [one[1:] for one in expected]


@example([(("open", "b", "tightening"), 599), (("open", "a", "crossing"), 1)])  # both fall due between two looks
@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(ACT, WAIT), max_size=12))
def test_how_pages_end_does_not_depend_on_how_often_the_machine_is_asked(history: History) -> None:
    assert by_machine(history, every_tenth=True)[1] == by_machine(history, every_tenth=False)[1]
