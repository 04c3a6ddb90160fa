"""D7 for ordered policies: no state between repairs of Calico's objects opens what neither before nor the model had."""

from dataclasses import replace

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from driftd.compile import Mode
from driftd.drift.repair import Goal, Repair, Writer
from driftd.drift.stages import Stages
from driftd.values import CLUSTER, Body, ObjectRef, Scope, Write
from tests.support.drift_scope import COVERAGE, governed_of, live_of, policy
from tests.support.tiered_scope import TieredStore, calico, home, ref

Both = tuple[list[Body], list[Body]]
OTHERS = {"namespaceSelector": "has(driftd.dev/tenant) && driftd.dev/tenant != 'acme'"}
ends: st.SearchStrategy[Body] = st.sampled_from(
    [
        {},
        OTHERS,
        {"namespaceSelector": "kubernetes.io/metadata.name == 'globex'"},
        {"selector": "app == 'a'"},
        {"selector": "kind == 's'"},
        {"notSelector": "app == 'a'"},
        {"nets": ["203.0.113.0/24"]},
    ]
)


@st.composite
def rules(draw: st.DrawFn, far: str) -> list[Body]:
    found = []
    for _ in range(draw(st.integers(0, 2))):
        rule: Body = {"action": draw(st.sampled_from(["Allow", "Deny", "Pass"]))}
        end = draw(ends)
        if draw(st.booleans()):
            rule["protocol"] = "TCP"
            if far == "destination":
                end = {**end, "ports": [80]}
        found.append({**rule, **({far: end} if end else {})})
    return found


@st.composite
def specs(draw: st.DrawFn, tiers: tuple[str, ...], spaces: tuple[str, ...]) -> Body:
    types = draw(st.sampled_from([["Ingress"], ["Egress"], ["Ingress", "Egress"]]))
    spec: Body = {
        "tier": draw(st.sampled_from(tiers)),
        "selector": draw(st.sampled_from(["all()", "app == 'a'", "app == 'b'"])),
        "types": types,
    }
    order = draw(st.sampled_from([None, 10, 20]))
    space = draw(st.sampled_from(spaces))
    return {
        **spec,
        **({} if order is None else {"order": order}),
        **({"namespaceSelector": space} if space else {}),
        **({"ingress": draw(rules("source"))} if "Ingress" in types else {}),
        **({"egress": draw(rules("destination"))} if "Egress" in types else {}),
    }


ACME, GLOBEX = (f"kubernetes.io/metadata.name in {{'{name}'}}" for name in ("acme", "globex"))
global_specs = specs(("driftd", "driftd", "late"), (ACME, GLOBEX, "all()"))
DENY: Body = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
SAME: Body = {**DENY, "ingress": [{"from": [{"podSelector": {}}]}], "egress": [{"to": [{"podSelector": {}}]}]}


@st.composite
def changed(draw: st.DrawFn, spec: Body, anew: st.SearchStrategy[Body]) -> Body:
    """What somebody made of a policy. It keeps its tier: see below for those that move."""
    match draw(st.sampled_from(["keep", "keep", "rules", "closed", "insert", "subject", "order", "types", "replace"])):
        case "rules":
            return {**spec, "ingress": draw(rules("source")), "egress": draw(rules("destination"))}
        case "closed":
            rules_of = {one.lower(): [{"action": "Deny"}] for one in spec["types"]}
            return {**spec, **rules_of, "order": draw(st.sampled_from([5, 10]))}
        case "insert":
            return {**spec, "ingress": [{"action": "Allow"}, *spec.get("ingress", [])]}
        case "subject":
            return {**spec, "selector": draw(st.sampled_from(["all()", "app == 'a'", "app == 'b'"]))}
        case "order":
            return {**spec, "order": draw(st.sampled_from([5, 15, 30]))}
        case "types":
            return {**spec, "types": draw(st.sampled_from([["Ingress"], ["Egress"], ["Ingress", "Egress"]]))}
        case "replace":
            return {**draw(anew), "tier": spec["tier"]}
    return spec


