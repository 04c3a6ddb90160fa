"""A control plane on loopback: a real etcd, API server and controller-manager that end when their user does."""

import asyncio
import os
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from driftd.lab import admin, flags
from driftd.lab.errors import LabError, PartFailedError
from driftd.lab.flags import LOOPBACK
from driftd.lab.identities import ADMINISTRATOR, CONTROLLER_MANAGER_USER, Identities, issue
from driftd.lab.kubeconfig import Token, write_kubeconfig
from driftd.lab.layout import Layout
from driftd.lab.nodes import (
    Ground,
    Network,
    Node,
    NodePrograms,
    Nodes,
    Pods,
    claim_network,
    ensure_node_programs,
    refuse_older,
    refuse_without,
)
from driftd.lab.nodes.network import API_PORT, POD_RANGE
from driftd.lab.options import LabOptions
from driftd.lab.owner import Owner
from driftd.lab.parts import Part, Ready
from driftd.lab.programs import APISERVER, CONTROLLER_MANAGER, ETCD, Programs, ensure_programs
from driftd.lab.toolchain import Say

POLICY_FILE = Path(__file__).parent / "audit-policy.yaml"
# The order of stopping, highest first.
_ETCD_RANK, _APISERVER_RANK, _CONTROLLER_RANK = 0, 1, 2

_Run = Callable[[str], Awaitable[Part]]


