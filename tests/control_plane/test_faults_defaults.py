"""The API server learns to add fields that driftd does not know: one finding, few writes, and the rest goes on."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from driftd.lab import Lab
from driftd.values import Finding
from tests.support.faulty import OPEN, Evidence, Scene, scene
from tests.support.kube import Body, Kube

pytestmark = [
    pytest.mark.control_plane,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(300),
]

API = "apis/admissionregistration.k8s.io/v1"
NAME = "adds-a-field"
ADDED = "count/configmaps"
STOPPED = 'driftd_kind_stopped{kind="ResourceQuota"}'
POLICY: Body = {
    "apiVersion": "admissionregistration.k8s.io/v1",
    "kind": "MutatingAdmissionPolicy",
    "metadata": {"name": NAME},
    "spec": {
        "reinvocationPolicy": "Never",
        "failurePolicy": "Fail",
        "matchConstraints": {
            "resourceRules": [
                {
                    "apiGroups": [""],
                    "apiVersions": ["v1"],
                    "resources": ["resourcequotas"],
                    "operations": ["CREATE", "UPDATE"],
                }
            ]
        },
        "mutations": [
            {
                "patchType": "JSONPatch",
                "jsonPatch": {
                    "expression": '[JSONPatch{op: "add", path: "/spec/hard/count~1configmaps", value: "100"}]'
                },
            }
        ],
    },
}
BINDING: Body = {
    "apiVersion": "admissionregistration.k8s.io/v1",
    "kind": "MutatingAdmissionPolicyBinding",
    "metadata": {"name": NAME},
    "spec": {"policyName": NAME},
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def calm(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    data = tmp_path_factory.mktemp("defaults") / "data"
    async with scene(lab, data, proxied=False, env={"DRIFTD_ENGINE__RELEARN_SECONDS": "1"}) as one:
        try:
            yield one
        finally:
            await forget(one.kube)


async def forget(kube: Kube) -> None:
    """Take the rule away again, whatever became of the test."""
    for plural in ("mutatingadmissionpolicybindings", "mutatingadmissionpolicies"):
        listed = await kube.request("GET", f"{API}/{plural}")
        if any(one["metadata"]["name"] == NAME for one in listed["items"]):
            await kube.request("DELETE", f"{API}/{plural}/{NAME}")


async def quota_of(scene: Scene, namespace: str) -> tuple[str, Body]:
    (quota,) = await scene.kube.list("ResourceQuota", namespace)
    return quota["metadata"]["name"], quota


async def mutates(scene: Scene) -> bool:
    """Whether the server adds the field by now: told by a dry run."""
    _, quota = await quota_of(scene, "acme-prod")
    probe = {**quota, "metadata": {"name": "probe", "namespace": "acme-prod"}, "status": {}}
    path = "api/v1/namespaces/acme-prod/resourcequotas?dryRun=All"
    return ADDED in (await scene.kube.request("POST", path, body=probe))["spec"]["hard"]


def open_ones(found: Evidence, type_: str) -> list[Finding]:
    seen = (past.seen for past in found.findings)
    return [one.finding for one in seen if one.closed is None and one.finding.type.value == type_]


def writes_to_quotas(scene: Scene) -> int:
    return sum(record.key.resource == "resourcequotas" for record in scene.writes())


async def test_a_field_that_the_server_adds_stops_its_kind_with_one_finding_until_it_is_gone(calm: Scene) -> None:
    await calm.kube.request("POST", f"{API}/mutatingadmissionpolicies", body=POLICY)
    await calm.kube.request("POST", f"{API}/mutatingadmissionpolicybindings", body=BINDING)
    await calm.until("the server adds the field", lambda: mutates(calm), 30.0)
    await calm.mark()
    for namespace in ("acme-prod", "globex-prod"):
        name, _ = await quota_of(calm, namespace)
        await calm.kube.merge("ResourceQuota", namespace, name, {"spec": {"hard": {"pods": "1"}}})

    async def stopped() -> bool:
        return await calm.metric(STOPPED) == 1 and bool(open_ones(await calm.evidence(), "defaulted"))

    await calm.until("the kind is stopped and told", stopped, 15.0)
    await asyncio.sleep(1.0)  # another worker's write may be under way
    written = writes_to_quotas(calm)
    assert written <= 2, "one write at most for each worker that was at it"
    await calm.kube.merge("NetworkPolicy", "acme-prod", "default-deny", OPEN)
    await calm.kube.merge("NetworkPolicy", "globex-prod", "default-deny", OPEN)

    async def others_healed() -> bool:
        return all("ResourceQuota" in ref for ref in await calm.differing())

    await calm.until("other kinds are healed", others_healed, 10.0)
    await asyncio.sleep(2.0)
    assert writes_to_quotas(calm) == written, "a stopped kind is not written"
    found = open_ones(await calm.evidence(), "defaulted")
    assert [(one.scope.namespace, one.ref.kind) for one in found] == [("", "ResourceQuota")]
    assert ADDED in found[0].summary
    assert "ResourceQuota" in (await calm.readiness())["kinds_stopped"]

    await forget(calm.kube)
    ended = await calm.sound()
    assert not open_ones(ended, "defaulted")
    assert await calm.metric(STOPPED) == 0
    assert writes_to_quotas(calm) <= written + 4