@st.composite
def cluster_scopes(draw: st.DrawFn) -> Both:
    """Tiers, global policies and a set; canonical, and tampered with."""
    wanted, found = [], []
    for name, order in (("driftd", 100), ("late", 2_000_000)):
        default = draw(st.sampled_from(["Pass", "Deny"]))
        wanted.append(calico("Tier", name, {"order": order, "defaultAction": default}))
        moved = draw(st.sampled_from([order, order, order, 50, 3_000_000, None]))
        if moved is not None:
            other = draw(st.sampled_from([default, default, default, "Pass", "Deny"]))
            found.append(calico("Tier", name, {"order": moved, "defaultAction": other}))
    nets = st.sampled_from([["203.0.113.0/24"], ["198.51.100.0/24"], ["0.0.0.0/0"], []])
    if draw(st.booleans()):
        wanted.append(calico("GlobalNetworkSet", "s", {"nets": draw(nets)}, labels={"kind": "s"}))
        found.append(calico("GlobalNetworkSet", "s", {"nets": draw(nets)}, labels={"kind": "s"}))
    for number in range(draw(st.integers(0, 3))):
        spec = draw(global_specs)
        name = f"{spec['tier']}.p{number}"
        wanted.append(calico("GlobalNetworkPolicy", name, spec))
        if draw(st.integers(0, 3)):
            found.append(calico("GlobalNetworkPolicy", name, draw(changed(spec, global_specs))))
    for number in range(draw(st.integers(0, 2))):
        spec = {**draw(global_specs), "tier": "driftd"}
        found.append(calico("GlobalNetworkPolicy", f"driftd.rogue{number}", spec))
    return wanted, found


namespaced_specs = specs(("default",), ("",))


@st.composite
def namespace_scopes(draw: st.DrawFn) -> Both:
    """Calico's policies beside NetworkPolicies, and a set, in one namespace."""
    wanted, found = [home("acme")], [home("acme")]
    for number in range(draw(st.integers(0, 2))):
        spec = draw(namespaced_specs)
        wanted.append(calico("NetworkPolicy", f"p{number}", spec, "acme"))
        if draw(st.integers(0, 3)):
            found.append(calico("NetworkPolicy", f"p{number}", draw(changed(spec, namespaced_specs)), "acme"))
    if draw(st.booleans()):
        found.append(calico("NetworkPolicy", "rogue", draw(namespaced_specs), "acme"))
    kept = st.sampled_from(
        [DENY, SAME, {**DENY, "ingress": [{}]}, {**DENY, "podSelector": {"matchLabels": {"app": "a"}}}]
    )
    for number in range(draw(st.integers(0, 2))):
        wanted.append(policy(f"n{number}", draw(kept)))
        if draw(st.integers(0, 3)):
            found.append(policy(f"n{number}", draw(kept)))
    nets = st.sampled_from([["203.0.113.0/24"], ["198.51.100.0/24"], []])
    if draw(st.booleans()):
        wanted.append(calico("NetworkSet", "s", {"nets": draw(nets)}, "acme", labels={"kind": "s"}))
        if draw(st.booleans()):
            found.append(calico("NetworkSet", "s", {"nets": draw(nets)}, "acme", labels={"kind": "s"}))
    return wanted, found


