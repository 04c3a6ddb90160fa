"""Ways to tamper with an environment, over all governed kinds; each is one request of whoever holds the Kube."""

from collections.abc import Awaitable, Callable

from tests.support.kube import Kube

Tampering = Callable[[Kube, str, int], Awaitable[object]]
"""Given the tamperer, a namespace of the generated platform and a number that makes the change unlike earlier ones."""


async def rule_opened(kube: Kube, namespace: str, _: int) -> object:
    return await kube.merge("NetworkPolicy", namespace, "default-deny", {"spec": {"egress": [{}]}})


async def rule_added(kube: Kube, namespace: str, number: int) -> object:
    rule = {"from": [{"namespaceSelector": {}}], "ports": [{"port": 1 + number % 60_000, "protocol": "TCP"}]}
    return await kube.merge("NetworkPolicy", namespace, "db-ingress", {"spec": {"ingress": [rule]}})


async def selector_narrowed(kube: Kube, namespace: str, number: int) -> object:
    selector = {"matchLabels": {"nobody": f"n{number}"}}
    return await kube.merge("NetworkPolicy", namespace, "api-ingress", {"spec": {"podSelector": selector}})


async def policy_deleted(kube: Kube, namespace: str, _: int) -> object:
    return await kube.delete("NetworkPolicy", namespace, "web-egress")


async def rogue_created(kube: Kube, namespace: str, number: int) -> object:
    meta = {"namespace": namespace, "name": f"rogue-{number}"}
    spec = {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{}]}
    return await kube.create(
        {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": meta, "spec": spec}
    )


async def quota_raised(kube: Kube, namespace: str, number: int) -> object:
    return await kube.merge("ResourceQuota", namespace, "quota", {"spec": {"hard": {"pods": str(1000 + number)}}})


async def quota_deleted(kube: Kube, namespace: str, _: int) -> object:
    return await kube.delete("ResourceQuota", namespace, "quota")


async def limits_widened(kube: Kube, namespace: str, number: int) -> object:
    limit = {"type": "Container", "default": {"cpu": f"{600 + number}m", "memory": "1Gi"}}
    return await kube.merge("LimitRange", namespace, "limits", {"spec": {"limits": [limit]}})


async def security_lowered(kube: Kube, namespace: str, _: int) -> object:
    labels = {"pod-security.kubernetes.io/enforce": "privileged"}
    return await kube.merge("Namespace", "", namespace, {"metadata": {"labels": labels}})


async def tenant_moved(kube: Kube, namespace: str, number: int) -> object:
    return await kube.merge("Namespace", "", namespace, {"metadata": {"labels": {"driftd.dev/tenant": f"x{number}"}}})


async def token_mounted(kube: Kube, namespace: str, _: int) -> object:
    return await kube.merge("ServiceAccount", namespace, "default", {"automountServiceAccountToken": True})


async def account_deleted(kube: Kube, namespace: str, _: int) -> object:
    return await kube.delete("ServiceAccount", namespace, "api")


TAMPERINGS: tuple[Tampering, ...] = (
    rule_opened,
    quota_raised,
    policy_deleted,
    security_lowered,
    rogue_created,
    token_mounted,
    rule_added,
    limits_widened,
    selector_narrowed,
    tenant_moved,
    quota_deleted,
    account_deleted,
)


async def touched(kube: Kube, namespace: str, number: int) -> object:
    """A change that nothing covers: seen, judged, left alone."""
    note = {"metadata": {"annotations": {"example.com/touched": str(number)}}}
    return await kube.merge("NetworkPolicy", namespace, "worker-egress", note)
