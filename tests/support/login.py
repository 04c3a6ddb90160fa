"""driftd's own ServiceAccount in the hand of a test: what may somebody do who holds its token?"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from driftd.lab import Lab
from tests.support.helm import template
from tests.support.kube import Body, Kube, KubeError
from tests.support.stage import documents, install

EPOCH = "driftd.dev/epoch"
CONDEMNED = "driftd.dev/condemned"
RIGHTS = "cannot"
"""How the API server refuses what RBAC does not grant."""
FORBIDDEN = [
    ("GET", "api/v1/namespaces/acme-prod/secrets"),
    ("GET", "api/v1/namespaces/driftd/secrets/any"),
    ("GET", "api/v1/secrets"),
    ("POST", "api/v1/namespaces/acme-prod/secrets"),
    ("POST", "api/v1/namespaces/acme-prod/pods"),
    ("POST", "api/v1/namespaces/acme-prod/pods/web/exec"),
    ("DELETE", "api/v1/namespaces/acme-prod/pods/web"),
    ("PATCH", "apis/networking.k8s.io/v1/namespaces/acme-prod/networkpolicies/default-deny"),
    ("DELETE", "apis/networking.k8s.io/v1/namespaces/acme-prod/networkpolicies"),
    ("DELETE", "api/v1/namespaces/acme-prod"),
    ("DELETE", "api/v1/namespaces/acme-prod/serviceaccounts/default"),
    ("PUT", "api/v1/namespaces/acme-prod/finalize"),
    ("PUT", "api/v1/namespaces/acme-prod/status"),
    ("POST", "api/v1/namespaces/driftd/serviceaccounts/driftd/token"),
    ("POST", "api/v1/namespaces/acme-prod/configmaps"),
    ("GET", "api/v1/namespaces/acme-prod/configmaps"),
    ("DELETE", "api/v1/namespaces/driftd/configmaps/driftd-fence"),
    ("DELETE", "apis/coordination.k8s.io/v1/namespaces/driftd/leases/driftd"),
    ("GET", "api/v1/nodes/any/proxy/"),
    ("PUT", "apis/rbac.authorization.k8s.io/v1/clusterroles/driftd"),
    ("POST", "apis/rbac.authorization.k8s.io/v1/clusterrolebindings"),
    ("PUT", "apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/driftd-fence"),
    ("DELETE", "apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings/driftd-bounds"),
    ("POST", "apis/apps/v1/namespaces/driftd/deployments"),
    ("POST", "apis/certificates.k8s.io/v1/certificatesigningrequests"),
    ("PUT", "apis/apiextensions.k8s.io/v1/customresourcedefinitions/any"),
]
"""Verbs that RBAC must refuse driftd, each with its path."""


@dataclass
class Login:
    """`kube` writes as driftd, `admin` as the administrator; `epoch` is the one in force."""

    kube: Kube
    admin: Kube
    epoch: int

    async def said(self, verb: str, path: str, body: Body | None = None) -> str:
        """The server's words when it refuses a request of driftd's; empty when it lets it in."""
        try:
            await self.kube.request(verb, path, body=body)
        except KubeError as error:
            if error.status not in {403, 422}:
                raise
            return str(error)
        return ""

    async def refusal(self, verb: str, path: str, body: Body | None = None) -> str:
        """The server's words for a request of driftd's that it must refuse."""
        said = await self.said(verb, path, body)
        assert said, f"{verb} {path} was let in"
        return said

    async def until_refused(self, path: str, body: Body, words: str) -> None:
        """Create in vain until the server, which learns of a parameter by its own watch, refuses in these words."""
        async with asyncio.timeout(10):
            while words not in (said := await self.said("POST", f"{path}?dryRun=All", body)):
                assert not said, said

    async def relabelled(self, name: str, labels: Mapping[str, str | None]) -> tuple[str, Body]:
        """Path and body of the PUT of a Namespace with other labels (None: without), under the epoch in force."""
        body = await self.admin.get("Namespace", "", name)
        found = {**(body["metadata"].get("labels") or {}), **labels}
        body["metadata"]["labels"] = {key: value for key, value in found.items() if value is not None}
        body["metadata"]["annotations"] = {**(body["metadata"].get("annotations") or {}), EPOCH: str(self.epoch)}
        return Kube.path("Namespace", "", name), body

    def policy(self, name: str, epoch: int | None, *, namespace: str = "acme-prod", condemned: str = "") -> Body:
        """A NetworkPolicy that allows nothing, with marks."""
        marks = {} if epoch is None else {EPOCH: str(epoch)}
        if condemned:
            marks[CONDEMNED] = condemned
        return {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": name, "namespace": namespace, "annotations": marks},
            "spec": {"podSelector": {"matchLabels": {"app": "nobody"}}, "policyTypes": ["Ingress"]},
        }


async def raised(admin: Kube, by: int = 1) -> int:
    """Raise the fence's parameter as a new leader would; the epoch that then rules."""
    found = await admin.find("ConfigMap", "driftd", "driftd-fence")
    epoch = int((found or {}).get("data", {}).get("epoch", 0)) + by
    body: Body = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "driftd-fence", "namespace": "driftd"},
        "data": {"epoch": str(epoch)},
    }
    await (admin.replace(body) if found else admin.create(body))
    return epoch


@asynccontextmanager
async def login(lab: Lab) -> AsyncIterator[Login]:
    """driftd's login with the shipped rights and policies, under a fresh epoch that the API server has seen."""
    async with Kube.connect(Path(lab.kubeconfig)) as admin:
        await install(admin)
        config = Path(await lab.service_account_kubeconfig("driftd", "driftd"))
        async with Kube.connect(config) as kube:
            one = Login(kube, admin, await raised(admin))
            stale = one.policy("driftd-dry-run", one.epoch - 1, namespace="driftd")
            await one.until_refused(Kube.path("NetworkPolicy", "driftd"), stale, "driftd-fence")
            yield one


@asynccontextmanager
async def protecting(admin: Kube, *namespaces: str) -> AsyncIterator[None]:
    """The bounds as the chart renders them with these beside `kube-*`, until the block ends; needs helm."""
    kind, name = "ValidatingAdmissionPolicy", "driftd-bounds"
    text = template("--set", f"protectedNamespaces={{kube-*,{','.join(namespaces)}}}")
    (spec,) = [one["spec"] for one in documents(text) if (one["kind"], one["metadata"]["name"]) == (kind, name)]
    former = (await admin.get(kind, "", name))["spec"]
    await admin.merge(kind, "", name, {"spec": spec})
    try:
        yield
    finally:
        await admin.merge(kind, "", name, {"spec": former})
