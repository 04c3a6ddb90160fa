"""All nodes of a lab: the network between them, the scheduler, Cilium's custom resources, the cluster's DNS."""

import asyncio
import ipaddress
import shutil
import subprocess
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from driftd.lab.errors import LabError, NodesUnavailableError
from driftd.lab.kubeconfig import write_kubeconfig
from driftd.lab.nodes import addons, cgroups
from driftd.lab.nodes.ground import (
    FABRIC_RANK,
    SCHEDULER_RANK,
    Ground,
    clean_up_command,
    run_all,
    start_namespaces,
    together,
)
from driftd.lab.nodes.image import Image, write_image
from driftd.lab.nodes.network import NETWORKS, Network, fabric_commands
from driftd.lab.nodes.node import SANDBOX_IMAGE, Node
from driftd.lab.owner import Owner
from driftd.lab.parts import Part
from driftd.values import Body

SCHEDULER = "kube-scheduler"
_LOOK_EVERY_SECONDS = 0.1


async def claim_network(owner: Owner, seconds: float) -> Network:
    """A network that no other lab of this machine has; the supervisor holds the claim for as long as it lives."""
    answer = await owner.ask("network", seconds=seconds, count=NETWORKS)
    return Network(int(answer["number"]))


class Nodes:
    """The nodes of one lab, from nothing to Ready. `parts` has everything that runs for them, by name."""

    def __init__(self, ground: Ground) -> None:
        self.parts: dict[str, Part] = {}
        self.nodes: tuple[Node, ...] = ()
        self._ground = ground
        self._fabric = 0

    async def lay_network(self) -> None:
        """Before the API server starts: it listens on an address of this network."""
        ground = self._ground
        # The number is ours alone, so what bears it and is there already is left of a lab that was killed.
        await asyncio.to_thread(cgroups.remove, ground.network.device)
        await ground.owner.ask(
            "at_end", seconds=ground.options.deadlines.request, argv=list(clean_up_command(ground.network))
        )
        self.parts["fabric"], self._fabric = await start_namespaces(ground, "fabric", FABRIC_RANK)
        await run_all(fabric_commands(ground.network, self._fabric))

    async def bring_up(self, scheduler_port: int) -> None:
        """Returns when every node is Ready and names are resolved."""
        ground = self._ground
        images = await asyncio.to_thread(self._write_images)
        await self._start_scheduler(scheduler_port)
        for body in addons.custom_resources(ground.programs.cilium / "crds"):
            await self._create("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", body)
        for path, body in addons.dns_objects(self.dns_address):
            await self._create(path, body)
        self.nodes = tuple(Node(ground, index) for index in range(ground.options.nodes))
        await together(*(node.bring_up(self._fabric, images, self.dns_address) for node in self.nodes))
        for node in self.nodes:
            self.parts.update(node.parts)
            await self._until(f"{node.name} is Ready", self._node_ready(node.name))
        await self._until("the cluster's DNS is available", self._dns_available)

    @property
    def dns_address(self) -> str:
        """The tenth address of the Services' range, as everywhere."""
        return str(ipaddress.ip_network(self._ground.options.service_range)[10])

    def _write_images(self) -> tuple[Path, ...]:
        folder = self._ground.layout.root / "images"
        folder.mkdir(mode=0o700, exist_ok=True)
        programs = self._ground.programs
        busybox = _busybox()
        listed = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout.split()
        pod = Image(
            SANDBOX_IMAGE,
            files={"bin/busybox": busybox, "bin/pod": programs.pod},
            command=("/bin/pod", "pause"),
            links={f"bin/{name}": "busybox" for name in listed if name != "busybox"},
        )
        dns = Image(addons.DNS_IMAGE, files={"coredns": programs.coredns}, entrypoint=("/coredns",))
        return write_image(pod, folder / "pod.tar"), write_image(dns, folder / "coredns.tar")

    async def _start_scheduler(self, port: int) -> None:
        ground = self._ground
        user = "system:kube-scheduler"
        file = write_kubeconfig(
            ground.layout.pki / "scheduler.kubeconfig",
            ground.identities.access(ground.server),
            user,
            ground.identities.authority.client(user),
        )
        url = f"https://127.0.0.1:{port}"

        async def ready() -> bool:
            return await ground.identities.api.answers(f"{url}/healthz")

        part = ground.part(SCHEDULER, url, ready)
        serving = ground.identities.keys.serving
        arguments = (
            f"--kubeconfig={file}",
            f"--authentication-kubeconfig={file}",
            f"--authorization-kubeconfig={file}",
            "--bind-address=127.0.0.1",
            f"--secure-port={port}",
            f"--tls-cert-file={serving.certificate}",
            f"--tls-private-key-file={serving.key}",
            f"--client-ca-file={ground.identities.keys.root}",
            "--leader-elect=false",
            "--profiling=false",
        )
        await part.run((str(ground.programs.kubernetes), SCHEDULER, *arguments), SCHEDULER_RANK)
        await part.wait_ready()
        self.parts[SCHEDULER] = part

    async def _create(self, path: str, body: Body) -> None:
        """Create an object; one that a resumed lab still has stays as it is."""
        reply = await self._ground.identities.api.request("POST", self._ground.server + path, body)
        if reply.code >= 300 and reply.code != 409:
            raise LabError(f"POST {path}: {reply.code} {reply.text[:500]}")

    async def _until(self, what: str, holds: Callable[[], Awaitable[str | None]]) -> None:
        """Until it is so; the lack that is seen last is told when it takes too long."""
        limit = self._ground.options.deadlines.node_ready
        deadline = time.monotonic() + limit
        while (lack := await holds()) is not None:
            if time.monotonic() > deadline:
                raise LabError(f"Not so within {limit:.0f} s: {what}. Seen last: {lack}")
            await asyncio.sleep(_LOOK_EVERY_SECONDS)

    def _node_ready(self, name: str) -> Callable[[], Awaitable[str | None]]:
        async def lack() -> str | None:
            reply = await self._ground.identities.api.request("GET", f"{self._ground.server}/api/v1/nodes/{name}")
            if reply.code != 200:
                return f"the API server says {reply.code}"
            conditions = {each["type"]: each for each in reply.json()["status"].get("conditions", ())}
            ready = conditions.get("Ready", {})
            return None if ready.get("status") == "True" else str(ready.get("message", "no condition yet"))

        return lack

    async def _dns_available(self) -> str | None:
        path = f"/apis/apps/v1/namespaces/{addons.DNS_NAMESPACE}/deployments/{addons.DNS_NAME}"
        deployment = await self._ground.identities.api.fetch("GET", self._ground.server + path)
        status = deployment.get("status", {})
        return None if status.get("availableReplicas") else f"its Deployment's status is {status}"


def _busybox() -> Path:
    found = shutil.which("busybox")
    if found is None:
        raise NodesUnavailableError("busybox is not on PATH: install busybox-static.")
    return Path(found)