@st.composite
def standing_scopes(draw: st.DrawFn) -> Both:
    """Policies that stand as the model has them, while tiers are gone and sets are not what they were."""
    wanted, found = [], []
    for number, name in enumerate(("driftd", "late")):
        wanted.append(calico("Tier", name, {"order": 100 + number, "defaultAction": "Pass"}))
        place = draw(st.sampled_from([None, None, 100 + number, 50]))
        if place is not None:
            found.append(calico("Tier", name, {"order": place, "defaultAction": "Pass"}))
    for name in "st":
        wanted.append(calico("GlobalNetworkSet", name, {"nets": ["203.0.113.0/24"]}, labels={"kind": name}))
        nets = draw(st.sampled_from([["203.0.113.0/24"], ["198.51.100.0/24"], []]))
        found.append(calico("GlobalNetworkSet", name, {"nets": nets}, labels={"kind": name}))
    for number in range(draw(st.integers(1, 3))):
        tier, order = draw(st.sampled_from(["driftd", "late"])), draw(st.sampled_from([10, 20]))
        rule = {"action": draw(st.sampled_from(["Allow", "Allow", "Deny"])), "source": draw(ends)}
        spec = {"tier": tier, "selector": "all()", "types": ["Ingress"], "order": order, "ingress": [rule]}
        wanted.append(calico("GlobalNetworkPolicy", f"{tier}.p{number}", spec))
        if draw(st.integers(0, 3)):
            found.append(wanted[-1])
    return wanted, found


BESIDE = [
    {**policy("default-deny", SAME), "metadata": {"name": "same", "namespace": "acme"}},
    {**policy("default-deny", DENY), "metadata": {"name": "deny", "namespace": "globex"}},
]


class Watch:
    """Checks the law after every write."""

    def __init__(self, states: Both, scope: Scope) -> None:
        wanted, found = states
        beside = BESIDE if scope == CLUSTER else [calico("Tier", "driftd", {"order": 100})]
        self.governed = governed_of(wanted, name=scope.namespace)
        self.store = TieredStore(found, scope, beside)
        self.canonical = TieredStore(wanted, scope, beside).flows()
        self.limit = self.store.flows() | self.canonical

    def execute(self, write: Write) -> None:
        self.store.execute(write)
        looser = self.store.flows() - self.limit
        assert not looser, f"after {type(write).__name__} of {write.ref}: {sorted(looser)[:5]}"

    def straight(self) -> None:
        for write in self.store.plan(self.governed).writes:
            self.execute(write)

    def again_and_again(self, most: int = 80) -> None:
        for _ in range(most):
            writes = self.store.plan(self.governed).writes
            if not writes:
                return
            self.execute(writes[0])
        raise AssertionError(f"no end after {most} writes")

    def assert_canonical(self) -> None:
        assert self.store.look(self.governed).findings == ()
        assert self.store.flows() == self.canonical


many = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


@many
@given(cluster_scopes())
def test_a_plan_for_global_objects_is_never_looser_and_ends_canonical(states: Both) -> None:
    watch = Watch(states, CLUSTER)
    watch.straight()
    watch.assert_canonical()


@many
@given(cluster_scopes(), st.integers(0, 6))
def test_a_plan_for_global_objects_given_up_anywhere_and_made_again_is_never_looser(states: Both, stop: int) -> None:
    watch = Watch(states, CLUSTER)
    for write in watch.store.plan(watch.governed).writes[:stop]:
        watch.execute(write)
    watch.again_and_again()
    watch.assert_canonical()


@many
@given(namespace_scopes())
def test_a_plan_for_both_kinds_of_policies_is_never_looser_and_ends_canonical(states: Both) -> None:
    watch = Watch(states, Scope("acme"))
    watch.straight()
    watch.assert_canonical()


@many
@given(namespace_scopes(), st.integers(0, 6))
def test_a_plan_for_both_kinds_given_up_anywhere_and_made_again_is_never_looser(states: Both, stop: int) -> None:
    watch = Watch(states, Scope("acme"))
    for write in watch.store.plan(watch.governed).writes[:stop]:
        watch.execute(write)
    watch.again_and_again()
    watch.assert_canonical()


