"""The process that owns one lab's parts and ports: nothing outlives it, and it does not outlive whoever wanted it.

Run as a plain script (`python -I supervisor.py DATA_DIR STOP_GRACE`), with the standard library alone: it stays small
and starts at once. It listens on `supervisor.sock` in the data folder: one JSON line in, one JSON line out, one
connection a request.

Three things end it. A `shutdown` request, or SIGTERM: parts are stopped in order, highest rank first. The end of
standard input, unless a `detach` came first: whoever started it is gone, however that happened, so everything is killed
at once. And its own death: each part asked the kernel to die with it (PR_SET_PDEATHSIG).

A part may be started in the process namespace of another one (a node's): it is still this process's child, and dies
with that node as well. What `at_end` asked for is run when every part is gone, for what the kernel keeps.
"""

import asyncio
import contextlib
import ctypes
import fcntl
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

SOCKET_NAME = "supervisor.sock"
_PR_SET_PDEATHSIG = 1
_CLONE_NEWPID = 0x2000_0000
_LARGEST_REQUEST = 1 << 20
_LOWEST_PORT = 15_000
_LAST_STEP_SECONDS = 60
_LIBC = ctypes.CDLL(None, use_errno=True)


class Part:
    """One program: what to run, and the process that runs it now or ran it last."""

    def __init__(self, argv: list[str], rank: int, log: str, inside: int | None = None) -> None:
        self.argv = argv
        self.rank = rank
        self.log = log
        self.inside = inside
        self.process: subprocess.Popen[bytes] | None = None
        self.ended = asyncio.Event()
        self.ended.set()
        self.frozen = False

    def start(self) -> int:
        """Run it, with its output appended to its log; a second start of a running part is refused."""
        if not self.ended.is_set():
            raise ValueError("it is running already")
        supervisor = os.getpid()

        def die_with_supervisor() -> None:
            # Safe between fork and exec because this process has one thread. The check closes the race with our own
            # death.
            _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            # From inside another process namespace, a parent outside of it has the number 0.
            if os.getppid() not in (supervisor, 0):
                os._exit(1)

        with (
            open(self.log, "ab") as log,  # noqa: PTH123  # a log may be anything that opens, /dev/null too
            _children_inside(self.inside),
        ):
            self.process = subprocess.Popen(
                self.argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=die_with_supervisor,  # noqa: PLW1509
            )
        self.ended.clear()
        self.frozen = False
        return self.process.pid

    def reap(self) -> None:
        """Notice the end of the process; called on SIGCHLD."""
        if self.process is not None and self.process.poll() is not None:
            self.frozen = False
            self.ended.set()

    def send(self, number: signal.Signals) -> None:
        """Signal the process; one that has ended is left alone."""
        if self.process is None or self.ended.is_set():
            raise ValueError("it is not running")
        self.process.send_signal(number)
        if number in (signal.SIGSTOP, signal.SIGCONT):
            self.frozen = number == signal.SIGSTOP

    async def stop(self, grace: float) -> int | None:
        """Ask it to end, kill it when the grace is over, wait until it is gone: only then are its ports free."""
        if not self.ended.is_set():
            self.send(signal.SIGTERM)
            if self.frozen:
                self.send(signal.SIGCONT)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(grace):
                    await self.ended.wait()
        return await self.kill()

    async def kill(self) -> int | None:
        """SIGKILL and wait; a frozen process dies of it too."""
        if not self.ended.is_set():
            self.send(signal.SIGKILL)
            await self.ended.wait()
        return self.process.returncode if self.process else None

    def report(self) -> dict[str, Any]:
        running = not self.ended.is_set()
        return {
            "pid": self.process.pid if self.process and running else None,
            "state": ("frozen" if self.frozen else "running") if running else "ended",
            "code": self.process.returncode if self.process else None,
            "rank": self.rank,
            "log": self.log,
        }