class Lab:
    """A running control plane. `async with Lab.start() as lab:` is the usual way to have one.

    It may be used from any event loop: nothing stays open between calls. If this process dies, however, so does all
    of it, unless `detach` was called. `parts` holds the programs by name, in the order in which they started: `etcd`,
    `kube-apiserver` (then `kube-apiserver-2`, ...), `kube-controller-manager`.
    """

    def __init__(
        self,
        name: str,
        layout: Layout,
        *,
        owner: Owner,
        programs: Programs,
        identities: Identities,
        options: LabOptions,
        ephemeral: bool,
        network: Network | None = None,
    ) -> None:
        self.name = name
        self.parts: dict[str, Part] = {}
        self.ephemeral = ephemeral
        self.seconds_to_ready = 0.0
        self._layout = layout
        self._owner = owner
        self._programs = programs
        self._identities = identities
        self._options = options
        self._network = network
        self._nodes: Nodes | None = None
        self._etcd_port = 0

    @classmethod
    @asynccontextmanager
    async def start(
        cls,
        name: str | None = None,
        data_dir: Path | None = None,
        *,
        apiservers: int = 1,
        options: LabOptions | None = None,
        say: Say = lambda _: None,
    ) -> "AsyncIterator[Lab]":
        """A ready control plane for the length of a block; see `launch`."""
        lab = await cls.launch(name, data_dir, apiservers=apiservers, options=options, say=say)
        try:
            yield lab
        finally:
            await lab.close()

    @classmethod
    async def launch(
        cls,
        name: str | None = None,
        data_dir: Path | None = None,
        *,
        apiservers: int = 1,
        options: LabOptions | None = None,
        say: Say = lambda _: None,
    ) -> "Lab":
        """Start a control plane and wait until it is ready; the caller calls `close`.

        Without `data_dir` the data is temporary and goes with the lab. With it the data stays, and a folder of an
        earlier lab is resumed: same authority, same objects, new ports. Raises `LabError`; nothing runs then.
        """
        chosen = options or LabOptions()
        if chosen.nodes:
            refuse_without(os.environ)
        programs = await asyncio.to_thread(ensure_programs, os.environ, say)
        if chosen.nodes:
            refuse_older(programs.version)
        node_programs = await asyncio.to_thread(ensure_node_programs, os.environ, say) if chosen.nodes else None
        started = time.monotonic()
        name = name or f"lab-{secrets.token_hex(3)}"
        ephemeral = data_dir is None
        layout = _make_folder(data_dir)
        try:
            owner = await Owner.launch(layout, ephemeral=ephemeral, stop_grace=chosen.deadlines.stop_grace)
            try:
                network = await claim_network(owner, chosen.deadlines.request) if chosen.nodes else None
                identities = issue(layout, name, chosen, (network.gateway,) if network else ())
                lab = cls(
                    name,
                    layout,
                    owner=owner,
                    programs=programs,
                    identities=identities,
                    options=chosen,
                    ephemeral=ephemeral,
                    network=network,
                )
                say(f"starting {programs.version} ({programs.source})")
                await lab._bring_up(apiservers, node_programs)
            except BaseException:
                await asyncio.to_thread(owner.abandon)
                raise
        except BaseException:
            if ephemeral:
                shutil.rmtree(layout.root, ignore_errors=True)
            raise
        lab.seconds_to_ready = time.monotonic() - started
        return lab

    @property
    def data_dir(self) -> Path:
        return self._layout.root

    @property
    def kubeconfig(self) -> Path:
        """The administrator's (group `system:masters`)."""
        return self._layout.kubeconfig

    @property
    def server(self) -> str:
        """The address of the first API server."""
        return self.parts[APISERVER].url

    @property
    def audit_log(self) -> Path:
        """The audit log of the first API server; `audit_logs` has all."""
        return self._layout.audit_log(APISERVER)

    @property
    def audit_logs(self) -> tuple[Path, ...]:
        return tuple(self._layout.audit_log(name) for name in self.parts if name.startswith(APISERVER))

    @property
    def pids(self) -> Mapping[str, int]:
        """Process ids of the parts that were running when last heard of."""
        return {name: part.pid for name, part in self.parts.items() if part.pid is not None}

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The machines of this cluster, as many as `LabOptions.nodes` asked for."""
        return self._nodes.nodes if self._nodes is not None else ()

    @property
    def pods(self) -> Pods:
        """Commands in pods and their logs, as the administrator."""
        return Pods(self._identities.api, self.server)

    async def load_image(self, archive: Path) -> None:
        """Import a docker-archive or OCI tar into every node, for pods with `imagePullPolicy: Never`."""
        for node in self.nodes:
            await node.load_image(archive)

    @property
    def etcd(self) -> Part:
        return self.parts[ETCD]

    @property
    def apiserver(self) -> Part:
        return self.parts[APISERVER]

    @property
    def controller_manager(self) -> Part:
        return self.parts[CONTROLLER_MANAGER]

    async def add_apiserver(self) -> Part:
        """One more API server on the same etcd, with an address and an audit log of its own."""
        number = sum(name.startswith(APISERVER) for name in self.parts) + 1
        return await self._first_start(f"{APISERVER}-{number}", self._run_apiserver)

    async def compact(self) -> int:
        """Make etcd forget all but the newest revision, and answer that revision.

        What reaches etcd with an older resourceVersion is answered 410 Gone from now on. An API server also serves
        pages and watches from its own memory of the past: stop and start it too, for a client to see the 410.
        """
        return await admin.compact(self._identities.etcd, self._etcd_port)

    def kubeconfig_for(self, user: str, groups: tuple[str, ...] = (), *, server: str | None = None) -> Path:
        """A kubeconfig with a client certificate for this user and these groups; RBAC decides what it may do.

        `server` is the address of another API server than the first. The file lies in the data folder and is made
        anew by each call.
        """
        path = self._layout.kubeconfigs / f"{_file_name(user)}-{secrets.token_hex(4)}"
        access = self._identities.access(server or self.server)
        return write_kubeconfig(path, access, user, self._identities.authority.client(user, groups))

    async def service_account_kubeconfig(
        self, namespace: str, name: str, *, seconds: int = 86_400, server: str | None = None
    ) -> Path:
        """A kubeconfig with a fresh token of an existing service account, good for so many seconds (at least 600)."""
        token = await admin.token_of(self._identities.api, self.server, namespace, name, seconds)
        access = self._identities.access(server or self.server)
        path = self._layout.kubeconfigs / f"{_file_name(f'{namespace}.{name}')}-{secrets.token_hex(4)}"
        return write_kubeconfig(path, access, f"{namespace}.{name}", Token(token), namespace)

    async def detach(self) -> None:
        """Let the lab live on after this process; `driftd.lab.known` finds and ends it later."""
        await self._owner.detach()

    async def close(self) -> None:
        """Stop everything in order. Temporary data goes too."""
        try:
            await self._owner.shutdown(remove=self.ephemeral, grace=self._options.deadlines.stop_grace)
        finally:
            await asyncio.to_thread(self._owner.abandon)

    async def _bring_up(self, apiservers: int, node_programs: NodePrograms | None) -> None:
        if self._network is not None and node_programs is not None:
            ground = Ground(self._owner, self._layout, self._identities, self._options, node_programs, self._network)
            self._nodes = Nodes(ground)
            await self._nodes.lay_network()
        await self._first_start(ETCD, self._run_etcd)
        await self._first_start(APISERVER, self._run_apiserver)
        access = self._identities.access(self.server)
        write_kubeconfig(self.kubeconfig, access, ADMINISTRATOR, self._identities.administrator)
        for _ in range(apiservers - 1):
            await self.add_apiserver()
        if self._options.controller_manager:
            await self._first_start(CONTROLLER_MANAGER, self._run_controller_manager)
        if self._nodes is not None:
            (port,) = await self._ports(1)
            await self._nodes.bring_up(port)
            self.parts.update(self._nodes.parts)

    async def _first_start(self, name: str, run: _Run) -> Part:
        """Run a part on fresh ports until it is ready; on other ports if a stranger took one in between."""
        for attempt in range(self._options.port_attempts):
            part = await run(name)
            try:
                await part.wait_ready()
            except PartFailedError as error:
                await part.kill()
                if not error.port_was_taken or attempt + 1 == self._options.port_attempts:
                    raise
            else:
                self.parts[name] = part
                return part
        raise LabError(
            f"{name} was not started: `port_attempts` is {self._options.port_attempts}, at least 1 is needed."
        )

    async def _ports(self, count: int) -> list[int]:
        answer = await self._owner.ask("ports", seconds=self._options.deadlines.request, count=count)
        return [int(port) for port in answer["ports"]]

    async def _run_etcd(self, name: str) -> Part:
        port, peer = await self._ports(2)
        self._etcd_port = port
        url = f"https://{LOOPBACK}:{port}"
        arguments = flags.etcd_flags(self._identities.keys, self._layout.etcd, port, peer, self._options)
        part = self._part(
            name, url, self._options.deadlines.etcd_ready, lambda: self._identities.etcd.answers(f"{url}/health")
        )
        await part.run((*self._programs.etcd, *arguments), _ETCD_RANK)
        return part

    async def _run_apiserver(self, name: str) -> Part:
        (port,) = await self._ports(1)
        address = LOOPBACK
        if self._network is not None:
            # The address is this lab's alone, so the first server can have the port that everybody expects.
            address, port = self._network.gateway, API_PORT if name == APISERVER else port
        url = f"https://{address}:{port}"
        log = self._layout.audit_log(name)
        arguments = flags.apiserver_flags(
            self._identities.keys,
            port,
            self._etcd_port,
            audit_policy=self._layout.audit_policy,
            audit_log=log,
            options=self._options,
            address=address,
        )
        seconds = self._options.deadlines.apiserver_ready
        part = self._part(name, url, seconds, lambda: self._identities.api.answers(f"{url}/readyz"))
        await part.run((*self._programs.apiserver, *arguments), _APISERVER_RANK)
        return part

    async def _run_controller_manager(self, name: str) -> Part:
        (port,) = await self._ports(1)
        url = f"https://{LOOPBACK}:{port}"
        file = write_kubeconfig(
            self._layout.pki / "controller-manager.kubeconfig",
            self._identities.access(self.server),
            CONTROLLER_MANAGER_USER,
            self._identities.authority.client(CONTROLLER_MANAGER_USER),
        )
        pods = POD_RANGE if self._network is not None else ""
        arguments = flags.controller_manager_flags(self._identities.keys, port, file, self._options, pod_range=pods)

        async def ready() -> bool:
            api = self._identities.api
            return await api.answers(f"{url}/healthz") and await admin.default_account_exists(api, self.server)

        part = self._part(name, url, self._options.deadlines.controller_manager_ready, ready)
        await part.run((*self._programs.controller_manager, *arguments), _CONTROLLER_RANK)
        return part

    def _part(self, name: str, url: str, seconds: float, ready: Ready) -> Part:
        grace = self._options.deadlines.stop_grace
        return Part(
            name, url, self._layout.log(name), owner=self._owner, ready=ready, ready_seconds=seconds, stop_grace=grace
        )


def _make_folder(data_dir: Path | None) -> Layout:
    layout = Layout(data_dir.absolute() if data_dir else Path(tempfile.mkdtemp(prefix="driftd-lab-")))
    layout.create()
    shutil.copyfile(POLICY_FILE, layout.audit_policy)
    return layout


def _file_name(user: str) -> str:
    """A user's name as part of a file's: some tools take the colons of `system:serviceaccount:a:b` for a list."""
    return re.sub(r"[^A-Za-z0-9.-]+", "-", user)
