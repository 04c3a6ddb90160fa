"""The check of repairs: a hole that exists only between two writes is found, and an innocent order is not blamed."""

from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

from hypothesis import event, given, settings
from hypothesis import strategies as st

from tests.oracle.bodies import Body
from tests.oracle.never_looser import Violation, never_looser, overlaid, runs_of, universe_for, worlds_of
from tests.oracle.replay import Key, Record, State, Step
from tests.oracle.universe import flows_in
from tests.support.objects import global_policy, tier

START = datetime(2026, 11, 22, 10, tzinfo=UTC)
GROUP = ("networking.k8s.io", "networkpolicies")


def key(name: str, space: str = "a") -> Key:
    return Key(*GROUP, space, name)


def policy(name: str, space: str = "a", **spec: Any) -> Body:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": space},
        "spec": spec,
    }


def state(*policies: Body, namespaces: dict[str, dict[str, str]] | None = None) -> State:
    objects = {key(body["metadata"]["name"], body["metadata"]["namespace"]): body for body in policies}
    for name, labels in (namespaces or {"a": {}, "b": {}}).items():
        objects[Key("", "namespaces", "", name)] = {"kind": "Namespace", "metadata": {"name": name, "labels": labels}}
    return State(objects)


def history(initial: State, *after: tuple[str, State]) -> list[Step]:
    steps, last = [], initial
    for number, (user, now) in enumerate(after):
        changed = frozenset(
            one for one in last.objects.keys() | now.objects.keys() if last.objects.get(one) != now.objects.get(one)
        )
        at = START + timedelta(seconds=number)
        about = min(changed, default=key("nothing"))
        record = Record(f"audit-{number}", "update", user, about, "", 200, at, at, dry_run=False)
        steps.append(Step(record, changed, now))
        last = now
    return steps


def judge(initial: State, canonical: State, *after: tuple[str, State]) -> list[Violation]:
    return never_looser(history(initial, *after), canonical, "driftd", initial=initial, dialect="calico")


DENY = policy("deny", podSelector={}, policyTypes=["Ingress", "Egress"])
IN = policy("in", podSelector={"matchLabels": {"app": "api"}}, ingress=[{"ports": [{"port": 8080}]}])
WIDE = policy("in", podSelector={"matchLabels": {"app": "api"}}, ingress=[{}])
CANONICAL = state(DENY, IN)


def test_going_straight_from_wrong_to_canonical_is_fine() -> None:
    wrong = state(DENY, WIDE)
    assert judge(wrong, CANONICAL, ("driftd", CANONICAL)) == []


def test_deleting_a_policy_before_creating_it_anew_is_a_hole() -> None:
    (violation,) = judge(state(IN), state(IN), ("driftd", state()), ("driftd", state(IN)))
    assert violation.record.id == "audit-0"
    assert "a/probe" in violation.witness.target
    assert "audit audit-0" in str(violation)


def test_two_half_done_repairs_that_meet_are_a_hole() -> None:
    """Egress of one pod and ingress of another: canonical opens port 1, before had port 2 half open on each side."""
    web, api = {"matchLabels": {"app": "web"}}, {"matchLabels": {"app": "api"}}

    def pair(out: list[Body], to: list[Body]) -> State:
        return state(
            DENY,
            policy("out", podSelector=web, policyTypes=["Egress"], egress=out),
            policy("in", podSelector=api, policyTypes=["Ingress"], ingress=to),
        )

    narrow: list[Body] = [{"ports": [{"port": 1}]}]
    wide: list[Body] = [{"ports": [{"port": 1}, {"port": 2}]}]
    other: list[Body] = [{"ports": [{"port": 2}]}]
    before, canonical = pair(other, []), pair([], other)
    assert len(judge(before, canonical, ("driftd", pair(other, other)), ("driftd", canonical))) == 1
    assert judge(before, canonical, ("driftd", pair([], [])), ("driftd", canonical)) == []
    assert judge(pair(wide, narrow), pair(narrow, wide), ("driftd", pair(narrow, narrow))) == []


