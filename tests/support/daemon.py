"""`driftd run` as a process of its own, as users run it, for control-plane tests."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
import orjson

from driftd.settings import Settings

QUICK = {
    "DRIFTD_AUDIT__HEARTBEAT_SECONDS": "5",
    "DRIFTD_AUDIT__RELIST_SECONDS": "20",
    "DRIFTD_AUDIT__ROLLING_GETS_PER_SECOND": "20",
    "DRIFTD_LEASE__DURATION_SECONDS": "3",
    "DRIFTD_LEASE__RENEW_DEADLINE_SECONDS": "2",
    "DRIFTD_LEASE__RETRY_SECONDS": "0.3",
    "DRIFTD_MODEL__POLL_SECONDS": "0.1",
    "DRIFTD_MODEL__SETTLE_SECONDS": "1",
    "DRIFTD_WATCH__BLIND_SECONDS": "3",
    "DRIFTD_WATCH__DISCOVERY_SECONDS": "1",
    "DRIFTD_WATCH__SERVER_TIMEOUT_MIN_SECONDS": "3",
    "DRIFTD_WATCH__SERVER_TIMEOUT_MAX_SECONDS": "5",
    "DRIFTD_WATCH__SILENCE_SECONDS": "8",
    "DRIFTD_ENGINE__RETRY_MIN_SECONDS": "0.05",
    "DRIFTD_ENGINE__RETRY_MAX_SECONDS": "1",
    "DRIFTD_STORE__JOURNAL_MEBIBYTES": "16",
}
"""Timeouts, and the room that each takes on the disk, at a small scale, as environment."""

RUN = ("-m", "driftd", "run")


def shipped() -> dict[str, str]:
    """The same settings as users have them."""
    settings = Settings().model_dump()
    found = {}
    for name in QUICK:
        part, field = name.removeprefix("DRIFTD_").lower().split("__")
        found[name] = str(settings[part][field])
    return found


class Daemon:
    """One driftd process. `data` outlives it, so that a second one can go on where it stopped."""

    def __init__(
        self,
        *,
        kubeconfig: Path,
        models: Path,
        data: Path,
        identity: str = "one",
        env: Mapping[str, str] | None = None,
        patience: float = 60.0,
        program: Sequence[str] = RUN,
    ) -> None:
        self._patience = patience
        self._program = program
        data.mkdir(parents=True, exist_ok=True)
        self.log_path = data / f"{identity}.log"
        self.log_path.touch()
        self._env = {
            **os.environ,
            **QUICK,
            "DRIFTD_API__KUBECONFIG": str(kubeconfig),
            "DRIFTD_MODEL__PATH": str(models),
            "DRIFTD_DATA_DIR": str(data),
            "DRIFTD_IDENTITY": identity,
            "DRIFTD_NAMESPACE": "driftd",
            "DRIFTD_WEB__HOST": "127.0.0.1",
            "DRIFTD_WEB__PORT": "0",
            "DRIFTD_WEB__API_PORT": "0",
            **(env or {}),
        }
        self.process: subprocess.Popen[bytes] | None = None
        self.port = 0
        self._began = 0

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        if self.process is not None and self.process.poll() is None:
            await self.stop()

    async def start(self, *, ready: bool = True) -> None:
        self._began = len(self.events())
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen([sys.executable, *self._program], env=self._env, stdout=log, stderr=log)
        if ready:
            try:
                await self.wait_ready(self._patience)
            except BaseException:
                if self.process.poll() is None:
                    await self.kill()  # a block that was never entered is never left
                raise

    async def wait_ready(self, seconds: float = 60.0) -> None:
        """Until `/readyz` answers 200: leading, every governed scope judged once."""
        last = ""
        try:
            async with asyncio.timeout(seconds), aiohttp.ClientSession() as session:
                while True:
                    self._must_run()
                    self.port = self.port or self._find_port()
                    if self.port:
                        try:
                            async with session.get(f"http://127.0.0.1:{self.port}/readyz") as answer:
                                last = await answer.text()
                                if answer.status == 200:
                                    return
                        except aiohttp.ClientError as error:
                            last = repr(error)
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(f"not ready within {seconds} s: {last}\n{self.tail()}") from None

    @property
    def api(self) -> str:
        """Where the API listens."""
        ports = [one["port"] for one in self.events()[self._began :] if one.get("event") == "api.listening"]
        return f"http://127.0.0.1:{ports[-1]}"

    async def metrics(self) -> str:
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{self.port}/metrics") as answer:
            return await answer.text()

    async def stop(self, seconds: float = 20.0) -> int:
        """SIGTERM and the exit code."""
        return await self._end(signal.SIGTERM, seconds)

    async def kill(self) -> int:
        """SIGKILL: nothing is said good-bye to."""
        return await self._end(signal.SIGKILL, 5.0)

    def send(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def events(self) -> list[dict[str, Any]]:
        """The structured log so far."""
        found = []
        for line in self.log_path.read_bytes().splitlines():
            if line.startswith(b"{"):
                try:
                    found.append(orjson.loads(line))
                except orjson.JSONDecodeError:
                    continue
        return found

    def unhandled(self) -> list[str]:
        """Tracebacks and error-level events: no fault a test makes may cause one."""
        text = self.log_path.read_text(errors="replace")
        found = [part for part in text.splitlines() if "Traceback" in part or "was never retrieved" in part]
        return found + [str(event) for event in self.events() if event.get("level") == "critical"]

    def tail(self, lines: int = 40) -> str:
        return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-lines:])

    def _find_port(self) -> int:
        events = self.events()[self._began :]
        ports = [event["port"] for event in events if event.get("event") == "health.listening"]
        return int(ports[-1]) if ports else 0

    def _must_run(self) -> None:
        assert self.process is not None
        code = self.process.poll()
        assert code is None, f"driftd ended with {code}\n{self.tail()}"

    async def _end(self, number: signal.Signals, seconds: float) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        code = await asyncio.wait_for(asyncio.to_thread(self.process.wait), seconds)
        self.port = 0
        return code