@contextlib.contextmanager
def _children_inside(process: int | None) -> Iterator[None]:
    """Meanwhile, children are born into the process namespace of `process` (`setns(2)`); we stay outside of it."""
    if process is None:
        yield
        return
    own = os.open("/proc/self/ns/pid", os.O_RDONLY)
    try:
        theirs = os.open(f"/proc/{process}/ns/pid", os.O_RDONLY)
        try:
            _enter_for_children(theirs)
        finally:
            os.close(theirs)
        try:
            yield
        finally:
            _enter_for_children(own)
    finally:
        os.close(own)


def _enter_for_children(namespace: int) -> None:
    if _LIBC.setns(namespace, _CLONE_NEWPID):
        number = ctypes.get_errno()
        raise OSError(number, f"cannot start a part in a node's process namespace: {os.strerror(number)}")


class Claims:
    """Numbers of networks that are this lab's alone while it lives; of the same kind as the claims on ports."""

    def __init__(self) -> None:
        self._held: list[socket.socket] = []

    def take(self, count: int) -> int:
        """The lowest number below `count` that no lab of this network namespace has."""
        for number in range(count):
            claim = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                claim.bind(f"\0driftd-lab-network-{number}")
            except OSError:
                claim.close()
                continue
            self._held.append(claim)
            return number
        raise ValueError(f"all {count} networks are taken by other labs")


class Ports:
    """TCP ports of loopback that stay this lab's own while it lives, its parts running or not.

    A reservation is a name in the kernel's abstract socket namespace, which other labs see, which no crash leaves
    behind, and which is as wide as the ports are: one network namespace. Ports lie below the range the kernel takes
    for outgoing connections: from inside that range a client knocking at a stopped server's port can be handed that
    very port and end up connected to itself.
    """

    def __init__(self) -> None:
        self._held: dict[int, socket.socket] = {}

    def take(self, count: int) -> list[int]:
        span = range(_LOWEST_PORT, max(_first_ephemeral_port(), _LOWEST_PORT + 1000))
        taken: list[int] = []
        for port in random.sample(span, len(span)):
            if self._reserve(port):
                taken.append(port)
            if len(taken) == count:
                return taken
        raise ValueError(f"no {count} free ports between {span.start} and {span.stop}")

    def _reserve(self, port: int) -> bool:
        claim = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            claim.bind(f"\0driftd-lab-port-{port}")
            with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(("127.0.0.1", port))
        except OSError:
            claim.close()
            return False
        self._held[port] = claim
        return True


def _first_ephemeral_port() -> int:
    try:
        return int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return 32_768  # Linux's default


