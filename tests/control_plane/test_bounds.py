"""Where driftd's ServiceAccount may write at all: what its rights let through, the API server refuses all the same."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from driftd.lab import Lab
from tests.support.kube import Body, Kube
from tests.support.login import CONDEMNED, EPOCH, FORBIDDEN, RIGHTS, Login, login, protecting

pytestmark = [
    pytest.mark.control_plane,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(120),
]
BOUNDS = "ValidatingAdmissionPolicy 'driftd-bounds'"
HOME = "bounded"
PLATFORM = "bounded-ingress"
"""A namespace of the platform that a value of the chart protects by its whole name."""
GROUPS = {"": "v1", "networking.k8s.io": "networking.k8s.io/v1"}
SPECS: dict[str, Body] = {
    "NetworkPolicy": {"spec": {"podSelector": {}}},
    "ResourceQuota": {"spec": {"hard": {"pods": "9"}}},
    "LimitRange": {"spec": {"limits": []}},
    "ServiceAccount": {"automountServiceAccountToken": False},
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def held(lab: Lab) -> AsyncIterator[Login]:
    async with login(lab) as one:
        labels = {"team": "blue", "pod-security.kubernetes.io/enforce": "restricted"}
        for name in (HOME, PLATFORM, f"{PLATFORM}-too"):
            meta = {"name": name, "labels": labels}
            await one.admin.apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": meta}])
        yield one
        for name in (HOME, PLATFORM, f"{PLATFORM}-too"):
            await one.admin.delete("Namespace", "", name)


def made(one: Login, kind: str, name: str, namespace: str) -> Body:
    """An object of a governed kind under the epoch in force: the fence has nothing against it."""
    group = "networking.k8s.io" if kind == "NetworkPolicy" else ""
    meta = {"name": name, "namespace": namespace, "annotations": {EPOCH: str(one.epoch)}}
    return {"apiVersion": GROUPS[group], "kind": kind, "metadata": meta, **SPECS[kind]}


@pytest.mark.parametrize("kind", sorted(SPECS))
@pytest.mark.parametrize("namespace", ["kube-system", "kube-public", "driftd"])
async def test_nothing_is_written_into_a_protected_namespace(held: Login, kind: str, namespace: str) -> None:
    said = await held.refusal("POST", Kube.path(kind, namespace), made(held, kind, "stray", namespace))
    assert BOUNDS in said
    await held.kube.request("POST", Kube.path(kind, HOME) + "?dryRun=All", body=made(held, kind, "fine", HOME))


async def test_a_namespace_of_the_platform_is_protected_once_the_chart_names_it_and_no_other(held: Login) -> None:
    dry = Kube.path("NetworkPolicy", PLATFORM) + "?dryRun=All"
    assert not await held.said("POST", dry, made(held, "NetworkPolicy", "stray", PLATFORM)), "as it is shipped"
    async with protecting(held.admin, PLATFORM):
        await held.until_refused(dry.partition("?")[0], made(held, "NetworkPolicy", "stray", PLATFORM), BOUNDS)
        for kind in SPECS:
            said = await held.refusal("POST", Kube.path(kind, PLATFORM), made(held, kind, "stray", PLATFORM))
            assert f"namespace {PLATFORM} is protected from driftd" in said
            other = f"{PLATFORM}-too"
            await held.kube.request("POST", Kube.path(kind, other) + "?dryRun=All", body=made(held, kind, "x", other))
        path, body = await held.relabelled(PLATFORM, {"pod-security.kubernetes.io/enforce": "privileged"})
        assert BOUNDS in await held.refusal("PUT", path, body)
        said = await held.refusal(
            "POST", Kube.path("NetworkPolicy", "kube-system"), made(held, "NetworkPolicy", "x", "kube-system")
        )
        assert BOUNDS in said


async def test_pod_security_cannot_be_lowered_where_driftd_has_no_business(held: Login) -> None:
    for name in ("kube-system", "driftd"):
        path, body = await held.relabelled(name, {"pod-security.kubernetes.io/enforce": "privileged"})
        assert BOUNDS in await held.refusal("PUT", path, body)


async def test_only_the_label_keys_that_decide_isolation_may_change(held: Login) -> None:
    wrongs: list[dict[str, str | None]] = [{"team": "red"}, {"team": None}, {"admin": "yes"}, {"xdriftd.dev/a": "no"}]
    rights: list[dict[str, str | None]] = [
        {"pod-security.kubernetes.io/enforce": "baseline"},
        {"driftd.dev/tenant": "acme"},
        {"istio-injection": "enabled"},
        {"driftd.dev/tenant": None, "istio-injection": None},
    ]
    for wrong in wrongs:
        path, body = await held.relabelled(HOME, wrong)
        assert BOUNDS in await held.refusal("PUT", path, body)
    for right in rights:
        path, body = await held.relabelled(HOME, right)
        await held.kube.request("PUT", path, body=body)
    made_new = {"name": "kube-mine", "annotations": {EPOCH: str(held.epoch)}}
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": made_new}
    assert BOUNDS in await held.refusal("POST", Kube.path("Namespace"), body)
    body = {**body, "metadata": {**made_new, "name": "bounded-too", "labels": {"team": "x"}}}
    assert BOUNDS in await held.refusal("POST", Kube.path("Namespace"), body)


async def test_in_its_own_namespace_driftd_writes_its_lease_its_fence_and_its_canary_only(held: Login) -> None:
    configmap = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "other", "namespace": "driftd"}}
    assert BOUNDS in await held.refusal("POST", Kube.path("ConfigMap", "driftd"), configmap)
    lease = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "other", "namespace": "driftd"},
    }
    assert BOUNDS in await held.refusal("POST", Kube.path("Lease", "driftd"), lease)
    canary = made(held, "LimitRange", "driftd-canary", "driftd")
    await held.kube.request("POST", Kube.path("LimitRange", "driftd") + "?dryRun=All", body=canary)
    learning = made(held, "LimitRange", "driftd-dry-run", "driftd")
    await held.kube.request("POST", Kube.path("LimitRange", "driftd") + "?dryRun=All", body=learning)
    assert BOUNDS in await held.refusal("POST", Kube.path("LimitRange", "driftd"), learning)


async def test_the_epoch_is_raised_and_never_set_back(held: Login) -> None:
    body = await held.kube.get("ConfigMap", "driftd", "driftd-fence")
    path = Kube.path("ConfigMap", "driftd", "driftd-fence")
    for wrong in (str(held.epoch - 1), "none", ""):
        assert BOUNDS in await held.refusal("PUT", path, {**body, "data": {"epoch": wrong}})
    assert BOUNDS in await held.refusal("PUT", path, {**body, "data": {}})
    await held.kube.request("PUT", path, body={**body, "data": {"epoch": str(held.epoch)}})


async def test_no_account_is_deleted_even_when_it_was_condemned(held: Login) -> None:
    body = made(held, "ServiceAccount", "goner", HOME)
    body["metadata"]["annotations"] |= {CONDEMNED: str(held.epoch)}
    await held.admin.create(body)
    said = await held.refusal("DELETE", Kube.path("ServiceAccount", HOME, "goner"))
    assert RIGHTS in said


async def test_events_may_be_told_everywhere(held: Login) -> None:
    for namespace in (HOME, "default", "kube-system", "driftd"):
        meta = {"name": f"told-{held.epoch}", "namespace": namespace}
        event = {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": meta,
            "eventTime": "2026-11-22T06:00:00.000000Z",
            "reportingController": "driftd.dev/driftd",
            "reportingInstance": "test",
            "type": "Normal",
            "reason": "Test",
            "action": "Test",
            "regarding": {"kind": "Namespace", "name": namespace, "namespace": namespace},
        }
        await held.kube.create(event)


@pytest.mark.parametrize(("verb", "path"), FORBIDDEN)
async def test_each_verb_on_the_forbidden_list_is_refused(held: Login, verb: str, path: str) -> None:
    assert RIGHTS in await held.refusal(verb, path, None if verb == "GET" else {})


async def test_a_right_too_many_does_not_reach_further_than_the_bounds(held: Login) -> None:
    """Somebody made driftd cluster-admin, as people do: the policies still hold."""
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "driftd-too-much"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": "driftd", "namespace": "driftd"}],
    }
    await held.admin.create(binding)
    try:
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": HOME}}
        async with asyncio.timeout(10):
            while RIGHTS in await held.refusal("POST", f"api/v1/namespaces/{HOME}/secrets", secret):
                await asyncio.sleep(0.02)
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "p"},
            "spec": {"containers": [{"name": "c", "image": "c"}]},
        }
        assert BOUNDS in await held.refusal("POST", f"api/v1/namespaces/{HOME}/secrets", secret)
        assert BOUNDS in await held.refusal("POST", f"api/v1/namespaces/{HOME}/pods", pod)
        for path in (f"api/v1/namespaces/{HOME}", Kube.path("ServiceAccount", HOME, "default")):
            assert "ValidatingAdmissionPolicy 'driftd-" in await held.refusal("DELETE", path)  # either may be first
        escalation = {**binding, "metadata": {"name": "driftd-more"}}
        assert BOUNDS in await held.refusal("POST", Kube.path("ClusterRoleBinding"), escalation)
        token = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
        assert BOUNDS in await held.refusal(
            "POST", "api/v1/namespaces/kube-system/serviceaccounts/default/token", token
        )
    finally:
        await held.admin.delete("ClusterRoleBinding", "", "driftd-too-much")