@many
@given(cluster_scopes() | namespace_scopes(), st.sets(st.integers(0, 7)))
def test_objects_that_cannot_be_written_make_nothing_looser(states: Both, numbers: set[int]) -> None:
    wide = any(body["kind"] == "Tier" for body in states[0])
    watch = Watch(states, CLUSTER if wide else Scope("acme"))
    refs = sorted({*watch.governed.objects, *watch.store.objects})
    blocked = frozenset[ObjectRef](one for number, one in enumerate(refs) if number in numbers)
    for _ in range(3):
        for write in watch.store.plan(watch.governed, blocked=blocked).writes:
            assert write.ref not in blocked
            watch.execute(write)
    watch.straight()
    watch.again_and_again()
    watch.assert_canonical()


@many
@given(cluster_scopes() | namespace_scopes(), st.sampled_from([None, 5]), st.booleans())
def test_nothing_waits_for_refused_policies_that_deny_all_and_nothing_is_looser(
    states: Both, order: int | None, again: bool
) -> None:
    wanted, found = states
    closed = {}
    for body in (one for one in wanted if one["kind"].endswith("NetworkPolicy") and "tier" in one["spec"]):
        denials = {one.lower(): [{"action": "Deny"}] for one in body["spec"]["types"]}
        closed[ref(body)] = {**body, "spec": body["spec"] | denials | ({"order": order} if order else {})}
    wide = any(body["kind"] == "Tier" for body in wanted)
    watch = Watch((wanted, [closed.get(ref(one), one) for one in found]), CLUSTER if wide else Scope("acme"))
    refused = frozenset(closed.keys() & watch.store.objects.keys())
    for _ in range(40):
        writes = watch.store.plan(watch.governed, blocked=refused).writes
        for write in writes[:1] if again else writes:
            watch.execute(write)
    assert {one.ref for one in watch.store.look(watch.governed).findings} <= refused
    watch.again_and_again()
    watch.assert_canonical()


@many
@given(
    standing_scopes(),
    st.integers(0, 10),
    st.sampled_from([(), (), ("Tier",), ("GlobalNetworkPolicy",), ("GlobalNetworkSet",)]),
    st.sampled_from([99, 99, 0, 1, 2, 3]),
)
def test_a_canonical_policy_that_a_plan_closes_is_opened_again_by_it_or_by_the_next(
    states: Both, refused: int, reported: tuple[str, ...], stop: int
) -> None:
    watch = Watch(states, CLUSTER)
    governed = replace(watch.governed, kind_modes=dict.fromkeys(reported, Mode.REPORT))
    blocked = frozenset(sorted(governed.objects)[refused : refused + 1])

    def differing() -> set[ObjectRef]:
        return {one.ref for one in watch.store.look(governed).findings}

    stood = watch.store.objects.keys() - differing()
    for write in watch.store.plan(governed, blocked=blocked).writes[:stop]:
        watch.store.execute(write)
    for write in watch.store.plan(governed, blocked=blocked).writes:
        watch.store.execute(write)
    assert not stood & differing()


@many
@given(standing_scopes() | cluster_scopes(), st.integers(0, 8))
def test_what_stays_closed_since_a_write_was_refused_in_the_middle_of_a_plan_is_told(states: Both, number: int) -> None:
    watch = Watch(states, CLUSTER)
    writes = watch.store.plan(watch.governed).writes
    blocked = frozenset(write.ref for write in writes[number : number + 1])
    for write in writes[:number]:
        watch.execute(write)
    for _ in range(3):
        for write in watch.store.plan(watch.governed, blocked=blocked).writes:
            watch.execute(write)
    last = watch.store.plan(watch.governed, blocked=blocked)
    assert last.writes == ()
    assert {one.ref for one in watch.store.look(watch.governed).findings} - blocked == last.waiting.keys()
    watch.again_and_again()
    watch.assert_canonical()


