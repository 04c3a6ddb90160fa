"""Which step is told next, and when, is what a look at every one of them would find."""

from dataclasses import dataclass
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from driftd.paging import About, Action, Page, PageClass, PageState, Step, Urgency
from driftd.paging.due import Due
from tests.support.paging import START

NAMES = [(key, life) for key in ("a", "b") for life in (1, 2)]


@dataclass(frozen=True)
class Put:
    """The step of a life, and how long from now it has to wait; None: there is nothing to tell of it any more."""

    name: tuple[str, int]
    step: tuple[Action, Urgency, int] | None
    wait: float


STEPS = st.tuples(st.sampled_from(Action), st.sampled_from(Urgency), st.integers(0, 2))
PUTS = st.builds(Put, st.sampled_from(NAMES), st.none() | STEPS, st.sampled_from((0.0, 1.0, 3.0)))
WHAT_ELSE = st.sampled_from((0.0, 0.5, 1.0, 1.0, 3.0, "clear"))  # seconds that pass, or all is over


@settings(max_examples=200, deadline=None)
@given(st.lists(PUTS | WHAT_ELSE, min_size=15, max_size=40))
def test_the_next_step_and_its_time_are_those_of_a_look_at_all(story: list[Put | float | str]) -> None:
    due, now = Due(), 10.0
    plain: dict[tuple[str, int], tuple[Step, float]] = {}
    for event in story:
        match event:
            case Put(name, None, _):
                due.put(name, None, 0.0)
                plain.pop(name, None)
            case Put(name, (action, urgency, minutes), wait):
                step = step_of(name, action, urgency, minutes)
                due.put(name, step, now + wait)
                plain[name] = step, now + wait
            case float():
                now += event
            case _:
                due.clear()
                plain.clear()
        ready = [(step.order, name, step) for name, (step, earliest) in plain.items() if earliest <= now]
        first = min(ready, key=lambda one: one[:2])[2] if ready else None
        later = min((earliest for _, earliest in plain.values()), default=None)
        assert len(due) == len(plain)
        assert due.first(now) == first
        assert due.earliest(now) == (later if first is None else now)


def step_of(name: tuple[str, int], action: Action, urgency: Urgency, minutes: int) -> Step:
    key, life = name
    about = About(key, "NetworkPolicy", key, "acme-prod", "acme")
    opened = START + timedelta(minutes=minutes)
    return Step(Page(key, life, about, "default", PageState.OPEN, PageClass.CROSSING, urgency, opened), action)
