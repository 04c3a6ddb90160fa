"""Patience with drift that only breaks things, none with drift that may open them."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driftd.drift.breaker import QUIET_SECONDS, FightBreaker
from driftd.values import Direction, ObjectRef

POLICY = ObjectRef("networking.k8s.io", "NetworkPolicy", "acme", "default-deny")
OTHER = ObjectRef("networking.k8s.io", "NetworkPolicy", "acme", "web")
LOOSE, TIGHT, NEUTRAL, UNKNOWN = Direction.LOOSENS, Direction.TIGHTENS, Direction.NEUTRAL, Direction.UNKNOWN


def fight(breaker: FightBreaker, direction: Direction, until: float, flip: float = 0.01) -> list[float]:
    """Another controller flips the object back `flip` seconds after each repair; returns when repairs happened."""
    now, times = 0.0, []
    while now < until:
        wait = breaker.permit(POLICY, direction, now)
        if wait:
            now += wait
            continue
        times.append(now)
        breaker.repaired(POLICY, now)
        breaker.settled(POLICY, now)
        now += flip
    return times


def test_first_sight_of_drift_is_repaired_at_once() -> None:
    assert FightBreaker().permit(POLICY, TIGHT, 100.0) == 0.0


def test_a_fight_over_tightening_drift_backs_off_to_five_minutes() -> None:
    times = fight(FightBreaker(), TIGHT, until=1500)
    pauses = [round(b - a, 1) for a, b in pairwise(times[4:])]
    assert pauses[:6] == [2.0, 6.0, 18.0, 54.0, 162.0, 300.0]
    assert set(pauses[5:]) == {300.0}


def test_a_fight_over_loosening_drift_goes_on_at_two_writes_a_second() -> None:
    for direction in (LOOSE, UNKNOWN, Direction.MIXED):
        times = fight(FightBreaker(), direction, until=60)
        assert 119 <= len(times) <= 121
        assert all(b - a >= 0.5 - 1e-9 for a, b in pairwise(times))


def test_a_repair_of_two_writes_counts_twice_for_the_pace_and_once_for_the_fight() -> None:
    breaker = FightBreaker()
    breaker.repaired(POLICY, 10.0, writes=2)
    assert breaker.permit(POLICY, LOOSE, 10.0) == 1.0
    assert [breaker.repaired(POLICY, 10.0 + n, writes=2) for n in range(1, 5)] == [False, False, False, True]


def test_a_fight_is_announced_once_even_while_patience_makes_it_rare() -> None:
    breaker = FightBreaker()
    now, announced = 0.0, 0
    for _ in range(40):
        now += breaker.permit(POLICY, TIGHT, now)
        announced += breaker.repaired(POLICY, now)
        assert breaker.cool(now) == ()
    assert announced == 1
    assert breaker.open(POLICY)


def test_drift_that_turns_loose_in_a_patient_fight_is_repaired_at_once() -> None:
    breaker = FightBreaker()
    last = fight(breaker, TIGHT, until=500)[-1]
    assert breaker.permit(POLICY, TIGHT, last + 1) > 100
    assert breaker.permit(POLICY, LOOSE, last + 1) == 0.0


def test_four_repairs_a_minute_are_no_fight() -> None:
    breaker = FightBreaker()
    assert not any(breaker.repaired(POLICY, n * 15.1) for n in range(200))
    assert not breaker.open(POLICY)


def test_a_fight_ends_after_ten_quiet_minutes_and_may_be_announced_again() -> None:
    breaker = FightBreaker()
    last = fight(breaker, NEUTRAL, until=3)[-1]
    assert breaker.cool(last + 599) == ()
    (ended,) = breaker.cool(last + 600)
    assert ended.ref == POLICY
    assert not breaker.open(POLICY)
    assert [breaker.repaired(POLICY, last + 700 + n) for n in range(5)] == [False] * 4 + [True]


def test_a_fight_that_stands_open_does_not_end_by_quiet() -> None:
    breaker = FightBreaker()
    last = fight(breaker, LOOSE, until=3)[-1]
    breaker.permit(POLICY, LOOSE, last + 1)
    assert breaker.cool(last + 10_000) == ()
    breaker.settled(POLICY, last + 10_001)
    assert [fight.ref for fight in breaker.cool(last + 10_002)] == [POLICY]


def test_open_time_is_counted_from_first_sight_to_settled() -> None:
    breaker = FightBreaker()
    breaker.permit(POLICY, LOOSE, 10.0)
    breaker.permit(POLICY, LOOSE, 11.0)
    assert breaker.loosened_seconds(POLICY, 12.0) == 2.0
    breaker.settled(POLICY, 13.0)
    breaker.permit(POLICY, UNKNOWN, 20.0)
    breaker.permit(POLICY, TIGHT, 21.5)
    assert breaker.loosened_seconds(POLICY, 99.0) == 4.5
    assert breaker.loosened_seconds(OTHER, 99.0) == 0.0


def test_one_objects_fight_is_not_anothers() -> None:
    breaker = FightBreaker()
    fight(breaker, TIGHT, until=100)
    assert breaker.permit(OTHER, TIGHT, 100.0) == 0.0


def test_memory_is_bounded_and_fights_are_forgotten_last() -> None:
    breaker = FightBreaker(capacity=50)
    last = fight(breaker, TIGHT, until=10)[-1]
    for n in range(500):
        breaker.permit(ObjectRef("", "ServiceAccount", "acme", f"sa-{n}"), LOOSE, last)
    assert len(breaker) == 50
    assert [fight.ref for fight in breaker.fights(last)] == [POLICY]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(list(Direction)), st.floats(0, 400)), min_size=1, max_size=60))
def test_loosening_drift_never_waits_longer_than_the_cap(steps: list[tuple[Direction, float]]) -> None:
    breaker = FightBreaker()
    now = 0.0
    for direction, pause in steps:
        now += pause
        wait = breaker.permit(POLICY, direction, now)
        assert wait <= (0.5 if direction.may_loosen else 300.0) + 1e-6  # what floats round
        if wait == 0.0:
            breaker.repaired(POLICY, now)
            breaker.settled(POLICY, now)


def test_a_fight_knows_for_which_share_of_its_time_the_object_stood_open() -> None:
    breaker = FightBreaker()
    for n in range(5):
        breaker.permit(POLICY, LOOSE, 30.0 + n)
        breaker.repaired(POLICY, 30.0 + n)
        breaker.settled(POLICY, 30.0 + n)
    assert breaker.fights(34.0)[0].open_share == 0.0
    for n in range(10):  # a quarter of each second
        breaker.permit(POLICY, LOOSE, 34.75 + n)
        breaker.repaired(POLICY, 35.0 + n)
        breaker.settled(POLICY, 35.0 + n)
    assert breaker.fights(44.0)[0].open_share == pytest.approx(0.25)
    breaker.permit(POLICY, LOOSE, 44.0)
    assert breaker.fights(54.0)[0].open_share == pytest.approx((2.5 + 10) / 20)
    breaker.settled(POLICY, 54.0)
    breaker.repaired(POLICY, 54.0)
    (ended,) = breaker.cool(54.0 + QUIET_SECONDS)
    assert ended.open_share == pytest.approx((2.5 + 10) / 20), "the quiet afterwards does not count"


def test_what_stood_open_before_the_fight_is_no_part_of_its_share() -> None:
    breaker = FightBreaker()
    breaker.permit(POLICY, LOOSE, 0.0)
    breaker.settled(POLICY, 60.0)
    for n in range(5):
        breaker.repaired(POLICY, 60.0 + n)
    breaker.permit(POLICY, TIGHT, 65.0)
    breaker.repaired(POLICY, 74.0)
    (one,) = breaker.fights(74.0)
    assert (one.open_share, one.loosened_seconds) == (0.0, 60.0)


def test_a_write_that_came_too_late_counts_for_the_cap_and_for_no_fight() -> None:
    breaker = FightBreaker(writes_per_second=2.0)
    for second in range(10):
        breaker.lost(POLICY, float(second))
    assert breaker.permit(POLICY, LOOSE, 9.0) == 0.5
    assert breaker.permit(POLICY, LOOSE, 9.5) == 0.0
    assert not breaker.open(POLICY)


def test_a_write_that_came_too_late_makes_no_wait_shorter() -> None:
    breaker = FightBreaker(writes_per_second=2.0)
    breaker.repaired(POLICY, 0.0, writes=2)
    breaker.lost(POLICY, 0.0)
    assert breaker.permit(POLICY, LOOSE, 0.0) == 1.5


def test_what_a_repair_left_closed_is_opened_without_the_pause_of_the_fight() -> None:
    """A policy that was deleted in a fight, within the cap of its last repair, stayed closed for a minute."""
    breaker = FightBreaker()
    for second in range(8):
        breaker.repaired(POLICY, float(second))
    assert breaker.permit(POLICY, TIGHT, 8.0) == 53.0
    breaker.repaired(POLICY, 8.0, half="v1")
    assert breaker.permit(POLICY, TIGHT, 8.0, version="v1") == 0.5
    assert breaker.permit(POLICY, TIGHT, 8.5, version="v1") == 0.0
    breaker.repaired(POLICY, 8.5)
    assert breaker.permit(POLICY, TIGHT, 9.0, version="v2") > 60.0


def test_what_somebody_wrote_after_a_first_half_is_theirs() -> None:
    breaker = FightBreaker()
    for second in range(8):
        breaker.repaired(POLICY, float(second), half="v1")
    for version in ("", "v2"):
        assert breaker.permit(POLICY, TIGHT, 8.0, version=version) == 53.0
    assert breaker.permit(POLICY, TIGHT, 8.0, version="v1") == 0.0


def test_what_opens_a_closed_object_again_is_no_repair_of_its_own() -> None:
    breaker = FightBreaker()
    for second in range(0, 8, 2):
        assert not breaker.repaired(POLICY, float(second), half="v1")
        breaker.permit(POLICY, TIGHT, second + 1.0, version="v1")
        assert not breaker.repaired(POLICY, second + 1.0)
    assert breaker.repaired(POLICY, 8.0, half="v1")


def test_repairs_that_never_get_beyond_their_first_half_are_a_fight_all_the_same() -> None:
    breaker = FightBreaker()
    assert [breaker.repaired(POLICY, float(n), half=f"v{n}") for n in range(5)] == [False] * 4 + [True]


def test_who_writes_after_each_first_half_meets_the_patience_of_a_fight() -> None:
    """A finalizer keeps what is emptied and deleted: its rival was answered twice a second for ever."""
    breaker, now, repairs = FightBreaker(), 0.0, 0
    while now < 600.0:
        wait = breaker.permit(POLICY, NEUTRAL, now, version=f"theirs {repairs}")
        repairs += not wait
        if not wait:
            breaker.repaired(POLICY, now, half=f"ours {repairs}")
        now += wait or 0.01
    assert repairs <= 12