def two_sets_and_one_refused() -> tuple[Watch, ObjectRef]:
    """A canonical policy that goes by two sets was closed, one of them written, and the other one refused."""
    tier = calico("Tier", "driftd", {"order": 100, "defaultAction": "Pass"})
    by_sets = {"action": "Allow", "source": {"selector": "kind in {'s', 't'}"}}
    mine = calico("GlobalNetworkPolicy", "driftd.mine", OPEN | {"ingress": [by_sets]})
    sets, moved = (
        [calico("GlobalNetworkSet", name, {"nets": [net]}, labels={"kind": name}) for name in "st"]
        for net in ("203.0.113.0/24", "198.51.100.0/24")
    )
    watch = Watch(([tier, mine, *sets], [tier, mine, *moved]), CLUSTER)
    refused = ref(sets[1])
    for write in watch.store.plan(watch.governed).writes:
        if write.ref == refused:
            break
        watch.execute(write)
    return watch, refused


def test_a_policy_that_driftd_closed_before_a_set_was_refused_says_for_what_it_waits() -> None:
    """Seen: it denied everything for as long as the refusal lasted, and only the set was told."""
    watch, refused = two_sets_and_one_refused()
    planned = watch.store.plan(watch.governed, blocked=frozenset({refused}))
    assert planned.writes == ()
    assert {one.name: why for one, why in planned.waiting.items()} == {
        "driftd.mine": "it opens no more until GlobalNetworkSet t is proved absent or can be put right"
    }
    watch.straight()
    watch.assert_canonical()


def test_what_waits_for_a_try_that_is_made_again_in_a_moment_is_not_told() -> None:
    watch, refused = two_sets_and_one_refused()
    planned = watch.store.plan(watch.governed, blocked=frozenset({refused}), passing=frozenset({refused}))
    assert (planned.writes, planned.waiting) == ((), {})
    assert any("opens no more" in one for one in planned.held)


def closed_by(*found: Body, **modes: Mode) -> Watch:
    """Two tiers that are gone, with a policy that stands and allows in the first, and objects of the model beside."""
    tiers = [
        calico("Tier", name, {"order": 100 + n, "defaultAction": "Pass"}) for n, name in enumerate(("driftd", "x"))
    ]
    mine = calico("GlobalNetworkPolicy", "driftd.mine", OPEN)
    by_set = [{"action": "Allow", "source": {"selector": "kind == 's'"}}]
    others = [
        calico("GlobalNetworkPolicy", "x.by-set", OPEN | {"tier": "x", "ingress": by_set}),
        calico("GlobalNetworkSet", "s", {"nets": ["203.0.113.0/24"]}, labels={"kind": "s"}),
    ]
    watch = Watch(([*tiers, mine, *others], [mine, others[0], *found]), CLUSTER)
    watch.governed = replace(watch.governed, kind_modes=modes)
    return watch


MOVED = calico("GlobalNetworkSet", "s", {"nets": ["198.51.100.0/24"]}, labels={"kind": "s"})


def test_a_canonical_policy_is_not_closed_for_one_tier_while_another_one_waits_for_good() -> None:
    """Seen: it was made to deny everything, and stayed so."""
    watch = closed_by(MOVED, GlobalNetworkSet=Mode.REPORT)
    planned = watch.store.plan(watch.governed)
    assert planned.writes == ()
    assert {one.name: why for one, why in planned.waiting.items()} == {
        "driftd": (
            "it would have GlobalNetworkPolicy driftd.mine closed until Tier x is proved absent or can be put right"
        ),
        "x": "its policies may allow too much while GlobalNetworkSet s is not as the model has it",
    }
    watch.governed = replace(watch.governed, kind_modes={})
    watch.straight()
    watch.assert_canonical()


def test_a_canonical_policy_is_not_closed_while_a_set_that_it_does_not_go_by_is_refused() -> None:
    watch = closed_by(MOVED, calico("Tier", "x", {"order": 101, "defaultAction": "Pass"}))
    planned = watch.store.plan(watch.governed, blocked=frozenset({ref(MOVED)}))
    assert planned.writes == ()
    ((waiting, why),) = planned.waiting.items()
    assert waiting.name == "driftd"
    assert "GlobalNetworkPolicy driftd.mine closed until GlobalNetworkSet s" in why
    watch.straight()
    watch.assert_canonical()


