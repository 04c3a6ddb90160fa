"""Admin policies that live: what each of them does, and what it makes of everything else that differs.

Perhaps somebody enforces them, perhaps nobody does: an API server stores them under any network.
"""

from dataclasses import replace
from functools import cache
from itertools import product
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driftd.compile import Compiled, compile_model
from driftd.drift import Difference, Judgement, World, compare, home_inputs, label_inputs, pod_inputs
from driftd.drift.admins import MOST_OF_ALL
from driftd.drift.tolerance import tolerates
from driftd.policy.kinds import digest_of, kind_of
from driftd.policy.reach import Pod
from driftd.values import CLUSTER as WHOLE
from driftd.values import Body, Direction, FindingType, Live, ObjectRef, Severity, kind_name
from tests.oracle.admin_policies import allowed
from tests.oracle.bodies import Cluster
from tests.support.admins import admin, incoming, lived, living, outgoing, ref_of, spaces
from tests.support.directions import direction
from tests.support.drift_scope import TODAY, scope_of_bodies
from tests.support.model_texts import CLUSTER, environment, model
from tests.support.objects import cluster_policy, pod

BARE = """\
apiVersion: v1
kind: Namespace
metadata: {name: bare, labels: {driftd.dev/tenant: initech}}
"""
"""A namespace of plain manifests, without any policy."""
SHOP, DESK = spaces("shop"), spaces("desk")
LETS_IN = admin("lets-in", SHOP, incoming("Allow", DESK))
LETS_OUT = admin("lets-out", DESK, outgoing("Allow", SHOP))
SHUTS = admin("shuts", SHOP, incoming("Deny", spaces()), priority=1)


@cache
def compiled(dialect: str = "kubernetes") -> Compiled:
    cluster = CLUSTER.replace("spec:\n", f"spec:\n  cni: {{dialect: {dialect}}}\n", 1)
    texts = {"shop": environment("shop", "acme"), "desk": environment("desk", "globex"), "bare": BARE}
    return compile_model(model(cluster=cluster, **texts))


def world(*bodies: Body, dialect: str = "kubernetes", seen: bool = True) -> World:
    found = World(compiled(dialect))
    found.admit(living(*bodies, seen=seen))
    return found


def live(body: Body) -> Live:
    metadata = body["metadata"]
    group = body["apiVersion"].rpartition("/")[0]
    ref = ObjectRef(group, body["kind"], metadata.get("namespace", ""), metadata["name"])
    digest = digest_of(kind_of(ref), body, compiled().coverage)
    return Live(ref, orjson.dumps(body), digest, "uid", "1", terminating=False, managers=())


def policy(namespace: str, name: str = "rogue", **spec: Any) -> Difference:
    """A NetworkPolicy that the model lacks."""
    metadata = {"name": name, "namespace": namespace}
    body = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata}
    found = live({**body, "spec": {"podSelector": {}, **spec}})
    return Difference(FindingType.UNEXPECTED, found.ref, None, found)


def open_in(namespace: str = "shop") -> Difference:
    return policy(namespace, "opens-in", policyTypes=["Ingress"], ingress=[{"from": [{"namespaceSelector": {}}]}])


def open_out(namespace: str = "desk") -> Difference:
    return policy(namespace, "opens-out", policyTypes=["Egress"], egress=[{}])


def lets_in() -> Difference:
    """The half of a hole from desk to shop."""
    peer = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "desk"}}}
    return policy("shop", "lets-in", policyTypes=["Ingress"], ingress=[{"from": [peer]}])


def lets_out() -> Difference:
    """The other half."""
    peer = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "shop"}}}
    return policy("desk", "lets-out", policyTypes=["Egress"], egress=[{"to": [peer]}])


def foreign(body: Body) -> Difference:
    return Difference(FindingType.FOREIGN, ref_of(body), None, lived(body))


def judged(here: World, *differences: Difference) -> Judgement:
    """The judgement of the last one, the others standing open."""
    return here.judge(differences)[differences[-1].ref]