class Supervisor:
    """Parts by name, and the requests that move them."""

    def __init__(self, folder: Path, *, ephemeral: bool) -> None:
        self.folder = folder
        self.ephemeral = ephemeral
        self.detached = False
        self.parts: dict[str, Part] = {}
        self.ports = Ports()
        self.networks = Claims()
        self.at_end: list[list[str]] = []
        self.over = asyncio.Event()
        self.started = time.time()

    async def handle(self, request: dict[str, Any]) -> dict[str, Any]:
        """Carry out one request. ValueError and OSError are the requester's to hear, see `serve`."""
        name = request.get("part", "")
        self.reap()  # the requester may know of a death before the kernel's signal has reached this loop
        match request.get("op"):
            case "status":
                return self._status()
            case "ports" | "network":
                return self._claim(request["op"], request["count"])
            case "at_end":
                self.at_end.append(request["argv"])
                return {}
            case "detach":
                self.detached = True
                return {}
            case "start":
                return self._start(name, request)
            case "signal":
                self._part(name).send(signal.Signals[request["signal"]])
                return {}
            case "stop":
                return {"code": await self._part(name).stop(request["grace"])}
            case "kill":
                return {"code": await self._part(name).kill()}
            case "shutdown":
                await self.stop_all(request["grace"])
                self.ephemeral = self.ephemeral or request["remove"]
                return {}
        raise ValueError(f"unknown request {request.get('op')!r}")

    def _claim(self, what: str, count: int) -> dict[str, Any]:
        return {"ports": self.ports.take(count)} if what == "ports" else {"number": self.networks.take(count)}

    def _status(self) -> dict[str, Any]:
        parts = {name: part.report() for name, part in self.parts.items()}
        return {"pid": os.getpid(), "detached": self.detached, "since": self.started, "parts": parts}

    def _start(self, name: str, request: dict[str, Any]) -> dict[str, Any]:
        if "argv" in request:
            if name in self.parts and not self.parts[name].ended.is_set():
                raise ValueError("it is running already")
            self.parts[name] = Part(request["argv"], request["rank"], request["log"], request.get("inside"))
        return {"pid": self._part(name).start()}

    def _part(self, name: str) -> Part:
        if name not in self.parts:
            raise ValueError("there is no such part")
        return self.parts[name]

    async def stop_all(self, grace: float) -> None:
        """Highest rank first. An API server that outlives its etcd hangs in its own stop for a minute."""
        for rank in sorted({part.rank for part in self.parts.values()}, reverse=True):
            await asyncio.gather(*(part.stop(grace) for part in self.parts.values() if part.rank == rank))

        self._clear_away()

    async def kill_all(self) -> None:
        await asyncio.gather(*(part.kill() for part in self.parts.values()))
        self._clear_away()

    def _clear_away(self) -> None:
        """Run what was asked for `at_end`, once; its output goes to our own log."""
        while self.at_end:
            subprocess.run(self.at_end.pop(), stdin=subprocess.DEVNULL, check=False, timeout=_LAST_STEP_SECONDS)

    def reap(self) -> None:
        for part in self.parts.values():
            part.reap()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection: one request, one answer."""
        leave = False
        try:
            request = json.loads(await reader.readline())
            try:
                answer = await self.handle(request)
                leave = request.get("op") == "shutdown"
            except (ValueError, KeyError, OSError) as error:
                answer = {"error": str(error)}
            if leave:
                self.remove_folder()
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
        except (ValueError, OSError):
            pass  # a requester that left, or spoke no JSON, gets no answer
        finally:
            writer.close()
            if leave:
                self.over.set()

    def remove_folder(self) -> None:
        if self.ephemeral:
            shutil.rmtree(self.folder, ignore_errors=True)


def _watch_tether(supervisor: Supervisor, loop: asyncio.AbstractEventLoop, ending: Callable[[], None]) -> None:
    """End with whoever holds the other end of standard input, unless detached."""

    def readable() -> None:
        if os.read(0, 4096):
            return
        loop.remove_reader(0)
        if not supervisor.detached:
            ending()

    loop.add_reader(0, readable)


async def run(folder: Path, *, ephemeral: bool, stop_grace: float) -> None:
    """Serve until told to end, or left alone."""
    loop = asyncio.get_running_loop()
    supervisor = Supervisor(folder, ephemeral=ephemeral)
    last_steps: set[asyncio.Task[None]] = set()

    async def end(stop: Callable[[], Any]) -> None:
        await stop()
        supervisor.remove_folder()
        supervisor.over.set()

    def begin_end(stop: Callable[[], Any]) -> None:
        last_steps.add(loop.create_task(end(stop), name="lab.end"))

    loop.add_signal_handler(signal.SIGCHLD, supervisor.reap)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, begin_end, lambda: supervisor.stop_all(stop_grace))
    _watch_tether(supervisor, loop, lambda: begin_end(supervisor.kill_all))
    folder_lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder_lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit(f"another lab is running in {folder}: end it first, or choose another folder")
    # A relative name: the path of a Unix socket is limited to about 100 bytes, the path of a data folder is not.
    os.chdir(folder)
    server = await asyncio.start_unix_server(supervisor.serve, SOCKET_NAME, limit=_LARGEST_REQUEST)
    try:
        await supervisor.over.wait()
    finally:
        server.close()
        await supervisor.kill_all()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(SOCKET_NAME)  # noqa: PTH108


def main() -> None:
    """`supervisor.py DATA_DIR STOP_GRACE_SECONDS [ephemeral]`."""
    folder, grace = Path(sys.argv[1]), float(sys.argv[2])
    os.umask(0o077)
    asyncio.run(run(folder, ephemeral=sys.argv[3:] == ["ephemeral"], stop_grace=grace))


if __name__ == "__main__":
    main()
