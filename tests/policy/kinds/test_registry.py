"""Which kinds are governed, and what every other kind of a cluster means."""

import pytest

from driftd.policy.kinds import (
    KINDS,
    POLICY_GROUPS,
    Bearing,
    Coverage,
    UngovernedKindError,
    World,
    bearing,
    digests_under,
    kind_of,
)
from driftd.values import ObjectRef, Resource


def test_a_kind_is_found_by_group_and_kind() -> None:
    kind = kind_of(ObjectRef("networking.k8s.io", "NetworkPolicy", "a", "b"))
    assert (kind.resource.plural, kind.world) == ("networkpolicies", World.CLOSED)
    with pytest.raises(UngovernedKindError, match="not governed"):
        kind_of(ObjectRef("projectcalico.org", "Unheard", "a", "b"))


def test_isolation_is_created_before_what_it_isolates() -> None:
    ranks = [(kind.rank, kind.resource.kind) for kind in KINDS.values()]
    assert ranks == sorted(ranks)
    assert [kind for _, kind in ranks][:5] == ["Namespace", "Tier", "GlobalNetworkSet", "NetworkSet", "NetworkPolicy"]


def test_only_namespaces_accounts_and_tiers_are_open() -> None:
    opened = {kind.resource.kind for kind in KINDS.values() if kind.world is World.OPEN}
    assert opened == {"Namespace", "ServiceAccount", "Tier"}


def test_a_new_coverage_changes_what_is_covered_only_of_the_kinds_that_say_so() -> None:
    labels = {"zone": "a", "cost-centre": "7"}
    wide = Coverage(frozenset(labels), {"acme": frozenset(labels)}, frozenset({"acme"}))
    for kind in KINDS.values():
        body = {"metadata": {"name": "acme", "namespace": "acme", "labels": labels, "annotations": labels}, "spec": {}}
        assert (kind.covered(body, Coverage()) != kind.covered(body, wide)) is kind.reads_coverage, kind.resource


@pytest.mark.parametrize(
    ("group", "kind", "expected"),
    [
        ("networking.k8s.io", "NetworkPolicy", Bearing.GOVERNED),
        ("networking.k8s.io", "Ingress", Bearing.FOREIGN),
        ("", "Pod", Bearing.FOREIGN),
        ("apps", "Deployment", Bearing.FOREIGN),
        ("cilium.io", "CiliumNetworkPolicy", Bearing.POLICY),
        ("cilium.io", "CiliumEndpoint", Bearing.HARMLESS),
        ("cilium.io", "CiliumIdentity", Bearing.HARMLESS),
        ("cilium.io", "CiliumOfTheFuture", Bearing.UNLISTED),
        ("policy.networking.k8s.io", "ClusterNetworkPolicy", Bearing.EVALUATED),
        ("networking.k8s.aws", "PolicyEndpoint", Bearing.HARMLESS),
        ("crd.antrea.io", "Tier", Bearing.POLICY),
        ("crd.projectcalico.org", "BlockAffinity", Bearing.HARMLESS),
        ("policy.linkerd.io", "OfTheFuture", Bearing.UNLISTED),
        ("networking.gke.io", "FQDNNetworkPolicy", Bearing.POLICY),
        ("networking.gke.io", "ManagedCertificate", Bearing.FOREIGN),
        ("cilium.io.evil.example", "CiliumNetworkPolicy", Bearing.FOREIGN),
    ],
)
def test_the_table_says_what_a_kind_means(group: str, kind: str, expected: Bearing) -> None:
    assert bearing(group, kind) is expected


def test_calicos_two_groups_hold_the_same_kinds() -> None:
    for kind in ("NetworkPolicy", "GlobalNetworkPolicy", "Tier", "IPAMBlock", "OfTheFuture"):
        pair = {bearing("projectcalico.org", kind), bearing("crd.projectcalico.org", kind)}
        assert len(pair) == 1
    assert {"projectcalico.org", "crd.projectcalico.org"} <= POLICY_GROUPS


def test_of_a_kind_that_nobody_understands_all_counts_and_of_a_governed_one_what_is_covered() -> None:
    digest = digests_under(Coverage())
    strange = Resource("cilium.io", "v2", "CiliumNetworkPolicy", "ciliumnetworkpolicies")
    governed = KINDS["", "ServiceAccount"].resource
    plain, labelled = ({"metadata": {"name": "a", "namespace": "b", "labels": labels}} for labels in ({}, {"x": "y"}))
    assert digest(strange, plain) != digest(strange, labelled)
    assert digest(governed, plain) == digest(governed, labelled)
