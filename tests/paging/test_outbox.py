"""What one destination is told, in which order, and when it is left alone."""

from dataclasses import dataclass, replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace as put

from driftd.paging import About, Action, Outbox, Pacing, Page, PageClass, PageState, Step, Urgency
from driftd.store import DeliveryRow
from tests.support.lines_run import lines_run
from tests.support.paging import START

EAGER = Pacing(per_second=1000.0, burst=1000.0)


def page(key: str = "k", life: int = 1, urgency: Urgency = Urgency.CRITICAL, *, minutes: int = 0) -> Page:
    about = About(key, "NetworkPolicy", key, "acme-prod", "acme")
    at = START + timedelta(minutes=minutes)
    return Page(key, life, about, "default", PageState.OPEN, PageClass.CROSSING, urgency, at, revision=1, version=1)


def resolved(one: Page) -> Page:
    return replace(one, state=PageState.RESOLVED, version=one.version + 1)


def change(key: str = "c") -> Page:
    return replace(page(key), state=PageState.CHANGE, cls=PageClass.LOOSENING)


def box(pacing: Pacing = EAGER) -> Outbox:
    return Outbox("one", pacing, changes=True)


def drained(outbox: Outbox, now: float = 0.0) -> list[str]:
    said = []
    while (step := outbox.next(now)) is not None:
        said.append(f"{step.action.value} {step.page.key}")
        outbox.accepted(step, now, START)
    return said


def step_of(outbox: Outbox, now: float = 0.0) -> Step:
    step = outbox.next(now)
    assert step is not None
    return step


def test_a_page_is_triggered_and_then_resolved() -> None:
    outbox = box()
    outbox.offer(page())
    assert drained(outbox) == ["trigger k"]
    outbox.offer(resolved(page()))
    assert drained(outbox) == ["resolve k"]
    assert not outbox.owes("k", 1)


def test_what_was_over_before_anybody_was_told_is_told_all_the_same() -> None:
    outbox = box()
    outbox.offer(page())
    outbox.offer(resolved(page()))
    assert drained(outbox) == ["trigger k", "resolve k"]


def test_a_page_whose_kept_delivery_makes_no_sense_keeps_no_other_from_being_told() -> None:
    outbox = box()
    earlier = box()
    earlier.offer(page())
    kept = earlier.accepted(step_of(earlier), 0.0, START)
    assert kept is not None
    with pytest.raises(ValueError, match="deafening"):
        outbox.offer(page(), put(kept, urgency="deafening"))
    outbox.offer(page("other"))
    assert drained(outbox) == ["trigger other"]


def test_the_most_urgent_goes_first_then_what_is_over_then_changes() -> None:
    outbox = box()
    told = page("told")
    outbox.offer(told)
    drained(outbox)
    outbox.offer(resolved(told))
    outbox.offer(change())
    outbox.offer(page("w", urgency=Urgency.WARNING))
    outbox.offer(page("late", minutes=5))
    outbox.offer(page("early", minutes=1))
    assert drained(outbox) == ["trigger early", "trigger late", "trigger w", "resolve told", "change c"]


def test_a_destination_that_fails_is_left_alone_longer_each_time() -> None:
    outbox = box()
    outbox.offer(page())
    now, pauses = 0.0, []
    for _ in range(9):
        outbox.failed(step_of(outbox, now), now, None)
        wake = outbox.wake_at(now)
        assert wake is not None
        assert outbox.next(wake - 0.01) is None
        pauses.append(wake - now)
        now = wake
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    outbox.accepted(step_of(outbox, now), now, START)
    outbox.offer(resolved(page()))
    outbox.failed(step_of(outbox, now), now, None)
    assert outbox.wake_at(now) == now + 1


def test_a_wish_to_be_left_alone_is_honoured_within_reason() -> None:
    outbox = box()
    outbox.offer(page())
    outbox.failed(step_of(outbox), 0.0, 90.0)
    assert outbox.wake_at(0.0) == 90.0
    outbox.failed(step_of(outbox, 90.0), 90.0, 1e9)
    assert outbox.wake_at(90.0) == 690.0


def test_a_page_that_is_never_taken_does_not_stop_the_others_and_is_tried_again_by_the_next_run() -> None:
    outbox = box()
    outbox.offer(page("bad"))
    outbox.offer(page("good", minutes=1))
    delivery = outbox.refused(step_of(outbox), START, "HTTP 400")
    assert drained(outbox) == ["trigger good"]
    assert delivery is not None
    assert delivery.refused == "HTTP 400"
    again = box()
    again.offer(page("bad"), delivery)
    assert drained(again) == ["trigger bad"]


def test_a_page_that_was_refused_and_is_over_is_through() -> None:
    outbox = box()
    outbox.offer(page())
    outbox.refused(step_of(outbox), START, "HTTP 400")
    assert outbox.holds("k", 1)
    outbox.offer(resolved(page()))
    assert (outbox.holds("k", 1), outbox.owes("k", 1), drained(outbox)) == (False, False, [])


def test_a_newer_life_takes_the_place_of_one_that_nobody_heard_of() -> None:
    outbox = box()
    outbox.offer(resolved(page(life=1)))
    (gone,) = outbox.offer(page(life=2))
    assert (gone.life, gone.superseded) == (1, True)
    assert drained(outbox) == ["trigger k"]
    assert not outbox.owes("k", 1)


