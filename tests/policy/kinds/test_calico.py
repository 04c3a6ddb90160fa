"""Calico's kinds: what is one state in several spellings, and what is not."""

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driftd.policy.kinds import (
    CALICO,
    KINDS,
    Coverage,
    MalformedObject,
    OpenWorldError,
    digest_of,
    other_spelling,
    same_policy,
)
from driftd.values import Body, ObjectRef
from tests.support.tiered_clusters import calico_policies

COVERAGE = Coverage()
V3, STORED = "projectcalico.org/v3", "crd.projectcalico.org/v1"
POLICIES = {kind: KINDS[CALICO, kind] for kind in ("NetworkPolicy", "GlobalNetworkPolicy")}


def policy(spec: Body, version: str = V3, kind: str = "GlobalNetworkPolicy", **metadata: Any) -> Body:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": "x", **metadata}, "spec": spec}


def digest(body: Body) -> bytes:
    return digest_of(KINDS[CALICO, body["kind"]], body, COVERAGE)


def same(one: Body, other: Body) -> bool:
    return digest(one) == digest(other)


@pytest.mark.parametrize(
    ("spec", "written"),
    [
        ({}, {"tier": "default", "selector": "all()", "types": ["Ingress"]}),
        ({"egress": [{"action": "Deny"}]}, {"types": ["Egress"], "egress": [{"action": "Deny"}]}),
        (
            {"egress": [{"action": "Deny"}], "ingress": [{"action": "Deny"}]},
            {"types": ["Egress", "Ingress"], "ingress": [{"action": "Deny"}], "egress": [{"action": "Deny"}]},
        ),
        ({"order": 10.0, "selector": ""}, {"order": 10, "selector": "all()"}),
        ({"order": 1e300}, {"order": 10.0**300}),
        ({"order": 2**63}, {"order": 2.0**63}),
        ({"order": None, "preDNAT": False, "serviceAccountSelector": ""}, {}),
        (
            {"ingress": [{"action": "Allow", "source": {}, "destination": {"ports": [443, "80"]}, "metadata": {}}]},
            {"ingress": [{"action": "Allow", "destination": {"ports": [80, 443, 443]}}]},
        ),
        (
            {"ingress": [{"action": "Allow", "source": {"nets": ["10.1.2.3/8", "2001:DB8::/32"]}}]},
            {"ingress": [{"action": "Allow", "source": {"nets": ["2001:db8::/32", "10.0.0.0/8"]}}]},
        ),
        (
            {"egress": [{"action": "Deny", "source": {"services": {"name": ""}}, "metadata": {"annotations": {}}}]},
            {"egress": [{"action": "Deny", "source": {"serviceAccounts": {"names": []}}, "icmp": {"type": None}}]},
        ),
        (
            {"egress": [{"action": "Deny", "source": {"serviceAccounts": {"selector": " has(x)"}}}]},
            {"egress": [{"action": "Deny", "source": {"serviceAccounts": {"selector": "has(x)"}}}]},
        ),
        (
            {"egress": [{"action": "Allow", "http": {"methods": [], "paths": None}}]},
            {"egress": [{"action": "Allow", "http": {}}]},
        ),
    ],
)
def test_these_spellings_are_one_policy(spec: Body, written: Body) -> None:
    assert same(policy(spec), policy(written))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"ingress": [{"action": "Deny"}, {"action": "Pass"}]}, {"ingress": [{"action": "Pass"}, {"action": "Deny"}]}),
        ({"order": 10}, {"order": 11}),
        ({"order": -1e300}, {"order": 1e300}),
        ({"order": 2**53}, {"order": 2**53 - 1}),
        ({}, {"order": 1000}),
        ({"tier": "default"}, {"tier": "platform"}),
        ({"namespaceSelector": "all()"}, {}),
        ({"types": ["Ingress"]}, {"types": ["Ingress", "Egress"]}),
        ({"ingress": [{"action": "Allow", "source": {"selector": "all()"}}]}, {"ingress": [{"action": "Allow"}]}),
        ({"ingress": [{"action": "Allow", "http": {}}]}, {"ingress": [{"action": "Allow"}]}),
        (
            {"ingress": [{"action": "Allow", "metadata": {"annotations": {"a": ""}}}]},
            {"ingress": [{"action": "Allow"}]},
        ),
        ({"doNotTrack": True}, {}),
        ({"ofTheFuture": 1}, {}),
    ],
)
def test_these_are_two(one: Body, other: Body) -> None:
    assert not same(policy(one), policy(other))


def test_a_rule_that_is_nested_without_end_is_no_policy() -> None:
    deep: Body = {}
    for _ in range(900):
        deep = {"source": deep}
    with pytest.raises(MalformedObject):
        digest(policy({"ingress": [{"action": "Allow", **deep}]}))


@pytest.mark.parametrize("odd", [5, "x", ["x"], True])
def test_a_rule_whose_ends_are_no_maps_is_no_policy(odd: Any) -> None:
    """A report makes words of them."""
    for part in (
        {"source": odd},
        {"http": odd},
        {"destination": {"services": odd}},
        {"source": {"serviceAccounts": odd}},
    ):
        with pytest.raises(MalformedObject):
            digest(policy({"ingress": [{"action": "Allow", **part}]}))


