"""Reports say in a sentence what changed, are bounded whatever a tenant writes, and hide nothing."""

import json
import time
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driftd.drift import report
from driftd.drift.report import MOST_CHANGES, MOST_TEXT
from driftd.policy.kinds import digest_of, kind_of
from driftd.values import CONDEMNED, Body, Direction, Finding, FindingType, Scope, Severity
from tests.support.drift_scope import (
    COVERAGE,
    NAME,
    desired_of,
    live_of,
    namespace,
    policy,
    quota,
    ref_of,
    service_account,
)

WEB: Body = {
    "podSelector": {"matchLabels": {"app": "web"}},
    "policyTypes": ["Ingress", "Egress"],
    "egress": [{"to": [{"podSelector": {"matchLabels": {"app": "db"}}}], "ports": [{"port": 5432}]}],
}


def told(wanted: Body | None, found: Body | None) -> Finding:
    body = wanted or found
    assert body is not None
    types = {
        (True, True): FindingType.MODIFIED,
        (True, False): FindingType.MISSING,
        (False, True): FindingType.UNEXPECTED,
    }
    finding = Finding(
        id="f",
        type=types[wanted is not None, found is not None],
        ref=ref_of(body),
        scope=Scope(NAME),
        tenant="acme",
        direction=Direction.UNKNOWN,
        severity=Severity.CRITICAL,
        summary="it differs",
    )
    return report(
        finding,
        None if wanted is None else desired_of(wanted),
        None if found is None else live_of(found),
        COVERAGE,
    )


def sentences(wanted: Body | None, found: Body | None) -> list[str]:
    return [change.sentence for change in told(wanted, found).changes]


def test_an_added_egress_rule_is_named() -> None:
    rule = {"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}], "ports": [{"protocol": "TCP", "port": 443}]}
    finding = told(policy("web", WEB), policy("web", {**WEB, "egress": [*WEB["egress"], rule]}))
    (change,) = finding.changes
    assert change.sentence == "egress rule to 10.0.0.0/8 TCP 443 was added"
    assert change.desired is None
    assert json.loads(change.live or "")["to"] == [{"ipBlock": {"cidr": "10.0.0.0/8"}}]
    assert finding.summary == "it differs: egress rule to 10.0.0.0/8 TCP 443 was added"


def test_an_allow_all_rule_is_named_before_what_it_replaced() -> None:
    assert sentences(policy("web", WEB), policy("web", {**WEB, "egress": [{}]})) == [
        "egress rule to anybody any port was added",
        "egress rule to pods app=db TCP 5432 was removed",
    ]


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ({"matchLabels": {"app": "web", "tier": "db"}}, "podSelector now matches fewer pods (adds tier=db)"),
        ({}, "podSelector now matches more pods (drops app=web)"),
        ({"matchLabels": {"app": "api"}}, "podSelector now matches other pods (app=web became app=api)"),
        (
            {"matchLabels": {"app": "web"}, "matchExpressions": [{"key": "tier", "operator": "Exists"}]},
            "podSelector now matches fewer pods (adds tier)",
        ),
    ],
)
def test_a_changed_selection_says_which_way(selector: Body, expected: str) -> None:
    assert sentences(policy("web", WEB), policy("web", {**WEB, "podSelector": selector})) == [expected]


def test_a_lost_direction_is_said() -> None:
    live = {**WEB, "policyTypes": ["Egress"]}
    assert sentences(policy("web", WEB), policy("web", live)) == ["ingress is no longer isolated by it"]


def test_pod_security_that_sinks_is_said() -> None:
    key = "pod-security.kubernetes.io/enforce"
    assert sentences(namespace(**{key: "restricted"}), namespace(**{key: "privileged"})) == [
        "Pod Security enforce lowered from restricted to privileged"
    ]
    assert sentences(namespace(**{key: "baseline"}), namespace()) == ["Pod Security enforce was removed (was baseline)"]


def test_labels_quota_and_tokens_are_said() -> None:
    assert sentences(namespace(zone="red"), namespace(zone="blue")) == ["label zone changed from red to blue"]
    assert sentences(quota(pods="10"), quota(pods="50")) == ["quota of pods changed from 10 to 50"]
    account = service_account("api")
    assert sentences(account, {**account, "automountServiceAccountToken": True}) == ["its pods are given a token again"]