def test_a_newer_life_is_told_although_the_older_ones_end_is_uncertain() -> None:
    outbox = box()
    outbox.offer(page(life=1))
    drained(outbox)
    outbox.offer(resolved(page(life=1)))
    uncertain = step_of(outbox)
    assert uncertain.action is Action.RESOLVE
    outbox.offer(page(life=2))
    assert outbox.accepted(uncertain, 0.0, START) is None
    assert drained(outbox) == ["trigger k"]


def test_an_older_life_that_turns_up_late_does_not_end_the_newer_one() -> None:
    outbox = box()
    outbox.offer(page(life=2))
    outbox.offer(resolved(page(life=1)))
    assert drained(outbox) == ["trigger k"]


def test_more_urgent_news_is_told_again_with_what_was_told_before() -> None:
    outbox = box()
    outbox.offer(page(urgency=Urgency.WARNING))
    drained(outbox)
    outbox.offer(replace(page(), revision=2, version=2))
    step = step_of(outbox)
    assert (step.action, step.told, step.page.urgency) == (Action.TRIGGER, Urgency.WARNING, Urgency.CRITICAL)


def test_an_older_state_of_a_page_changes_nothing() -> None:
    outbox = box()
    outbox.offer(resolved(page()))
    outbox.offer(page())
    assert drained(outbox) == ["trigger k", "resolve k"]


def test_no_more_is_sent_than_a_key_may_take() -> None:
    outbox = box(Pacing())
    for n in range(500):
        outbox.offer(page(f"k{n}"))
    sent = [len(drained(outbox, float(second))) for second in range(120)]
    assert sum(sent[:60]) <= 120
    assert sum(sent[60:]) == 100
    assert max(sent) == 20
    wake = outbox.wake_at(119.0)
    assert wake is not None
    assert 119.0 < wake <= 119.7


def test_an_end_waits_where_the_destination_would_pass_over_both() -> None:
    outbox = box(replace(EAGER, settle_seconds=45.0))
    outbox.offer(resolved(page()))
    assert drained(outbox, 0.0) == ["trigger k"]
    assert drained(outbox, 44.0) == []
    assert outbox.wake_at(44.0) == 45.0
    assert drained(outbox, 45.0) == ["resolve k"]


def test_a_restart_goes_on_with_what_is_left() -> None:
    outbox = box()
    outbox.offer(page())
    delivery = outbox.accepted(step_of(outbox), 0.0, START)
    again = box()
    again.offer(resolved(page()), delivery)
    assert drained(again) == ["resolve k"]


def test_what_is_told_elsewhere_is_not_told_here() -> None:
    outbox = Outbox("one", EAGER, changes=False)
    outbox.offer(change())
    outbox.offer(replace(page("member"), storm="storm"))
    outbox.offer(replace(page("waiting"), revision=0, state=PageState.WAITING))
    assert drained(outbox) == []
    assert len(outbox) == 0


@dataclass(frozen=True)
class News:
    """Of one page: more of the life it has, or another life."""

    key: str
    urgency: Urgency
    revision: int
    over: bool
    another_life: bool


NEWS = st.builds(
    News, st.sampled_from("abc"), st.sampled_from(Urgency), st.integers(1, 3), st.booleans(), st.booleans()
)


@settings(max_examples=200, deadline=None)
@given(st.lists(NEWS | st.sampled_from(("accepted", "failed", "later")), max_size=30))
def test_a_restart_after_any_history_goes_on_with_what_this_run_would_have_told(story: list[News | str]) -> None:
    outbox, now = box(), 10.0
    pages: dict[tuple[str, int], Page] = {}
    kept: dict[tuple[str, int], DeliveryRow] = {}
    newest = dict.fromkeys("abc", 1)
    for version, event in enumerate(story, 1):
        rows: list[DeliveryRow] = []
        if isinstance(event, News):
            known = pages.get((event.key, newest[event.key]))
            newest[event.key] += known is not None and (event.another_life or known.over)
            one = page(event.key, newest[event.key], event.urgency, minutes=version)
            one = replace(one, revision=event.revision, version=version)
            pages[one.key, one.life] = replace(one, state=PageState.RESOLVED) if event.over else one
            rows = outbox.offer(pages[one.key, one.life])
        elif event == "later":
            now += 1.0
        elif (step := outbox.next(now)) is not None:
            if event == "failed":
                outbox.failed(step, now, None)
            elif (row := outbox.accepted(step, now, START)) is not None:
                rows = [row]
        kept.update({(row.key, row.life): row for row in rows})
    again = box()
    for name, one in pages.items():
        again.offer(one, kept.get(name))
    assert len(again) == len(outbox)
    assert drained(again, now + 1000.0) == drained(outbox, now + 1000.0)


def test_the_next_of_many_takes_as_many_steps_as_that_of_few() -> None:
    steps_of_an_hour(waiting=10)  # what is done once in a process is over then
    assert steps_of_an_hour(waiting=10) == steps_of_an_hour(waiting=2000)


def steps_of_an_hour(waiting: int) -> int:
    """Lines of Python that run while one more page comes, and the destination is asked, told and down."""
    outbox = box()
    for number in range(waiting):
        outbox.offer(page(f"k{number}", urgency=Urgency.WARNING, minutes=number))
    outbox.next(0.0)

    def an_hour() -> None:
        outbox.offer(page("new"))
        step = step_of(outbox, 1.0)
        outbox.failed(step, 1.0, None)
        outbox.wake_at(1.0)
        outbox.accepted(step_of(outbox, 2.0), 2.0, START)
        len(outbox)

    return lines_run(an_hour)
