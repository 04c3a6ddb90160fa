"""Calico's storage CRDs, written from the published resource reference: every field typed, unknown ones not kept."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.support.kube import Body, Kube, KubeError

GROUP = "crd.projectcalico.org"
API = f"{GROUP}/v1"
PLURALS = {
    "Tier": "tiers",
    "GlobalNetworkPolicy": "globalnetworkpolicies",
    "GlobalNetworkSet": "globalnetworksets",
    "NetworkPolicy": "networkpolicies",
    "NetworkSet": "networksets",
}
_NAMESPACED = ("NetworkPolicy", "NetworkSet")

_TEXT: Body = {"type": "string"}
_WHOLE: Body = {"type": "integer"}
_NUMBER: Body = {"type": "number"}
_FLAG: Body = {"type": "boolean"}
_EITHER: Body = {"x-kubernetes-int-or-string": True}


def _fields(**parts: Body) -> Body:
    return {"type": "object", "properties": parts}


def _list(element: Body) -> Body:
    return {"type": "array", "items": element}


_ICMP = _fields(type=_WHOLE, code=_WHOLE)
_ENTITY = _fields(
    nets=_list(_TEXT),
    notNets=_list(_TEXT),
    selector=_TEXT,
    notSelector=_TEXT,
    namespaceSelector=_TEXT,
    ports=_list(_EITHER),
    notPorts=_list(_EITHER),
    services=_fields(name=_TEXT, namespace=_TEXT),
    serviceAccounts=_fields(names=_list(_TEXT), selector=_TEXT),
)
_RULE: Body = {
    **_fields(
        action=_TEXT,
        protocol=_EITHER,
        notProtocol=_EITHER,
        ipVersion=_WHOLE,
        icmp=_ICMP,
        notICMP=_ICMP,
        source=_ENTITY,
        destination=_ENTITY,
        http=_fields(methods=_list(_TEXT), paths=_list(_fields(exact=_TEXT, prefix=_TEXT))),
        metadata=_fields(annotations={"type": "object", "additionalProperties": _TEXT}),
    ),
    "required": ["action"],
}
_POLICY: dict[str, Body] = {
    "tier": _TEXT,
    "order": _NUMBER,
    "selector": _TEXT,
    "serviceAccountSelector": _TEXT,
    "types": _list(_TEXT),
    "performanceHints": _list(_TEXT),
    "ingress": _list(_RULE),
    "egress": _list(_RULE),
}
_SPECS: dict[str, Body] = {
    "Tier": _fields(order=_NUMBER, defaultAction={**_TEXT, "enum": ["Pass", "Deny"]}),
    "NetworkSet": _fields(nets=_list(_TEXT)),
    "GlobalNetworkSet": _fields(nets=_list(_TEXT)),
    "NetworkPolicy": _fields(**_POLICY),
    "GlobalNetworkPolicy": _fields(
        **_POLICY, namespaceSelector=_TEXT, doNotTrack=_FLAG, preDNAT=_FLAG, applyOnForward=_FLAG
    ),
}


def crd(kind: str) -> Body:
    """The definition of a kind."""
    schema = _fields(apiVersion=_TEXT, kind=_TEXT, metadata={"type": "object"}, spec=_SPECS[kind])
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{PLURALS[kind]}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced" if kind in _NAMESPACED else "Cluster",
            "names": {
                "kind": kind,
                "plural": PLURALS[kind],
                "singular": kind.lower(),
                "listKind": f"{kind}List",
            },
            "preserveUnknownFields": False,
            "versions": [
                {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}},
            ],
        },
    }


def path(kind: str, namespace: str = "", name: str = "") -> str:
    where = f"namespaces/{namespace}/" if namespace else ""
    return f"apis/{API}/{where}{PLURALS[kind]}" + (f"/{name}" if name else "")


async def install(kube: Kube, seconds: float = 30.0) -> None:
    """Create the five CRDs and wait until all of them are served."""
    for kind in PLURALS:
        await kube.create(crd(kind))
    async with asyncio.timeout(seconds):
        while not all([await _serves(kube, kind) for kind in PLURALS]):
            await asyncio.sleep(0.05)


async def remove(kube: Kube, seconds: float = 60.0) -> None:
    """Take them away with all there is of them, and wait until they are gone."""
    for plural in PLURALS.values():
        await kube.delete("CustomResourceDefinition", "", f"{plural}.{GROUP}")
    async with asyncio.timeout(seconds):
        for plural in PLURALS.values():
            while await kube.find("CustomResourceDefinition", "", f"{plural}.{GROUP}"):
                await asyncio.sleep(0.05)


async def _serves(kube: Kube, kind: str) -> bool:
    try:
        await kube.request("GET", path(kind))
    except KubeError as error:
        if error.status not in (404, 429):  # not established, or its storage is just being opened
            raise
        return False
    return True


@asynccontextmanager
async def installed(kube: Kube) -> AsyncIterator[None]:
    """The five CRDs for the length of a block."""
    await install(kube)
    try:
        yield
    finally:
        await remove(kube)
