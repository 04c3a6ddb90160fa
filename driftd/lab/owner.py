"""The client's side of a lab's supervisor: starts one, and asks it for things, one connection a request.

Because nothing stays open between requests, a lab started in one event loop can be used from another.
"""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from driftd.lab import supervisor
from driftd.lab.errors import LabError, SupervisorGoneError
from driftd.lab.layout import Layout

_START_SECONDS = 30.0
_REMOVE_SECONDS = 60.0
_RANKS = 6
_POLL_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class PartState:
    """What the supervisor knows of one part's process."""

    pid: int | None
    state: str
    """`running`, `frozen` or `ended`."""
    code: int | None
    """The exit code of a process that has ended; minus the signal's number when one killed it."""
    rank: int
    log: Path


@dataclass(frozen=True, slots=True)
class OwnerState:
    """The supervisor itself and all its parts."""

    pid: int
    detached: bool
    since: float
    parts: dict[str, PartState]


class Owner:
    """Speaks to the supervisor of one data folder."""

    def __init__(self, layout: Layout, process: subprocess.Popen[bytes] | None = None) -> None:
        self._layout = layout
        self._process = process

    @classmethod
    async def launch(cls, layout: Layout, *, ephemeral: bool, stop_grace: float) -> "Owner":
        """Start a supervisor that ends with this process, unless `detach` is called.

        It gets a session of its own, so that a Ctrl-C at the terminal reaches us first and the parts are stopped in
        order.
        """
        # -I: no environment, no user site, no current folder on the path: the script needs the standard library alone.
        command = [sys.executable, "-I", supervisor.__file__, str(layout.root), str(stop_grace)]
        with layout.supervisor_log.open("ab") as log:
            process = subprocess.Popen(  # noqa: ASYNC220  # returns after exec, in a millisecond
                command + (["ephemeral"] if ephemeral else []),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        owner = cls(layout, process)
        try:
            await owner._wait_for_start(process)
        except BaseException:
            await asyncio.to_thread(owner.abandon)
            raise
        return owner

    async def _wait_for_start(self, process: subprocess.Popen[bytes]) -> None:
        """Until our own supervisor answers: in a folder that is in use, it is another one that does."""
        deadline = time.monotonic() + _START_SECONDS
        while process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(SupervisorGoneError):
                if (await self.status()).pid == process.pid:
                    return
            await asyncio.sleep(_POLL_SECONDS)
        said = (self._layout.supervisor_log.read_text(errors="replace").splitlines() or ["it said nothing"])[-1]
        raise SupervisorGoneError(f"The lab's supervisor did not start: {said}")

    async def status(self) -> OwnerState:
        said = await self.ask("status", seconds=_START_SECONDS)
        parts = {name: PartState(**{**part, "log": Path(part["log"])}) for name, part in said["parts"].items()}
        return OwnerState(said["pid"], said["detached"], said["since"], parts)

    async def shutdown(self, *, remove: bool, grace: float) -> None:
        """Stop every part in order and the supervisor after them; with `remove`, the data folder goes too."""
        pid = (await self.status()).pid
        # A part takes its grace and a moment, rank after rank; then a data folder with nodes' images is removed.
        seconds = _RANKS * grace + _START_SECONDS + _REMOVE_SECONDS
        await self.ask("shutdown", seconds=seconds, remove=remove, grace=grace)
        await self._wait_for_end(pid)

    async def _wait_for_end(self, pid: int) -> None:
        """Until the process is gone, so that whoever looks next finds nothing."""
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            if self._process is not None:
                if self._process.poll() is not None:
                    self.abandon()
                    return
            elif not is_alive(pid):
                return
            await asyncio.sleep(_POLL_SECONDS)
        raise LabError(
            f"The lab's supervisor (process {pid}) was told to end and did not; end it with `kill -9 {pid}`."
        )

    async def detach(self) -> None:
        """Let the lab live on after this process."""
        await self.ask("detach", seconds=_START_SECONDS)
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            # It is nobody's child to wait for now; without this, Popen warns when it is collected.
            self._process.returncode = 0
            self._process = None

    def abandon(self) -> None:
        """Let go of the tether: a supervisor that still runs kills its parts and ends. Never blocks for long."""
        if self._process is None:
            return
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(_START_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    async def ask(self, operation: str, *, seconds: float, **arguments: Any) -> dict[str, Any]:
        """One request, one answer. Raises `LabError` with the supervisor's words, or `SupervisorGoneError`."""
        try:
            async with asyncio.timeout(seconds):
                line = await self._exchange({"op": operation, **arguments})
        except TimeoutError as error:
            raise LabError(f"The lab's supervisor did not answer `{operation}` within {seconds:.0f} s.") from error
        except OSError as error:
            raise SupervisorGoneError(f"The lab in {self._layout.root} is not running ({error}).") from error
        if not line:
            raise SupervisorGoneError(f"The lab in {self._layout.root} ended while it was asked for `{operation}`.")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise LabError(f"`{operation}` of {arguments.get('part', 'the lab')}: {answer['error']}")
        return answer

    async def _exchange(self, request: dict[str, Any]) -> bytes:
        # Through the folder's descriptor: the path of a Unix socket is limited to about 100 bytes.
        folder = os.open(self._layout.root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            reader, writer = await asyncio.open_unix_connection(f"/proc/self/fd/{folder}/{supervisor.SOCKET_NAME}")
        finally:
            os.close(folder)
        try:
            writer.write(json.dumps(request).encode() + b"\n")
            return await reader.readline()
        finally:
            writer.close()


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and only waits to be collected does not.

    A killed program looks like that as soon as its first thread is gone, while the others still hold its ports.
    """
    process = Path(f"/proc/{pid}")
    try:
        state = (process / "stat").read_text().rpartition(")")[2].split()[0]
        return state != "Z" or len(list((process / "task").iterdir())) > 1
    except OSError:
        return False
