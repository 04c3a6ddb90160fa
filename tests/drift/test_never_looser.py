"""D7: in every state between, only flows of the state before or of the canonical state are allowed."""

from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from driftd.values import Body, ObjectRef
from tests.support.drift_scope import HOME, NAME, Store, governed_of, namespace, policy
from tests.support.naive_isolation import Place, flows

OUTSIDE = "203.0.113.0/24"
PLACES = (
    Place("a", NAME, (("app", "a"),)),
    Place("ax", NAME, (("app", "a"), ("tier", "x"))),
    Place("b", NAME, (("app", "b"),)),
    Place("by", NAME, (("app", "b"), ("tier", "y"))),
    Place("none", NAME),
    Place("far", "globex", (("app", "a"),)),
    Place("internet", "", (), OUTSIDE),
)

selectors = st.sampled_from(
    [
        {},
        {"matchLabels": {"app": "a"}},
        {"matchLabels": {"app": "b"}},
        {"matchLabels": {"tier": "x"}},
        {"matchLabels": {"app": "a", "tier": "x"}},
        {"matchExpressions": [{"key": "app", "operator": "In", "values": ["a", "b"]}]},
        {"matchExpressions": [{"key": "tier", "operator": "Exists"}], "matchLabels": {"app": "b"}},
        {"matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}]},
    ]
)
peers = st.one_of(
    st.builds(lambda one: {"podSelector": one}, selectors),
    st.sampled_from(
        [
            {"namespaceSelector": {}},
            {"namespaceSelector": {"matchLabels": {"zone": "red"}}},
            {"namespaceSelector": {"matchLabels": {"zone": "blue"}}, "podSelector": {"matchLabels": {"app": "a"}}},
            {"ipBlock": {"cidr": OUTSIDE}},
        ]
    ),
)
ports = st.sampled_from(
    [
        {"port": 80},
        {"protocol": "TCP", "port": 80, "endPort": 443},
        {"protocol": "UDP"},
        {"protocol": "TCP", "port": 443},
    ]
)


def rules(direction: str) -> st.SearchStrategy[list[Body]]:
    rule = st.builds(
        lambda who, what: {**({direction: who} if who else {}), **({"ports": what} if what else {})},
        st.lists(peers, max_size=2),
        st.lists(ports, max_size=2),
    )
    return st.lists(rule, max_size=2)


specs = st.builds(
    lambda selector, types, ingress, egress: {
        "podSelector": selector,
        "policyTypes": types,
        **({"ingress": ingress} if "Ingress" in types else {}),
        **({"egress": egress} if "Egress" in types else {}),
    },
    selectors,
    st.sampled_from([["Ingress"], ["Egress"], ["Ingress", "Egress"]]),
    rules("from"),
    rules("to"),
)
DENY_ALL: Body = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
zones = st.sampled_from([{}, {"zone": "red"}, {"zone": "blue"}])


# A world so small that half-done repairs often meet: two pods, selections of one or both, everything or nothing.
small_specs = st.builds(
    lambda selector, types, ingress, egress: {
        "podSelector": selector,
        "policyTypes": types,
        **({"ingress": ingress} if "Ingress" in types else {}),
        **({"egress": egress} if "Egress" in types else {}),
    },
    st.sampled_from([{}, {"matchLabels": {"app": "a"}}, {"matchLabels": {"app": "b"}}]),
    st.sampled_from([["Ingress"], ["Egress"], ["Ingress", "Egress"]]),
    st.sampled_from([[], [{}]]),
    st.sampled_from([[], [{}]]),
)


@st.composite
def small_worlds(draw: st.DrawFn) -> tuple[list[Body], list[Body]]:
    """Two to four policies, each kept, gone, new, or replaced by any other."""
    canonical, live = [namespace()], [namespace()]
    for n in range(draw(st.integers(2, 4))):
        wanted, found = draw(st.none() | small_specs), draw(st.none() | small_specs)
        canonical += [policy(f"p{n}", wanted)] if wanted else []
        live += [policy(f"p{n}", found)] if found else []
    return canonical, live


@st.composite
def tampered(draw: st.DrawFn, terminating: bool = False) -> tuple[list[Body], list[Body]]:
    """A canonical namespace and what somebody made of it."""
    wanted: dict[str, Body] = {f"p{n}": draw(specs) for n in range(draw(st.integers(0, 3)))}
    if draw(st.booleans()):
        wanted["default-deny"] = DENY_ALL
    found: dict[str, Body] = {}
    metadata: dict[str, dict[str, Any]] = {}
    for name, spec in wanted.items():
        what = draw(st.sampled_from(["keep", "delete", "replace", "select", "rule", "drop", "open", "types"]))
        if what == "delete":
            continue
        found[name] = _changed(draw, what, spec)
        if terminating and draw(st.booleans()):
            metadata[name] = {"deletionTimestamp": "2026-11-22T00:00:00Z", "finalizers": ["example.com/hold"]}
    for n in range(draw(st.integers(0, 2))):
        found[f"rogue{n}"] = draw(specs)
    canonical = [namespace(**draw(zones)), *(policy(name, spec) for name, spec in wanted.items())]
    live = [namespace(**draw(zones)), *(policy(name, spec, **metadata.get(name, {})) for name, spec in found.items())]
    return canonical, live


def _changed(draw: st.DrawFn, what: str, spec: Body) -> Body:
    match what:
        case "replace":
            return draw(specs)
        case "select":
            return {**spec, "podSelector": draw(selectors)}
        case "rule":
            return {**spec, "ingress": [*spec.get("ingress", []), *draw(rules("from"))]}
        case "drop":
            return {**spec, "ingress": spec.get("ingress", [])[1:], "egress": []}
        case "open":
            return {**spec, "policyTypes": ["Ingress", "Egress"], "ingress": [{}], "egress": [{}]}
        case "types":
            return {**spec, "policyTypes": draw(st.sampled_from([["Ingress"], ["Egress"]]))}
    return spec


def allowed(store: Store) -> frozenset[Any]:
    labels = {**store.objects[HOME]["metadata"].get("labels", {}), "kubernetes.io/metadata.name": NAME}
    return flows(NAME, PLACES, store.specs(), {NAME: labels, "globex": {"zone": "red"}})


class Watch:
    """Checks the law after every write."""

    def __init__(self, canonical: list[Body], live: list[Body]) -> None:
        self.governed = governed_of(canonical)
        self.store = Store(live)
        self.canonical = allowed(Store(canonical))
        self.limit = allowed(self.store) | self.canonical

    def execute(self, write: Any) -> None:
        self.store.execute(write)
        looser = allowed(self.store) - self.limit
        assert not looser, f"after {type(write).__name__} of {write.ref}: {sorted(looser)[:5]}"

    def straight(self) -> None:
        for write in self.store.plan(self.governed).writes:
            self.execute(write)

    def step_by_step(self, waiting: frozenset[ObjectRef] = frozenset(), most: int = 60) -> int:
        for count in range(most):
            writes = self.store.plan(self.governed, waiting).writes
            if not writes:
                return count
            self.execute(writes[0])
        raise AssertionError(f"no end after {most} writes")

    def assert_canonical(self) -> None:
        assert self.store.look(self.governed).findings == ()
        assert allowed(self.store) == self.canonical
        assert self.store.plan(self.governed).writes == ()


many = settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


FIRST_B_THEN_A = (
    [
        namespace(),
        policy("p0", {"podSelector": {"matchLabels": {"app": "b"}}, "policyTypes": ["Ingress"], "ingress": [{}]}),
        policy(
            "p1", {"podSelector": {"matchLabels": {"app": "a"}}, "policyTypes": ["Ingress", "Egress"], "ingress": [{}]}
        ),
    ],
    [
        namespace(),
        policy("rogue", {"podSelector": {"matchLabels": {"app": "b"}}, "policyTypes": ["Ingress"]}),
    ],
)
"""Both policies are missing; without a step between, the one that opens b is made before the one that closes a."""


@settings(many, max_examples=200)
@given(small_worlds())
@example(FIRST_B_THEN_A)
def test_half_done_repairs_never_meet(states: tuple[list[Body], list[Body]]) -> None:
    watch = Watch(*states)
    watch.straight()
    watch.assert_canonical()


@settings(many, max_examples=100)
@given(small_worlds())
@example(FIRST_B_THEN_A)
def test_half_done_repairs_never_meet_when_planned_again_after_every_write(
    states: tuple[list[Body], list[Body]],
) -> None:
    watch = Watch(*states)
    watch.step_by_step()
    watch.assert_canonical()


@many
@given(tampered())
def test_a_plan_executed_straight_is_never_looser_and_ends_canonical(states: tuple[list[Body], list[Body]]) -> None:
    watch = Watch(*states)
    watch.straight()
    watch.assert_canonical()


@many
@given(tampered())
def test_a_plan_made_again_after_every_write_is_never_looser_and_ends_canonical(
    states: tuple[list[Body], list[Body]],
) -> None:
    watch = Watch(*states)
    watch.step_by_step()
    watch.assert_canonical()


@many
@given(tampered(), st.integers(0, 8))
def test_a_plan_given_up_anywhere_and_made_again_is_never_looser(
    states: tuple[list[Body], list[Body]], stop: int
) -> None:
    watch = Watch(*states)
    for write in watch.store.plan(watch.governed).writes[:stop]:
        watch.execute(write)
    watch.straight()
    watch.assert_canonical()


@many
@given(tampered(), st.sets(st.sampled_from(["p0", "p1", "p2", "default-deny", "rogue0", "rogue1"])))
def test_objects_that_wait_for_the_breaker_make_nothing_looser(
    states: tuple[list[Body], list[Body]], names: set[str]
) -> None:
    watch = Watch(*states)
    waiting = frozenset(ref for ref in [*watch.governed.objects, *watch.store.objects] if ref.name in names)
    for write in watch.store.plan(watch.governed, waiting).writes:
        watch.execute(write)
    watch.step_by_step(waiting)
    watch.step_by_step()
    watch.assert_canonical()


@settings(many, max_examples=100)
@given(small_worlds() | tampered(), st.sets(st.sampled_from(["p0", "p1", "p2", "default-deny", "rogue0", NAME])))
def test_objects_that_cannot_be_written_make_nothing_looser(
    states: tuple[list[Body], list[Body]], names: set[str]
) -> None:
    watch = Watch(*states)
    blocked = frozenset(ref for ref in [*watch.governed.objects, *watch.store.objects] if ref.name in names)
    for _ in range(3):
        for write in watch.store.plan(watch.governed, blocked=blocked).writes:
            assert write.ref not in blocked
            watch.execute(write)
    assert not watch.store.plan(watch.governed, blocked=blocked).writes
    watch.straight()
    watch.assert_canonical()


@many
@given(tampered(terminating=True), st.data())
def test_twins_hold_while_originals_go_and_leave_when_they_are_back(
    states: tuple[list[Body], list[Body]], data: st.DataObject
) -> None:
    watch = Watch(*states)
    watch.step_by_step()
    assert allowed(watch.store) == watch.canonical
    going = [ref for ref, body in watch.store.objects.items() if "deletionTimestamp" in body["metadata"]]
    watch.limit = watch.canonical
    for ref in data.draw(st.permutations(going)):
        watch.store.release(ref)
        assert allowed(watch.store) == watch.canonical
        if data.draw(st.booleans()):
            watch.straight()
    watch.step_by_step()
    watch.assert_canonical()
    assert not [ref for ref in watch.store.objects if ref.name.endswith("-driftd-twin")]