def test_owners_and_the_condemned_mark_are_said() -> None:
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "u"}
    live = policy("web", WEB, ownerReferences=[owner])
    live["metadata"]["annotations"] = {**live["metadata"]["annotations"], CONDEMNED: "3"}
    assert sentences(policy("web", WEB), live) == [
        "the mark that condemns it was added",
        "an owner was added: the garbage collector deletes the object when that owner is gone",
    ]


def test_a_missing_policy_says_what_it_allowed_and_an_unexpected_one_what_it_allows() -> None:
    assert sentences(policy("web", WEB), None) == ["egress rule to pods app=db TCP 5432 was removed"]
    assert sentences(None, policy("web", WEB)) == ["egress rule to pods app=db TCP 5432 was added"]


def test_keys_that_look_private_are_not_hidden() -> None:
    assert sentences(policy("web", WEB), policy("web", {**WEB, "__x": 1})) == ["field spec.__x was added (1)"]


def test_true_is_not_one() -> None:
    (said,) = sentences(policy("web", {**WEB, "newField": True}), policy("web", {**WEB, "newField": 1}))
    assert said == "field spec.newField changed from true to 1"


def test_control_characters_are_escaped_and_long_values_cut() -> None:
    hostile = "a\x1b[2J\n\u202e" + "x" * 5000
    live = policy("web", WEB)
    live["metadata"]["labels"] = {"driftd.dev/tenant": hostile}
    (change,) = told(policy("web", WEB), live).changes
    for text in (change.sentence, change.live or "", *change.path):
        assert text.isprintable()
        assert len(text) <= 512


def huge(count: int) -> list[Body]:
    return [
        {"to": [{"ipBlock": {"cidr": f"10.{n // 250}.{n % 250}.0/24"}}], "ports": [{"port": n + 1}]}
        for n in range(count)
    ]


@pytest.mark.parametrize(
    "egress",
    [
        huge(8000),
        [{"to": [peer for rule in huge(8000) for peer in rule["to"]]}],
        [{"to": [{"podSelector": {"matchLabels": {f"k{n}": "v" * 60 for n in range(8000)}}}]}],
    ],
    ids=["8000 rules", "one rule of 8000 peers", "one selector of 8000 labels"],
)
def test_a_hostile_policy_costs_little_and_is_counted(egress: list[Body]) -> None:
    wanted, found = desired_of(policy("web", WEB)), live_of(policy("web", {**WEB, "egress": egress}))
    finding = told(policy("web", WEB), None)
    modified = Finding(**{**{name: getattr(finding, name) for name in Finding.__slots__}, "type": FindingType.MODIFIED})
    least = 9.0
    for _ in range(3):
        start = time.process_time()
        result = report(modified, wanted, found, COVERAGE)
        least = min(least, time.process_time() - start)
    assert len(result.changes) <= MOST_CHANGES
    assert len(result.changes) + result.omitted == len(egress) + 1
    assert least < 0.6, f"{least:.3f} s"
    print(f"{least * 1000:.0f} ms")


def test_an_object_that_no_canonical_form_can_be_made_of_is_told_as_such() -> None:
    """JSON may be nested deeper than it can be written again."""
    found = live_of(policy("web", WEB))
    found = replace(found, kept=found.raw.replace(b'"spec":{', b'"spec":{"deep":' + b"[" * 300 + b"]" * 300 + b","))
    finding = Finding(
        "f", FindingType.MODIFIED, found.ref, Scope(NAME), "acme", Direction.UNKNOWN, Severity.CRITICAL, "it differs"
    )
    summary = report(finding, desired_of(policy("web", WEB)), found, COVERAGE).summary
    assert summary.startswith("it differs; it cannot be read: ")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(st.text(max_size=6), json_values, max_size=4),
    st.dictionaries(st.text(max_size=6), json_values, max_size=4),
)
def test_unequal_digests_never_have_an_empty_report(one: dict[str, Any], other: dict[str, Any]) -> None:
    wanted, found = policy("web", {**one, **WEB}), policy("web", {**other, **WEB})
    kind = kind_of(ref_of(wanted))
    finding = told(wanted, found)
    differs = digest_of(kind, wanted, COVERAGE) != digest_of(kind, found, COVERAGE)
    assert bool(finding.changes) == differs
    said = "".join(change.sentence + (change.live or "") + (change.desired or "") for change in finding.changes)
    assert said.isprintable()
    assert len(said) <= MOST_TEXT
