"""What a repair writes: the covered parts of the model, and all else as it was found."""

from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings

from driftd.policy.kinds import KINDS, Coverage, OpenWorldError
from tests.support.policies import Json, policy, specs

POLICY = KINDS["networking.k8s.io", "NetworkPolicy"]
QUOTA = KINDS["", "ResourceQuota"]
LIMITS = KINDS["", "LimitRange"]
NAMESPACE = KINDS["", "Namespace"]
ACCOUNT = KINDS["", "ServiceAccount"]
COVERAGE = Coverage(selector_keys=frozenset({"zone"}), named_keys={"acme-prod": frozenset({"cost-centre"})})

FOREIGN: Json = {
    "uid": "u-1",
    "resourceVersion": "42",
    "finalizers": ["networking.k8s.aws/resources"],
    "labels": {"team": "blue", "driftd.dev/stray": "x"},
    "annotations": {"note": "keep", "driftd.dev/model": "old#x", "driftd.dev/condemned": "3", "driftd.dev/epoch": "3"},
    "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "q"}],
    "managedFields": [{"manager": "kubectl"}],
}


def found(body: Json) -> Json:
    return {**body, "metadata": {**body["metadata"], **orjson.loads(orjson.dumps(FOREIGN))}}


def desired(body: Json) -> Json:
    return {**body, "metadata": {**body["metadata"], "annotations": {"driftd.dev/model": "a.yaml#Environment/acme"}}}


@settings(max_examples=50, suppress_health_check=[HealthCheck.too_slow])
@given(specs(), specs())
def test_a_repaired_policy_is_canonical_and_keeps_what_is_foreign(live: Json, wanted: Json) -> None:
    want = desired(policy(wanted))
    body = POLICY.merged(found(policy(live)), want, COVERAGE)
    assert POLICY.covered(body, COVERAGE) == POLICY.covered(want, COVERAGE)
    metadata = body["metadata"]
    assert metadata["labels"] == {"team": "blue"}
    assert metadata["annotations"] == {
        "note": "keep",
        "driftd.dev/epoch": "3",
        "driftd.dev/model": "a.yaml#Environment/acme",
    }
    assert metadata["finalizers"] == FOREIGN["finalizers"]
    assert metadata["resourceVersion"] == "42"
    assert "ownerReferences" not in metadata
    assert "managedFields" not in metadata


def test_an_item_of_a_list_gets_its_type_back() -> None:
    live = found(policy({}))
    del live["apiVersion"], live["kind"]
    body = POLICY.merged(live, desired(policy({})), COVERAGE)
    assert (body["apiVersion"], body["kind"]) == ("networking.k8s.io/v1", "NetworkPolicy")


@settings(max_examples=50, suppress_health_check=[HealthCheck.too_slow])
@given(specs())
def test_an_emptied_policy_selects_the_same_and_allows_nothing(spec: Json) -> None:
    before = POLICY.covered(policy(spec), COVERAGE)["spec"]
    after = POLICY.covered(POLICY.emptied(policy(spec)), COVERAGE)["spec"]
    assert after == {**before, "ingress": [], "egress": []}


def test_an_emptied_quota_keeps_the_scopes_that_cannot_be_changed() -> None:
    quota = {"metadata": {"name": "q"}, "spec": {"hard": {"pods": "1"}, "scopes": ["BestEffort"]}}
    assert QUOTA.emptied(quota)["spec"] == {"hard": {}, "scopes": ["BestEffort"]}


def test_an_emptied_limit_range_limits_nothing() -> None:
    limits = {"metadata": {"name": "l"}, "spec": {"limits": [{"type": "Pod", "max": {"cpu": "1"}}]}}
    assert LIMITS.emptied(limits)["spec"] == {"limits": []}


def test_a_namespace_that_driftd_makes_has_no_owner_and_another_keeps_its_own() -> None:
    """The garbage collector deletes a namespace whose owner does not exist, with all that lives in it."""
    ours = Coverage(created=frozenset({"acme-prod"}))
    live, want = found(namespace({})), desired(namespace({}))
    for coverage, kept in ((ours, None), (COVERAGE, FOREIGN["ownerReferences"])):
        same = NAMESPACE.covered(live, coverage)["metadata"]["ownerReferences"] == []
        assert same is (coverage is COVERAGE)
        body = NAMESPACE.merged(live, want, coverage)
        assert body["metadata"].get("ownerReferences") == kept
        assert NAMESPACE.covered(body, coverage) == NAMESPACE.covered(want, coverage)