# -- what one of them does ---------------------------------------------------------------------------------------------


def test_one_that_allows_across_tenants_at_one_end_opens_nothing_yet_and_at_both_it_does() -> None:
    assert judged(world(LETS_IN), foreign(LETS_IN)).direction is Direction.NEUTRAL
    for one in (LETS_IN, LETS_OUT):
        found = judged(world(LETS_IN, LETS_OUT), foreign(one))
        assert (found.direction, found.crosses_tenant, found.neutral_now) == (Direction.LOOSENS, True, False)
        assert found.witness is not None
        assert (found.witness.source[:5], found.witness.target[:5]) == ("desk/", "shop/")


def test_one_policy_that_allows_everybody_both_ways_is_critical_alone() -> None:
    everybody = admin("all", spaces(), incoming("Allow", spaces()), outgoing("Allow", spaces()))
    found = judged(world(everybody), foreign(everybody))
    assert (found.direction, found.crosses_tenant) == (Direction.LOOSENS, True)


def test_one_that_only_denies_tightens() -> None:
    shuts_out = admin("shuts-out", SHOP, incoming("Deny", spaces("ingress")))
    found = judged(world(shuts_out), foreign(shuts_out))
    assert (found.direction, found.crosses_tenant) == (Direction.TIGHTENS, False)
    assert found.witness is not None
    assert found.witness.target == "shop/web"


def test_one_that_only_denies_tightens_even_where_more_pods_could_be_made_than_are_tried() -> None:
    labels = {"matchExpressions": [{"key": f"k{one}", "operator": "In", "values": ["a", "b", "c"]} for one in range(6)]}
    subject = {"pods": {"namespaceSelector": {}, "podSelector": labels}}
    shuts = admin("shuts", {}, {"ingress": {"action": "Deny", "from": [subject]}})
    shuts["spec"]["subject"] = subject
    found = judged(world(shuts), foreign(shuts))
    assert (found.direction, found.crosses_tenant) == (Direction.TIGHTENS, False)


def test_one_that_allows_what_another_denies_before_it_opens_it_all_the_same() -> None:
    found = judged(world(LETS_IN, LETS_OUT, SHUTS), foreign(LETS_IN))
    assert (found.direction, found.crosses_tenant) == (Direction.LOOSENS, True)


def test_one_that_is_gone_from_the_mirror_is_still_judged_for_what_it_did() -> None:
    assert judged(world(LETS_OUT), foreign(LETS_IN)).direction is Direction.LOOSENS


# -- what it makes of others -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", ["kubernetes", "calico", "cilium"])
def test_a_hole_that_an_admin_policy_denies_is_a_hole_since_perhaps_nobody_enforces_it(dialect: str) -> None:
    """Seen: one deny-all that no network read made every hole of the cluster harmless, and what opened it tolerated."""
    everybody = admin("everybody", spaces(), incoming("Deny", spaces()), outgoing("Deny", spaces()), priority=0)
    for denied in ((), (SHUTS,), (everybody,)):
        found = judged(world(*denied, dialect=dialect), open_out(), open_in())
        assert (found.direction, found.crosses_tenant) == (Direction.LOOSENS, True)
        for plan in ("inertOrTightening", "withinEnvironment"):
            home = replace(compiled(dialect).governed["shop"], tenant_policies=plan)
            assert not tolerates(home, open_in(), found)


def test_of_a_hole_that_needs_two_each_half_is_told_though_an_admin_policy_denies_it() -> None:
    assert judged(world(SHUTS), lets_out()).direction is Direction.NEUTRAL
    for halves in ((lets_in(), lets_out()), (lets_out(), lets_in())):
        found = judged(world(SHUTS), *halves)
        assert (found.direction, found.crosses_tenant) == (Direction.LOOSENS, True)


