"""How long tenants' own policies stand without a judgement: a namespace has a budget, and nobody renews it."""

import asyncio
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftd.compile import Compiled
from driftd.drift import Comparison, Difference
from driftd.drift.findings import Teller
from driftd.drift.meaning import UNJUDGED
from driftd.engine import Meaning
from driftd.engine.awaited import Awaited
from driftd.values import Body, Finding, Scope, kind_name
from tests.support.meaning import own_policy
from tests.support.stage import MODELS, compiled_models

COMPILED = compiled_models(MODELS)
TOLERANT = replace(COMPILED.governed["acme-prod"], tenant_policies="inertOrTightening")
SCOPE = Scope("acme-prod")
INERT: Body = {"podSelector": {}, "policyTypes": ["Ingress"]}
HOLE: Body = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"], "ingress": [{}], "egress": [{}]}


def own(name: str = "own", spec: Body = HOLE) -> Difference:
    return own_policy(spec, name)


def looked(*differences: Difference) -> Comparison:
    found = [Teller(COMPILED, COMPILED.governed[SCOPE.namespace], SCOPE).tell(one, UNJUDGED) for one in differences]
    return Comparison(SCOPE, tuple(found), {one.id: other for one, other in zip(found, differences, strict=True)})


class Bench:
    """A judge under a clock of its own; it answers only while `judge` runs."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.decisions: list[set[str]] = []
        self.compiled: Compiled = replace(COMPILED, governed={**COMPILED.governed, "acme-prod": TOLERANT})
        self.meaning = Meaning(
            compiled=lambda: self.compiled,
            policies=2000,
            judged=_nobody,
            decided=self._decided,
            now=lambda: self.seconds,
        )

    def _decided(self, _scope: Scope) -> None:
        self.decisions.append({key[0].name for key in self.meaning._known})

    def hidden(self, *differences: Difference) -> list[str]:
        """The names of those that wait at a look now."""
        waiting = self.meaning.undecided(TOLERANT, looked(*differences))
        found = looked(*differences)
        return [one.ref.name for one in found.findings if one.id in waiting]

    async def judge(self) -> None:
        running = asyncio.create_task(self.meaning.run())
        async with asyncio.timeout(60):
            while not self.meaning.idle:
                await asyncio.sleep(0.01)
        running.cancel()

    def commit(self) -> None:
        """Somebody changes the model somewhere."""
        self.compiled = replace(self.compiled)


async def _nobody(_finding: Finding) -> None:
    return


@pytest.fixture
def bench() -> Bench:
    found = Bench()
    found.hidden()  # the first look: nothing stood there before
    found.seconds = 1000.0
    return found


def seconds_hidden(bench: Bench, names: list[str | None]) -> float:
    """For how long something stood without a finding, looked at each half second; None: nothing is there."""
    hidden = 0.0
    for name in names:
        bench.seconds += 0.5
        hidden += 0.5 * bool(bench.hidden(*([own(name)] if name else [])))
    return hidden


@pytest.mark.parametrize("how", ["kept", "deleted and made again", "a new name each time"])
def test_what_has_no_judgement_stands_untold_for_five_seconds_of_a_minute_whatever_it_is_called(
    bench: Bench, how: str
) -> None:
    """Seen: made again every 4.5 seconds a hole stood for 54 seconds of a minute, under new names for all of it."""
    names: list[str | None] = []
    for look in range(120):
        made_again = None if look % 10 == 9 else "hole"
        names.append({"kept": "hole", "deleted and made again": made_again}.get(how, f"hole{look // 9}"))
    assert seconds_hidden(bench, names) <= 5.5


def test_a_minute_later_there_is_patience_again_but_not_with_what_had_to_be_told(bench: Bench) -> None:
    assert seconds_hidden(bench, ["hole"] * 20) == 5.0
    bench.seconds += 120
    assert bench.hidden(own("hole")) == []
    assert bench.hidden(own("hole"), own("other")) == ["other"]


async def test_what_the_budget_runs_for_is_judged_before_all_that_another_model_asks_again(bench: Bench) -> None:
    """A policy that was made as a model came would be told, and go, for no fault of its own."""
    old = [own(f"old{number}", INERT) for number in range(20)]
    bench.hidden(*old)
    await bench.judge()
    bench.commit()
    assert len(bench.hidden(*old)) == 20
    new = own("new", INERT)
    assert "new" in bench.hidden(*old, new)
    bench.decisions.clear()
    await bench.judge()
    assert bench.decisions[0] == {"new"}
    assert bench.decisions[-1] == {"new", *(one.ref.name for one in old)}


def test_many_that_come_at_once_wait_together(bench: Bench) -> None:
    many = [own(f"p{number}") for number in range(30)]
    assert len(bench.hidden(*many)) == 30
    bench.seconds += 4
    assert len(bench.hidden(*many)) == 30


async def test_what_was_judged_to_loosen_is_told_at_once_when_it_comes_back(bench: Bench) -> None:
    """Seen: it waited again each time."""
    assert bench.hidden(own("hole")) == ["hole"]
    await bench.judge()
    assert bench.hidden(own("hole")) == []
    bench.hidden()
    assert bench.hidden(own("hole")) == []


def test_after_a_start_only_what_stood_at_the_first_look_is_waited_for_longer() -> None:
    """Seen: for ten minutes whatever was made later waited as long."""
    bench = Bench()
    assert bench.hidden(own("old")) == ["old"]
    later = [own("old"), own("late"), own("changed")]
    assert bench.hidden(*later) == ["old", "late", "changed"]
    bench.seconds += 6
    assert bench.hidden(*later) == ["old"]
    assert bench.hidden(own("old", INERT)) == [], "another version of it is as new as others"
    bench.seconds += 600
    assert bench.hidden(own("old")) == []


def test_a_namespace_that_is_looked_at_long_after_the_start_has_its_budget() -> None:
    bench = Bench()
    bench.meaning.undecided(TOLERANT, replace(looked(), scope=Scope("globex-prod")))
    bench.seconds = 5000
    assert bench.hidden(own()) == ["own"]


async def test_under_another_model_what_stood_by_its_judgement_is_waited_for_and_nothing_else_is(bench: Bench) -> None:
    """Seen: with a commit to his own file a tenant had another ten minutes for what had just been made."""
    fine = own("fine", INERT)
    bench.hidden(fine)
    await bench.judge()
    assert bench.hidden(fine) == []
    bench.hidden(fine, own("hole"))
    bench.commit()
    assert bench.hidden(fine, own("hole")) == ["fine", "hole"]
    bench.seconds += 6
    assert bench.hidden(fine, own("hole")) == ["fine"]
    bench.seconds += 590
    bench.commit()
    assert bench.hidden(fine, own("hole")) == ["fine"]
    bench.seconds += 10
    assert bench.hidden(fine) == [], "what waits does not begin anew with each model"


def test_what_comes_and_goes_without_a_judgement_leaves_a_note(bench: Bench) -> None:
    """Seen: a hole that was deleted in time left no trace at all."""
    bench.hidden(own("hole"))
    bench.seconds += 2.5
    bench.hidden()
    assert bench.meaning.vanished.note(SCOPE) == {"count": "1", "policies": "hole (unknown, 2.5 s)"}
    assert bench.meaning.vanished.note(SCOPE) is None


def test_so_does_what_becomes_something_else(bench: Bench) -> None:
    bench.hidden(own("hole"))
    bench.seconds += 1
    bench.hidden(own("hole", INERT))
    assert bench.meaning.vanished.note(SCOPE) == {"count": "1", "policies": "hole (unknown, 1.0 s)"}


async def test_what_was_found_harmless_leaves_none_and_what_was_found_to_loosen_as_it_went_does(bench: Bench) -> None:
    bench.hidden(own("fine", INERT), own("hole"))
    await bench.judge()
    bench.hidden()
    assert bench.meaning.vanished.note(SCOPE) == {"count": "1", "policies": "hole (loosens, 0.0 s)"}


def test_what_is_told_or_out_of_sight_leaves_none(bench: Bench) -> None:
    bench.hidden(own("hole"))
    blind = replace(looked(), unknown=(kind_name("networking.k8s.io", "NetworkPolicy"),))
    bench.meaning.undecided(TOLERANT, blind)
    assert bench.meaning.vanished.note(SCOPE) is None
    bench.hidden(own("hole"))
    bench.seconds += 6
    assert bench.hidden(own("hole")) == []
    bench.hidden()
    assert bench.meaning.vanished.note(SCOPE) is None, "it has had a finding"


def test_there_is_a_note_a_minute_however_much_comes_and_goes(bench: Bench) -> None:
    notes = []
    for number in range(400):
        bench.seconds += 0.2
        bench.hidden(*([own(f"p{number}")] if number % 2 else []))
        if (told := bench.meaning.vanished.note(SCOPE)) is not None:
            notes.append(told)
    assert len(notes) == 2
    assert notes[0]["count"] == "1"
    assert "and " in notes[1]["policies"]
    bench.hidden()
    due = bench.meaning.vanished.due(SCOPE)
    assert due is None or due <= 60


@given(st.lists(st.tuples(st.floats(0.1, 20), st.integers(0, 3)), min_size=1, max_size=40))
def test_no_minute_has_more_than_five_seconds_in_which_something_waits(steps: list[tuple[float, int]]) -> None:
    """A look is made when what waits says, as the loop does."""
    seconds = [0.0]
    awaited = Awaited(lambda: seconds[0])
    awaited.seconds_left(SCOPE, ())
    waited: list[tuple[float, float]] = []
    for pause, name in steps:
        there = [own(f"p{name}")] if name else []
        until = seconds[0] + pause
        while seconds[0] < until:
            left = min(awaited.seconds_left(SCOPE, there).values(), default=None)
            begin, seconds[0] = seconds[0], min(until, seconds[0] + (left or pause))
            if left:
                waited.append((begin, seconds[0]))
    for _, end in waited:
        had = sum(max(0.0, min(stop, end) - max(start, end - 60)) for start, stop in waited)
        assert had <= 5.001


def test_what_a_model_no_longer_governs_is_forgotten() -> None:
    awaited = Awaited(lambda: 0.0)
    assert awaited.seconds_left(SCOPE, [own()]) == {own().ref: 600.0}
    awaited.renew({SCOPE: [own().key]}, governed=())
    assert awaited.seconds_left(SCOPE, [own("other")]) == {own("other").ref: 600.0}
