"""Pages of what a new model asks for: nobody is woken by their own commit, and tampering hides behind none."""

from driftd.paging import PageState, Urgency
from tests.support.paging import Watched, drift


def test_what_a_new_model_asks_for_is_told_only_if_it_is_not_done_in_a_minute() -> None:
    for shape in ("crossing", "unjudged", "loosening"):
        one = Watched()
        one.machine.opened(drift("f1", shape), one.clock.instant(), rollout=True)
        one.clock.pass_(50)
        one.close()
        assert one(100) == []
        one.machine.opened(drift("f1", shape), one.clock.instant(), rollout=True)
        one(59)
        one.judge("crossing", rollout=True)
        assert one.only(0.9).state is PageState.WAITING
        assert one.only(0.1).urgency is Urgency.CRITICAL


def test_an_open_rollout_with_which_somebody_tampers_is_told_like_any_other_drift_from_then_on() -> None:
    for shape, window in (("crossing", 1.0), ("loosening", 5.0)):
        one = Watched()
        one.machine.opened(drift("f1", shape), one.clock.instant(), rollout=True)
        one.clock.pass_(30)
        one.judge(shape, rollout=False)
        assert one.only(window - 0.1).state is PageState.WAITING
        assert one.only(0.1).state is PageState.OPEN


def test_a_rollout_that_is_judged_after_it_was_done_is_still_one() -> None:
    one = Watched()
    one.machine.opened(drift("f1", "unjudged"), one.clock.instant(), rollout=True)
    one.close()
    one.judge("crossing", rollout=False)
    assert one(100) == []


def test_a_rollout_passes_nothing_on_to_what_is_found_of_its_object_afterwards() -> None:
    """Deleted and modified in turns, each repaired at once: 1,400 s of holes went without a page."""
    one = Watched()
    one.machine.opened(drift("missing"), one.clock.instant(), rollout=True)
    one.clock.pass_(0.01)
    one.close("missing")
    one.clock.pass_(0.69)
    one.open("modified")
    one.clock.pass_(0.01)
    one.close("modified")
    assert one.only(1).urgency is Urgency.WARNING


def test_a_tampering_with_what_a_rollout_has_made_is_told_like_any_other() -> None:
    one = Watched()
    one.machine.opened(drift(), one.clock.instant(), rollout=True)
    one.close()
    one.clock.pass_(0.5)
    one.open()
    one.close()
    assert one.only(1).urgency is Urgency.WARNING