def test_what_an_admin_policy_lets_in_is_opened_by_whoever_lets_it_out() -> None:
    before = judged(world(), open_out())
    assert before.crosses_tenant is False or before.witness is None or not str(before.witness).endswith("shop/web")
    found = judged(world(LETS_IN), policy("desk", policyTypes=["Egress"], egress=[{"to": [{"podSelector": {}}]}]))
    assert found.crosses_tenant is False
    crossing = judged(world(LETS_IN), lets_out())
    assert (crossing.direction, crossing.crosses_tenant) == (Direction.LOOSENS, True)
    assert crossing.witness is not None
    assert (crossing.witness.source[:5], crossing.witness.target[:5]) == ("desk/", "shop/")
    assert judged(world(), lets_out()).direction is Direction.NEUTRAL


def test_a_first_policy_opens_what_a_baseline_denied_and_without_one_it_only_closes() -> None:
    baseline = admin("default", spaces("bare"), incoming("Deny", spaces()), kind="BaselineAdminNetworkPolicy")
    first = policy("bare", policyTypes=["Ingress"], ingress=[{"ports": [{"port": 80}]}])
    assert judged(world(), first).direction is Direction.TIGHTENS
    found = judged(world(baseline), first)
    assert found.direction is Direction.MIXED
    assert found.witness is not None
    assert found.witness.target.startswith("bare/")


def test_with_the_admin_policy_gone_all_is_as_it_was() -> None:
    here = world(LETS_IN)
    assert judged(here, lets_out()).direction is Direction.LOOSENS
    here.admit(living())
    assert judged(here, lets_out()) == judged(world(), lets_out())
    assert judged(here, lets_out()).direction is Direction.NEUTRAL


def test_a_renewed_world_keeps_the_admin_policies_and_so_does_what_stands_in_it() -> None:
    strange = admin("strange", SHOP, incoming("Deny", spaces()), weather="fair")
    here = world(LETS_IN, strange)
    here.judge([open_in()])
    fresh = here.renewed()
    assert judged(fresh, lets_out()).direction is Direction.LOOSENS
    fresh.settle([open_in().ref])
    assert judged(fresh, lets_out()).direction is Direction.LOOSENS
    assert judged(fresh.renewed(), foreign(strange)).direction is not Direction.NEUTRAL


# -- what is not known -------------------------------------------------------------------------------------------------


def test_one_with_a_part_that_nobody_knows_closes_nothing_for_sure_and_is_not_neutral() -> None:
    strange = admin("strange", SHOP, incoming("Deny", spaces()), weather="fair")
    here = world(strange)
    assert judged(here, open_out(), open_in()).direction is Direction.LOOSENS
    assert judged(here, foreign(strange)).direction.may_loosen


@pytest.mark.parametrize("dialect", ["kubernetes", "calico", "cilium"])
def test_what_is_perhaps_let_through_counts_as_open_but_behind_the_platforms_tier_of_calicos(dialect: str) -> None:
    found = judged(world(LETS_IN, LETS_OUT, dialect=dialect), foreign(LETS_IN))
    assert found.direction is (Direction.NEUTRAL if dialect == "calico" else Direction.LOOSENS)


def test_while_they_cannot_be_seen_nothing_is_known_of_policies() -> None:
    found = judged(world(seen=False), open_out(), open_in())
    assert (found.direction, found.crosses_tenant) == (Direction.UNKNOWN, None)
    assert found.witness is not None
    assert judged(world(SHUTS, seen=False), foreign(SHUTS)).direction is Direction.UNKNOWN


def test_one_that_is_too_much_to_judge_is_left_out_and_unknown_and_the_others_count() -> None:
    rules = [incoming("Deny", spaces(f"space-{one}")) for one in range(MOST_OF_ALL)]
    huge = admin("huge", SHOP, *rules)
    here = world(huge, LETS_IN)
    assert judged(here, foreign(huge)).direction is Direction.UNKNOWN
    assert judged(here, lets_out()).direction is Direction.LOOSENS