def test_a_tier_waits_while_a_policy_that_it_would_close_is_refused_but_alone_it_is_made_at_once() -> None:
    mine = calico("GlobalNetworkPolicy", "driftd.mine", OPEN)
    watch = closed_by(MOVED, calico("Tier", "x", {"order": 101, "defaultAction": "Pass"}))
    planned = watch.store.plan(watch.governed, blocked=frozenset({ref(mine)}))
    assert {one.name: words for one, words in planned.waiting.items()} == {
        "driftd": "it would have GlobalNetworkPolicy driftd.mine closed meanwhile, which cannot be written now",
        "s": "it opens no more until Tier driftd is proved absent or can be put right",
    }
    alone = closed_by(
        calico("GlobalNetworkSet", "s", {"nets": ["203.0.113.0/24"]}, labels={"kind": "s"}),
        calico("Tier", "x", {"order": 101, "defaultAction": "Pass"}),
    )
    planned = alone.store.plan(alone.governed, blocked=frozenset({ref(mine)}))
    assert [(one.ref.kind, one.ref.name) for one in planned.writes] == [("Tier", "driftd")]


@pytest.mark.parametrize(
    ("live", "writes"),
    [
        ({"ingress": [{"action": "Deny"}, {"action": "Allow"}]}, ["driftd"]),
        ({"ingress": [{"action": "Deny"}], "order": 4}, ["driftd"]),
        ({"ingress": [{"action": "Deny"}], "order": 6}, []),
        ({"ingress": [{"action": "Deny"}], "selector": "app == 'a'"}, []),
        ({"ingress": [{"action": "Deny", "protocol": "TCP"}]}, []),
    ],
)
@pytest.mark.parametrize("tier", ["driftd", "x"])
def test_a_tier_waits_for_no_refused_policy_that_denies_all_that_the_model_decides_there(
    tier: str, live: Body, writes: list[str]
) -> None:
    """Seen: it stayed away for as long as a policy was refused that allowed nothing."""
    tiers = [
        calico("Tier", name, {"order": 100 + n, "defaultAction": "Pass"}) for n, name in enumerate(("driftd", "x"))
    ]
    mine = calico("GlobalNetworkPolicy", "driftd.mine", OPEN)
    spec = OPEN | {"tier": tier, "order": 5}
    refused = calico("GlobalNetworkPolicy", f"{tier}.refused", spec)
    found = [tiers[1], mine, calico("GlobalNetworkPolicy", f"{tier}.refused", spec | live)]
    watch = Watch(([*tiers, mine, refused], found), CLUSTER)
    planned = watch.store.plan(watch.governed, blocked=frozenset({ref(refused)}))
    assert [one.ref.name for one in planned.writes] == writes
    assert bool(planned.waiting) is not bool(writes)
    for write in planned.writes:
        watch.execute(write)
    watch.again_and_again()
    watch.assert_canonical()


def test_a_canonical_policy_is_not_closed_while_a_set_is_being_changed_back_and_forth_and_nobody_is_told() -> None:
    watch = closed_by(MOVED, calico("Tier", "x", {"order": 101, "defaultAction": "Pass"}))
    planned = watch.store.plan(watch.governed, waiting=frozenset({ref(MOVED)}))
    assert (planned.writes, planned.waiting) == ((), {})
    assert any(one.startswith("Tier driftd waits") for one in planned.held)


def test_a_policy_that_is_closed_on_the_way_is_written_for_the_finding_that_asks_for_it() -> None:
    watch = closed_by(MOVED)
    findings = {one.id: one.ref.name for one in watch.store.look(watch.governed).findings}
    causes: dict[str, set[str]] = {}
    for write in watch.store.plan(watch.governed).writes:
        causes.setdefault(write.ref.name, set()).add(findings[write.finding])
    assert causes["driftd.mine"] == {"driftd"}
    assert causes["x.by-set"] <= {"x", "s"}


