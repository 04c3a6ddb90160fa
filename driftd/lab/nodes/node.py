"""One node: containerd, kubelet, kube-proxy and Cilium's agent in namespaces of its own, and their files."""

import asyncio
import os
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp

from driftd.lab.authority import write_key_pair
from driftd.lab.capabilities import SYS_RESOURCE, has_capability
from driftd.lab.kubeconfig import write_kubeconfig
from driftd.lab.nodes import cgroups, configuration
from driftd.lab.nodes.configuration import AGENT_SOCKET, KUBELET_PORT, PROXY_HEALTH_PORT, RUNTIME_SOCKET, NodeFiles
from driftd.lab.nodes.ground import (
    PROGRAM_RANK,
    Ground,
    enter,
    run,
    run_all,
    start_namespaces,
    together,
)
from driftd.lab.nodes.network import inside, node_commands
from driftd.lab.nodes.packages import CNI_FOLDER
from driftd.lab.nodes.programs import LLVM_FOLDER
from driftd.lab.parts import Part

SANDBOX_IMAGE = "driftd.dev/pod:lab"
"""The lab's own image: a shell, `pod`, and what a pod's sandbox runs."""
_LOOK_SECONDS = 3.0


class Node:
    """A machine of the cluster. `process` is its first process: whatever enters a node enters that one's namespaces.

    `parts` has its programs by name: `node-1.containerd`, `.kubelet`, `.cilium-agent`, `.kube-proxy`; they can be
    killed, frozen and started like any other part. `node-1` itself is its namespaces: killed, the node is gone.
    """

    def __init__(self, ground: Ground, index: int) -> None:
        self.name = f"node-{index + 1}"
        self.address = ground.network.node(index)
        self.parts: dict[str, Part] = {}
        self.process = 0
        self._ground = ground
        self._index = index
        self._files = NodeFiles(ground.folder(self.name))
        self._cgroup = f"{ground.network.device}/{self.name}"

    async def bring_up(self, fabric: int, images: tuple[Path, ...], cluster_dns: str) -> None:
        """Make the namespaces, wire them, start the programs; returns when each answers. Not yet Ready, see `Nodes`."""
        await asyncio.to_thread(self._write_files, cluster_dns)
        self.parts[self.name], self.process = await start_namespaces(self._ground, self.name)
        await run_all(node_commands(self._ground.network, fabric, self._index, self.process))
        await self._start(
            "containerd",
            ("containerd", f"--config={self._files.containerd_configuration}"),
            self._listens(RUNTIME_SOCKET),
        )
        await together(self._start_kubelet(images), self._start_proxy(), self._start_agent())
        self._files.network_configuration.write_text(configuration.network_configuration())

    async def _start_kubelet(self, images: tuple[Path, ...]) -> None:
        """After its images: a sandbox's image that is not there would be asked of a registry."""
        for image in images:
            await self.load_image(image)
        kubernetes = str(self._ground.programs.kubernetes)
        kubelet = configuration.kubelet_flags(self._files, self.name, self.address)
        await self._start(
            "kubelet",
            (kubernetes, "kubelet", *kubelet),
            self._healthy(f"https://{self.address}:{KUBELET_PORT}/healthz"),
        )

    async def _start_proxy(self) -> None:
        await self._start(
            "kube-proxy",
            (str(self._ground.programs.kubernetes), "kube-proxy", f"--config={self._files.proxy_configuration}"),
            self._healthy(f"http://{self.address}:{PROXY_HEALTH_PORT}/healthz"),
        )

    async def _start_agent(self) -> None:
        # With the compiler of the version its sources are for, under the plain names it looks for.
        path = f"PATH={LLVM_FOLDER}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        programs = self._ground.programs.cilium
        agent = configuration.agent_flags(self._files, programs)
        environment = ("env", path, f"K8S_NODE_NAME={self.name}")
        await self._start("cilium-agent", (*environment, str(programs / "cilium-agent"), *agent), self._agent_ready)

    async def load_image(self, archive: Path) -> None:
        """Import a docker-archive or OCI tar into this node, for pods with `imagePullPolicy: Never`."""
        # The archive may lie where the node sees nothing: it is read here and handed in.
        await run(
            (
                "sh",
                "-c",
                'exec "$@" < "$0"',
                str(archive),
                *inside(self.process, "mount", "net", "pid"),
                "ctr",
                f"--address={RUNTIME_SOCKET}",
                "--namespace=k8s.io",
                "images",
                "import",
                "-",
            )
        )

    async def _start(self, program: str, argv: tuple[str, ...], ready: Callable[[], Awaitable[bool]]) -> None:
        name = f"{self.name}.{program}"
        part = self._ground.part(name, "", ready)
        await part.run(enter(self.process, *argv), PROGRAM_RANK, inside=self.process)
        await part.wait_ready()
        self.parts[name] = part

    def _write_files(self, cluster_dns: str) -> None:
        files, ground = self._files, self._ground
        # A lab that is resumed keeps its objects; its nodes start empty, since its pods are gone anyway.
        shutil.rmtree(files.root, ignore_errors=True)
        files.create()
        cgroups.make(self._cgroup)
        authority = ground.identities.authority
        serving = write_key_pair(files.root, "kubelet", authority.server(self.name, (self.name, self.address)))
        access = ground.identities.access(ground.server)
        for part, user, groups in (
            ("kubelet", f"system:node:{self.name}", ("system:nodes",)),
            ("kube-proxy", "system:kube-proxy", ()),
            # An agent sees and writes much; in a throw-away cluster it is an administrator with a name of its own.
            ("cilium-agent", "cilium-agent", ("system:masters",)),
        ):
            write_kubeconfig(files.kubeconfig(part), access, user, authority.client(user, groups))
        restrict = not has_capability(SYS_RESOURCE)
        files.containerd_configuration.write_text(
            configuration.containerd_configuration(files, SANDBOX_IMAGE, restrict_oom_scores=restrict)
        )
        files.kubelet_configuration.write_text(
            configuration.kubelet_configuration(
                files,
                address=self.address,
                cluster_dns=cluster_dns,
                cgroup=self._cgroup,
                root=ground.identities.keys.root,
                certificate=serving.certificate,
                key=serving.key,
            )
        )
        files.proxy_configuration.write_text(configuration.proxy_configuration(files, self.name, self.address))
        files.resolver.write_text("# Names of the outside world are not resolved in a lab.\n")
        (files.cni_programs / "loopback").symlink_to(CNI_FOLDER / "loopback")
        (files.cni_programs / "cilium-cni").symlink_to(ground.programs.cilium / "cilium-cni")

    def _healthy(self, url: str) -> Callable[[], Awaitable[bool]]:
        async def ready() -> bool:
            return await self._ground.identities.api.answers(url)

        return ready

    def _listens(self, socket: str) -> Callable[[], Awaitable[bool]]:
        async def ready() -> bool:
            try:
                async with asyncio.timeout(_LOOK_SECONDS):
                    _, writer = await asyncio.open_unix_connection(self._seen_from_outside(socket))
            except (OSError, TimeoutError):
                return False
            writer.close()
            return True

        return ready

    async def _agent_ready(self) -> bool:
        """What the agent says of itself on its own API (`/v1/healthz`, brief)."""
        try:
            async with (
                aiohttp.ClientSession(
                    connector=aiohttp.UnixConnector(self._seen_from_outside(AGENT_SOCKET)),
                    timeout=aiohttp.ClientTimeout(total=_LOOK_SECONDS),
                    headers={"brief": "true"},
                ) as session,
                session.get("http://agent/v1/healthz") as response,
            ):
                return response.status == 200
        except (aiohttp.ClientError, OSError, TimeoutError):
            return False

    def _seen_from_outside(self, path: str) -> str:
        """A node's mounts as another process sees them (`proc(5)`, `/proc/PID/root`)."""
        return f"/proc/{self.process}/root{path}"
