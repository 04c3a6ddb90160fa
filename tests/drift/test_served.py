"""Who stands behind Services that policies go by: a slice that lists more than its Service selects is judged."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from ipaddress import ip_address
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driftd.compile import Compiled, compile_model
from driftd.drift import (
    Backings,
    Difference,
    World,
    pod_inputs,
    relabelled_others,
    service_from_body,
    slice_from_body,
)
from driftd.drift.served import MOST_LISTED
from driftd.policy.reach import pod_from_body
from driftd.values import Body, Direction, Finding, FindingType, ObjectRef, Severity
from tests.oracle.bodies import Cluster
from tests.oracle.calico import allowed
from tests.support.directions import direction
from tests.support.drift_scope import live_of
from tests.support.model_texts import CLUSTER, PLAN, TO_API, model
from tests.support.objects import endpoint_slice, pod
from tests.support.tiered_scope import calico

SHOP, DESK = "shop", "desk"
MANIFESTS = (
    TO_API
    + """\
---
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: from-feed, namespace: shop}
spec:
  order: 500
  selector: app == 'api'
  types: [Ingress]
  ingress: [{action: Allow, protocol: TCP, source: {services: {name: feed}}, destination: {ports: [8080]}}]
---
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: shunned, namespace: shop}
spec:
  order: 10
  selector: app == 'web'
  types: [Egress]
  egress: [{action: Deny, destination: {services: {name: shunned}}}]
"""
)
MODEL = """\
apiVersion: driftd.dev/v1alpha1
kind: Environment
metadata: {{name: {name}}}
spec:
  tenant: {tenant}
  plan: shared
  services:
    web: {{labels: {{app: web}}, ports: {{http: 8080}}, calls: [{{to: api, port: http}}]}}
    api: {{labels: {{app: api}}, ports: {{http: 8080}}}}