def test_a_stored_policy_without_types_is_enforced_both_ways() -> None:
    """Felix reads so what was written past the API's defaulting."""
    assert not same(policy({}), policy({}, STORED))
    assert same(policy({}, STORED), policy({"types": ["Ingress", "Egress"]}))


@settings(max_examples=100, deadline=None)
@given(calico_policies())
def test_the_canonical_form_is_its_own_canonical_form(body: Body) -> None:
    kind = POLICIES.get(body["kind"])
    if kind is None:
        return  # a staged policy is another kind
    covered = kind.covered(body, COVERAGE)
    assert kind.covered({**body, "apiVersion": V3, "spec": covered["spec"]}, COVERAGE)["spec"] == covered["spec"]


@settings(max_examples=100, deadline=None)
@given(calico_policies(), calico_policies())
def test_a_repair_makes_the_live_policy_canonical_and_is_idempotent(live: Body, wanted: Body) -> None:
    kind = POLICIES.get(wanted["kind"])
    if kind is None or live["kind"] != wanted["kind"]:
        return
    wanted = {**wanted, "apiVersion": V3, "spec": kind.covered(wanted, COVERAGE)["spec"]}  # as the compiler writes it
    before = copy.deepcopy(live)
    once = kind.merged(live, wanted, COVERAGE)
    assert live == before
    assert digest_of(kind, once, COVERAGE) == digest_of(kind, wanted, COVERAGE)
    assert kind.merged(once, wanted, COVERAGE) == once


@settings(max_examples=100, deadline=None)
@given(calico_policies())
def test_an_emptied_policy_selects_as_before_and_only_denies(body: Body) -> None:
    kind = POLICIES.get(body["kind"])
    if kind is None:
        return
    emptied = kind.emptied(body)
    before, after = (kind.covered(one, COVERAGE)["spec"] for one in (body, emptied))
    rules = ("ingress", "egress")
    assert {key: value for key, value in before.items() if key not in rules} == {
        key: value for key, value in after.items() if key not in rules
    }
    assert {rule["action"] for flow in rules for rule in after[flow]} <= {"Deny"}
    assert kind.emptied(emptied) == emptied


@given(st.lists(st.sampled_from(["10.0.0.0/8", "10.1.2.3/8", "192.0.2.0/24", "2001:DB8::/32"]), max_size=4))
def test_a_sets_addresses_are_a_set_and_its_labels_are_covered(nets: list[str]) -> None:
    def body(nets: list[str], **labels: str) -> Body:
        return {
            "apiVersion": V3,
            "kind": "NetworkSet",
            "metadata": {"name": "s", "labels": labels},
            "spec": {"nets": nets},
        }

    assert same(body(nets), body([*reversed(nets), *nets]))
    assert not same(body(nets), body(nets, role="partner"))
    kind = KINDS[CALICO, "NetworkSet"]
    assert kind.emptied(body(nets, role="partner"))["spec"] == {"nets": []}
    repaired = kind.merged(body(nets, role="partner", more="x"), body([], role="partner"), COVERAGE)
    assert repaired["metadata"]["labels"] == {"role": "partner"}


@pytest.mark.parametrize("rules", [7, 1e300, True, "Deny", ["Deny"], {"action": "Deny"}])
def test_what_has_no_rules_that_could_be_read_cannot_be_emptied(rules: Any) -> None:
    with pytest.raises(MalformedObject):
        POLICIES["NetworkPolicy"].emptied(policy({"ingress": rules}, kind="NetworkPolicy"))


def test_a_tier_has_an_order_and_a_default_and_is_never_emptied() -> None:
    def tier(**spec: Any) -> Body:
        return {"apiVersion": V3, "kind": "Tier", "metadata": {"name": "t"}, "spec": spec}

    assert same(tier(order=100.0), tier(order=100, defaultAction="Deny"))
    assert same(tier(), tier(order=None))
    assert not same(tier(order=100), tier())
    assert not same(tier(order=100), tier(order=100, defaultAction="Pass"))
    with pytest.raises(OpenWorldError):
        KINDS[CALICO, "Tier"].emptied(tier(order=100))


def test_a_policy_answers_to_its_name_with_and_without_the_tier() -> None:
    """Checklist 1.3: CRD stored default.<name>, API showed <name>; 3.29.0-.3 showed/required default.
    Checklist 1.3: Key identity = name minus default. in tier default
    """
    plain, spelled = (ObjectRef(CALICO, "NetworkPolicy", "acme", name) for name in ("web", "default.web"))
    assert other_spelling(plain) == spelled
    assert other_spelling(spelled) == plain
    assert same_policy(plain, spelled)
    assert same_policy(plain, plain)
    assert other_spelling(ObjectRef(CALICO, "Tier", "", "web")) is None
    assert not same_policy(plain, ObjectRef("networking.k8s.io", "NetworkPolicy", "acme", "default.web"))
