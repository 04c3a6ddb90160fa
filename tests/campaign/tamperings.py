"""What a campaign does to governed objects: every kind, every shape of harm, drawn from a seeded source of chance."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random

from tests.support.faulty import allow_all
from tests.support.kube import Kube, KubeError
from tests.support.stage import Body

TENANTS = ("acme-prod", "globex-prod", "initech-prod")
POLICIES = {
    "acme-prod": ("default-deny", "api-egress", "api-ingress", "db-ingress", "web-egress", "web-ingress"),
    "globex-prod": ("default-deny",),
    "initech-prod": ("default-deny",),
}


@dataclass(frozen=True)
class Tampering:
    """One change by one actor. `run` raises `KubeError` where the object was already changed or gone."""

    what: str
    kind: str
    namespace: str
    name: str
    run: Callable[[Kube], Awaitable[object]]

    def __str__(self) -> str:
        return f"{self.what} {self.kind} {self.namespace}/{self.name}".replace(" /", " ")


def _patch(what: str, kind: str, namespace: str, name: str, patch: Body) -> Tampering:
    return Tampering(what, kind, namespace, name, lambda kube: kube.merge(kind, namespace, name, patch))


def _delete(kind: str, namespace: str, name: str) -> Tampering:
    return Tampering("delete", kind, namespace, name, lambda kube: kube.delete(kind, namespace, name))


def _add(chance: Random, namespace: str) -> Tampering:
    name = f"rogue-{chance.randrange(10**9)}"
    body = allow_all(namespace, name)
    if chance.random() < 0.4:
        body["metadata"]["finalizers"] = ["example.com/held"]
    if chance.random() < 0.5:
        body["spec"]["policyTypes"] = [chance.choice(("Ingress", "Egress"))]
        body["spec"].pop("egress" if body["spec"]["policyTypes"] == ["Ingress"] else "ingress")
    return Tampering("add", "NetworkPolicy", namespace, name, lambda kube: kube.create(body))


def _policy(chance: Random, namespace: str) -> Tampering:
    name = chance.choice(POLICIES[namespace])
    port = chance.randrange(1, 65_536)
    shapes: list[tuple[str, Body]] = [
        ("open egress of", {"spec": {"egress": [{}], "policyTypes": ["Ingress", "Egress"]}}),
        ("open ingress of", {"spec": {"ingress": [{}], "policyTypes": ["Ingress", "Egress"]}}),
        ("open one port of", {"spec": {"egress": [{"ports": [{"port": port, "protocol": "UDP"}]}]}}),
        ("narrow the selector of", {"spec": {"podSelector": {"matchLabels": {"x": str(port)}}}}),
        ("relabel the provenance of", {"metadata": {"annotations": {"driftd.dev/model": f"elsewhere-{port}"}}}),
        ("condemn", {"metadata": {"annotations": {"driftd.dev/condemned": "1"}}}),
        (
            "give an owner to",
            {
                "metadata": {
                    "ownerReferences": [
                        {"apiVersion": "v1", "kind": "Namespace", "name": "nobody", "uid": f"0-0-{port}"}
                    ]
                }
            },
        ),
    ]
    what, patch = chance.choice(shapes)
    return _patch(what, "NetworkPolicy", namespace, name, patch)


def _other(chance: Random, namespace: str) -> Tampering:
    number = str(chance.randrange(1000, 9000))
    return chance.choice(
        [
            _patch("raise", "ResourceQuota", namespace, "quota", {"spec": {"hard": {"pods": number}}}),
            _delete("ResourceQuota", namespace, "quota"),
            _delete("LimitRange", namespace, "limits"),
            _patch("empty", "LimitRange", namespace, "limits", {"spec": {"limits": []}}),
            _patch("mount a token of", "ServiceAccount", namespace, "default", {"automountServiceAccountToken": True}),
            _patch(
                "lower Pod Security of",
                "Namespace",
                "",
                namespace,
                {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "privileged"}}},
            ),
            _patch("move", "Namespace", "", namespace, {"metadata": {"labels": {"driftd.dev/tenant": f"t{number}"}}}),
        ]
    )


def draw(chance: Random) -> Tampering:
    """One tampering, policies more often than the rest."""
    namespace = chance.choice(TENANTS)
    dice = chance.random()
    if dice < 0.2:
        return _add(chance, namespace)
    if dice < 0.35:
        return _delete("NetworkPolicy", namespace, chance.choice(POLICIES[namespace]))
    return _policy(chance, namespace) if dice < 0.75 else _other(chance, namespace)


async def commit(tampering: Tampering, kube: Kube) -> bool:
    """Do it; False when another's hand was quicker and there was nothing left to do it to."""
    try:
        await tampering.run(kube)
    except KubeError as error:
        if error.status not in (404, 409):
            raise
        return False
    return True