def test_a_strange_shape_is_left_out_and_unknown() -> None:
    odd = {**admin("odd", SHOP), "spec": {"ingress": "all"}}
    here = world(odd, LETS_IN)
    assert judged(here, foreign(odd)).direction is Direction.UNKNOWN
    assert judged(here, lets_out()).direction is Direction.LOOSENS


# -- whom they select --------------------------------------------------------------------------------------------------


def home(name: str, **labels: str) -> Live:
    ref = ObjectRef("", "Namespace", "", name)
    desired = compiled().governed[name].objects.get(ref)
    body: Body = desired.body() if desired else {"metadata": {"name": name, "labels": {}}}
    body["metadata"]["labels"] = {**(body["metadata"].get("labels") or {}), **labels}
    return live({"apiVersion": "v1", "kind": "Namespace", **body})


def labelled(here: World, *homes: Live) -> bool:
    objects = {one.ref: one for one in homes}
    found = list(home_inputs(compiled(), objects, objects, here.admin_keys, here.homes))
    here.observe(found)
    return bool(found)


def test_labels_of_a_governed_namespace_count_where_admin_policies_go_by_them() -> None:
    trusted = spaces(zone="trusted")
    both = admin("trusted", trusted, incoming("Allow", trusted), outgoing("Allow", trusted))
    here = world(both)
    assert judged(here, foreign(both)).direction is Direction.NEUTRAL
    assert labelled(here, home("shop", zone="trusted"), home("desk", zone="trusted", team="x"))
    found = judged(here, foreign(both))
    assert (found.direction, found.neutral_now, found.crosses_tenant) == (Direction.LOOSENS, False, True)
    assert not labelled(here, home("shop", zone="trusted", team="y"))  # nobody goes by that one
    assert judged(here.renewed(), foreign(both)) == found
    assert labelled(here, home("shop"), home("desk"))
    assert judged(here, foreign(both)).direction is Direction.NEUTRAL


def test_a_namespace_that_differs_keeps_the_labels_by_which_admin_policies_go() -> None:
    trusted = spaces(zone="trusted")
    both = admin("trusted", trusted, incoming("Allow", trusted), outgoing("Allow", trusted))
    here = world(both)
    labelled(here, home("shop", zone="trusted"), home("desk", zone="trusted"))
    ref = ObjectRef("", "Namespace", "", "shop")
    lower = home("shop", zone="trusted", **{"pod-security.kubernetes.io/warn": "privileged"})
    changed = Difference(FindingType.MODIFIED, ref, compiled().governed["shop"].objects[ref], lower)
    assert judged(here, changed).direction is Direction.NEUTRAL


def test_a_pod_with_a_label_by_which_only_an_admin_policy_goes_is_told_by_what_that_opens() -> None:
    wearing = {"pods": {"namespaceSelector": DESK, "podSelector": {"matchLabels": {"role": "spy"}}}}
    both = admin("spies", {}, {"egress": {"action": "Allow", "to": [{"namespaces": SHOP}]}})
    both["spec"]["subject"] = wearing
    here = world(both, LETS_IN)
    spy = Pod("desk", "spy", {"app.kubernetes.io/name": "web", "role": "spy"}, "default")
    here.observe(list(pod_inputs(compiled(), {("desk", "spy"): spy}, [("desk", "spy")])))
    ((_, found),) = here.stray_pods("desk")
    assert (found.direction, found.crosses_tenant) == (Direction.LOOSENS, True)
    here.admit(living(LETS_IN))
    assert [one.direction for _, one in here.stray_pods("desk")] in ([], [Direction.NEUTRAL])


