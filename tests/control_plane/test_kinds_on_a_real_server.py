"""What a real API server stores is read back as what was meant: the laws of the kinds, judged by somebody else."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from driftd.lab import Lab
from driftd.policy.kinds import KINDS, Coverage, digest_of, kind_of
from driftd.values import PROVENANCE, Body, Digest
from tests.support.kube import Kube, KubeError
from tests.support.models import compiled_example
from tests.support.policies import Json, policy, specs

pytestmark = pytest.mark.control_plane

SPACE = "kinds-laws"
COVERAGE = Coverage()
POLICY = KINDS["networking.k8s.io", "NetworkPolicy"]
QUOTA = KINDS["", "ResourceQuota"]
LIMITS = KINDS["", "LimitRange"]
_numbers = itertools.count()


@asynccontextmanager
async def connected(lab: Lab) -> AsyncIterator[Kube]:
    async with Kube.connect(lab.kubeconfig) as kube:
        await kube.apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SPACE}}])
        yield kube


async def stored(kube: Kube, body: Body) -> Body | None:
    """The object as the server gives it back, or None if it refuses it as invalid."""
    path = kube.path(body["kind"], body["metadata"].get("namespace", ""))
    try:
        await kube.request("POST", f"{path}?fieldValidation=Strict", body=body)
    except KubeError as refused:
        if refused.status != 422:
            raise
        return None
    metadata = body["metadata"]
    return await kube.get(body["kind"], metadata.get("namespace", ""), metadata["name"])


async def replaced(kube: Kube, live: Body, change: Callable[[Body], Body]) -> Body:
    """PUT of a change to the newest version: the quota controller writes a status at any moment."""
    for _ in range(20):
        try:
            return await kube.replace(change(live))
        except KubeError as error:
            if error.status != 409:
                raise
        await asyncio.sleep(0.05)
        live = await kube.get(live["kind"], SPACE, live["metadata"]["name"])
    pytest.fail(f"{live['metadata']['name']} changed under every write")


def named(spec: Json) -> Json:
    return policy(spec, name=f"subject-{next(_numbers)}", namespace=SPACE)


def digest(body: Body) -> Digest:
    return digest_of(POLICY, body, COVERAGE)


def of_kind(kind: str, spec: Json) -> Json:
    metadata = {"name": f"subject-{next(_numbers)}", "namespace": SPACE}
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata, "spec": spec}


SLOW = settings(
    max_examples=120,
    deadline=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


@SLOW
@given(st.data())
async def test_a_stored_policy_has_the_digest_of_what_was_sent(lab: Lab, data: st.DataObject) -> None:
    sent = named(data.draw(specs()))
    async with connected(lab) as kube:
        found = await stored(kube, sent)
    if found is not None:
        assert digest(found) == digest(sent)


DENY: Json = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
ALLOW: Json = {
    "podSelector": {"matchLabels": {"app": "api"}},
    "policyTypes": ["Ingress", "Egress"],
    "ingress": [
        {"from": [{"podSelector": {"matchLabels": {"app": "web"}}}], "ports": [{"protocol": "TCP", "port": 8080}]}
    ],
    "egress": [{"to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8"]}}], "ports": [{"port": 443}]}],
}
WEB = ALLOW["ingress"][0]["from"][0]


@pytest.mark.parametrize(
    ("spec", "tampering"),
    [
        (DENY, {"egress": [{}]}),
        (DENY, {"ingress": [{}]}),
        (DENY, {"podSelector": {"matchLabels": {"app": "nothing"}}}),
        (DENY, {"policyTypes": ["Ingress"]}),
        (DENY, {"ingress": [{"from": [{"namespaceSelector": {}}]}]}),
        (ALLOW, {"ingress": [{"from": [WEB]}]}),
        (ALLOW, {"ingress": [{"from": [WEB, {"namespaceSelector": {}}], "ports": [{"port": 8080}]}]}),
        (ALLOW, {"ingress": [{"from": [WEB], "ports": [{"port": 8080, "endPort": 9000}]}]}),
        (ALLOW, {"ingress": [{"from": [WEB], "ports": [{"port": "http"}]}]}),
        (ALLOW, {"ingress": [{"from": [{"podSelector": {}}], "ports": [{"port": 8080}]}]}),
        (ALLOW, {"egress": [{"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}], "ports": [{"port": 443}]}]}),
        (ALLOW, {"egress": [{"ports": [{"port": 443}]}]}),
        (ALLOW, {"egress": None}),
    ],
)
async def test_tampering_is_seen_and_repaired(lab: Lab, spec: Json, tampering: Json) -> None:
    wanted = named(spec)
    name = wanted["metadata"]["name"]
    async with connected(lab) as kube:
        await stored(kube, wanted)
        tampered = await kube.merge("NetworkPolicy", SPACE, name, {"spec": tampering})
        assert digest(tampered) != digest(wanted)
        repaired = await kube.replace(POLICY.merged(tampered, wanted, COVERAGE))
        assert digest(repaired) == digest(wanted)


async def test_noise_of_other_writers_is_not_seen_and_survives_a_repair(lab: Lab) -> None:
    wanted = named(ALLOW)
    name = wanted["metadata"]["name"]
    noise = {
        "metadata": {
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"},
            "labels": {"team": "blue"},
            "finalizers": ["networking.k8s.aws/resources"],
        }
    }
    async with connected(lab) as kube:
        await stored(kube, wanted)
        noisy = await kube.merge("NetworkPolicy", SPACE, name, noise)
        assert digest(noisy) == digest(wanted)
        opened = await kube.merge("NetworkPolicy", SPACE, name, {"spec": {"ingress": [{}]}})
        repaired = await kube.replace(POLICY.merged(opened, wanted, COVERAGE))
        await kube.merge("NetworkPolicy", SPACE, name, {"metadata": {"finalizers": None}})
    assert digest(repaired) == digest(wanted)
    for field, value in noise["metadata"].items():
        assert repaired["metadata"][field] == value


@pytest.mark.parametrize(
    "written",
    [
        {},
        {"egress": [{}]},
        {"ingress": []},
        {"ingress": None},
        {"ingress": [{"from": [], "ports": []}]},
        {"ingress": [{"from": None, "ports": None}]},
        {"ingress": [{"from": [{"podSelector": {}}]}]},
        {"ingress": [{"from": [{"podSelector": {"matchLabels": {}, "matchExpressions": []}, "ipBlock": None}]}]},
        {"egress": [{"to": [{"ipBlock": {"cidr": "2001:DB8::/32", "except": []}}]}]},
        {"ingress": [{"ports": [{"port": 80, "endPort": None}, {"protocol": "UDP"}]}]},
        {"policyTypes": ["Ingress", "Ingress"]},
    ],
)
async def test_what_the_server_makes_of_a_spelling_has_its_digest(lab: Lab, written: Json) -> None:
    sent = named({"podSelector": {}, **written})
    async with connected(lab) as kube:
        found = await stored(kube, sent)
    assert found is not None
    assert digest(found) == digest(sent)


async def test_host_bits_are_refused_or_mean_the_network(lab: Lab) -> None:
    sent = named({"podSelector": {}, "egress": [{"to": [{"ipBlock": {"cidr": "10.1.2.3/8"}}]}]})
    async with connected(lab) as kube:
        found = await stored(kube, sent)  # from Kubernetes 1.36 on refused; older servers keep the spelling
    assert found is None or digest(found) == digest(sent)


@pytest.mark.parametrize(
    "hard",
    [
        {"pods": "10", "requests.cpu": "1000m", "requests.memory": "1073741824"},
        {"requests.cpu": 2, "limits.cpu": "2.5", "limits.memory": "1.5Gi"},
        {"limits.memory": "12e6", "requests.memory": "0.5Gi", "requests.cpu": "100001u"},
        {"requests.cpu": "1n", "limits.memory": "129M", "requests.storage": "1E"},
        {},
    ],
)
async def test_quota_amounts_come_back_with_their_value(lab: Lab, hard: Json) -> None:
    sent = of_kind("ResourceQuota", {"hard": hard})
    async with connected(lab) as kube:
        found = await stored(kube, sent)
    assert found is not None
    assert digest_of(QUOTA, found, COVERAGE) == digest_of(QUOTA, sent, COVERAGE)


@pytest.mark.parametrize(
    "limit",
    [
        {"type": "Container", "max": {"cpu": "2"}},
        {"type": "Container", "min": {"cpu": "100m"}, "default": {"memory": "1Gi"}},
        {"type": "Container", "max": {"cpu": "2"}, "min": {"cpu": "1"}, "default": {"cpu": "1500m"}},
        {"type": "Container", "max": {"cpu": "2"}, "defaultRequest": {"cpu": "1"}},
        {"type": "Container", "maxLimitRequestRatio": {"cpu": "2"}},
        {"type": "Pod", "max": {"cpu": "2", "memory": "0.5Gi"}},
    ],
)
async def test_limits_come_back_with_the_defaults_that_we_derive(lab: Lab, limit: Json) -> None:
    sent = of_kind("LimitRange", {"limits": [limit]})
    async with connected(lab) as kube:
        found = await stored(kube, sent)
    assert found is not None
    assert digest_of(LIMITS, found, COVERAGE) == digest_of(LIMITS, sent, COVERAGE)


@pytest.mark.parametrize(
    "body",
    [
        named(ALLOW),
        named({"podSelector": {}, "egress": [{}]}),
        of_kind("ResourceQuota", {"hard": {"pods": "1"}}),
        of_kind("ResourceQuota", {"hard": {"pods": "1"}, "scopes": ["BestEffort"]}),
        of_kind(
            "ResourceQuota",
            {
                "hard": {"pods": "1"},
                "scopeSelector": {"matchExpressions": [{"scopeName": "BestEffort", "operator": "Exists"}]},
            },
        ),
        of_kind("LimitRange", {"limits": [{"type": "Pod", "max": {"cpu": "1"}}]}),
    ],
)
async def test_the_server_takes_every_emptied_object(lab: Lab, body: Json) -> None:
    kind = KINDS["networking.k8s.io" if body["kind"] == "NetworkPolicy" else "", body["kind"]]
    async with connected(lab) as kube:
        live = await stored(kube, body)
        assert live is not None
        emptied = await replaced(kube, live, kind.emptied)
    assert digest_of(kind, emptied, COVERAGE) == digest_of(kind, kind.emptied(live), COVERAGE)
    assert digest_of(kind, emptied, COVERAGE) != digest_of(kind, live, COVERAGE)


async def test_the_scopes_of_a_quota_cannot_be_repaired_in_place(lab: Lab) -> None:
    wanted = of_kind("ResourceQuota", {"hard": {"pods": "1"}})
    found = {**wanted, "spec": {"hard": {"pods": "1"}, "scopes": ["BestEffort"]}}
    async with connected(lab) as kube:
        live = await stored(kube, found)
        assert live is not None
        with pytest.raises(KubeError, match="field is immutable"):
            await replaced(kube, live, lambda found: QUOTA.merged(found, wanted, COVERAGE))


async def test_the_example_platform_comes_back_with_equal_digests(lab: Lab) -> None:
    compiled = compiled_example()
    seen = 0
    async with connected(lab) as kube:
        for governed in compiled.governed.values():
            for ref, desired in governed.objects.items():
                kind = kind_of(ref)
                body = orjson.loads(_renamed(desired.raw, compiled.governed))
                live = await _created_or_replaced(kube, kind, body, compiled.coverage)
                assert digest_of(kind, live, compiled.coverage) == digest_of(kind, body, compiled.coverage), ref
                assert live["metadata"]["annotations"][PROVENANCE] == desired.origin.provenance
                seen += 1
    assert seen == sum(len(governed.objects) for governed in compiled.governed.values())


def _renamed(raw: bytes, namespaces: Any) -> bytes:
    """The same object in a namespace that no other test of this server uses."""
    for name in namespaces:
        raw = raw.replace(f'"{name}"'.encode(), f'"kinds-{name}"'.encode())
    return raw


async def _created_or_replaced(kube: Kube, kind: Any, body: Body, coverage: Coverage) -> Body:
    """POST; what the controllers have made already (account `default`) is repaired by PUT instead."""
    metadata = body["metadata"]
    where = (body["kind"], metadata.get("namespace", ""), metadata["name"])
    for _ in range(20):
        live = await kube.find(*where)
        try:
            if live is None:
                path = kube.path(body["kind"], metadata.get("namespace", ""))
                await kube.request("POST", f"{path}?fieldValidation=Strict", body=body)
            else:
                await kube.replace(kind.merged(live, body, coverage))
            return await kube.get(*where)
        except KubeError as error:
            if error.status != 409:
                raise
            await asyncio.sleep(0.05)
    pytest.fail(f"{where} changed under every write")
