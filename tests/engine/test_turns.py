"""Owners take turns, and nothing is lost or given out twice."""

from hypothesis import given
from hypothesis import strategies as st

from driftd.engine.turns import Turns

ACTS = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 4), st.sampled_from(("put", "drop", "next"))))


def drained(turns: Turns[int, str]) -> list[str]:
    found = []
    while (one := turns.next()) is not None:
        found.append(one[1])
    return found


def test_an_owner_of_many_delays_another_by_one() -> None:
    turns: Turns[int, str] = Turns()
    for number in range(50):
        turns.put("noisy", number, f"noisy {number}")
    turns.put("quiet", 0, "quiet 0")
    assert drained(turns)[:3] == ["noisy 0", "quiet 0", "noisy 1"]


def test_a_key_that_waits_keeps_its_place_and_takes_the_new_value() -> None:
    turns: Turns[int, str] = Turns()
    turns.put("a", 1, "old")
    turns.put("a", 2, "other")
    turns.put("a", 1, "new")
    assert (len(turns), turns.of("a")) == (2, 2)
    assert drained(turns) == ["new", "other"]
    assert (len(turns), turns.of("a")) == (0, 0)


@given(ACTS)
def test_what_is_put_comes_out_once_whatever_happens_between(acts: list[tuple[str, int, str]]) -> None:
    turns: Turns[int, tuple[str, int]] = Turns()
    waiting: set[tuple[str, int]] = set()
    for owner, key, act in acts:
        if act == "put":
            turns.put(owner, key, (owner, key))
            waiting.add((owner, key))
        elif act == "drop":
            assert (turns.drop(owner, key) is not None) == ((owner, key) in waiting)
            waiting.discard((owner, key))
        else:
            found = turns.next()
            assert (found is None) == (not waiting)
            if found is not None:
                waiting.remove(found[1])
        assert len(turns) == len(waiting)
