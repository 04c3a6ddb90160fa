"""For how long an address that slices and pods do not agree about counts for nothing: ten seconds, all in all."""

from hypothesis import given
from hypothesis import strategies as st

from driftd.engine.doubt import Doubts


def test_an_address_in_doubt_is_waited_for_until_it_has_been_so_for_ten_seconds() -> None:
    doubts = Doubts()
    assert doubts.look({"a"}, 100.0) == {"a": 10.0}
    assert doubts.look({"a", "b"}, 104.0) == {"a": 6.0, "b": 10.0}
    assert doubts.look({"a"}, 110.0) == {}
    assert doubts.look({"a"}, 500.0) == {}


def test_who_ends_the_doubt_for_a_moment_every_nine_seconds_has_no_new_patience() -> None:
    """Seen: a pod that a slice listed for a moment every nine seconds escaped a rule by its Service, untold."""
    doubts = Doubts()
    waited = 0.0
    for round_ in range(10):
        begin = 9.5 * round_
        waited += min(9.0, doubts.look({"a"}, begin).get("a", 0.0))
        doubts.look((), begin + 9.0)
    assert waited == 10.0
    assert doubts.look({"a"}, 95.0) == {}


def test_short_doubts_of_pods_that_come_and_go_are_waited_for_and_forgotten_after_a_minute() -> None:
    doubts = Doubts()
    for begin in (0.0, 20.0, 40.0):
        assert doubts.look({"a"}, begin)
        doubts.look((), begin + 1.0)
    assert doubts.look({"a"}, 60.0) == {"a": 7.0}
    doubts.look((), 61.0)
    doubts.look((), 122.0)
    assert doubts.look({"a"}, 123.0) == {"a": 10.0}


def test_of_very_many_addresses_the_oldest_are_forgotten() -> None:
    doubts = Doubts()
    for number in range(30):
        doubts.look({f"{number}.{n}" for n in range(1000)}, float(number))
    assert len(doubts._addresses) <= 20_000


@given(st.lists(st.tuples(st.booleans(), st.floats(0.01, 15)), max_size=60))
def test_no_address_that_is_in_doubt_again_and_again_counts_for_nothing_for_more_than_ten_seconds(
    steps: list[tuple[bool, float]],
) -> None:
    """Looks are made when something changes and when the patience ends, as the loop does."""
    doubts, at, waited, quiet = Doubts(), 0.0, 0.0, 0.0
    for doubtful, pause in steps:
        left = doubts.look({"a"} if doubtful else (), at).get("a", 0.0)
        quiet = 0.0 if doubtful else quiet + pause
        waited = waited + min(left, pause) if quiet <= 60 else 0.0
        at += pause
        assert waited <= 10.001