def test_a_tier_is_not_made_again_while_a_rogue_that_allows_waits_in_it_and_cannot_be_written() -> None:
    spec = {"tier": "driftd", "selector": "all()", "types": ["Ingress"], "ingress": [{"action": "Allow"}]}
    rogue = calico("GlobalNetworkPolicy", "driftd.rogue", spec)
    watch = Watch(([calico("Tier", "driftd", {"order": 100, "defaultAction": "Pass"})], [rogue]), CLUSTER)
    planned = watch.store.plan(watch.governed, blocked=frozenset({ref(rogue)}))
    assert planned.writes == ()
    assert planned.held
    watch.straight()
    watch.assert_canonical()


def made_again(found: Body, **modes: Mode) -> Watch:
    """A scope whose tier is gone while another object waits in it."""
    watch = Watch(([calico("Tier", "driftd", {"order": 100, "defaultAction": "Pass"})], [found]), CLUSTER)
    watch.governed = replace(watch.governed, kind_modes=modes)
    return watch


OPEN: Body = {"tier": "driftd", "selector": "all()", "types": ["Ingress"], "ingress": [{"action": "Allow"}]}


def test_a_tier_is_not_made_again_while_a_rogue_that_allows_waits_in_it_and_is_only_reported() -> None:
    watch = made_again(calico("GlobalNetworkPolicy", "driftd.rogue", OPEN), GlobalNetworkPolicy=Mode.REPORT)
    planned = watch.store.plan(watch.governed)
    assert planned.writes == ()
    ((waiting, why),) = planned.waiting.items()
    assert (waiting.kind, waiting.name) == ("Tier", "driftd")
    assert why == "it would put rules of GlobalNetworkPolicy driftd.rogue in force, which cannot be closed now"
    closed = made_again(
        calico("GlobalNetworkPolicy", "driftd.rogue", OPEN | {"ingress": [{"action": "Deny"}]}),
        GlobalNetworkPolicy=Mode.REPORT,
    )
    assert [type(one).__name__ for one in closed.store.plan(closed.governed).writes] == ["Create"]


def test_a_canonical_policy_that_is_only_reported_is_not_closed_while_tiers_are_made_again() -> None:
    """Seen: where two tiers were missing it was cut first, and its kind is never to be written."""
    tiers = [
        calico("Tier", name, {"order": 100 + n, "defaultAction": "Pass"}) for n, name in enumerate(("driftd", "x"))
    ]
    allows = calico("GlobalNetworkPolicy", "x.allows", OPEN | {"tier": "x"})
    watch = Watch(([*tiers, allows], [allows]), CLUSTER)
    governed = replace(watch.governed, kind_modes={"GlobalNetworkPolicy": Mode.REPORT})
    planned = watch.store.plan(governed)
    assert [(one.ref.kind, one.ref.name) for one in planned.writes] == [("Tier", "driftd")]
    assert {one.name: why for one, why in planned.waiting.items()} == {
        "x": "it would have GlobalNetworkPolicy x.allows closed meanwhile, which cannot be written now"
    }
    for write in planned.writes:
        watch.execute(write)
    rogue = calico("GlobalNetworkPolicy", "driftd.rogue", OPEN)
    both = Watch(([*tiers, allows], [allows, rogue]), CLUSTER)
    planned = both.store.plan(replace(both.governed, kind_modes={"GlobalNetworkPolicy": Mode.REPORT}))
    assert (planned.writes, {one.name for one in planned.waiting}) == ((), {"driftd", "x"})
    planned = watch.store.plan(governed)  # alone it is one write, with nothing in between
    assert [(one.ref.kind, one.ref.name) for one in planned.writes] == [("Tier", "x")]
    assert planned.waiting == {}