def test_a_pod_is_told_by_an_admin_policy_that_comes_after_it_and_in_a_world_that_is_renewed() -> None:
    wearing = {"pods": {"namespaceSelector": DESK, "podSelector": {"matchLabels": {"role": "spy"}}}}
    both = admin("spies", {}, outgoing("Allow", SHOP))
    both["spec"]["subject"] = wearing
    here = world()
    labels, ports = {"app.kubernetes.io/name": "web"}, ((("TCP", "http"), (8080,)),)
    plain = Pod("desk", "plain", labels, "default", ports=ports)
    spy = replace(plain, name="spy", labels={**labels, "role": "spy"})
    here.observe(list(pod_inputs(compiled(), {("desk", one.name): one for one in (plain, spy)}, [("desk", "spy")])))
    assert list(here.stray_pods("desk")) == []
    here.admit(living(both, LETS_IN))
    for _ in range(2):
        ((pod_, found),) = here.stray_pods("desk")
        assert (pod_.name, found.direction, found.crosses_tenant) == ("spy", Direction.LOOSENS, True)
        here = here.renewed()


def test_a_strangers_namespace_that_takes_a_label_by_which_an_admin_policy_goes_is_told() -> None:
    friends = admin("friends", SHOP, incoming("Allow", spaces(zone="friend")))
    here = world(friends)
    stranger = live({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "x", "labels": {"zone": "friend"}}})
    objects = {stranger.ref: stranger}
    assert list(label_inputs(compiled(), objects, objects)) == []
    here.observe(list(label_inputs(compiled(), objects, objects, here.admin_keys)))
    ((ref, found),) = here.stray_others()
    assert (ref, found.direction) == (stranger.ref, Direction.LOOSENS)


# -- the finding -------------------------------------------------------------------------------------------------------


def test_each_is_a_finding_of_the_cluster_by_its_effect_that_an_exemption_may_silence() -> None:
    here = world(LETS_IN, LETS_OUT)

    def known(_governed: object, _live: object, differences: Any) -> dict[ObjectRef, Judgement]:
        return here.judge(differences)

    seen = scope_of_bodies([], scope=WHOLE, evaluated=(lived(LETS_IN),))
    (finding,) = compare(compiled(), compiled().cluster_wide, seen, TODAY, judge=known).findings
    assert (finding.type, finding.scope, finding.severity) == (FindingType.FOREIGN, WHOLE, Severity.CRITICAL)
    assert "admin policy" in finding.summary
    text = EXEMPTION.format(name="lets-in")
    spared = compile_model(model(shop=environment("shop", "acme"), exempt=text))
    comparison = compare(spared, spared.cluster_wide, seen, TODAY)
    assert comparison.findings == ()
    assert [one.ref for one in comparison.exempted] == [ref_of(LETS_IN)]


def test_of_one_that_cannot_be_seen_nothing_is_said() -> None:
    kind = kind_name(ref_of(LETS_IN).group, ref_of(LETS_IN).kind)
    seen = scope_of_bodies([], scope=WHOLE, evaluated=(lived(LETS_IN),), not_ready=(kind,))
    comparison = compare(compiled(), compiled().cluster_wide, seen, TODAY)
    assert (comparison.findings, comparison.unknown) == ((), (kind,))


EXEMPTION = """\
apiVersion: driftd.dev/v1alpha1
kind: Exemption
metadata: {{name: spared}}
spec: {{object: {{kind: AdminNetworkPolicy, name: {name}}}, until: 2027-01-01, owner: me, reason: why}}
"""


# -- the rule, naively -------------------------------------------------------------------------------------------------

WEB = {"app.kubernetes.io/name": "web"}
PODS = [
    pod("shop/web", "10.244.0.1", labels=WEB),
    pod("shop/nobodys", "10.244.0.2", labels={}),
    pod("desk/web", "10.244.1.1", labels=WEB),
    pod("bare/x", "10.244.2.1", labels={}),
]


def naive(policies: list[Body], more: list[Body]) -> Direction:
    """What `more` does where `policies` are there as well, flow by flow."""
    parts = [*compiled().governed.values(), compiled().cluster_wide]
    bodies = [desired.body() for part in parts for desired in part.objects.values()]
    canonical = [body for body in bodies if body["kind"] == "NetworkPolicy"]
    homes = [body for body in bodies if body["kind"] == "Namespace"]
    before, after = (Cluster(homes, PODS, [*canonical, *policies, *extra]) for extra in ([], more))
    flows = ((a, b, "TCP", port) for a, b in product(PODS, PODS) if a is not b for port in (80, 8080))
    return direction((allowed(before, *flow), allowed(after, *flow)) for flow in flows)