"""
PODS = [
    pod("shop/web", "10.244.0.1"),
    pod("shop/api", "10.244.0.2", ports=[{"name": "http", "containerPort": 8080}]),
    pod("desk/web", "10.244.1.1"),
    pod("desk/api", "10.244.1.2", ports=[{"name": "http", "containerPort": 8080}]),
]
NOBODYS = ("10.244.7.7", "203.0.113.9", "198.51.100.7")


@cache
def compiled() -> Compiled:
    cluster = CLUSTER.replace("spec:\n", "spec:\n  cni: {dialect: calico}\n", 1)
    shop = MODEL.format(name=SHOP, tenant="acme") + MANIFESTS
    plan = PLAN + "spec: {egress: {https: public}}\n"
    return compile_model(model(cluster=cluster, plan=plan, acme=shop, globex=MODEL.format(name=DESK, tenant="globex")))


def service(where: str, app: str, target: Any = 8080, **spec: Any) -> Body:
    space, name = where.split("/")
    ports = [{"name": "http", "port": 80, "targetPort": target}]
    found = {"selector": {"app": app} if app else {}, "ports": ports, **spec}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"namespace": space, "name": name}, "spec": found}


API = service("shop/api", "api")


def backings(*bodies: Body, pods: list[Body] = PODS, unlisted: Sequence[str] = ()) -> Backings:
    """With the slices of the controller, but for some addresses."""
    known = {(one.namespace, one.name): one for one in map(pod_from_body, pods)}
    services = [one for one in bodies if one["kind"] == "Service"]
    slices = [one for one in bodies if one["kind"] == "EndpointSlice"] + [ideal(one, unlisted) for one in services]
    return Backings.of(map(service_from_body, services), map(slice_from_body, slices), known)


def world(*bodies: Body, pods: list[Body] = PODS, unlisted: Sequence[str] = ()) -> World:
    found = World(compiled())
    known = {(one.namespace, one.name): one for one in map(pod_from_body, pods)}
    found.observe(list(pod_inputs(compiled(), known, known)))
    found.surround(backings(*bodies, pods=pods, unlisted=unlisted))
    return found


def findings(*bodies: Body, pods: list[Body] = PODS, unlisted: Sequence[str] = ()) -> list[Finding]:
    return list(relabelled_others(compiled(), world(*bodies, pods=pods, unlisted=unlisted)))


# -- by example --------------------------------------------------------------------------------------------------------


def test_a_slice_of_the_pods_that_its_service_selects_is_no_finding() -> None:
    listed = endpoint_slice("shop/api-1", "api", ["10.244.0.2"], ("TCP", 8080))
    assert findings(API, listed) == []
    assert findings(service("shop/api", "api", target="http"), listed) == []
    assert findings(API) == []


def test_an_address_outside_in_a_slice_opens_what_the_rule_allows_and_a_flow_shows_it() -> None:
    listed = endpoint_slice("shop/api-1", "api", ["10.244.0.2", "203.0.113.9"], ("TCP", 8080))
    (found,) = findings(API, listed)
    assert (found.type, found.ref.name, found.scope.namespace) == (FindingType.MISDIRECTED, "api-1", SHOP)
    assert (found.direction, found.severity, found.tenant) == (Direction.LOOSENS, Severity.HIGH, "acme")
    assert found.witness is not None
    assert (found.witness.source, found.witness.target, found.witness.port) == ("shop/web", "203.0.113.9/32", "8080")
    assert "lists what its Service does not select" in found.summary


def test_another_port_of_the_right_pod_is_judged_by_what_lets_it_in() -> None:
    assert findings(API, endpoint_slice("shop/api-1", "api", ["10.244.0.2"], ("TCP", 9090))) == []  # it is closed there
    (found,) = findings(API, endpoint_slice("shop/api-1", "api", ["203.0.113.9"], ("UDP", 53), ("TCP", 9090)))
    assert found.witness is not None
    assert found.witness.port == "9090"


def test_a_pod_of_another_tenant_stays_behind_the_fence_between_them() -> None:
    assert findings(API, endpoint_slice("shop/api-1", "api", ["10.244.1.2"], ("TCP", 8080))) == []


def test_a_service_that_selects_nobody_entitles_nobody() -> None:
    listed = endpoint_slice("shop/feed-1", "feed", ["198.51.100.7"], ("TCP", 1))
    (found,) = findings(service("shop/feed", ""), listed)
    assert (found.direction, found.ref.name) == (Direction.LOOSENS, "feed-1")
    assert findings(listed)[0].direction is Direction.LOOSENS


def test_what_a_rule_denies_by_service_is_closed_to_whoever_the_slice_lists() -> None:
    internet = endpoint_slice("shop/shunned-1", "shunned", ["203.0.113.9"], ("TCP", 443))
    assert [one.direction for one in findings(internet)] == [Direction.TIGHTENS]


def test_a_pod_that_no_slice_lists_escapes_what_denies_by_service_and_is_let_in_by_nothing_that_allows_so() -> None:
    denying, allowing = service("shop/shunned", "api"), service("shop/api", "api")
    assert findings(denying, allowing) == []
    (escaped,) = findings(denying, unlisted=["10.244.0.2"])
    assert (escaped.ref, escaped.type) == (ObjectRef("", "Service", SHOP, "shunned"), FindingType.MISDIRECTED)
    assert escaped.direction is Direction.LOOSENS
    assert escaped.witness is not None
    assert (escaped.witness.source, escaped.witness.target) == ("shop/web", "shop/api")
    assert "selects pods that none of its EndpointSlices lists" in escaped.summary
    assert findings(allowing, unlisted=["10.244.0.2"]) == []  # another policy of the model lets the same in


def test_a_pod_that_no_slice_lists_counts_only_when_it_is_settled() -> None:
    bodies, named = service("shop/shunned", "api"), world().services_named
    found = backings(bodies, unlisted=["10.244.0.2"])
    assert found.in_doubt(compiled(), named) == {"10.244.0.2"}
    here = world(bodies)
    here.surround(found.settled(frozenset({"10.244.0.2"})))
    assert list(relabelled_others(compiled(), here)) == []
    here.surround(found)
    assert [one.direction for one in relabelled_others(compiled(), here)] == [Direction.LOOSENS]
    here.surround(backings(bodies))
    assert list(relabelled_others(compiled(), here)) == []


def test_a_selector_that_changes_is_its_authors_to_say() -> None:
    here = world(service("shop/shunned", "api"))
    here.surround(backings(service("shop/shunned", "web")))
    assert list(relabelled_others(compiled(), here)) == []


def test_a_slice_that_no_rule_goes_by_does_nothing() -> None:
    assert findings(endpoint_slice("shop/other-1", "other", ["203.0.113.9"], ("TCP", 8080))) == []


def test_a_service_that_says_too_much_is_not_known_and_never_one_of_fewer_keys() -> None:
    wordy = service("shop/api", "api", selector={f"key-{number}": "v" * 60 for number in range(200)})
    (found,) = findings(wordy)
    assert (found.ref, found.direction) == (ObjectRef("", "Service", SHOP, "api"), Direction.UNKNOWN)
    assert not world(wordy).knows((SHOP, "api"))


def test_no_service_of_a_namespace_is_known_of_which_not_all_is_kept() -> None:
    here = world(API)
    assert here.knows((SHOP, "api"))
    here.surround(replace(backings(API), unknown=frozenset({SHOP})))
    assert not here.knows((SHOP, "api"))
    assert list(here.stray_others()) == []  # that the namespace is too large is told by itself


def test_slices_of_a_platform_namespace_are_the_platforms() -> None:
    rule = {"action": "Allow", "destination": {"services": {"name": "metrics", "namespace": "kube-system"}}}
    here = world(endpoint_slice("kube-system/metrics-1", "metrics", ["203.0.113.9"], ("TCP", 443)))
    assert judged(here, rule).direction is Direction.LOOSENS
    assert [ref for ref, _ in here.stray_others()] == []


def test_more_than_can_be_looked_at_is_not_known_and_is_told() -> None:
    many = [f"203.{number // 250}.113.{number % 250}" for number in range(MOST_LISTED + 1)]
    halves = [many[: MOST_LISTED // 2], many[MOST_LISTED // 2 :]]
    slices = [endpoint_slice(f"shop/api-{i}", "api", half, ("TCP", 8080)) for i, half in enumerate(halves)]
    here = world(API, *slices)
    (found,) = relabelled_others(compiled(), here)
    assert (found.direction, found.severity) == (Direction.UNKNOWN, Severity.CRITICAL)
    assert (
        judged(here, {"action": "Allow", "destination": {"services": {"name": "api"}}}).direction is Direction.UNKNOWN
    )


def test_services_of_a_namespace_do_not_add_up_without_end() -> None:
    many = [f"203.{number // 250}.113.{number % 250}" for number in range(MOST_LISTED // 2 + 1)]
    slices = [endpoint_slice(f"shop/{name}-1", name, many, ("TCP", 8080)) for name in ("api", "feed")]
    here = world(API, *slices)
    assert (here.knows(("shop", "api")), here.knows(("shop", "feed"))) == (True, False)
    unknown = [one.ref.name for one in relabelled_others(compiled(), here) if one.direction is Direction.UNKNOWN]
    assert unknown == ["feed-1"]


def judged(here: World, rule: Body) -> Any:
    body = calico(
        "NetworkPolicy", "rogue", {"order": 1, "selector": "all()", "types": ["Egress"], "egress": [rule]}, SHOP
    )
    ref = ObjectRef("projectcalico.org", "NetworkPolicy", SHOP, "rogue")
    return here.judge([Difference(FindingType.UNEXPECTED, ref, None, live_of(body))])[ref]


TO_FEED = {"action": "Allow", "protocol": "TCP", "destination": {"services": {"name": "feed"}}}


def test_a_rule_that_goes_by_a_service_is_judged_by_who_stands_behind_it() -> None:
    outward = endpoint_slice("shop/feed-1", "feed", ["203.0.113.9"], ("TCP", 25))
    selecting = service("shop/feed", "web")
    assert judged(world(selecting), TO_FEED).direction is Direction.NEUTRAL  # nobody is let in there
    opened = judged(world(service("shop/feed", ""), outward), TO_FEED)
    assert (opened.direction, opened.witness.target) == (Direction.LOOSENS, "203.0.113.9/32")


@pytest.mark.parametrize("bodies", [(), (API,)])
def test_of_a_service_that_is_not_there_its_author_will_say_who_stands_behind_it(bodies: tuple[Body, ...]) -> None:
    assert judged(world(*bodies), TO_FEED).direction is Direction.UNKNOWN


def test_who_stands_behind_a_service_is_not_known_while_slices_cannot_be_seen() -> None:
    here = world(service("shop/feed", "web"))
    here.surround(None)
    assert judged(here, TO_FEED).direction is Direction.UNKNOWN
    here.surround(backings(service("shop/feed", "web")))
    assert judged(here, TO_FEED).direction is Direction.NEUTRAL


def test_what_a_slice_opens_counts_for_policies_that_stand_open_and_no_longer_when_they_are_gone() -> None:
    outward = endpoint_slice("shop/feed-1", "feed", ["203.0.113.9"], ("TCP", 25))
    here = world(outward)
    alone = {one.direction for one in relabelled_others(compiled(), here)}  # the model lets the feed in
    judged(here, TO_FEED)
    (found,) = relabelled_others(compiled(), here)
    assert (alone, found.direction) == ({Direction.LOOSENS}, Direction.LOOSENS)
    here.settle([ObjectRef("projectcalico.org", "NetworkPolicy", SHOP, "rogue")])
    again = list(relabelled_others(compiled(), here))
    assert [one.witness for one in again] == [one.witness for one in relabelled_others(compiled(), world(outward))]


def test_an_address_that_waits_for_its_pod_is_left_out_until_it_is_settled() -> None:
    listed = backings(API, endpoint_slice("shop/api-1", "api", ["10.244.7.7", "203.0.113.9"], ("TCP", 8080)))
    here = world()
    named = here.services_named
    assert named == {("shop", "api"), ("shop", "feed"), ("shop", "shunned")}
    assert listed.in_doubt(compiled(), named) == {"10.244.7.7"}
    here.surround(listed.settled(frozenset(("10.244.7.7", "203.0.113.9"))))
    assert list(relabelled_others(compiled(), here)) == []
    here.surround(listed)
    assert [one.direction for one in relabelled_others(compiled(), here)] == [Direction.LOOSENS]


def test_a_renewed_world_knows_who_stands_behind_services() -> None:
    here = world(API, endpoint_slice("shop/api-1", "api", ["203.0.113.9"], ("TCP", 8080))).renewed()
    assert [one.direction for one in relabelled_others(compiled(), here)] == [Direction.LOOSENS]
    here.surround(backings(API))
    assert list(relabelled_others(compiled(), here)) == []


# -- the rule, naively -------------------------------------------------------------------------------------------------


def naive_direction(
    services: list[Body], *more: Body, short: Body | None = None, unlisted: Sequence[str] = ()
) -> Direction:
    """What slices do beside those that list whom each Service selects, or for one all but some, flow by flow."""
    parts = [*compiled().governed.values(), compiled().cluster_wide]
    bodies = [desired.body() for part in parts for desired in part.objects.values()]
    policies = [body for body in bodies if body["kind"].endswith("NetworkPolicy")]
    tiers = [body for body in bodies if body["kind"] == "Tier"]
    spaces = [body for body in bodies if body["kind"] == "Namespace"]
    before = Cluster(spaces, PODS, policies, [*tiers, *map(ideal, services)])
    listing = [ideal(one, unlisted if one is short else ()) for one in services]
    after = replace(before, others=[*tiers, *listing, *more])
    ends: list[Any] = [*PODS, *map(ip_address, NOBODYS)]
    flows = (
        (source, target, "TCP", port)
        for source, target in product(ends, ends)
        if isinstance(source, dict) or isinstance(target, dict)
        for port in (443, 8080, 9090)
    )
    return direction((allowed(before, *flow), allowed(after, *flow)) for flow in flows)


def ideal(body: Body, unlisted: Sequence[str] = ()) -> Body:
    """The slice that a controller writes of a Service; somebody took some addresses out of it."""
    meta, spec = body["metadata"], body["spec"]
    wanted = spec["selector"].items()
    chosen = [
        one["status"]["podIPs"][0]["ip"]
        for one in PODS
        if wanted and one["metadata"]["namespace"] == meta["namespace"] and wanted <= one["metadata"]["labels"].items()
    ]
    chosen = [ip for ip in chosen if ip not in unlisted]
    return endpoint_slice(f"{meta['namespace']}/ideal-{meta['name']}", meta["name"], chosen, ("TCP", 8080))


@st.composite
def scenes(draw: st.DrawFn) -> tuple[list[Body], Body]:
    services = [
        service(f"shop/{name}", draw(st.sampled_from(("", "api", "web")))) for name in ("api", "feed", "shunned")
    ]
    own = [one["status"]["podIPs"][0]["ip"] for one in PODS]
    ips = draw(st.lists(st.sampled_from((*own, *NOBODYS)), min_size=1, max_size=3, unique=True))
    where, ports = draw(st.sampled_from(("api", "feed", "shunned"))), draw(st.sampled_from((443, 8080, 9090)))
    return services, endpoint_slice("shop/one", where, ips, ("TCP", ports))


@settings(max_examples=20, deadline=None)
@given(scenes())
def test_a_slices_direction_is_what_it_does_beyond_whom_its_service_selects_flow_by_flow(
    scene: tuple[list[Body], Body],
) -> None:
    services, one = scene
    told = {found.ref.name: found.direction for found in findings(*services, one)}
    assert told.get("one", Direction.NEUTRAL) is naive_direction(services, one)


@settings(max_examples=20, deadline=None)
@given(scenes(), st.lists(st.sampled_from(("10.244.0.1", "10.244.0.2")), min_size=1, unique=True))
def test_what_escapes_slices_has_the_direction_of_what_that_does_flow_by_flow(
    scene: tuple[list[Body], Body], unlisted: list[str]
) -> None:
    services, _ = scene
    told = {one.ref.name: one.direction for one in findings(*services, unlisted=unlisted)}
    for one in services:  # each by itself: the others' slices are as the controller writes them
        direction = naive_direction(services, short=one, unlisted=unlisted)
        assert told.get(one["metadata"]["name"], Direction.NEUTRAL) is direction
