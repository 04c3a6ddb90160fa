"""Kubeconfig files that stand alone: server, root and credentials in one file that only its owner can read."""

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from driftd.lab.authority import Identity, write_private


@dataclass(frozen=True, slots=True)
class Token:
    """A bearer token, such as a service account's."""

    secret: str

    def __repr__(self) -> str:
        return "Token(...)"


@dataclass(frozen=True, slots=True)
class Access:
    """Where an API server is, and how to know it."""

    cluster: str
    server: str
    root: bytes


def kubeconfig(access: Access, user: str, credentials: Identity | Token, namespace: str = "default") -> bytes:
    """The file's bytes. Field names are those of `client-go`'s `clientcmd/api/v1`."""
    context = {"cluster": access.cluster, "user": user, "namespace": namespace}
    body = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": access.cluster,
                "cluster": {"server": access.server, "certificate-authority-data": _base64(access.root)},
            }
        ],
        "users": [{"name": user, "user": _credentials(credentials)}],
        "contexts": [{"name": f"{user}@{access.cluster}", "context": context}],
        "current-context": f"{user}@{access.cluster}",
    }
    return yaml.safe_dump(body, sort_keys=False).encode()


def write_kubeconfig(
    path: Path, access: Access, user: str, credentials: Identity | Token, namespace: str = "default"
) -> Path:
    """Write it whole, readable by its owner only, and answer where it is."""
    write_private(path, kubeconfig(access, user, credentials, namespace))
    return path


def _credentials(credentials: Identity | Token) -> dict[str, Any]:
    match credentials:
        case Token(secret):
            return {"token": secret}
        case Identity(certificate, key):
            return {"client-certificate-data": _base64(certificate), "client-key-data": _base64(key)}


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