_SELECTORS = st.sampled_from([SHOP, DESK, spaces("bare"), spaces(), spaces("shop", "desk")])


@st.composite
def admins(draw: st.DrawFn) -> Body:
    rules: dict[str, list[Body]] = {}
    for flow, named in (("ingress", incoming), ("egress", outgoing)):
        actions = draw(st.lists(st.sampled_from(("Accept", "Deny", "Pass")), max_size=2))
        found = [named(action, draw(_SELECTORS))[flow] for action in actions]
        for one in found:
            if draw(st.booleans()):
                one["protocols"] = [{"tcp": {"destinationPort": {"number": 80}}}]
        if found:
            rules[flow] = found
    tier, priority = draw(st.sampled_from(("Admin", "Baseline"))), draw(st.integers(0, 3))
    name = f"{tier.lower()}-{priority}"  # one of a priority: equal ones have no order
    return cluster_policy(name, tier, priority, subject={"namespaces": draw(_SELECTORS)}, **rules)


@st.composite
def rogues(draw: st.DrawFn) -> Difference:
    types = draw(st.sampled_from((["Ingress"], ["Egress"], ["Ingress", "Egress"])))
    peer = {"namespaceSelector": draw(_SELECTORS)}
    rule = draw(st.sampled_from(({}, {"ports": [{"port": 80}]})))
    spec: Body = {"policyTypes": types}
    if "Ingress" in types:
        spec["ingress"] = draw(st.sampled_from(([], [rule], [{**rule, "from": [peer]}])))
    if "Egress" in types:
        spec["egress"] = draw(st.sampled_from(([], [rule], [{**rule, "to": [peer]}])))
    return policy(draw(st.sampled_from(("shop", "desk", "bare"))), **spec)


def _peopled(policies: list[Body]) -> World:
    here = world(*policies)
    found = {}
    for body in PODS:
        meta = body["metadata"]
        key = (meta["namespace"], meta["name"])
        found[key] = Pod(*key, meta["labels"], "default", ips=(body["status"]["podIPs"][0]["ip"],))
    here.observe(list(pod_inputs(compiled(), found, list(found))))
    return here


@settings(max_examples=80, deadline=None)
@given(st.lists(admins(), max_size=3, unique_by=lambda one: one["metadata"]["name"]), rogues())
def test_no_flow_that_a_policy_opens_is_overlooked_whether_they_are_enforced_or_not(
    policies: list[Body], rogue: Difference
) -> None:
    assert rogue.live is not None
    found = judged(_peopled(policies), rogue)
    for enforced in (policies, []):
        expected = naive(enforced, [rogue.live.body()])
        assert found.direction.may_loosen or not expected.may_loosen, (found, expected)
        if found.direction is Direction.NEUTRAL:
            assert expected is Direction.NEUTRAL


@settings(max_examples=80, deadline=None)
@given(st.lists(admins(), min_size=1, max_size=3, unique_by=lambda one: one["metadata"]["name"]))
def test_no_flow_that_one_of_them_opens_beside_others_is_overlooked(policies: list[Body]) -> None:
    """What others deny counts as not denied: then the flow may be told of the one that allows its other end."""
    one, *others = policies
    here = _peopled(policies)
    found = judged(here, foreign(one))
    assert found.direction.may_loosen or not naive([], [one]).may_loosen, found
    if naive(others, [one]).may_loosen:
        assert any(judged(here, foreign(any_of_them)).direction.may_loosen for any_of_them in policies)
    if found.direction is Direction.NEUTRAL:  # what closes only what another one allows does nothing for sure
        assert naive([], [one]) is Direction.NEUTRAL
