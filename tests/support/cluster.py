"""Kinds, objects, credentials and hand-moved time for tests of the cluster room."""

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from driftd.values import Body, Digest, Resource

NETPOL = Resource("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies")
NAMESPACE = Resource("", "v1", "Namespace", "namespaces", namespaced=False)
CONFIGMAP = Resource("", "v1", "ConfigMap", "configmaps")
LEASE = Resource("coordination.k8s.io", "v1", "Lease", "leases")
Until = Callable[[Callable[[], bool]], Awaitable[None]]
"""The fixture `until`: waits for a condition, and not for ever."""
POLICIES = "/apis/networking.k8s.io/v1/namespaces/{}/networkpolicies/{}"


def policy(namespace: str, name: str, **spec: Any) -> Body:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"podSelector": {}, **spec},
    }


def spec_digest(_resource: Resource, body: Body) -> Digest:
    """What equality is about in these tests: spec and labels."""
    covered = [body.get("spec"), body.get("data"), body["metadata"].get("labels")]
    return Digest(hashlib.blake2b(orjson.dumps(covered, option=orjson.OPT_SORT_KEYS), digest_size=16).digest())


@dataclass
class HandClock:
    """Monotonic time that moves when a test or a sleep moves it; sleeps give way to the loop for a moment."""

    time: float = 1000.0
    naps: list[float] = field(default_factory=list)

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.time, UTC)

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        await asyncio.sleep(0.005)
        self.time += seconds


def write_kubeconfig(path: Path, host: str, token: str = "sesame", **cluster: Any) -> Path:
    path.write_text(
        json.dumps(
            {
                "current-context": "c",
                "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
                "clusters": [{"name": "k", "cluster": {"server": host, **cluster}}],
                "users": [{"name": "u", "user": {"token": token}}],
            }
        )
    )
    return path


@dataclass
class FastClock:
    """Real time, many times faster: what takes 15 s takes 15/`factor` s."""

    factor: float = 12.0

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time() * self.factor

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self.factor)
