"""The daemon of the story: `driftd run` as a process of its own, with the settings that a cluster would run it with."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import orjson

from driftd.cli.exits import Exit
from driftd.cli.failures import CommandError

NAMESPACE = "driftd"
ACCOUNT = "driftd"
USER = f"system:serviceaccount:{NAMESPACE}:{ACCOUNT}"
"""Under this name the API server knows it."""
_READY_SECONDS = 60.0
_STOP_SECONDS = 30.0
_LOOK_SECONDS = 0.03

# The kernel ends the daemon when we are gone, however that happened (prctl 1 is PR_SET_PDEATHSIG; exec keeps it). A
# launcher, because code between fork and exec is not safe in a process with threads.
_LAUNCHER = (
    "import ctypes, os, signal, sys\n"
    "ctypes.CDLL(None).prctl(1, signal.SIGKILL)\n"
    "os.execv(sys.executable, [sys.executable, '-m', 'driftd', 'run'])\n"
)


@dataclass(frozen=True, slots=True)
class Daemon:
    """A driftd that runs. `data` holds its database."""

    url: str
    data: Path
    log: Path
    seconds_to_ready: float
    process: "subprocess.Popen[bytes]"

    @property
    def database(self) -> Path:
        return self.data / "driftd.sqlite"

    def must_run(self) -> None:
        """Raises `CommandError` with the last lines of its log when it has ended."""
        if self.process.poll() is not None:
            raise _ended(self.process, self.log)


@asynccontextmanager
async def running_daemon(kubeconfig: Path, models: Path, data: Path, traces: str) -> AsyncIterator[Daemon]:
    """A daemon that is ready: it leads, and has judged every namespace of the model once. Stopped with the block.

    `traces` is where it sends its traces; empty: nowhere.

    Raises:
        CommandError: it ended, or was not ready in time; the text holds the last lines of its log (exit code 3).
    """
    await asyncio.to_thread(data.mkdir, parents=True)
    log = data / "driftd.log"
    loop = asyncio.get_running_loop()
    with log.open("wb") as out:
        process = subprocess.Popen(  # noqa: ASYNC220, S603 - returns after exec, in a millisecond; our own interpreter
            [sys.executable, "-c", _LAUNCHER],
            env=_environment(kubeconfig, models, data, traces),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,  # a Ctrl-C at the terminal reaches us, and we stop things in order
        )
    try:
        started = loop.time()
        url = await _ready(process, log)
        yield Daemon(url, data, log, loop.time() - started, process)
    finally:
        await asyncio.shield(asyncio.to_thread(_stop, process))


def _environment(kubeconfig: Path, models: Path, data: Path, traces: str) -> dict[str, str]:
    """Every setting at its default; only places differ. Nothing of the caller's own driftd leaks in."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("DRIFTD_", "OTEL_"))}
    return inherited | {
        "DRIFTD_API__KUBECONFIG": str(kubeconfig),
        "DRIFTD_MODEL__PATH": str(models),
        "DRIFTD_DATA_DIR": str(data),
        "DRIFTD_NAMESPACE": NAMESPACE,
        "DRIFTD_IDENTITY": "demo",
        "DRIFTD_WEB__HOST": "127.0.0.1",
        "DRIFTD_WEB__PORT": "0",
        "DRIFTD_WEB__API_PORT": "0",
        "DRIFTD_TELEMETRY__OTLP_ENDPOINT": traces,
        "TMPDIR": str(data),  # whatever its libraries put aside goes with the lab
    }


async def _ready(process: "subprocess.Popen[bytes]", log: Path) -> str:
    """Until `/readyz` says yes; the address of the daemon's health server."""
    said = "its health server does not listen yet"
    try:
        async with asyncio.timeout(_READY_SECONDS), aiohttp.ClientSession() as session:
            while True:
                if process.poll() is not None:
                    raise _ended(process, log)
                url = _address(log)
                if url:
                    try:
                        async with session.get(f"{url}/readyz") as answer:
                            said = await answer.text()
                            if answer.status == 200:
                                return url
                    except aiohttp.ClientError as error:
                        said = f"{type(error).__name__} {error}"
                await asyncio.sleep(_LOOK_SECONDS)
    except TimeoutError:
        raise CommandError(
            f"driftd was not ready within {_READY_SECONDS:.0f} s: {said}\n{_tail(log)}", Exit.UNKNOWN
        ) from None


def _address(log: Path) -> str:
    """Where the daemon says that it listens: it took a free port."""
    for line in log.read_bytes().splitlines():
        if b"health.listening" in line:
            return f"http://127.0.0.1:{orjson.loads(line)['port']}"
    return ""


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """Ask it to end; if it does not, end it."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _ended(process: "subprocess.Popen[bytes]", log: Path) -> CommandError:
    return CommandError(f"driftd ended with exit code {process.returncode}:\n{_tail(log)}", Exit.UNKNOWN)


def _tail(log: Path, lines: int = 15) -> str:
    return "\n".join(f"  {line}" for line in log.read_text(errors="replace").splitlines()[-lines:])