def test_a_foreign_write_starts_a_new_run_whose_flows_are_not_ours_to_answer_for() -> None:
    opened = state(DENY, WIDE)
    assert judge(CANONICAL, CANONICAL, ("eve", opened), ("driftd", CANONICAL)) == []
    assert judge(CANONICAL, CANONICAL, ("driftd", opened), ("eve", CANONICAL)) != []


def test_a_foreign_policy_in_another_namespace_is_not_taken_for_canonical() -> None:
    foreign = policy("own", "b", podSelector={}, ingress=[])
    before = state(DENY, foreign)
    after = state(foreign)
    found = judge(before, state(DENY, namespaces={"a": {}}), ("driftd", after))
    assert len(found) == 1
    assert {found[0].witness.source[:2], found[0].witness.target[:2]} & {"a/"}


def test_labelling_a_namespace_into_a_foreign_peer_selector_is_a_hole() -> None:
    gate = policy("gate", podSelector={}, ingress=[{"from": [{"namespaceSelector": {"matchLabels": {"tier": "1"}}}]}])
    before = state(gate, namespaces={"a": {}, "b": {}})
    assert len(judge(before, before, ("driftd", state(gate, namespaces={"a": {}, "b": {"tier": "1"}})))) == 1


def test_a_hole_that_opens_only_a_foreign_address_is_seen() -> None:
    out = policy("out", podSelector={}, policyTypes=["Egress"], egress=[{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}])
    cut: Body = {"cidr": "10.0.0.0/8", "except": ["10.9.0.0/16"]}
    right = policy("out", podSelector={}, policyTypes=["Egress"], egress=[{"to": [{"ipBlock": cut}]}])
    (violation,) = judge(state(right), state(right), ("driftd", state(out)))
    assert violation.witness.target == "10.9.0.0"


def test_a_hole_is_found_each_time_it_is_made() -> None:
    right, hole = state(DENY, IN), state(IN)
    touched = state(DENY, IN, policy("own", "b", podSelector={}, ingress=[]))
    found = judge(right, right, *(("driftd", hole), ("driftd", right), ("eve", touched), ("eve", right)) * 3)
    assert [violation.record.id for violation in found] == ["audit-0", "audit-4", "audit-8"]


def test_a_repair_that_was_fine_is_none_while_the_other_half_of_a_hole_stands_elsewhere() -> None:
    spaces = {name: dict[str, str]() for name in ("a", *(f"between-{number}" for number in range(8)), "z")}

    def both(out: list[Body], into: int) -> State:
        return state(
            policy("out", "a", podSelector={}, policyTypes=["Ingress", "Egress"], egress=out),
            policy("in", "z", podSelector={}, policyTypes=["Ingress", "Egress"], ingress=[{"ports": [{"port": into}]}]),
            namespaces=spaces,
        )

    way: list[Body] = [{"to": [{"namespaceSelector": {}}], "ports": [{"port": 2}]}]
    canonical, shut, opened, met = both(way, 1), both([], 1), both([], 2), both(way, 2)
    repaired = (("eve", shut), ("driftd", canonical))
    (violation,) = judge(
        canonical, canonical, *repaired, *repaired, ("eve", opened), ("driftd", met), ("driftd", canonical)
    )
    assert violation.record.id == "audit-5"
    assert (violation.witness.target.split("/")[0], violation.witness.port) == ("z", 2)


PEERS: list[list[Body]] = [
    [],
    [{}],
    [{"ports": [{"port": 1}]}],
    [{"from": [{"namespaceSelector": {"matchLabels": {"tier": "1"}}}], "ports": [{"port": 2}]}],
    [{"from": [{"podSelector": {"matchLabels": {"app": "x"}}}, {"ipBlock": {"cidr": "10.0.0.0/8"}}]}],
]


