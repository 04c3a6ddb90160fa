"""Plain manifests: taken word for word, or refused with the reason."""

import pytest

from driftd.values import ObjectRef
from tests.support.model_texts import loaded, model

NAMESPACE = "apiVersion: v1\nkind: Namespace\nmetadata: {name: legacy, labels: {driftd.dev/tenant: acme}}\n"
POLICY = """\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: legacy}
spec: {podSelector: {}, policyTypes: [Ingress]}
"""


def test_a_manifest_is_taken_word_for_word() -> None:
    namespace, policy = model(all=NAMESPACE + "---\n" + POLICY).manifests
    assert policy.ref == ObjectRef("networking.k8s.io", "NetworkPolicy", "legacy", "web")
    assert str(policy.origin) == "all.yaml:5 (NetworkPolicy/legacy/web)"
    assert policy.body["spec"] == {"podSelector": {}, "policyTypes": ["Ingress"]}
    assert namespace.origin.document == "Namespace/legacy"


def test_origins_of_manifests_are_found_by_namespace_and_name() -> None:
    found = model(all=NAMESPACE + "---\n" + POLICY)
    assert found.origin("NetworkPolicy", "legacy/web").line == 5
    assert found.origin("Namespace", "legacy").line == 1


@pytest.mark.parametrize(
    ("text", "field", "part"),
    [
        (POLICY.replace("networking.k8s.io/v1", "networking.k8s.io/v1beta1"), "apiVersion", "version"),
        (POLICY.replace("kind: NetworkPolicy", "kind: Deployment"), "kind", "no kind that driftd governs"),
        (POLICY.replace("kind: NetworkPolicy", "kind: NetworkPolicyList"), "kind", "lists"),
        (POLICY.replace("networking.k8s.io/v1", "crd.antrea.io/v1beta1"), "kind", "no kind that driftd governs"),
        (POLICY.replace("networking.k8s.io/v1", "crd.projectcalico.org/v1"), "apiVersion", "not the version"),
        (POLICY.replace(", namespace: legacy", ""), "metadata.namespace", "missing"),
        (POLICY.replace("name: web", "generateName: web-"), "metadata.generateName", "not the model's"),
        (POLICY.replace("name: web", "name: Web"), "metadata.name", "no name"),
        (POLICY.replace("name: web", "name: web, uid: x"), "metadata.uid", "not the model's"),
        (POLICY.replace("name: web", "name: web, ownerReferences: []"), "metadata.ownerReferences", "not the model's"),
        (POLICY + "status: {}\n", "status", "cluster"),
        (POLICY.replace("name: web", "name: web, labels: {a: 1}"), "metadata.labels.a", "string"),
        (POLICY.replace("name: web", "name: web, labels: x"), "metadata.labels", "mapping"),
        (
            POLICY.replace("name: web", "name: web, annotations: {driftd.dev/epoch: '7'}"),
            "metadata.annotations['driftd.dev/epoch']",
            "driftd alone",
        ),
        (NAMESPACE.replace("name: legacy", "name: legacy, namespace: x"), "metadata.namespace", "no namespace"),
        (
            NAMESPACE.replace("driftd.dev/tenant: acme", "kubernetes.io/metadata.name: other"),
            "metadata.labels['kubernetes.io/metadata.name']",
            "another name",
        ),
        ("apiVersion: v1\nkind: Namespace\n", "metadata", "missing"),
        ("apiVersion: 1\nkind: Namespace\nmetadata: {name: a}\n", "kind", "strings"),
    ],
)
def test_what_a_manifest_may_not_say(text: str, field: str, part: str) -> None:
    problems = loaded(it=text).problems
    assert any(problem.field == field and part in problem.message for problem in problems), problems
    assert all(problem.remedy and problem.line for problem in problems)
