"""What counts as drift among Calico's objects, what each difference does, and what is left to others."""

from typing import Any

import orjson
import pytest

from driftd.drift import Difference, LiveScope, World, compare
from driftd.values import CLUSTER, Body, Delete, Direction, FindingType, ObjectRef, Scope
from tests.support.drift_scope import TODAY, compiled_of, governed_of, live_of, scope_of_bodies
from tests.support.stage import ROOT, compiled_models
from tests.support.tiered_scope import TieredStore, calico, home, tiered_model

TIER = calico("Tier", "driftd", {"order": 100, "defaultAction": "Pass"})
GUARD = calico("GlobalNetworkPolicy", "driftd.acme", {"tier": "driftd", "order": 100, "ingress": [{"action": "Pass"}]})
ALLOW: list[Body] = [{"action": "Allow"}]
MODEL = ROOT / "tests" / "models" / "calico"


def looked(live: list[Body], wanted: tuple[Body, ...] = (TIER, GUARD), **known: Any) -> list[tuple[str, str]]:
    governed = governed_of(wanted, name="")
    seen = scope_of_bodies(live, scope=CLUSTER, proved_absent=frozenset(governed.objects), **known)
    found = compare(tiered_model(governed), governed, seen, TODAY).findings
    return [(one.type.value, one.ref.name) for one in found]


def test_a_canonical_cluster_scope_is_clean() -> None:
    assert looked([TIER, GUARD]) == []


def test_a_global_policy_too_many_in_our_tier_is_drift_and_one_elsewhere_is_told() -> None:
    ours = calico("GlobalNetworkPolicy", "driftd.rogue", {"tier": "driftd", "ingress": ALLOW})
    theirs = calico("GlobalNetworkPolicy", "default.theirs", {"ingress": ALLOW})
    assert looked([TIER, GUARD, ours, theirs]) == [("foreign", "default.theirs"), ("unexpected", "driftd.rogue")]


@pytest.mark.parametrize(
    ("spec", "concerns"),
    [
        ({"namespaceSelector": "kubernetes.io/metadata.name == 'system'"}, False),
        ({"namespaceSelector": "projectcalico.org/name in {'acme', 'system'}"}, True),
        ({"namespaceSelector": "global()"}, False),
        ({"selector": "projectcalico.org/namespace == 'system'"}, False),
        ({"selector": "app == 'x'"}, True),
        ({"selector": "has(host) && projectcalico.org/orchestrator != 'k8s'"}, False),
        ({"selector": "not a selector"}, True),
        ({"doNotTrack": True}, False),
    ],
)
def test_a_foreign_policy_is_told_when_it_may_select_a_governed_pod(spec: Body, concerns: bool) -> None:
    theirs = calico("GlobalNetworkPolicy", "default.theirs", {**spec, "ingress": ALLOW})
    assert (("foreign", "default.theirs") in looked([TIER, GUARD, theirs])) is concerns


def test_a_foreign_set_is_told_when_a_canonical_rule_finds_it() -> None:
    rule = {"action": "Deny", "source": {"selector": "feed == 'blocked'"}}
    guard = {**GUARD, "spec": {**GUARD["spec"], "ingress": [rule, {"action": "Pass"}]}}
    sets = [
        calico("GlobalNetworkSet", name, {"nets": ["192.0.2.0/24"]}, labels={"feed": name})
        for name in ("blocked", "other")
    ]
    assert looked([TIER, guard, *sets], (TIER, guard)) == [("foreign", "blocked")]


def test_calicos_own_tiers_are_told_when_they_are_not_as_calico_makes_them() -> None:
    made = calico("Tier", "default", {"order": 1_000_000, "defaultAction": "Deny"})
    changed = calico("Tier", "default", {"order": 1_000_000, "defaultAction": "Pass"})
    assert looked([TIER, GUARD, made, calico("Tier", "theirs", {"order": 7})]) == []
    assert looked([TIER, GUARD, changed]) == [("foreign", "default")]


