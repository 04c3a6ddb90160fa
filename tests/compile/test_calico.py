"""Plain manifests of Calico's kinds, as the compiler takes them up."""

import pytest

from driftd.compile.calico import as_canonical
from driftd.values import Body


@pytest.mark.parametrize(
    ("rules", "types"),
    [
        ({}, ["Ingress"]),
        ({"egress": [{"action": "Deny"}]}, ["Egress"]),
        ({"egress": [{"action": "Deny"}], "ingress": [{"action": "Deny"}]}, ["Egress", "Ingress"]),
    ],
)
def test_a_manifest_without_types_is_written_with_them_whoever_would_have_filled_them_in(
    rules: Body, types: list[str]
) -> None:
    """Checklist 1.3: a MutatingAdmissionPolicy does the defaulting, so it can be missing"""
    body: Body = {
        "apiVersion": "projectcalico.org/v3",
        "kind": "GlobalNetworkPolicy",
        "metadata": {"name": "p"},
        "spec": rules,
    }
    assert as_canonical(body)["spec"]["types"] == types
