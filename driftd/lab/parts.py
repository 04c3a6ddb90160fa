"""One part of a control plane as a fault test sees it: stop, kill, freeze, thaw and start, each in one call."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from driftd.lab.errors import PartFailedError
from driftd.lab.owner import Owner

_LOOK_EVERY_SECONDS = 0.05
_TAIL_LINES = 15
_TAIL_BYTES = 16_384

Ready = Callable[[], Awaitable[bool]]


class Part:
    """A program of the lab. Every call returns only when what it asks for is so.

    `start` runs it again on the same ports and data. `stop` asks and then insists; `kill` is SIGKILL; a frozen part
    (SIGSTOP) keeps its connections open and answers nothing, which is how a hung machine looks from outside.
    """

    def __init__(
        self,
        name: str,
        url: str,
        log: Path,
        *,
        owner: Owner,
        ready: Ready,
        ready_seconds: float,
        stop_grace: float,
    ) -> None:
        self.name = name
        self.url = url
        self.log = log
        self.pid: int | None = None
        self._owner = owner
        self._ready = ready
        self._ready_seconds = ready_seconds
        self._stop_grace = stop_grace

    async def run(self, argv: tuple[str, ...], rank: int, *, inside: int | None = None) -> None:
        """Start it for the first time; the supervisor remembers the command line. Does not wait.

        `inside` is a process in whose process namespace it is to run: a node's first one.
        """
        log_start = _size(self.log)
        answer = await self._owner.ask(
            "start",
            seconds=self._ready_seconds,
            part=self.name,
            argv=list(argv),
            rank=rank,
            log=str(self.log),
            inside=inside,
        )
        self.pid = answer["pid"]
        self._log_start = log_start

    async def start(self) -> None:
        """Run it again, on the same ports and data, and wait until it is ready."""
        self._log_start = _size(self.log)
        answer = await self._owner.ask("start", seconds=self._ready_seconds, part=self.name)
        self.pid = answer["pid"]
        await self.wait_ready()

    async def stop(self) -> int:
        """SIGTERM, after the grace SIGKILL; returns when the process is gone and its ports are free.

        The answer is its exit code: 0 from a part that ended in order, -9 from one that had to be killed.
        """
        answer = await self._owner.ask(
            "stop", seconds=self._stop_grace * 2 + 10, part=self.name, grace=self._stop_grace
        )
        self.pid = None
        return int(answer["code"])

    async def kill(self) -> None:
        """SIGKILL; returns when the process is gone and its ports are free."""
        await self._owner.ask("kill", seconds=self._stop_grace + 10, part=self.name)
        self.pid = None

    async def freeze(self) -> None:
        """SIGSTOP: it keeps its connections and answers nothing until `thaw`."""
        await self._owner.ask("signal", seconds=self._stop_grace, part=self.name, signal="SIGSTOP")

    async def thaw(self) -> None:
        """SIGCONT: it goes on where it was."""
        await self._owner.ask("signal", seconds=self._stop_grace, part=self.name, signal="SIGCONT")

    async def is_ready(self) -> bool:
        """Whether its own health check says yes now."""
        return await self._ready()

    async def wait_ready(self) -> None:
        """Until it is ready. Raises `PartFailedError` with the end of its log if it ends or takes too long."""
        deadline = time.monotonic() + self._ready_seconds
        while True:
            state = (await self._owner.status()).parts[self.name]
            if state.state == "ended":
                self.pid = None
                raise self._failed(f"ended with code {state.code} before it was ready")
            if await self._ready():
                return
            if time.monotonic() > deadline:
                raise self._failed(f"was not ready within {self._ready_seconds:.0f} s")
            await asyncio.sleep(_LOOK_EVERY_SECONDS)

    def _failed(self, what: str) -> PartFailedError:
        return PartFailedError(self.name, what, self.log, log_tail(self.log, self._log_start))

    _log_start = 0
    """Where in its log the present start begins: an older failure is not this one's reason."""


def log_tail(log: Path, since: int = 0) -> str:
    """The last lines of a log, of those after a position."""
    try:
        with log.open("rb") as handle:
            end = handle.seek(0, 2)
            handle.seek(max(since, end - _TAIL_BYTES))
            said = handle.read().decode(errors="replace")
    except FileNotFoundError:
        return ""
    return "\n".join(said.splitlines()[-_TAIL_LINES:])


def _size(log: Path) -> int:
    return log.stat().st_size if log.exists() else 0
