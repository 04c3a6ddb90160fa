"""What opens for pods and namespaces that nobody has made yet, beside what opens for those that live."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftd.policy.reach import (
    Dialect,
    Edit,
    Judgement,
    Snapshot,
    Surroundings,
    Tenancy,
    apply,
    block,
    delta,
    judge,
    snapshot_of,
)
from driftd.policy.reach.dreamer import Dreamer, _assignments, _options
from driftd.policy.reach.future import imagine
from driftd.policy.reach.judge import MOST_PAIRS
from driftd.policy.reach.places import Spaces
from driftd.policy.reach.selectors import And, Has, In, LabelIndex, Not, Or, Selector, every, values_of
from driftd.values import Body, Direction
from tests.support.drift_scope import ref_of
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


def judged(put: Body, before: Snapshot | None = None, bound: int = 256, most: int = MOST_PAIRS) -> Judgement:
    start = before or state()
    return judge(start, apply(start, Edit((put,))), TENANTS, bound, most)


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
    found = [judged(policy(HOME), most=most) for most in range(64)]
    told = [(one.within, one.crosses_tenant) for one in found]
    assert (told[0], told[-1]) == (("", True), ("a", False))
    assert told == sorted(told)


RANGE = Surroundings(pods=block("10.244.0.0/16"))
BESIDE = [namespace("a", team="red"), pod("a/web", "10.244.0.1"), pod("a/db", "10.244.0.2"), SHUT]


def over(cidr: str, dialect: Dialect = Dialect.CALICO, *cut: str, around: Surroundings = RANGE) -> Judgement:
    """A rule for a block of addresses beside one that stays at home, where nobody else's pods live."""
    start = snapshot_of(BESIDE, dialect, around)
    hole: Body = {"ipBlock": {"cidr": cidr, **({"except": list(cut)} if cut else {})}}
    return judge(start, apply(start, Edit((policy(HOME, hole),))), TENANTS)


@pytest.mark.parametrize("cidr", ["10.244.0.0/16", "10.244.7.0/24", "10.0.0.0/8", "0.0.0.0/0"])
@pytest.mark.parametrize("dialect", [Dialect.CALICO, Dialect.KUBERNETES])
def test_a_block_over_the_pods_range_lets_in_the_pods_that_others_will_make(cidr: str, dialect: Dialect) -> None:
    """Seen: judged by the pods that live now, none of which had such an address, it crossed no tenant's border."""
    found = over(cidr, dialect)
    assert found.direction.may_loosen
    assert (found.crosses_tenant, found.within) == (True, "")
    assert found.witness is not None
    assert found.witness.source == "any-other-namespace/any pod without labels"


@pytest.mark.parametrize(
    ("cidr", "cut"), [("203.0.113.0/24", ()), ("10.0.0.0/8", ("10.244.0.0/16",)), ("0.0.0.0/0", ("10.0.0.0/8",))]
)
def test_a_block_beside_the_pods_range_lets_in_no_pod_of_others(cidr: str, cut: tuple[str, ...]) -> None:
    found = over(cidr, Dialect.CALICO, *cut)
    assert (found.direction, found.crosses_tenant) == (Direction.LOOSENS, False)


def test_nor_does_any_block_where_blocks_do_not_match_pods() -> None:
    assert not over("10.244.0.0/16", Dialect.CILIUM).crosses_tenant


def test_where_the_pods_range_is_not_known_a_block_is_judged_by_the_pods_there_are() -> None:
    assert not over("203.0.113.0/24", around=Surroundings()).crosses_tenant


@pytest.mark.parametrize("dialect", list(Dialect))
@pytest.mark.parametrize("way", ["ingress", "egress"])
@pytest.mark.parametrize("rule", [{}, {"ports": [{"port": 80}]}])
def test_what_is_open_to_anybody_crosses_a_border_where_nobody_else_lives(
    way: str, rule: Body, dialect: Dialect
) -> None:
    """Seen: an allow-all was milder than a rule for all namespaces, which lets in less."""
    start = snapshot_of(BESIDE, dialect, RANGE)
    wide = network_policy("a/wide", podSelector={}, policyTypes=[way.capitalize()], **{way: [rule]})
    for step in (Edit((wide,)), Edit(remove=(ref_of(SHUT),))):
        found = judge(start, apply(start, step), TENANTS)
        assert (found.direction, found.crosses_tenant, found.within) == (Direction.LOOSENS, True, "")
        assert found.witness is not None
        ends = {found.witness.source, found.witness.target}
        assert "any-other-namespace/any pod without labels" in ends
        assert ends & {"a/web", "a/db"}, "a pod that runs says more than one that may be made"


@pytest.mark.parametrize("taken", [("",), ("", "-1"), ("", "-1", "-2")])
def test_a_namespace_that_has_the_strangers_name_keeps_no_stranger_away(taken: tuple[str, ...]) -> None:
    """Seen: an allow-all beside a namespace `any-other-namespace` crossed no tenant's border."""
    decoys = [namespace(f"any-other-namespace{end}") for end in taken]
    start = apply(snapshot_of(BESIDE, Dialect.KUBERNETES, RANGE), Edit(tuple(decoys)))
    found = judge(start, apply(start, Edit((network_policy("a/wide", podSelector={}, ingress=[{}]),))), TENANTS)
    assert (found.direction, found.crosses_tenant, found.within) == (Direction.LOOSENS, True, "")


