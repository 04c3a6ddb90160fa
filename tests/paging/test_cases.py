"""What is kept beside the cases is what looking through all of them would give, after any history."""

from collections import Counter
from collections.abc import Iterable
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from driftd.paging import About, Condition, Maintenance, Page, PageClass, PageState, Rules, Windows, about_object
from driftd.paging.cases import Case, Cases
from driftd.paging.pages import Urgency
from tests.support.lines_run import lines_run
from tests.support.paging import SHAPES, START, HandClock, drift, machine

NAMES = ("a", "b", "c")
ABOUT = about_object(drift(name="a").ref, "acme")
CONDITIONS = (
    Condition(PageClass.FIGHT, ABOUT, "changed back each time"),
    Condition(PageClass.BLIND, About("kinds", "kinds", "cluster"), "NetworkPolicy cannot be seen"),
    Condition(PageClass.HELD, About("model", "Model", "newest"), "two errors"),
)
WORD = st.sampled_from(["open", "open", "judge", "close", "conditions", "touch", "restart", "forget"])
ACT = st.tuples(
    WORD,
    st.sampled_from(NAMES),
    st.sampled_from(sorted(SHAPES)),
    st.sets(st.sampled_from(CONDITIONS)),
    st.sampled_from([0.0, 0.1, 0.5, 1.0, 2.0, 5.0, 60.0, 61.0]),
)
WINDOWS = Windows(storm_pages=2)
RULES = Rules(maintenance=lambda: [Maintenance(START + timedelta(seconds=5), START + timedelta(seconds=70), "INC-1")])


@settings(max_examples=150, deadline=None)
@given(st.lists(ACT, max_size=30))
def test_after_any_history_the_counts_are_those_of_the_pages_that_were_given_away(
    history: list[tuple[str, str, str, set[Condition], float]],
) -> None:
    clock, one = HandClock(), machine(WINDOWS, RULES)
    known: dict[tuple[str, int], Page] = {}
    for word, name, shape, conditions, seconds in history:
        now = clock.instant()
        match word:
            case "open":
                one.opened(drift(name, shape, name=name), now)
            case "judge":
                one.reported(drift(name, shape, name=name), now)
            case "close":
                one.closed([name], now)
            case "conditions":
                one.conditions(conditions, now)
                assert standing_conditions(one.standing()) == {condition.id for condition in conditions}
            case "touch":
                one.touch()
            case "restart":
                one = machine(WINDOWS, RULES)
                one.load([page for page in known.values() if not page.over], now)
            case _:
                one.forget()
                known.clear()
        clock.pass_(seconds)
        one.advance(clock.instant())
        known.update({(page.key, page.life): page for page in one.take()})
        assert one.open_counts() == counted(known)


def counted(known: dict[tuple[str, int], Page]) -> dict[tuple[PageClass, Urgency], int]:
    pages = [page for page in known.values() if page.state is PageState.OPEN and page.cls is not PageClass.STORM]
    return dict(Counter((page.cls, page.urgency) for page in pages if page.cls is not None))


def standing_conditions(pages: Iterable[Page]) -> set[str]:
    named = {condition.id for condition in CONDITIONS}
    return {reason.id for page in pages for reason in page.reasons if reason.id in named and reason.closed is None}


AT = st.integers(0, 8).map(float)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.one_of(st.tuples(st.integers(0, 5), AT), AT), max_size=40),
    AT,
)
def test_what_is_due_soon_is_what_looking_at_every_date_would_find(
    story: list[tuple[int, float] | float], until: float
) -> None:
    """Cases get dates and new ones, time passes, some are over and begin anew under the same name."""
    cases = Cases()
    for step in story:
        if isinstance(step, float):
            while (case := cases.take_due(step)) is not None:
                if case.page.life % 2:
                    cases.remove(case)
        else:
            number, at = step
            case = cases.about(str(number)) or begun(cases, number)
            cases.schedule(case, at)
    naive = [case.page.about.id for case in cases if case.next is not None and case.next <= until]
    assert sorted(case.page.about.id for case in cases.soon(until)) == sorted(naive)


def begun(cases: Cases, number: int) -> Case:
    about = About(str(number), "NetworkPolicy", str(number))
    case = Case(Page(str(number), number, about, "default", PageState.WAITING, None, Urgency.WARNING, START))
    cases.add(case)
    return case


def test_a_look_takes_as_many_steps_however_many_pages_stand() -> None:
    steps_of_a_look(standing=10)  # what is done once in a process is over then
    assert steps_of_a_look(standing=10) == steps_of_a_look(standing=500)


def steps_of_a_look(standing: int) -> int:
    """Lines of Python that run while one more drift is opened, told and closed."""
    clock, one = HandClock(), machine(Windows(storm_pages=10**6))
    for number in range(standing):
        shape = sorted(SHAPES)[number % len(SHAPES)]
        one.opened(drift(str(number), shape, name=str(number)), clock.instant())
    clock.pass_(100)
    one.conditions(CONDITIONS, clock.instant())
    one.take()

    def look() -> None:
        one.opened(drift("new", name="new"), clock.instant())
        clock.pass_(1)
        one.conditions(CONDITIONS, clock.instant())
        one.closed(["new"], clock.instant())
        one.open_counts()
        one.take()

    return lines_run(look)