@st.composite
def moments(draw: st.DrawFn) -> State:
    """A state of two namespaces with at most two policies each, all out of few words, so that states often meet."""
    found = []
    for space, name in product("ab", ("one", "two")):
        if draw(st.booleans()):
            rules = draw(st.sampled_from(PEERS))
            out = [{{"from": "to"}.get(key, key): value for key, value in rule.items()} for rule in rules]
            way = draw(st.sampled_from([{"ingress": rules}, {"egress": out}, {"ingress": rules, "egress": out}]))
            found.append(
                policy(
                    name,
                    space,
                    podSelector=draw(st.sampled_from([{}, {"matchLabels": {"app": "x"}}])),
                    policyTypes=[{"ingress": "Ingress", "egress": "Egress"}[side] for side in way],
                    **way,
                )
            )
    labels = draw(st.sampled_from([{}, {"tier": "1"}]))
    return state(*found, namespaces={"a": {}, "b": labels})


@settings(max_examples=60, deadline=None)
@given(
    moments(),
    moments(),
    st.lists(st.tuples(st.sampled_from(["driftd", "driftd", "eve"]), moments()), min_size=1, max_size=5),
    st.sampled_from(["kubernetes", "cilium"]),
)
def test_what_is_remembered_between_states_of_a_history_changes_no_verdict(
    initial: State, canonical: State, after: list[tuple[str, State]], dialect: str
) -> None:
    steps = [step for step in history(initial, *after) if step.changed]
    runs = list(runs_of(steps, "driftd", initial))
    universe = universe_for(runs, canonical, (), 6)
    live = [endpoint for endpoint in universe.endpoints if isinstance(endpoint, dict)]
    plain = []
    for run in runs:
        for step in run.steps:
            for world in worlds_of(dialect, universe):
                now, *entitled = (
                    flows_in(world, one.cluster(live), universe)
                    for one in (step.state, run.before, overlaid(canonical, run.before))
                )
                opened = now.difference(*entitled)
                if opened:
                    plain.append(Violation(step.record, min(opened), len(opened) - 1))
                    break
    assert never_looser(steps, canonical, "driftd", initial=initial, dialect=dialect) == plain
    event("looser" if plain else "never looser")


class TestUnderCalico:
    """Tiers: an order swapped in two writes, a guard lifted for a moment, a tier's default action."""

    GROUP = "crd.projectcalico.org"

    def state(self, *bodies: Body) -> State:
        objects = dict(state(namespaces={"a": {"team": "red"}, "b": {"team": "blue"}}).objects)
        for body in bodies:
            resource = "tiers" if body["kind"] == "Tier" else "globalnetworkpolicies"
            objects[Key(self.GROUP, resource, "", body["metadata"]["name"])] = body
        return State(objects)

    GUARD = global_policy(
        "guard",
        tier="platform",
        order=1,
        types=["Ingress"],
        ingress=[{"action": "Deny", "source": {"selector": "all()"}}],
    )
    OPEN = global_policy("open", tier="platform", order=2, types=["Ingress"], ingress=[{"action": "Allow"}])
    TIER = tier("platform", 10, "Pass")

    def test_lifting_a_guard_for_a_moment_is_a_hole(self) -> None:
        whole = self.state(self.TIER, self.GUARD, self.OPEN)
        (violation,) = judge(whole, whole, ("driftd", self.state(self.TIER, self.OPEN)), ("driftd", whole))
        assert violation.record.id == "audit-0"

    def test_an_order_swapped_the_wrong_way_round_is_a_hole_and_the_right_way_is_not(self) -> None:
        wrong_guard = {**self.GUARD, "spec": {**self.GUARD["spec"], "order": 3}}
        before = self.state(self.TIER, wrong_guard)
        canonical = self.state(self.TIER, self.GUARD, self.OPEN)
        opened = self.state(self.TIER, wrong_guard, self.OPEN)
        assert judge(before, canonical, ("driftd", opened), ("driftd", canonical)) != []
        guarded = self.state(self.TIER, self.GUARD)
        assert judge(before, canonical, ("driftd", guarded), ("driftd", canonical)) == []

    def test_a_tier_that_goes_missing_is_a_hole(self) -> None:
        whole = self.state(self.TIER, self.GUARD)
        assert len(judge(whole, whole, ("driftd", self.state(self.GUARD)))) == 1
