"""A small administrator's client for tests: not driftd's own, so that it cannot share driftd's mistakes."""

import base64
import ssl
import tempfile
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

import aiohttp
import yaml

Body = dict[str, Any]

_PATHS = {
    "Namespace": ("api/v1", "namespaces", False),
    "ServiceAccount": ("api/v1", "serviceaccounts", True),
    "ConfigMap": ("api/v1", "configmaps", True),
    "Secret": ("api/v1", "secrets", True),
    "ResourceQuota": ("api/v1", "resourcequotas", True),
    "LimitRange": ("api/v1", "limitranges", True),
    "Pod": ("api/v1", "pods", True),
    "Service": ("api/v1", "services", True),
    "EndpointSlice": ("apis/discovery.k8s.io/v1", "endpointslices", True),
    "Event": ("apis/events.k8s.io/v1", "events", True),
    "NetworkPolicy": ("apis/networking.k8s.io/v1", "networkpolicies", True),
    "Lease": ("apis/coordination.k8s.io/v1", "leases", True),
    "ClusterRole": ("apis/rbac.authorization.k8s.io/v1", "clusterroles", False),
    "ClusterRoleBinding": ("apis/rbac.authorization.k8s.io/v1", "clusterrolebindings", False),
    "Role": ("apis/rbac.authorization.k8s.io/v1", "roles", True),
    "RoleBinding": ("apis/rbac.authorization.k8s.io/v1", "rolebindings", True),
    "ValidatingAdmissionPolicy": ("apis/admissionregistration.k8s.io/v1", "validatingadmissionpolicies", False),
    "ValidatingAdmissionPolicyBinding": (
        "apis/admissionregistration.k8s.io/v1",
        "validatingadmissionpolicybindings",
        False,
    ),
    "Deployment": ("apis/apps/v1", "deployments", True),
    "PersistentVolume": ("api/v1", "persistentvolumes", False),
    "PersistentVolumeClaim": ("api/v1", "persistentvolumeclaims", True),
    "PodDisruptionBudget": ("apis/policy/v1", "poddisruptionbudgets", True),
    "PriorityClass": ("apis/scheduling.k8s.io/v1", "priorityclasses", False),
    "CustomResourceDefinition": ("apis/apiextensions.k8s.io/v1", "customresourcedefinitions", False),
}


class KubeError(AssertionError):
    """The API server refused a test's own request."""

    def __init__(self, status: int, verb: str, path: str, text: str) -> None:
        super().__init__(f"{verb} {path}: {status} {text[:400]}")
        self.status = status


class Kube:
    """Requests as whoever the kubeconfig says (client certificate or token)."""

    def __init__(self, server: str, session: aiohttp.ClientSession, context: ssl.SSLContext) -> None:
        self._server = server
        self._session = session
        self._ssl = context

    @classmethod
    @asynccontextmanager
    async def connect(cls, kubeconfig: Path) -> AsyncIterator[Self]:
        config = yaml.safe_load(kubeconfig.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        headers = {"Authorization": f"Bearer {user['token']}"} if "token" in user else {}
        async with aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(total=30)) as session:
            yield cls(cluster["server"], session, _context(cluster, user))

    async def request(
        self, verb: str, path: str, *, body: Body | list[Body] | None = None, content_type: str = "application/json"
    ) -> Body:
        async with self._session.request(
            verb,
            f"{self._server}/{path.lstrip('/')}",
            json=body,
            headers={"Content-Type": content_type} if body is not None else None,
            ssl=self._ssl,
        ) as answer:
            text = await answer.text()
            if answer.status >= 400:
                raise KubeError(answer.status, verb, path, text)
            result: Body = await answer.json(content_type=None) if text.startswith("{") else {"text": text}
            return result

    @staticmethod
    def path(kind: str, namespace: str = "", name: str = "", suffix: str = "") -> str:
        base, plural, namespaced = _PATHS[kind]
        where = f"/namespaces/{namespace}" if namespaced and namespace else ""
        return f"{base}{where}/{plural}" + (f"/{name}" if name else "") + suffix

    async def get(self, kind: str, namespace: str, name: str) -> Body:
        return await self.request("GET", self.path(kind, namespace, name))

    async def find(self, kind: str, namespace: str, name: str) -> Body | None:
        """The object, None where it is not there."""
        try:
            return await self.get(kind, namespace, name)
        except KubeError as error:
            if error.status != 404:
                raise
            return None

    async def list(self, kind: str, namespace: str = "") -> list[Body]:
        items: list[Body] = (await self.request("GET", self.path(kind, namespace)))["items"]
        return items

    async def create(self, body: Body) -> Body:
        return await self.request("POST", self.path(body["kind"], body["metadata"].get("namespace", "")), body=body)

    async def replace(self, body: Body) -> Body:
        meta = body["metadata"]
        return await self.request("PUT", self.path(body["kind"], meta.get("namespace", ""), meta["name"]), body=body)

    async def merge(self, kind: str, namespace: str, name: str, patch: Body, suffix: str = "") -> Body:
        """A JSON merge patch: how most tampering is done."""
        return await self.request(
            "PATCH", self.path(kind, namespace, name, suffix), body=patch, content_type="application/merge-patch+json"
        )

    async def delete(self, kind: str, namespace: str, name: str) -> Body:
        return await self.request("DELETE", self.path(kind, namespace, name))

    async def apply(self, documents: Iterable[Body]) -> None:
        """Create each; one that exists is left as it is."""
        for body in documents:
            try:
                await self.create(body)
            except KubeError as error:
                if error.status != 409:
                    raise

    async def apply_file(self, file: Path) -> None:
        await self.apply(document for document in yaml.safe_load_all(file.read_text()) if document)


def _context(cluster: Body, user: Body) -> ssl.SSLContext:
    data = cluster.get("certificate-authority-data")
    context = ssl.create_default_context(
        cadata=base64.b64decode(data).decode() if data else None, cafile=cluster.get("certificate-authority")
    )
    if "client-certificate" in user:
        context.load_cert_chain(user["client-certificate"], user["client-key"])
    elif "client-certificate-data" in user:
        with tempfile.NamedTemporaryFile() as pair:
            pair.write(
                base64.b64decode(user["client-certificate-data"]) + b"\n" + base64.b64decode(user["client-key-data"])
            )
            pair.flush()
            context.load_cert_chain(pair.name)
    return context
