"""What everything about nodes stands on: the lab they belong to, its network, how a program of theirs is started."""

import asyncio
import sys
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from driftd.lab.errors import LabError
from driftd.lab.identities import Identities
from driftd.lab.layout import Layout
from driftd.lab.nodes import cgroups, init
from driftd.lab.nodes.network import API_PORT, Network, inside
from driftd.lab.nodes.programs import NodePrograms
from driftd.lab.options import LabOptions
from driftd.lab.owner import Owner
from driftd.lab.parts import Part, Ready

# The order of stopping, highest first: a node's namespaces go first, and everything in them with them. The fabric goes
# last, after etcd: without the address on it an API server cannot take its own lease back, and tries for ten seconds.
FABRIC_RANK, SCHEDULER_RANK, PROGRAM_RANK, NODE_RANK = -1, 2, 3, 4
_COMMAND_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Ground:
    """One lab, as its nodes see it."""

    owner: Owner
    layout: Layout
    identities: Identities
    options: LabOptions
    programs: NodePrograms
    network: Network

    @property
    def server(self) -> str:
        """The API server, as everybody in and around this cluster reaches it."""
        return f"https://{self.network.gateway}:{API_PORT}"

    def folder(self, name: str) -> Path:
        """Where one node keeps its files."""
        return self.layout.root / "nodes" / name

    def part(self, name: str, url: str, ready: Ready) -> Part:
        """A program of a node that is not started yet."""
        deadlines = self.options.deadlines
        return Part(
            name,
            url,
            self.layout.log(name),
            owner=self.owner,
            ready=ready,
            ready_seconds=deadlines.node_ready,
            stop_grace=deadlines.stop_grace,
        )


async def together(*works: Coroutine[Any, Any, None]) -> None:
    """All at once; the first that fails ends the others, and its error is raised as it is."""
    try:
        async with asyncio.TaskGroup() as group:
            for work in works:
                group.create_task(work)
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from None


async def run_all(commands: Iterable[tuple[str, ...]]) -> None:
    """One after the other; the first that fails raises `LabError` with its words."""
    for command in commands:
        await run(command)


async def run(command: tuple[str, ...]) -> str:
    """What it printed. Raises `LabError` with its words when it fails or takes minutes."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(_COMMAND_SECONDS):
            out, err = await process.communicate()
    except TimeoutError as error:
        raise LabError(f"`{' '.join(command)}` took more than {_COMMAND_SECONDS:.0f} s.") from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        said = (err or out).decode(errors="replace").strip()
        raise LabError(f"`{' '.join(command)}` failed with {process.returncode}: {said or 'it said nothing'}")
    return out.decode(errors="replace")


async def start_namespaces(ground: Ground, name: str, rank: int = NODE_RANK) -> tuple[Part, int]:
    """Start the first process of a node, or of the fabric; answers it, and its number as this process sees it."""
    folder = ground.folder(name)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    number = folder / init.PID_FILE
    number.unlink(missing_ok=True)

    async def ready() -> bool:
        return number.exists()

    part = ground.part(name, "", ready)
    kept = ":".join(map(str, (ground.layout.root, *sorted(_folders_of(ground.programs)))))
    # Run when the supervisor is dead, and its claim with it.
    clean_up = (*clean_up_command(ground.network), ground.network.claim)
    await part.run((*_python(init.__file__), str(folder), name, kept, *clean_up), rank)
    await part.wait_ready()
    return part, int(number.read_text())


def clean_up_command(network: Network) -> tuple[str, ...]:
    """What removes the cgroups of a lab, run by its supervisor, which holds the claim on their name."""
    return (*_python(cgroups.__file__), network.device)


def enter(process: int, *command: str) -> tuple[str, ...]:
    """A command line for the namespaces of a node, the process namespace excepted: `Part.run` takes care of that.

    With the usual file mode mask instead of the lab's private one: a container's root folder has to be its user's to
    enter.
    """
    return (*inside(process, "mount", "net", "uts", "ipc"), "sh", "-c", 'umask 022; exec "$@"', "sh", *command)


def _folders_of(programs: NodePrograms) -> set[Path]:
    return {programs.kubernetes.parent, programs.coredns.parent, programs.cilium}


def _python(script: str) -> tuple[str, ...]:
    return (sys.executable, "-I", script)
