"""Somebody's hands on the API server: the requests of one user of the lab, with that user's own credentials."""

import asyncio
import base64
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import yaml

from driftd.cli.clock import CommandClock
from driftd.cli.story.scenes import Tampering
from driftd.cluster import Conflict, Pace, Session, default_credentials
from driftd.lab.authority import write_private
from driftd.policy.kinds import KINDS
from driftd.values import Body, Resource

_MERGE_PATCH = "application/merge-patch+json"
_RBAC = "rbac.authorization.k8s.io"
_ADMISSION = "admissionregistration.k8s.io"
_OTHER_KINDS = {
    one.kind: one
    for one in (
        Resource(_RBAC, "v1", "ClusterRole", "clusterroles", namespaced=False),
        Resource(_RBAC, "v1", "ClusterRoleBinding", "clusterrolebindings", namespaced=False),
        Resource(_RBAC, "v1", "Role", "roles"),
        Resource(_RBAC, "v1", "RoleBinding", "rolebindings"),
        Resource("", "v1", "ConfigMap", "configmaps"),
        Resource(_ADMISSION, "v1", "ValidatingAdmissionPolicy", "validatingadmissionpolicies", namespaced=False),
        Resource(
            _ADMISSION, "v1", "ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings", namespaced=False
        ),
    )
}


class Hands:
    """One user. `field_manager` is what its client calls itself: a claim that any client is free to make."""

    def __init__(self, session: Session, field_manager: str) -> None:
        self._session = session
        self._query = {"fieldManager": field_manager}

    async def do(self, tampering: Tampering) -> str:
        """Send it; the audit id under which the API server has written it down. Raises `ClusterError`."""
        resource, ref = tampering.resource, tampering.ref
        path = _path(resource, ref.namespace)
        body = None if tampering.body is None else orjson.dumps(tampering.body)
        match tampering.verb:
            case "create":
                answer = await self._session.request("POST", path, query=self._query, body=body)
            case "patch":
                answer = await self._session.request(
                    "PATCH", f"{path}/{ref.name}", query=self._query, body=body, content_type=_MERGE_PATCH
                )
            case "delete":
                answer = await self._session.request("DELETE", f"{path}/{ref.name}")
        return str(answer.headers["Audit-Id"])

    async def list(self, resource: Resource, namespace: str = "") -> tuple[Body, ...]:
        """Every object of a kind, in all namespaces or in one."""
        answer = await self._session.request("GET", _path(resource, namespace))
        items: list[Body] = orjson.loads(answer.body)["items"]
        return tuple(items)

    async def create(self, body: Body) -> None:
        """Make it; one that is there stays as it is."""
        metadata = body["metadata"]
        resource = _resource(body)
        try:
            await self._session.request(
                "POST", _path(resource, metadata.get("namespace", "")), query=self._query, body=orjson.dumps(body)
            )
        except Conflict:
            return

    async def create_all(self, manifest: Path) -> None:
        """Make every object of a YAML file."""
        text = await asyncio.to_thread(manifest.read_text)
        for body in yaml.safe_load_all(text):
            if body:
                await self.create(body)


@asynccontextmanager
async def hands(kubeconfig: Path, field_manager: str) -> AsyncIterator[Hands]:
    """The user that a kubeconfig of the lab names, until the block ends."""
    pace = Pace(CommandClock(), asyncio.sleep, random.random)
    credentials = default_credentials(str(await asyncio.to_thread(_with_files, kubeconfig)))
    async with Session(credentials, pace, user_agent=field_manager) as session:
        yield Hands(session, field_manager)


def far_too_many_rights(user: str) -> tuple[Body, ...]:
    """What an ordinary user needs for the tamperings: to edit, in every namespace, what isolation is made of."""
    name = f"{user}-edits-too-much"
    role: Body = {
        "apiVersion": f"{_RBAC}/v1",
        "kind": "ClusterRole",
        "metadata": {"name": name},
        "rules": [
            {"apiGroups": [one.resource.group], "resources": [one.resource.plural], "verbs": ["*"]}
            for one in KINDS.values()
        ]
        + [{"apiGroups": [""], "resources": ["pods"], "verbs": ["*"]}],
    }
    binding: Body = {
        "apiVersion": f"{_RBAC}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": _RBAC, "kind": "ClusterRole", "name": name},
        "subjects": [{"apiGroup": _RBAC, "kind": "User", "name": user}],
    }
    return role, binding


def _with_files(kubeconfig: Path) -> Path:
    """The same kubeconfig with its certificates and key as files beside it.

    What stands in a kubeconfig itself, the client library copies to the folder for temporary files, where a key would
    stay if we were killed; what lies in the lab's folder goes with the lab.
    """
    config = yaml.safe_load(kubeconfig.read_bytes())
    for entry in (config["clusters"][0]["cluster"], config["users"][0]["user"]):
        for field in [key for key in entry if key.endswith("-data")]:
            name = field.removesuffix("-data")
            file = kubeconfig.with_name(f"{kubeconfig.name}.{name}")
            write_private(file, base64.b64decode(entry.pop(field)))
            entry[name] = str(file)
    written = kubeconfig.with_name(f"{kubeconfig.name}.files")
    write_private(written, yaml.safe_dump(config).encode())
    return written


def _resource(body: dict[str, Any]) -> Resource:
    group, _, _ = body["apiVersion"].rpartition("/")
    kind = KINDS.get((group, body["kind"]))
    return kind.resource if kind is not None else _OTHER_KINDS[body["kind"]]


def _path(resource: Resource, namespace: str) -> str:
    base = f"/apis/{resource.api_version}" if resource.group else f"/api/{resource.version}"
    middle = f"/namespaces/{namespace}" if namespace and resource.namespaced else ""
    return f"{base}{middle}/{resource.plural}"
