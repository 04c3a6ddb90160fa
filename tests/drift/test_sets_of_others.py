"""Network sets that the model does not name: one that a rule finds by its labels is judged by what that does."""

from functools import cache
from ipaddress import ip_address
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driftd.compile import Compiled, compile_model
from driftd.drift import Backings, Difference, World, relabelled_others
from driftd.drift.foreign import MOST_NETS, MOST_SETS
from driftd.policy.reach import meant
from driftd.values import CLUSTER as WHOLE
from driftd.values import Body, Direction, Finding, FindingType, ObjectRef, Severity
from tests.oracle.bodies import Cluster
from tests.oracle.calico import allowed
from tests.support.directions import direction
from tests.support.drift_scope import live_of
from tests.support.model_texts import CLUSTER, PLAN, environment, model
from tests.support.objects import global_set, namespace, network_set, pod
from tests.support.tiered_scope import calico

MANIFESTS = """\
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: default.known}
spec:
  order: 20
  namespaceSelector: has(driftd.dev/tenant)
  types: [Egress]
  egress:
    - {action: Deny, destination: {selector: feed == 'blocked'}}
    - {action: Allow, protocol: TCP, destination: {selector: "role == 'partner' && !has(feed)", ports: [443]}}
    - {action: Allow, protocol: TCP, destination: {namespaceSelector: team == 'b', ports: [8080]}}
---
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: own-partners, namespace: shop}
spec:
  order: 30
  selector: all()
  types: [Ingress]
  ingress: [{action: Allow, protocol: TCP, source: {selector: role == 'partner'}, destination: {ports: [8080]}}]
"""
INTERNET = "203.0.113.9"


@cache
def compiled() -> Compiled:
    cluster = CLUSTER.replace("spec:\n", "spec:\n  cni: {dialect: calico}\n", 1)
    plan = PLAN + "spec: {egress: {https: public}}\n"
    shop = environment("shop", "acme") + MANIFESTS
    return compile_model(model(cluster=cluster, plan=plan, acme=shop, globex=environment("desk", "globex")))


def ref(body: Body) -> ObjectRef:
    metadata = body["metadata"]
    return ObjectRef("projectcalico.org", body["kind"], metadata.get("namespace", ""), metadata["name"])


def world(*sets: Body) -> World:
    found = World(compiled())
    found.surround(Backings.of((), (), {}), {ref(body): body for body in sets})
    return found


def findings(*sets: Body) -> list[Finding]:
    return list(relabelled_others(compiled(), world(*sets)))


def test_a_strangers_set_that_a_canonical_rule_finds_is_told_for_the_cluster() -> None:
    (found,) = findings(network_set("stranger/mine", "203.0.113.0/24", feed="blocked"))
    assert (found.type, found.scope, found.tenant) == (FindingType.FOREIGN, WHOLE, "")
    assert (found.direction, found.severity) == (Direction.TIGHTENS, Severity.LOW)
    assert "a namespace that the model does not govern" in found.summary
    (opening,) = findings(network_set("stranger/mine", "10.1.0.0/16", role="partner"))
    assert (opening.direction, opening.witness and opening.witness.port) == (Direction.LOOSENS, "443")


@pytest.mark.parametrize(
    "body",
    [
        network_set("stranger/mine", "203.0.113.0/24", role="nobody"),
        network_set("ingress/own", "10.1.0.0/16", role="partner"),  # the platform's
        network_set("shop/own", "10.1.0.0/16", role="partner"),  # compared with the model
        global_set("everybodys", "10.1.0.0/16", role="partner"),  # foreign, which a comparison tells
    ],
)
def test_what_opens_nothing_or_is_told_elsewhere_is_no_finding(body: Body) -> None:
    assert findings(body) == []


def test_a_set_of_the_platforms_is_part_of_what_the_model_means() -> None:
    rule = {"action": "Deny", "destination": {"nets": ["10.1.0.0/16"]}}
    policy = calico("NetworkPolicy", "rogue", {"order": 1, "types": ["Egress"], "egress": [rule]}, "shop")
    difference = Difference(FindingType.UNEXPECTED, ref(policy), None, live_of(policy))
    worlds = (world(network_set("ingress/own", "10.1.0.0/16", role="partner")), world())
    found = [one.judge([difference])[difference.ref].direction for one in worlds]
    assert found == [Direction.TIGHTENS, Direction.NEUTRAL]


@pytest.mark.parametrize(
    "body", [network_set("stranger/x", "10.9.0.0/16", a="b"), global_set("x", "10.9.0.0/16", a="b")]
)
def test_a_policy_that_finds_a_set_of_others_is_judged_by_its_addresses(body: Body) -> None:
    spaces = "projectcalico.org/name == 'stranger'" if body["kind"] == "NetworkSet" else "global()"
    rule = {"action": "Allow", "destination": {"selector": "a == 'b'", "namespaceSelector": spaces}}
    policy = calico("NetworkPolicy", "rogue", {"order": 1, "types": ["Egress"], "egress": [rule]}, "shop")
    difference = Difference(FindingType.UNEXPECTED, ref(policy), None, live_of(policy))
    without, with_it = (one.judge([difference])[difference.ref] for one in (world(), world(body)))
    assert without.direction is Direction.NEUTRAL or without.neutral_now
    assert (with_it.direction, with_it.neutral_now) == (Direction.LOOSENS, False)