def test_a_tier_is_not_made_again_while_what_its_policies_go_by_is_not_as_the_model_has_it_and_only_reported() -> None:
    """Seen: a canonical policy that allowed a set came forward with its tier, and somebody had changed the set."""
    tier = calico("Tier", "driftd", {"order": 100, "defaultAction": "Pass"})
    allows = OPEN | {"ingress": [{"action": "Allow", "source": {"selector": "kind == 's'"}}], "order": 2}
    denies = OPEN | {"ingress": [{"action": "Deny"}], "order": 1}
    by_set = calico("GlobalNetworkPolicy", "driftd.allows", allows)
    first = calico("GlobalNetworkPolicy", "driftd.denies", denies)
    known = calico("GlobalNetworkSet", "s", {"nets": ["203.0.113.0/24"]}, labels={"kind": "s"})
    moved = calico("GlobalNetworkSet", "s", {"nets": ["198.51.100.0/24"]}, labels={"kind": "s"})
    other = calico("GlobalNetworkSet", "t", {"nets": ["198.51.100.0/24"]}, labels={"kind": "t"})
    reported = dict.fromkeys(("GlobalNetworkPolicy", "GlobalNetworkSet"), Mode.REPORT)

    def planned(wanted: list[Body], found: list[Body]) -> tuple[list[str], list[str]]:
        watch = Watch(([tier, *wanted], found), CLUSTER)
        plan = watch.store.plan(replace(watch.governed, kind_modes=reported))
        return [one.ref.name for one in plan.writes], list(plan.waiting.values())

    for wanted, found, name in (
        ([by_set, known], [by_set, moved], "GlobalNetworkSet s"),
        ([by_set, first], [by_set], "GlobalNetworkPolicy driftd.denies"),
    ):
        why = f"its policies may allow too much while {name} is not as the model has it"
        assert planned(wanted, found) == ([], [why])
    for wanted, found in (
        ([by_set, known], [by_set, known]),
        ([by_set], [by_set, other]),
        ([first, known], [first, moved]),
    ):
        assert planned(wanted, found) == (["driftd"], [])


@pytest.mark.parametrize(("tier", "count"), [("driftd", 0), (7, 0), ("other", 1)])
def test_a_tier_is_not_made_again_while_a_policy_in_it_cannot_be_read(tier: object, count: int) -> None:
    """What cannot be read may allow anything; that it stands in another tier can be seen."""
    governed = governed_of([calico("Tier", "driftd", {"order": 100, "defaultAction": "Pass"})], name="")
    odd = calico("GlobalNetworkPolicy", "driftd.rogue", OPEN | {"tier": tier, "order": "first"})
    rogue = replace(live_of({**odd, "spec": OPEN}), kept=orjson.dumps(odd))
    planned = Stages(Writer(COVERAGE, 1), CLUSTER, frozenset(), []).plan(
        [Repair("f", one.ref, Goal.EXIST, one, None) for one in governed.objects.values()],
        [],
        unknown=[rogue.ref],
        stable=[],
        left=[(None, rogue)],
    )
    assert len([one for one in planned.writes if one.ref.kind == "Tier"]) == count
    assert bool(planned.waiting) is not bool(count)


@many
@given(cluster_scopes())
def test_a_tier_that_is_made_again_is_never_looser_whatever_is_only_reported_in_it(states: Both) -> None:
    wanted, found = states
    tiers = {ref(body): body for body in wanted if body["kind"] == "Tier"}
    watch = Watch((wanted, [tiers.get(ref(body), body) for body in found]), CLUSTER)
    reported = dict.fromkeys(("GlobalNetworkPolicy", "GlobalNetworkSet"), Mode.REPORT)
    governed = replace(watch.governed, kind_modes=reported)
    for write in watch.store.plan(governed).writes:
        assert write.ref.kind == "Tier"
        watch.execute(write)
