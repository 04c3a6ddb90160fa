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


def test_a_refused_object_is_named_and_tried_again_after_the_longest_pause() -> None:
    one = setbacks()
    one.refuse(QUOTA, "admission said no", 0.0)
    assert one.why_not(QUOTA) == "admission said no"
    assert one.wait(QUOTA, 0.0) == 8.0
    assert one.wait(QUOTA, 8.0) == 0.0


def test_a_write_that_went_through_clears_its_object_only() -> None:
    one = setbacks()
    one.refuse(QUOTA, "no", 0.0)
    one.refuse(OTHER, "no", 0.0)
    one.clear(QUOTA)
    assert (one.why_not(QUOTA), one.why_not(OTHER)) == ("", "no")


def test_a_scope_that_cannot_be_observed_waits_longer_each_time_until_it_can() -> None:
    one = setbacks()
    scope = Scope("acme-prod")
    assert [one.pause(scope) for _ in range(5)] == [1.0, 2.0, 4.0, 8.0, 8.0]
    one.settled(scope)
    assert one.pause(scope) == 1.0


def test_what_waits_for_another_object_is_told_until_a_plan_no_longer_puts_it_off() -> None:
    """Seen: a tier that was not made again stayed away without a word about the policy that kept it."""
    tier = ObjectRef("projectcalico.org", "Tier", "", "driftd")
    setbacks = Setbacks(first_seconds=1.0, longest_seconds=60.0)
    assert setbacks.put_off(CLUSTER, {tier: "rogue"})
    assert not setbacks.put_off(CLUSTER, {tier: "rogue"})
    assert (setbacks.why_not(tier), setbacks.wait(tier, 0.0)) == ("rogue", 0.0), "it is tried as soon as that is over"
    assert setbacks.put_off(CLUSTER, {})
    assert setbacks.why_not(tier) == ""
