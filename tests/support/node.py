"""Pods for tests on nodes, and what a lab with nodes leaves on the machine: nothing, ideally."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from driftd.lab import SANDBOX_IMAGE, Lab
from tests.support.kube import Kube

Body = dict[str, Any]


def pod(
    namespace: str,
    name: str,
    *command: str,
    labels: Mapping[str, str] | None = None,
    account: str = "default",
    node: str | None = None,
) -> Body:
    """A pod of the lab's own image that even the strictest Pod Security lets in."""
    container: Body = {
        "name": "main",
        "image": SANDBOX_IMAGE,
        "imagePullPolicy": "Never",
        "command": list(command),
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    spec: Body = {
        "containers": [container],
        "serviceAccountName": account,
        "terminationGracePeriodSeconds": 0,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
    }
    if node is not None:
        spec["nodeSelector"] = {"kubernetes.io/hostname": node}
    metadata: Body = {"name": name, "namespace": namespace, "labels": dict(labels or {})}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def service(namespace: str, name: str, selector: Mapping[str, str], port: int) -> Body:
    """A Service with an address of its own."""
    spec = {"selector": dict(selector), "ports": [{"port": port, "targetPort": port}]}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }


async def running(kube: Kube, namespace: str, *names: str, seconds: float = 60.0) -> dict[str, str]:
    """Wait until the pods run; their addresses by name."""
    deadline = time.monotonic() + seconds
    while True:
        bodies = [await kube.get("Pod", namespace, name) for name in names]
        if all(map(_runs, bodies)):
            return {body["metadata"]["name"]: body["status"]["podIP"] for body in bodies}
        assert time.monotonic() < deadline, [body["status"] for body in bodies]
        await asyncio.sleep(0.1)


def _runs(body: Body) -> bool:
    """A pod's phase says Running as soon as a container was tried, even if it never started."""
    status = body["status"]
    return bool(status.get("podIP")) and all(
        "running" in each["state"] for each in status.get("containerStatuses", [{"state": {}}])
    )


async def connects(lab: Lab, namespace: str, name: str, target: str, *, seconds: float = 1.0) -> bool:
    """Whether a new TCP connection from a pod to HOST:PORT comes about within that time."""
    done = await lab.pods.exec(namespace, name, "pod", "connect", target, str(seconds))
    assert done.code in {0, 1}, done
    return done.code == 0


@dataclass(frozen=True, slots=True)
class Footprint:
    """What one lab with nodes occupies on this machine."""

    namespaces: frozenset[str]
    """The process and network namespaces of its nodes and of the fabric between them."""
    device: str

    @classmethod
    def of(cls, data_dir: Path, device: str) -> "Footprint":
        firsts = [file.read_text() for file in data_dir.glob("nodes/*/init.pid")]
        links = {str(Path(f"/proc/{first}/ns/{kind}").readlink()) for first in firsts for kind in ("pid", "net")}
        return cls(frozenset(links), device)

    def left(self) -> list[str]:
        """Processes, devices, cgroups and mounts of it that are there now."""
        found = []
        for process in Path("/proc").iterdir():
            for kind in ("pid", "net"):
                try:
                    link = str((process / "ns" / kind).readlink()) if process.name.isdigit() else ""
                except OSError:
                    continue  # it ended meanwhile
                if link in self.namespaces:
                    found.append(f"process {process.name} in {link}")
        found += [str(path) for path in Path("/sys/class/net").glob(self.device)]
        found += [str(path) for path in Path("/sys/fs/cgroup").glob(f"*/{self.device}")]
        found += [str(path) for path in Path("/sys/fs/cgroup").glob(self.device)]
        mounts = Path("/proc/self/mounts").read_text().splitlines()
        return found + [line for line in mounts if "/nodes/node-" in line]
