"""What a change opens for any pod that could be made is seen, against every pod of a small world."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftd.policy.reach import Delta, Dialect, Edit, Snapshot, Tenancy, apply, delta, judge, snapshot_of
from driftd.policy.reach.future import imagine
from driftd.values import Body, Direction
from tests.support.objects import namespace, network_policy, pod

NAME = "kubernetes.io/metadata.name"
TENANTS = Tenancy({"a": "red", "b": "blue", "c": "green"})
SHUT = network_policy("a/shut", podSelector={}, policyTypes=["Ingress", "Egress"])
WORDS = (None, "u", "v", "w")
"""Every value that conditions mention, one that none does, and none at all: for a condition there is no other."""
TO_COME = ("new", "newer", "other")


def expressions(key: str, values: list[str]) -> st.SearchStrategy[Body]:
    some = st.lists(st.sampled_from(values), min_size=1, max_size=2, unique=True)
    asking = st.builds(
        lambda operator, chosen: {"key": key, "operator": operator, "values": chosen},
        st.sampled_from(["In", "NotIn"]),
        some,
    )
    present = st.sampled_from(["Exists", "DoesNotExist"]).map(lambda operator: {"key": key, "operator": operator})
    return asking if key == NAME else asking | present


def selectors(*parts: st.SearchStrategy[Body]) -> st.SearchStrategy[Body]:
    return st.lists(st.one_of(parts), max_size=2).map(lambda found: {"matchExpressions": found} if found else {})


TEAMS = expressions("team", ["u", "v"])
PODS = selectors(expressions("zone", ["u", "v"]))
SPACES = selectors(TEAMS, expressions(NAME, ["a", "b", "c", "new", "newer"])) | st.sampled_from(
    [{"matchLabels": {NAME: name}} for name in ("b", "c", "new")]
)
PEERS = st.one_of(
    st.builds(lambda spaces: {"namespaceSelector": spaces}, SPACES),
    st.builds(lambda spaces, pods: {"namespaceSelector": spaces, "podSelector": pods}, SPACES, PODS),
    st.builds(lambda pods: {"podSelector": pods}, PODS),
)


@st.composite
def policies(draw: st.DrawFn, name: str) -> Body:
    way, end = draw(st.sampled_from([("ingress", "from"), ("egress", "to")]))
    rules = draw(st.lists(st.one_of(PEERS.map(lambda peer: {end: [peer]}), st.just({})), min_size=1, max_size=2))
    subject = draw(st.one_of(st.just({}), PODS))
    return network_policy(name, podSelector=subject, policyTypes=[way.capitalize()], **{way: rules})


def everybody(before: Snapshot, after: Snapshot) -> list[Delta]:
    """The step, once for each label that namespaces to come may have, with each sort of pod everywhere."""
    found = []
    for team in WORDS:
        objects = [namespace(name, **({"team": team} if team else {})) for name in TO_COME]
        for number, (home, zone) in enumerate(product((*TO_COME, "a", "b", "c"), WORDS)):
            objects.append(pod(f"{home}/p-{zone}", f"10.244.9.{number}", labels={"zone": zone} if zone else {}))
        edit = Edit(tuple(objects))
        found.append(delta(apply(before, edit), apply(after, edit)))
    return found


@given(
    st.lists(policies("a/x"), max_size=2),
    st.lists(policies("b/theirs"), max_size=1),
    policies("a/own"),
    st.sampled_from("uv"),
    st.booleans(),
)
def test_what_opens_for_any_pod_that_could_be_made_is_seen(
    canonical: list[Body], theirs: list[Body], own: Body, team: str, changed: bool
) -> None:
    held = [{**one, "metadata": {**one["metadata"], "name": f"canon{at}"}} for at, one in enumerate(canonical)]
    spaces = [namespace("a", team=team), namespace("b"), namespace("c")]
    before = snapshot_of([*spaces, pod("a/web", "10.244.0.1"), SHUT, *held, *theirs], Dialect.KUBERNETES)
    put = {**own, "metadata": {**own["metadata"], "name": "canon0"}} if changed else own
    after = apply(before, Edit((put,)))
    found = judge(before, after, TENANTS)
    every = everybody(before, after)
    assert found.direction.may_loosen or not any(one.direction.may_loosen for one in every)
    opened = [flows for one in every for flows in (one.added, one.added_surely) if flows]
    crossing = any(pair is not None for flows in opened for pair in flows.crossing(TENANTS))
    assert found.crosses_tenant or not crossing


def among(key: str, operator: str, *values: str) -> Body:
    return {"key": key, "operator": operator, **({"values": list(values)} if values else {})}


def spaces(*parts: Body) -> Body:
    return {"namespaceSelector": {"matchExpressions": list(parts)}}


@pytest.mark.parametrize(
    ("canonical", "own"),
    [
        ([], [spaces(among("team", "Exists"), among("team", "NotIn", "any-other-value"))]),
        (
            [spaces(among("team", "In", "x"))],
            [
                spaces(among(NAME, "NotIn", "a", "b")),
                spaces(among(NAME, "In", "any-other-namespace"), among("team", "In", "x")),
            ],
        ),
        (
            [spaces(among("team", "In", "x"))],
            [
                {"namespaceSelector": {"matchLabels": {NAME: "to-come"}}},
                {"namespaceSelector": {"matchLabels": {NAME: "to-come", "team": "x"}}},
            ],
        ),
        ([spaces(among("team", "In", "x"))], [spaces(among("team", "In", "x", "y"))]),
        ([spaces(among("team", "DoesNotExist"))], [{"namespaceSelector": {}}]),
        (
            [{"namespaceSelector": {}, "podSelector": {"matchExpressions": [among("zone", "DoesNotExist")]}}],
            [{"namespaceSelector": {}}],
        ),
    ],
)
def test_nothing_that_is_allowed_or_mentioned_hides_what_opens(canonical: list[Body], own: list[Body]) -> None:
    """Seen: the one pod that was imagined was allowed already, or was just the one that the rule left out."""
    rules = {"podSelector": {}, "policyTypes": ["Ingress"]}
    allowed = network_policy("a/canonical", **rules, ingress=[{"from": [peer]} for peer in canonical])
    held = [allowed] if canonical else []
    before = snapshot_of([namespace("a"), namespace("b"), pod("a/web", "10.244.0.1"), SHUT, *held], Dialect.KUBERNETES)
    after = apply(before, Edit((network_policy("a/own", **rules, ingress=[{"from": [peer]} for peer in own]),)))
    found = judge(before, after, TENANTS)
    assert (found.direction, found.crosses_tenant) == (Direction.LOOSENS, True)


def calico(name: str, order: int, action: str, **source: object) -> Body:
    rule = {"action": action, "source": {"namespaceSelector": "all()", **source}}
    spec = {"order": order, "selector": "all()", "types": ["Ingress"], "ingress": [rule]}
    metadata = {"name": name, "namespace": "a"}
    return {"apiVersion": "projectcalico.org/v3", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}


@pytest.mark.parametrize(
    ("denied", "allowed", "direction"),
    [
        ({"selector": "zone == 'any-other-value'"}, {"selector": "has(zone)"}, Direction.LOOSENS),
        ({"serviceAccounts": {"names": ["default"]}}, {}, Direction.LOOSENS),
        ({"selector": "zone == 'b'"}, {"selector": "zone starts with 'b'"}, Direction.UNKNOWN),
        ({}, {"selector": "zone contains 'x' && zone contains 'y'"}, Direction.UNKNOWN),
        ({"selector": "has(nothing)"}, {"serviceAccounts": {"selector": "has(x)"}}, Direction.UNKNOWN),
    ],
)
def test_nor_does_what_another_rule_denies(denied: Body, allowed: Body, direction: Direction) -> None:
    pods = [namespace("a"), namespace("b"), pod("a/web", "10.244.0.1")]
    shut = calico("shut", 1000, "Deny")
    held = [calico("first", 1, "Deny", **denied)] if denied else []
    before = snapshot_of([*pods, shut, *held], Dialect.CALICO)
    after = apply(before, Edit((calico("own", 10, "Allow", **allowed),)))
    found = judge(before, after, TENANTS)
    assert (found.direction, found.crosses_tenant) == (direction, True)
    assert imagine(before, after).complete is (direction is Direction.LOOSENS)