def by_name(operator: str, name: str, **labels: str) -> Body:
    """Everybody in namespaces of that name, or of any other, that have these labels."""
    key = "kubernetes.io/metadata.name"
    expression = {"key": key, "operator": operator, "values": [name]}
    return {"namespaceSelector": {"matchLabels": labels, "matchExpressions": [expression]}}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (by_name("NotIn", "a", team="x"), by_name("NotIn", "a", team="y")),
        (by_name("In", "to-come", team="x"), by_name("In", "to-come")),
        (by_name("In", "to-come"), by_name("In", "to-come", team="x")),
        (by_name("In", "to-come", team="x"), by_name("In", "to-come", zone="y")),
        (by_name("In", "to-come", team="x"), by_name("In", "to-come", team="y")),
    ],
)
def test_a_namespace_to_come_is_imagined_for_each_expression_that_names_it(one: Body, other: Body) -> None:
    """Seen: the second was imagined under another name, where no rule matched it, or the judgement was UNKNOWN."""
    start = snapshot_of(BESIDE, Dialect.KUBERNETES, RANGE)
    rules = [{"from": [peer]} for peer in (one, other)]
    after = apply(start, Edit((network_policy("a/wide", podSelector={}, ingress=rules),)))
    found = imagine(start, after)
    assert found.complete
    states = [apply(start, Edit(objects)) for objects in found.rounds]
    for peer in (one, other):
        hole = Edit((network_policy("a/one", podSelector={}, ingress=[{"from": [peer]}]),))
        opened = [delta(stood, apply(stood, hole)).added for stood in states]
        assert any(pair is not None for flows in opened for pair in flows.crossing(TENANTS))


KEYS = st.sampled_from(["app", "tier", "team"])
PLAIN: st.SearchStrategy[Selector] = st.one_of(
    st.builds(Has, KEYS), st.builds(In, KEYS, st.lists(st.sampled_from("abc"), min_size=1, max_size=2).map(tuple))
)
SELECTORS: st.SearchStrategy[Selector] = st.recursive(
    PLAIN,
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: every(*parts)),
        st.lists(inner, min_size=1, max_size=2).map(lambda parts: Or(tuple(parts))),
        st.lists(inner, min_size=1, max_size=2).map(lambda parts: And(tuple(parts))),
    ),
    max_leaves=5,
)


@given(SELECTORS)
def test_ways_that_are_left_out_beforehand_are_ways_that_the_selector_does_not_match(selector: Selector) -> None:
    def matched(ways: list[dict[str, str]]) -> list[dict[str, str]]:
        index = LabelIndex()
        for labels in ways:
            index.add(labels)
        return [labels for at, labels in enumerate(ways) if index.match(selector) >> at & 1]

    everything = list(_assignments(_options(values_of(selector))))
    tried = list(_assignments(_options(values_of(selector), selector)))
    assert matched(tried) == matched(everything)
    assert len(tried) <= len(everything)


def test_of_more_ways_than_may_be_tried_some_are_and_that_is_said() -> None:
    """Seen: a second of the processor for each policy that a tenant made of fifteen sets of values."""
    dreamer = Dreamer(Spaces(state()), (), 256)
    wide = every(*(In(f"k{n}", ("a", "b", "c")) for n in range(15)))
    tried = [len(list(dreamer._tried(_options(values_of(wide), wide)))) for _ in range(6)]
    assert tried == [1000, 1000, 1000, 1000, 96, 0]
    assert not dreamer.complete


def test_pods_of_every_account_that_a_rule_names_are_imagined() -> None:
    """Seen: a rule that another one denies to the first account it names was harmless, whatever the second may."""

    def rule(name: str, order: int, action: str, accounts: list[str]) -> Body:
        source = {"namespaceSelector": "all()", "serviceAccounts": {"names": accounts}}
        spec: Body = {"order": order, "selector": "all()", "types": ["Ingress"], "ingress": [{"action": action}]}
        spec["ingress"][0]["source"] = source
        metadata = {"name": name, "namespace": "a"}
        return {"apiVersion": "projectcalico.org/v3", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}

    pods = [namespace("a", team="red"), namespace("b", team="blue"), pod("a/web", "10.244.0.1")]
    shut = rule("shut", 1000, "Deny", [])
    del shut["spec"]["ingress"][0]["source"]
    before = snapshot_of([*pods, shut, rule("first", 1, "Deny", ["x"])], Dialect.CALICO)
    found = judge(before, apply(before, Edit((rule("both", 10, "Allow", ["x", "y"]),))), TENANTS)
    assert (found.direction, found.crosses_tenant) == (Direction.LOOSENS, True)
    assert found.witness is not None
    assert " as y" in found.witness.source
