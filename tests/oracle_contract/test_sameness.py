"""The naive reading of governed objects, on examples that anybody can check."""

from typing import Any

import pytest

from tests.oracle.sameness import (
    ACCOUNT,
    LIMITS,
    NAMESPACE,
    POLICY,
    QUOTA,
    SETS,
    TIER,
    TIERED,
    KindId,
    Named,
    amount,
    meaning,
    servers,
    why_not,
)

NAMED = Named(read=frozenset({"team"}), named=frozenset({"owner"}))
FLOW = {"app": "web"}


def same(kind: KindId, one: dict[str, Any], other: dict[str, Any]) -> bool:
    here, there = (meaning(kind, {"metadata": {"name": "a"}, **body}, NAMED) for body in (one, other))
    return bool(here == there)


def spec(**fields: Any) -> dict[str, Any]:
    return {"spec": fields}


def meta(**fields: Any) -> dict[str, Any]:
    return {"metadata": {"name": "a", **fields}}


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        (POLICY, spec(ingress=[{}, {"ports": [{"port": 1}]}]), spec(ingress=[{"ports": [{"port": 1}]}, {}, {}])),
        (POLICY, spec(podSelector={}, egress=[]), spec()),
        (QUOTA, spec(hard={"cpu": "1000m", "memory": "1Gi"}), spec(hard={"cpu": 1, "memory": "1073741824"})),
        (QUOTA, spec(scopes=["A", "B"]), spec(scopes=["B", "A"])),
        (LIMITS, spec(limits=[{"type": "Pod", "min": {}}]), spec(limits=[{"type": "Pod"}])),
        (ACCOUNT, {}, {"automountServiceAccountToken": True}),
        (ACCOUNT, {}, {"secrets": [{"name": "mine"}], "imagePullSecrets": [{"name": "registry"}]}),
        (NAMESPACE, meta(), meta(labels={"foreign": "a", "kubernetes.io/metadata.name": "a"}, finalizers=["x/y"])),
        (TIER, spec(order=10.0), spec(order=10, defaultAction="Deny")),
        (TIERED[0], spec(), spec(tier="default", selector=" all() ", types=["Egress", "Ingress"], preDNAT=False)),
        (TIERED[0], spec(ingress=[{"source": {"ports": [80, "81"]}}]), spec(ingress=[{"source": {"ports": [81, 80]}}])),
        (SETS[0], spec(nets=["10.1.2.3/8", "2001:DB8::/32"]), spec(nets=["2001:db8::/32", "10.0.0.0/8"])),
        (POLICY, meta(uid="1", resourceVersion="7"), {**meta(uid="2"), "status": {"x": 1}}),
    ],
)
def test_these_are_one_state(kind: KindId, one: dict[str, Any], other: dict[str, Any]) -> None:
    assert same(kind, one, other)


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        (POLICY, spec(ingress=[{}]), spec()),
        (POLICY, spec(ingress=[{"from": [{"podSelector": {}}]}]), spec(ingress=[{"from": [{}]}])),
        (POLICY, spec(ofTheFuture=1), spec()),
        (POLICY, spec(ofTheFuture=1), spec(ofTheFuture=True)),
        (POLICY, spec(podSelector={"matchLabels": FLOW}), spec(podSelector={"matchLabels": {"app": ""}})),
        (POLICY, meta(ownerReferences=[{"name": "x"}]), meta()),
        (POLICY, meta(labels={"driftd.dev/tenant": "a"}), meta(labels={"driftd.dev/tenant": "b"})),
        (QUOTA, spec(hard={"cpu": "1"}), spec(hard={"requests.cpu": "1"})),
        (LIMITS, spec(limits=[{"type": "Pod"}]), spec(limits=[{"type": "Container"}])),
        (ACCOUNT, {"automountServiceAccountToken": False}, {}),
        (NAMESPACE, meta(labels={"team": "a"}), meta(labels={"team": "b"})),
        (NAMESPACE, meta(annotations={"owner": "a"}), meta()),
        (NAMESPACE, meta(ownerReferences=[{"name": "x"}]), meta()),
        (NAMESPACE, meta(labels={"pod-security.kubernetes.io/enforce": "privileged"}), meta()),
        (TIERED[1], spec(ingress=[{"action": "Deny"}, {}]), spec(ingress=[{}, {"action": "Deny"}])),
        (TIERED[1], spec(ingress=[{"http": {}}]), spec(ingress=[{}])),
        (TIERED[1], spec(ingress=[{"metadata": {"annotations": {"a": ""}}}]), spec(ingress=[{}])),
        (SETS[1], meta(labels={"role": "partner"}), meta()),
    ],
)
def test_these_are_two(kind: KindId, one: dict[str, Any], other: dict[str, Any]) -> None:
    assert not same(kind, one, other)


def test_what_does_not_count_has_its_reason_by_kind() -> None:
    assert why_not(ACCOUNT, ("imagePullSecrets", "[]", "name"))
    assert not why_not(POLICY, ("imagePullSecrets", "[]", "name"))
    assert why_not(NAMESPACE, ("metadata", "finalizers", "[]"))
    assert not servers(NAMESPACE, ("metadata", "finalizers", "[]"))
    assert servers(NAMESPACE, ("spec", "finalizers", "[]"))


def test_amounts_are_read_by_their_value() -> None:
    assert amount("1500m") == amount("1.5") == amount("15e-1")
    assert amount("2Ki") == 2048
    assert amount("-2k") == -2000