def test_either_spelling_of_a_name_is_the_policy_and_both_are_one_too_many() -> None:
    def named(name: str, **spec: Any) -> Body:
        return calico("NetworkPolicy", name, {"types": ["Ingress"], **spec}, "acme")

    governed = governed_of([home("acme"), named("web")], name="acme")
    model = tiered_model(governed)

    def found(*live: Body) -> list[tuple[str, str]]:
        absent = frozenset({ObjectRef("projectcalico.org", "NetworkPolicy", "acme", "web")})
        seen = scope_of_bodies([home("acme"), *live], scope=Scope("acme"), proved_absent=absent)
        return [(one.type.value, one.ref.name) for one in compare(model, governed, seen, TODAY).findings]

    assert found(named("web")) == []
    assert found(named("default.web")) == []
    assert found(named("default.web", ingress=ALLOW)) == [("modified", "default.web")]
    assert found(named("web"), named("default.web", ingress=ALLOW)) == [("unexpected", "default.web")]
    assert found() == [("missing", "web")]


@pytest.mark.parametrize("order", [1e300, -1e300, 2.0**64])
def test_a_policy_at_a_place_beyond_all_integers_is_put_back_and_keeps_no_other_from_being_put_back(
    order: float,
) -> None:
    """Calico's CRDs take any number for a place."""

    def named(name: str, **spec: Any) -> Body:
        return calico("NetworkPolicy", name, {"types": ["Ingress"], "order": 10, **spec}, "acme")

    governed = governed_of([home("acme"), named("web"), named("db", ingress=ALLOW)], name="acme")
    store = TieredStore([home("acme"), named("web", order=order), named("db")], Scope("acme"))
    assert [one.ref.name for one in store.look(governed).findings] == ["db", "web"]
    for write in store.plan(governed).writes:
        assert not isinstance(write, Delete)
        orjson.dumps(write.body)  # as it is sent
        store.execute(write)
    assert store.look(governed).clean


def test_kinds_that_are_not_served_are_unknown_where_calico_rules_and_nothing_elsewhere() -> None:
    governed = governed_of([TIER], name="")
    seen = LiveScope(CLUSTER, {}, not_ready=("Tier", "NetworkPolicy.projectcalico.org"))
    found = compare(tiered_model(governed), governed, seen, TODAY)
    assert found.findings == ()
    assert found.unknown == ("NetworkPolicy.projectcalico.org", "Tier")
    assert not found.clean
    elsewhere = governed_of([home("acme")], name="acme")
    absent = scope_of_bodies([home("acme")], scope=Scope("acme"), not_ready=("Tier",))
    assert compare(compiled_of(elsewhere), elsewhere, absent, TODAY).clean


def test_under_another_dialect_calicos_objects_are_told_and_never_drift() -> None:
    governed = governed_of([home("acme")], name="acme")
    rogue = calico("NetworkPolicy", "rogue", {"ingress": ALLOW}, "acme")
    seen = scope_of_bodies([home("acme"), rogue], scope=Scope("acme"))
    (finding,) = compare(compiled_of(governed), governed, seen, TODAY).findings
    assert finding.type is FindingType.UNKNOWN_KIND
    assert "cni.dialect" in finding.summary


# -- meaning -----------------------------------------------------------------------------------------------------------


def judged(
    change: Body | None, ref: ObjectRef, type_: FindingType = FindingType.MODIFIED
) -> tuple[Direction, bool | None]:
    compiled = compiled_models(MODEL)
    scope = compiled.cluster_wide if not ref.namespace else compiled.governed[ref.namespace]
    live = live_of(change) if change else None
    found = World(compiled).judge([Difference(type_, ref, scope.objects.get(ref), live)])[ref]
    return found.direction, found.crosses_tenant


def canonical(ref: ObjectRef) -> Body:
    compiled = compiled_models(MODEL)
    scope = compiled.cluster_wide if not ref.namespace else compiled.governed[ref.namespace]
    return scope.objects[ref].body()


def calico_ref(kind: str, name: str, namespace: str = "") -> ObjectRef:
    return ObjectRef("projectcalico.org", kind, namespace, name)


