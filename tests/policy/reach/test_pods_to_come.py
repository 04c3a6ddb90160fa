"""What opens for pods and namespaces that nobody has made yet, beside what opens for those that live."""

import pytest

from driftd.policy.reach import Dialect, Edit, Judgement, Snapshot, Tenancy, apply, judge, snapshot_of
from driftd.values import Body, Direction
from tests.support.objects import namespace, network_policy, pod

SHUT = network_policy("a/shut", podSelector={}, policyTypes=["Ingress", "Egress"])
BASE: list[Body] = [
    namespace("a", team="red"),
    namespace("b", team="blue"),
    pod("a/web", "10.244.0.1"),
    pod("a/db", "10.244.0.2"),
    pod("b/far", "10.244.1.1"),
    SHUT,
]
TENANTS = Tenancy({"a": "red", "b": "blue"})
HOME: Body = {"podSelector": {}}
STRANGER: Body = {"namespaceSelector": {"matchLabels": {"team": "evil"}}}
ANYBODY: Body = {"namespaceSelector": {}}
WIDE: Body = {
    "podSelector": {
        "matchExpressions": [{"key": f"k{n}", "operator": "In", "values": ["a", "b", "c"]} for n in range(4)]
    }
}


def policy(*ingress: Body, name: str = "a/own", less: bool = False) -> Body:
    """Lets its pods speak to each other, and these speak to them; `less`: only to those labelled web."""
    inside: Body = {"podSelector": {"matchLabels": {"app": "web"}} if less else {}}
    return network_policy(
        name,
        podSelector={},
        policyTypes=["Ingress", "Egress"],
        ingress=[{"from": [peer]} for peer in ingress],
        egress=[{"to": [inside]}],
    )


def state(*objects: Body) -> Snapshot:
    return snapshot_of([*BASE, *objects], Dialect.KUBERNETES)


def judged(put: Body, before: Snapshot | None = None, **bounds: int) -> Judgement:
    start = before or state()
    return judge(start, apply(start, Edit((put,))), TENANTS, **bounds)


def test_what_stays_at_home_is_within_its_namespace() -> None:
    found = judged(policy(HOME))
    assert (found.direction, found.crosses_tenant, found.within) == (Direction.LOOSENS, False, "a")


@pytest.mark.parametrize("hole", [STRANGER, ANYBODY])
def test_a_harmless_rule_does_not_hide_a_hole_for_a_namespace_to_come(hole: Body) -> None:
    """Seen: a policy that opened something at home was judged by that alone, and stood by its harmlessness."""
    found = judged(policy(HOME, hole))
    assert (found.crosses_tenant, found.within) == (True, "")
    assert found.witness is not None
    assert not found.witness.source.startswith("a/")


def test_nor_does_a_change_that_closes_something_else() -> None:
    found = judged(policy(STRANGER, HOME, less=True), state(policy(HOME)))
    assert found.direction.may_loosen
    assert found.crosses_tenant


def test_nor_does_one_that_opens_at_home_and_closes_there() -> None:
    before = state(policy(HOME, less=True), network_policy("b/shut", podSelector={}))
    after = apply(before, Edit((policy({"podSelector": {"matchLabels": {"app": "db"}}}, STRANGER),)))
    assert judge(before, after, TENANTS).crosses_tenant


@pytest.mark.parametrize("bound", [0, 5])
def test_where_not_all_pods_to_come_were_tried_what_opens_may_open_anywhere(bound: int) -> None:
    found = judged(policy(HOME, {**WIDE, **STRANGER}), bound=bound)
    assert (found.crosses_tenant, found.within) == (True, "")


def test_rules_that_name_their_own_pods_alone_stay_at_home_however_many_were_tried() -> None:
    found = judged(policy(HOME, WIDE), bound=5)
    assert (found.direction, found.crosses_tenant, found.within) == (Direction.LOOSENS, False, "a")


def test_a_policy_that_is_changed_may_free_pods_and_so_opens_more_than_its_rules_say() -> None:
    narrow = network_policy("a/own", podSelector=WIDE["podSelector"], ingress=[{"from": [HOME]}])
    found = judged(narrow, state(policy(HOME, less=True)), bound=5)
    assert found.direction.may_loosen
    assert found.crosses_tenant


def test_nothing_is_within_a_namespace_while_not_all_pairs_were_compared() -> None:
    found = [judged(policy(HOME), most=most) for most in range(12)]
    told = [(one.within, one.crosses_tenant) for one in found]
    assert (told[0], told[-1]) == (("", True), ("a", False))
    assert told == sorted(told)
