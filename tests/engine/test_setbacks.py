"""Writes that did not work are left alone for growing pauses, and refused ones are named."""

from driftd.engine.setbacks import Setbacks
from driftd.values import CLUSTER, ObjectRef, Scope

QUOTA = ObjectRef("", "ResourceQuota", "acme-prod", "quota")
OTHER = ObjectRef("", "ResourceQuota", "acme-prod", "other")


def setbacks() -> Setbacks:
    return Setbacks(first_seconds=1.0, longest_seconds=8.0)


def test_pauses_double_up_to_the_longest() -> None:
    one, now, waits = setbacks(), 0.0, []
    for _ in range(5):
        one.fail(QUOTA, now)
        waits.append(one.wait(QUOTA, now))
        now += waits[-1]
    assert waits == [1.0, 2.0, 4.0, 8.0, 8.0]


def test_the_servers_own_wish_counts_where_it_is_longer() -> None:
    one = setbacks()
    one.fail(QUOTA, 0.0, retry_after=30.0)
    assert one.wait(QUOTA, 0.0) == 30.0


def test_a_refusal_is_tried_again_soon_and_told_when_it_is_repeated() -> None:
    """Seen: an API server that had just been started answered 403 once, and the hole stood open for half a minute."""
    one, now, waits, said = setbacks(), 0.0, [], []
    for _ in range(5):
        one.refuse(QUOTA, "admission said no", now)
        waits.append(one.wait(QUOTA, now))
        said.append(one.why_not(QUOTA, now))
        now += waits[-1]
    assert waits == [1.0, 2.0, 4.0, 8.0, 8.0]
    assert said == ["", *["admission said no"] * 4]


def test_a_failure_between_two_refusals_makes_them_no_less_sure() -> None:
    one = setbacks()
    one.refuse(QUOTA, "no", 0.0)
    one.fail(QUOTA, 1.0)
    assert one.why_not(QUOTA, 2.0) == ""
    one.refuse(QUOTA, "still no", 3.0)
    assert one.why_not(QUOTA, 2.0) == "still no"
    one.fail(QUOTA, 7.0)
    assert one.why_not(QUOTA, 2.0) == "still no"


def test_a_trouble_of_long_ago_makes_no_pause_longer() -> None:
    one = setbacks()
    for now in (0.0, 1.0, 3.0, 7.0):
        one.refuse(QUOTA, "no", now)
    one.fail(QUOTA, 15.0 + 8.1)
    assert (one.wait(QUOTA, 23.1), one.why_not(QUOTA, 2.0)) == (1.0, "")


def refused_for_good(*refs: ObjectRef) -> Setbacks:
    one = setbacks()
    for ref in refs * 2:
        one.refuse(ref, "no", 0.0)
    return one


def test_a_write_that_went_through_clears_its_object_only() -> None:
    one = refused_for_good(QUOTA, OTHER)
    one.clear(QUOTA)
    assert (one.why_not(QUOTA, 2.0), one.why_not(OTHER, 2.0)) == ("", "no")


def test_what_somebody_else_put_right_is_no_setback_any_more() -> None:
    elsewhere = ObjectRef("", "ResourceQuota", "globex-prod", "quota")
    one = refused_for_good(QUOTA, OTHER, elsewhere)
    one.settled(Scope("acme-prod"), {OTHER}, 1.0)
    assert one.wait(QUOTA, 1.0) == 1.0, "a plan may have to write it for the other one"
    assert one.why_not(QUOTA, 2.0) == ""
    one.settled(Scope("acme-prod"), {OTHER}, 2.0)
    assert [one.why_not(ref, 2.0) for ref in (QUOTA, OTHER, elsewhere)] == ["", "no", "no"]
    one.settled(Scope("acme-prod"), (), 2.0)
    assert [one.why_not(ref, 2.0) for ref in (OTHER, elsewhere)] == ["", "no"]


def test_what_is_seen_is_settled_while_other_kinds_are_not() -> None:
    """Seen: while pods waited for their judgement a refusal outlived its object, and was told of the next one."""
    account = ObjectRef("", "ServiceAccount", "acme-prod", "web")
    one = refused_for_good(QUOTA, account)
    one.settled(Scope("acme-prod"), (), 0.0, unseen=("ServiceAccount",))
    assert [one.why_not(ref, 2.0) for ref in (QUOTA, account)] == ["", "no"]


def test_of_a_scope_that_nobody_governs_nothing_is_kept() -> None:
    one = refused_for_good(QUOTA)
    one.put_off(Scope("acme-prod"), {OTHER: "waits"})
    one.leave(Scope("acme-prod"))
    assert [one.why_not(ref, 2.0) for ref in (QUOTA, OTHER)] == ["", ""]


def test_a_scope_that_cannot_be_observed_waits_longer_each_time_until_it_can() -> None:
    one = setbacks()
    scope = Scope("acme-prod")
    assert [one.pause(scope) for _ in range(5)] == [1.0, 2.0, 4.0, 8.0, 8.0]
    one.observed(scope)
    assert one.pause(scope) == 1.0