def test_a_global_set_that_stood_open_and_concerns_nobody_any_more_lives_on() -> None:
    body = global_set("x", "10.9.0.0/16", a="b", feed="blocked")
    here, foreign = world(body), Difference(FindingType.FOREIGN, ref(body), None, live_of(body))
    here.judge([foreign])
    here.settle([foreign.ref])
    rule = {"action": "Allow", "destination": {"selector": "a == 'b'", "namespaceSelector": "global()"}}
    policy = calico("NetworkPolicy", "rogue", {"order": 1, "types": ["Egress"], "egress": [rule]}, "shop")
    judged = here.judge([Difference(FindingType.UNEXPECTED, ref(policy), None, live_of(policy))])[ref(policy)]
    assert judged.witness is not None
    assert judged.witness.target == "10.9.0.0/16"


def test_sets_that_are_too_large_or_too_many_are_not_judged_and_are_told() -> None:
    nets = [f"10.{number // 250}.{number % 250}.0/24" for number in range(MOST_NETS + 1)]
    (large,) = findings(network_set("stranger/large", *nets, role="partner"))
    assert (large.direction, large.severity) == (Direction.UNKNOWN, Severity.CRITICAL)
    halves = [network_set(f"stranger/{name}", *nets[: MOST_NETS // 2 + 1], role="partner") for name in ("a", "b")]
    assert [one.ref.name for one in findings(*halves) if one.direction is Direction.UNKNOWN] == ["b"]
    (hollow,) = findings({**network_set("stranger/hollow", role="partner"), "spec": None})
    assert hollow.direction is Direction.UNKNOWN
    many = [network_set(f"stranger/s{number:04}", INTERNET, role="partner") for number in range(MOST_SETS + 2)]
    assert [one.ref.name for one in findings(*many) if one.direction is Direction.UNKNOWN] == ["s0100", "s0101"]


# -- the rule, naively -------------------------------------------------------------------------------------------------

WEB = {"app.kubernetes.io/name": "web"}
PODS = [
    pod("shop/web", "10.244.0.1", labels=WEB),
    pod("shop/nobodys", "10.244.0.2"),
    pod("desk/web", "10.244.1.1", labels=WEB),
    pod("stranger/x", "10.244.2.1"),
]
NETS = ("203.0.113.0/24", "10.1.0.0/16", "203.0.0.0/8")
ENDS: list[Any] = [*PODS, ip_address(INTERNET), ip_address("10.1.0.1")]


def naive_direction(one: Body, spaces: list[Body]) -> Direction:
    parts = [*compiled().governed.values(), compiled().cluster_wide]
    bodies = [desired.body() for part in parts for desired in part.objects.values()]
    policies = [body for body in bodies if body["kind"].endswith("NetworkPolicy")]
    tiers = [body for body in bodies if body["kind"] == "Tier"]
    spaces = [*spaces, *(body for body in bodies if body["kind"] == "Namespace")]
    before, after = (Cluster(spaces, PODS, policies, [*tiers, *more]) for more in ([], [one]))
    flows = (
        (source, target, "TCP", port)
        for source, target in product(ENDS, ENDS)
        if source is not target and (isinstance(source, dict) or isinstance(target, dict))
        for port in (443, 8080)
    )
    return direction((allowed(before, *flow), allowed(after, *flow)) for flow in flows)


@st.composite
def strangers_sets(draw: st.DrawFn) -> Body:
    labels = draw(
        st.fixed_dictionaries({}, optional={"feed": st.just("blocked"), "role": st.sampled_from(("partner", "x"))})
    )
    return network_set("stranger/one", *draw(st.lists(st.sampled_from(NETS), max_size=2, unique=True)), **labels)


@settings(max_examples=40, deadline=None)
@given(strangers_sets())
def test_a_strangers_set_is_told_by_what_it_does_flow_by_flow(one: Body) -> None:
    found = {finding.ref.name: finding.direction for finding in findings(one)}
    assert found.get("one", Direction.NEUTRAL) is naive_direction(one, [namespace("stranger")])


@settings(max_examples=50, deadline=None)
@given(st.lists(strangers_sets(), min_size=1, max_size=5))
def test_of_many_sets_those_are_found_that_are_found_one_by_one(sets: list[Body]) -> None:
    policies = [one.body() for one in compiled().cluster_wide.objects.values() if one.ref.kind == "GlobalNetworkPolicy"]
    asked = [(body["metadata"]["namespace"], body["metadata"]["labels"]) for body in sets]
    one_by_one = {number for number, one in enumerate(asked) if meant(policies, [one])}
    assert meant(policies, asked) == one_by_one