def test_what_each_difference_does_is_told() -> None:
    blocked = calico_ref("GlobalNetworkSet", "blocked")
    assert judged({**canonical(blocked), "spec": {"nets": []}}, blocked)[0] is Direction.LOOSENS
    partner = calico_ref("NetworkSet", "partner", "tiers-red")
    assert judged({**canonical(partner), "spec": {"nets": ["203.0.113.0/24"]}}, partner)[0] is Direction.LOOSENS
    assert judged({**canonical(partner), "spec": {"nets": ["203.0.113.1/32"]}}, partner)[0] is Direction.TIGHTENS
    tier = calico_ref("Tier", "security")
    moved = {**canonical(tier), "spec": {"order": 3_000_000, "defaultAction": "Pass"}}
    assert judged(moved, tier)[0] is Direction.LOOSENS  # what NetworkPolicies allow is allowed before it is denied
    rogue = calico_ref("GlobalNetworkPolicy", "driftd.rogue")
    spec = {"tier": "driftd", "order": 1, "types": ["Ingress", "Egress"], "ingress": ALLOW, "egress": ALLOW}
    body = calico("GlobalNetworkPolicy", "driftd.rogue", spec)
    assert judged(body, rogue, FindingType.UNEXPECTED) == (Direction.LOOSENS, True)


@pytest.mark.parametrize("namespace", ["", "tiers-red"])
def test_a_rule_that_goes_by_a_service_is_not_judged_harmless(namespace: str) -> None:
    kind = "NetworkPolicy" if namespace else "GlobalNetworkPolicy"
    rogue = calico_ref(kind, "driftd.rogue", namespace)
    rule = {"action": "Allow", "destination": {"services": {"name": "anything", "namespace": "tiers-red"}}}
    spec = {"tier": "driftd", "order": 1, "types": ["Egress"], "egress": [rule]}
    body = calico(kind, "driftd.rogue", spec, namespace)
    assert judged(body, rogue, FindingType.UNEXPECTED)[0] is Direction.UNKNOWN


def test_a_policy_under_its_other_name_is_judged_in_the_place_of_the_canonical_one_and_a_second_one_beside_it() -> None:
    def named(name: str, **spec: Any) -> Body:
        return calico("NetworkPolicy", name, {"types": ["Ingress"], **spec}, "acme")

    governed = governed_of([home("acme"), named("web")], name="acme")
    ref, other = (calico_ref("NetworkPolicy", name, "acme") for name in ("web", "default.web"))

    def found(type_: FindingType, live: Body) -> Direction:
        world = World(tiered_model(governed))
        desired = governed.objects[ref] if type_ is FindingType.MODIFIED else None
        direction = world.judge([Difference(type_, other, desired, live_of(live))])[other].direction
        world.settle([other])
        again = world.judge([Difference(FindingType.MODIFIED, ref, governed.objects[ref], live_of(named("web")))])
        assert again[ref].direction is Direction.NEUTRAL
        return direction

    assert found(FindingType.MODIFIED, named("default.web")) is Direction.NEUTRAL
    assert found(FindingType.MODIFIED, named("default.web", types=["Egress"])) is Direction.MIXED
    assert found(FindingType.UNEXPECTED, named("default.web", types=["Egress"])) is Direction.TIGHTENS
    assert found(FindingType.UNEXPECTED, named("default.web", ingress=ALLOW)) is Direction.LOOSENS


def test_a_set_of_one_tenant_cuts_no_other_tenant_off() -> None:
    mine = calico_ref("NetworkSet", "mine", "tiers-red")
    body = calico("NetworkSet", "mine", {"nets": ["0.0.0.0/0"]}, "tiers-red", labels={"a": "b"})
    assert judged(body, mine, FindingType.UNEXPECTED)[0] is Direction.NEUTRAL


def test_the_guard_keeps_an_open_namespace_open_to_its_own_tenant_only() -> None:
    ref = ObjectRef("networking.k8s.io", "NetworkPolicy", "tiers-red", "default-deny")
    open_wide = {**canonical(ref)["spec"], "ingress": [{}], "egress": [{}]}
    compiled = compiled_models(MODEL)
    found = World(compiled).judge(
        [
            Difference(
                FindingType.MODIFIED,
                ref,
                compiled.governed["tiers-red"].objects[ref],
                live_of({**canonical(ref), "spec": open_wide}),
            )
        ]
    )[ref]
    assert found.direction is Direction.LOOSENS
    assert found.witness is not None
    assert "tiers-blue" not in f"{found.witness.source} {found.witness.target}"
