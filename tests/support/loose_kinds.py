"""Kinds of other people's, installed for the length of a block: CRDs that keep whatever is written."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.support.kube import Body, Kube

_PLURALS = {"CiliumNetworkPolicy": "ciliumnetworkpolicies", "AdminNetworkPolicy": "adminnetworkpolicies"}
_SECONDS = 30.0


@asynccontextmanager
async def loose_kind(
    kube: Kube, kind: str, *, group: str, version: str, scope: str = "Namespaced"
) -> AsyncIterator[str]:
    """Yields the path of its collection, with room (`{where}`) for `namespaces/NAME/`."""
    plural = _PLURALS.get(kind, f"{kind.lower()}s")
    name = f"{plural}.{group}"
    anything: Body = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    crd: Body = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        # groups of k8s.io are refused without it
        "metadata": {"name": name, "annotations": {"api-approved.kubernetes.io": "unapproved, for a test"}},
        "spec": {
            "group": group,
            "scope": scope,
            "names": {"kind": kind, "plural": plural, "singular": kind.lower(), "listKind": f"{kind}List"},
            "versions": [
                {"name": version, "served": True, "storage": True, "schema": {"openAPIV3Schema": anything}},
            ],
        },
    }
    await kube.create(crd)
    try:
        async with asyncio.timeout(_SECONDS):
            while not await _established(kube, name):
                await asyncio.sleep(0.05)
        yield f"apis/{group}/{version}/{{where}}{plural}"
    finally:
        await kube.delete("CustomResourceDefinition", "", name)


async def _established(kube: Kube, name: str) -> bool:
    live = await kube.get("CustomResourceDefinition", "", name)
    conditions = (live.get("status") or {}).get("conditions") or []  # null in the first moment
    return any(one["type"] == "Established" and one["status"] == "True" for one in conditions)