def test_what_waits_for_another_object_is_told_until_a_plan_no_longer_puts_it_off() -> None:
    """Seen: a tier that was not made again stayed away without a word about the policy that kept it."""
    tier = ObjectRef("projectcalico.org", "Tier", "", "driftd")
    setbacks = Setbacks(first_seconds=1.0, longest_seconds=60.0)
    assert setbacks.put_off(CLUSTER, {tier: "rogue"})
    assert not setbacks.put_off(CLUSTER, {tier: "rogue"})
    assert (setbacks.why_not(tier, 2.0), setbacks.wait(tier, 0.0)) == ("rogue", 0.0), (
        "it is tried as soon as that is over"
    )
    assert setbacks.put_off(CLUSTER, {})
    assert setbacks.why_not(tier, 2.0) == ""


def test_what_waits_goes_on_being_told_while_the_other_object_is_tried_again_and_until_it_differs_no_more() -> None:
    policy, one = ObjectRef("projectcalico.org", "GlobalNetworkPolicy", "", "driftd.mine"), setbacks()
    one.put_off(CLUSTER, {policy: "waits"})
    assert not one.put_off(CLUSTER, {}, tries=True)
    one.settled(CLUSTER, {policy}, 0.0)
    assert one.why_not(policy, 2.0) == "waits"
    one.settled(CLUSTER, (), 0.0)
    assert one.why_not(policy, 2.0) == ""
    assert one.put_off(CLUSTER, {policy: "waits"}, tries=True), "what a plan leaves beside its writes is told at once"


def test_a_setback_lasts_from_the_second_failure_in_a_row_or_the_fifth_lost_write() -> None:
    one = setbacks()
    one.fail(QUOTA, 0.0)
    assert not one.lasts(QUOTA, 2.0)
    one.fail(QUOTA, 1.0)
    assert one.lasts(QUOTA, 2.0)
    one.clear(QUOTA)
    assert not one.lasts(QUOTA, 2.0)
    for second in range(5):
        assert not one.lasts(OTHER, float(second))
        one.lose(OTHER, float(second))
    assert one.lasts(OTHER, 5.0)
    flat = Setbacks(first_seconds=1.0, longest_seconds=1.0)
    flat.refuse(QUOTA, "no", 0.0)
    flat.refuse(QUOTA, "no", 1.0)
    assert flat.lasts(QUOTA, 2.0)


def test_an_object_that_others_wrote_first_twice_within_a_minute_is_contested_until_that_is_over() -> None:
    one = setbacks()
    one.lose(QUOTA, 0.0)
    assert one.contested(Scope("acme-prod"), 0.0) == frozenset()
    one.lose(QUOTA, 59.0)
    one.clear(QUOTA)
    one.settled(Scope("acme-prod"), (), 59.5)
    assert one.contested(Scope("acme-prod"), 60.0) == {QUOTA}, "it may be opened again at once, by the same people"
    assert one.contested(Scope("acme-prod"), 60.1) == frozenset()
    one.lose(QUOTA, 61.0)
    assert one.contested(Scope("acme-prod"), 61.0) == {QUOTA}
    one.leave(Scope("acme-prod"))
    assert one.contested(Scope("acme-prod"), 61.0) == frozenset()


def test_five_writes_in_a_row_that_came_too_late_are_told_until_one_goes_through() -> None:
    """Seen: somebody noted something at a hole all the time, and nobody was told that driftd could not close it."""
    one, said = setbacks(), []
    for now in range(5):
        one.lose(QUOTA, float(now))
        said.append(one.why_not(QUOTA, float(now)))
    assert said[:4] == [""] * 4
    assert "others keep writing it" in said[4]
    assert (one.wait(QUOTA, 4.0), one.why_not(OTHER, 4.0)) == (0.0, ""), "to wait would leave it to them"
    one.clear(QUOTA)
    assert one.why_not(QUOTA, 4.0) == ""


def test_who_makes_and_deletes_an_object_all_the_time_is_told_however_often_a_look_finds_nothing_there() -> None:
    """Seen: of 1,240 lives of a hole each second one was gone at the next look, and its race began anew."""
    one = setbacks()
    for now in range(5):
        one.lose(QUOTA, float(now))
        one.settled(Scope("acme-prod"), (), now + 0.5)
    assert one.why_not(QUOTA, 5.0)


def test_a_race_in_which_nothing_was_lost_for_a_minute_is_over() -> None:
    one = setbacks()
    for now in range(5):
        one.lose(QUOTA, float(now))
    assert one.why_not(QUOTA, 63.0)
    assert one.hopeless(Scope("acme-prod"), 53.0) == {QUOTA: 10.0}
    assert one.hopeless(Scope("acme-prod"), 63.1) == {}
    assert (one.why_not(QUOTA, 63.1), one.lasts(QUOTA, 63.1)) == ("", False)
    one.settled(Scope("acme-prod"), (), 64.1)
    one.lose(QUOTA, 65.0)
    one.lose(QUOTA, 66.0)
    assert one.why_not(QUOTA, 66.0) == ""


def test_writes_lost_long_before_are_no_part_of_a_later_race() -> None:
    one = setbacks()
    for now in range(4):
        one.lose(QUOTA, float(now))
    one.lose(QUOTA, 100.0)
    one.lose(QUOTA, 101.0)
    assert one.why_not(QUOTA, 101.0) == "", "two in a row lately, not six"


def test_it_is_told_how_many_writes_were_lost_lately() -> None:
    one = setbacks()
    assert [one.lose(QUOTA, now) for now in (0.0, 59.0, 60.0, 60.1, 200.0)] == [1, 2, 3, 3, 1]