@pytest.mark.parametrize("kind", [NAMESPACE, ACCOUNT])
def test_open_kinds_are_never_emptied(kind: Any) -> None:
    with pytest.raises(OpenWorldError, match="open world"):
        kind.emptied({"metadata": {"name": "x"}})


def namespace(labels: Json, annotations: Json | None = None) -> Json:
    return {"metadata": {"name": "acme-prod", "labels": labels, "annotations": annotations or {}}}


def test_a_repaired_namespace_loses_covered_keys_that_the_model_lacks_and_keeps_the_rest() -> None:
    live = namespace(
        {
            "team": "blue",
            "istio.io/dataplane-mode": "none",
            "zone": "a",
            "cost-centre": "1",
            "driftd.dev/tenant": "evil",
        },
        {"note": "keep", "linkerd.io/inject": "disabled", "driftd.dev/epoch": "2", "cost-centre": "9"},
    )
    want = namespace(
        {"driftd.dev/tenant": "acme", "pod-security.kubernetes.io/enforce": "restricted", "app": "uncovered"},
        {"driftd.dev/model": "a#b"},
    )
    body = NAMESPACE.merged({**live, "spec": {"finalizers": ["kubernetes"]}}, want, COVERAGE)
    assert body["metadata"]["labels"] == {
        "team": "blue",
        "driftd.dev/tenant": "acme",
        "pod-security.kubernetes.io/enforce": "restricted",
        "kubernetes.io/metadata.name": "acme-prod",
    }
    assert body["metadata"]["annotations"] == {"note": "keep", "driftd.dev/epoch": "2", "driftd.dev/model": "a#b"}
    assert body["spec"] == {"finalizers": ["kubernetes"]}
    assert NAMESPACE.covered(body, COVERAGE) == NAMESPACE.covered(want, COVERAGE)


@pytest.mark.parametrize(
    ("labels", "annotations", "differs"),
    [
        ({"team": "blue"}, {}, False),
        ({}, {"kubectl.kubernetes.io/last-applied-configuration": "{}"}, False),
        ({"kubernetes.io/metadata.name": "acme-prod"}, {}, False),
        ({"kubernetes.io/metadata.name": "other"}, {}, True),
        ({"istio-injection": "disabled"}, {}, True),
        ({"istio.io/dataplane-mode": "none"}, {}, True),
        ({"pod-security.kubernetes.io/enforce": "privileged"}, {}, True),
        ({"config.linkerd.io/admission-webhooks": "disabled"}, {}, True),
        ({}, {"config.linkerd.io/default-inbound-policy": "all-unauthenticated"}, True),
        ({"driftd.dev/tenant": "evil"}, {}, True),
        ({"zone": "a"}, {}, True),
        ({"cost-centre": "1"}, {}, True),
        ({}, {"driftd.dev/condemned": "4"}, True),
        ({}, {"driftd.dev/epoch": "4"}, False),
    ],
)
def test_of_a_namespace_the_named_keys_count(labels: Json, annotations: Json, differs: bool) -> None:
    plain, edited = (
        NAMESPACE.covered(namespace({}), COVERAGE),
        NAMESPACE.covered(namespace(labels, annotations), COVERAGE),
    )
    assert (plain != edited) is differs


def test_keys_named_for_one_namespace_do_not_count_in_another() -> None:
    other = {"metadata": {"name": "other", "labels": {"cost-centre": "1"}}}
    assert NAMESPACE.covered(other, COVERAGE) == NAMESPACE.covered({"metadata": {"name": "other"}}, COVERAGE)


def test_a_repaired_account_keeps_its_pull_secrets() -> None:
    live = {"metadata": {"name": "default"}, "imagePullSecrets": [{"name": "r"}], "secrets": [{"name": "s"}]}
    want = desired({"metadata": {"name": "default"}, "automountServiceAccountToken": False})
    body = ACCOUNT.merged(live, want, COVERAGE)
    assert body["automountServiceAccountToken"] is False
    assert (body["imagePullSecrets"], body["secrets"]) == (live["imagePullSecrets"], live["secrets"])
    assert ACCOUNT.covered(body, COVERAGE) == ACCOUNT.covered(want, COVERAGE)


def test_an_account_mounts_its_token_unless_it_says_no() -> None:
    absent = ACCOUNT.covered({"metadata": {"name": "a"}}, COVERAGE)
    assert absent == ACCOUNT.covered({"metadata": {"name": "a"}, "automountServiceAccountToken": True}, COVERAGE)
    assert absent != ACCOUNT.covered({"metadata": {"name": "a"}, "automountServiceAccountToken": False}, COVERAGE)
