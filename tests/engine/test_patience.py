"""Who is left alone, and who is not: patience never lets two harmless halves make a hole."""

from dataclasses import replace

from driftd.drift import Comparison, FightBreaker, decides_flows
from driftd.engine.patience import MOST_CONFLICTS, Patience
from driftd.engine.setbacks import Setbacks
from driftd.engine.stopped import StoppedKinds
from driftd.telemetry import Metrics
from driftd.values import Direction, Finding, FindingType, ObjectRef, Scope, Severity
from tests.support.drift_scope import policy_ref

HOME = Scope("acme")
WEB, API = policy_ref("web"), policy_ref("api")


def finding(ref: ObjectRef, direction: Direction = Direction.TIGHTENS) -> Finding:
    return Finding(ref.name, FindingType.MODIFIED, ref, HOME, "acme", direction, Severity.LOW, "it differs")


def patience() -> Patience:
    setbacks = Setbacks(first_seconds=1.0, longest_seconds=8.0)
    return Patience(FightBreaker(), setbacks, StoppedKinds(Metrics(), lambda _why: None))


def fought(one: Patience, ref: ObjectRef, now: float = 100.0) -> float:
    """Make a fight of it; returns a second in which a patient breaker waits still, and the write cap does not."""
    for second in range(6):
        one.breaker.permit(ref, Direction.TIGHTENS, now + second)
        one.breaker.repaired(ref, now + second)
    return now + 5 + 1.0


def test_a_fight_that_only_tightens_and_stands_alone_makes_its_object_wait() -> None:
    one = patience()
    now = fought(one, WEB)
    left = one.left_alone(Comparison(HOME, (finding(WEB),)), {}, now, open_everywhere=1)
    assert left.waiting == {WEB}
    assert left.again == (one.breaker.permit(WEB, Direction.TIGHTENS, now),)
    assert left.again[0] > 0


def test_a_fight_that_loosens_is_never_waited_for_beyond_the_cap_on_writes() -> None:
    one = patience()
    now = fought(one, WEB)
    comparison = Comparison(HOME, (finding(WEB, Direction.LOOSENS),))
    assert one.left_alone(comparison, {}, now, open_everywhere=1).waiting == frozenset()


def test_two_tightening_findings_of_a_scope_are_not_waited_for() -> None:
    one = patience()
    now = fought(one, WEB)
    comparison = Comparison(HOME, (finding(API), finding(WEB)))
    assert one.left_alone(comparison, {}, now, open_everywhere=2).waiting == frozenset()


def test_a_finding_open_in_another_scope_ends_all_patience() -> None:
    one = patience()
    now = fought(one, WEB)
    comparison = Comparison(HOME, (finding(WEB),))
    assert one.left_alone(comparison, {}, now, open_everywhere=2).waiting == frozenset()


def test_findings_that_decide_no_flows_do_not_end_patience() -> None:
    one = patience()
    now = fought(one, WEB)
    quota = replace(finding(ObjectRef("", "ResourceQuota", "acme-prod", "quota")), type=FindingType.MISSING)
    nowhere = replace(finding(ObjectRef("", "Namespace", "", "acme-prod")), type=FindingType.MISSING)
    assert not decides_flows(quota)
    assert not decides_flows(nowhere)
    assert decides_flows(replace(nowhere, type=FindingType.MODIFIED))
    comparison = Comparison(HOME, (finding(WEB), quota))
    assert one.left_alone(comparison, {}, now, open_everywhere=1).waiting == {WEB}


def test_an_object_over_which_a_rival_makes_conflicts_lets_the_others_go_first() -> None:
    one = patience()
    comparison = Comparison(HOME, (finding(API), finding(WEB)))
    once = one.left_alone(comparison, {WEB: MOST_CONFLICTS - 1}, 0.0, open_everywhere=0)
    often = one.left_alone(comparison, {WEB: MOST_CONFLICTS}, 0.0, open_everywhere=0)
    assert not once.stuck
    assert often.stuck == often.passing == {WEB}


def test_a_refused_object_and_a_stopped_kind_are_not_written_and_only_the_first_asks_for_another_look() -> None:
    one = patience()
    one.setbacks.refuse(WEB, "admission said no", 0.0)
    quota = ObjectRef("", "ResourceQuota", "acme-prod", "quota")
    one.stopped.stop(quota, "it adds spec.new")
    left = one.left_alone(Comparison(HOME, (finding(WEB), finding(quota))), {}, 0.0, open_everywhere=0)
    assert {WEB, quota} <= left.stuck
    assert left.passing == {WEB}, "a first refusal may be none"
    one.setbacks.refuse(WEB, "admission said no", 1.0)
    lasting = one.left_alone(Comparison(HOME, (finding(WEB), finding(quota))), {}, 1.0, open_everywhere=0)
    assert lasting.passing == frozenset()
    assert left.again == (1.0,)


def test_a_refused_object_that_does_not_differ_itself_is_not_written_for_others_until_its_pause_is_over() -> None:
    """Seen: a canonical policy that could not be closed for a tier was written again in each round of a cycle."""
    one = patience()
    one.setbacks.refuse(API, "admission said no", 0.0)
    comparison = Comparison(HOME, (finding(WEB),))
    left = one.left_alone(comparison, {}, 0.25, open_everywhere=0)
    assert left.stuck == {API}
    assert left.again == (0.75,)
    assert not one.left_alone(comparison, {}, 1.0, open_everywhere=0).stuck
    elsewhere = Comparison(Scope("globex"), (finding(WEB),))
    assert not one.left_alone(elsewhere, {}, 0.25, open_everywhere=0).stuck
