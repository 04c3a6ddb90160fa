"""What is left out of an object that is too large never decides who may talk to whom."""

import pytest

from driftd.policy.kinds import (
    KINDS,
    Coverage,
    digest_of,
    kind_of,
    labels_are_free,
    slim_condemned,
    slim_repair,
    taken_off,
)
from driftd.values import CONDEMNED, EPOCH, PROVENANCE, Body, ObjectRef

POLICY = ObjectRef("networking.k8s.io", "NetworkPolicy", "acme-prod", "hole")
OURS = {PROVENANCE: "a.yaml#Environment/acme-prod", EPOCH: "7"}


def full(ref: ObjectRef, **annotations: str) -> Body:
    return {
        "apiVersion": "v1",
        "kind": ref.kind,
        "metadata": {
            "name": ref.name,
            "labels": {"role": "partner", "driftd.dev/tenant": "acme"},
            "annotations": {"notes": "x", **annotations},
            "finalizers": ["theirs.example/hold"],
            "ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "n", "uid": "u"}],
        },
        "spec": {"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Ingress"]},
    }


def test_a_slim_repair_keeps_all_that_is_driftds_and_the_whole_spec() -> None:
    body = full(POLICY, **OURS)
    slim = slim_repair(POLICY, body)
    assert slim["metadata"]["labels"] == {"driftd.dev/tenant": "acme"}
    assert slim["metadata"]["annotations"] == OURS
    assert slim["metadata"]["finalizers"] == ["theirs.example/hold"]
    assert slim["spec"] == body["spec"]
    assert digest_of(kind_of(POLICY), slim, Coverage()) == digest_of(kind_of(POLICY), body, Coverage())
    assert body == full(POLICY, **OURS), "the argument is left alone"


@pytest.mark.parametrize(("group", "kind"), sorted(KINDS))
def test_only_where_labels_decide_nothing_does_a_repair_lose_them(group: str, kind: str) -> None:
    ref = ObjectRef(group, kind, "acme-prod", "x")
    found_by_labels = kind in {"Namespace", "ServiceAccount", "NetworkSet", "GlobalNetworkSet", "Tier"}
    assert labels_are_free(ref) is not found_by_labels
    assert (slim_repair(ref, full(ref)) == full(ref)) is found_by_labels


def test_what_is_condemned_keeps_its_marks_and_finalizers_and_isolates_no_less() -> None:
    slim = slim_condemned(POLICY, full(POLICY, **{EPOCH: "7", CONDEMNED: "7"}))
    assert slim["metadata"] == {
        "name": "hole",
        "annotations": {EPOCH: "7", CONDEMNED: "7"},
        "finalizers": ["theirs.example/hold"],
    }
    assert slim["spec"] == {"podSelector": {}, "policyTypes": ["Ingress"]}


def test_what_was_taken_off_is_counted_but_for_what_is_driftds() -> None:
    body = full(POLICY, **OURS, more="y")
    assert taken_off(body, slim_condemned(POLICY, body)) == "without 2 labels, 2 annotations"
    assert taken_off(body, slim_repair(POLICY, body)) == "without 1 labels, 2 annotations"
    marked = {**body, "metadata": {**body["metadata"], "annotations": {"notes": "x", "more": "y", EPOCH: "8"}}}
    assert (taken_off(body, marked), taken_off({"metadata": {}}, {"metadata": {}})) == ("", "")


def test_of_other_kinds_the_emptied_spec_stays_as_it_is() -> None:
    group = ObjectRef("projectcalico.org", "NetworkSet", "acme-prod", "partners")
    body = {**full(group), "spec": {"nets": []}}
    assert slim_condemned(group, body)["spec"] == {"nets": []}
