"""A real Alertmanager on loopback that hands what it tells to a webhook of ours."""

import asyncio
import json
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from tests.support.control_plane import lacking
from tests.support.debian import program
from tests.support.loopback import answers, free_ports, serving

Notice = tuple[str, str, str]
"""Status, alert name and severity, as a receiver is told of them."""


@dataclass
class Alertmanager:
    """Its address, and what it has told its receiver so far."""

    url: str
    session: aiohttp.ClientSession
    told: list[Notice] = field(default_factory=list)

    async def alerts(self) -> list[dict[str, Any]]:
        """What it holds for active."""
        async with self.session.get(f"{self.url}/api/v2/alerts") as answer:
            assert answer.status == 200, await answer.text()
            found: list[dict[str, Any]] = await answer.json()
            return found

    async def until_told(self, *notices: Notice, seconds: float = 20.0) -> None:
        try:
            async with asyncio.timeout(seconds):
                while not set(notices) <= set(self.told):
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(f"Alertmanager told only {self.told}, not {notices}") from None


@asynccontextmanager
async def alertmanager(home: Path) -> AsyncIterator[Alertmanager]:
    """Groups for a tenth of a second only, so that a test need not wait."""
    binary = program("prometheus-alertmanager", "prometheus-alertmanager")
    home.mkdir(parents=True)
    async with aiohttp.ClientSession() as session:
        one = Alertmanager(f"http://127.0.0.1:{free_ports(1)[0]}", session)
        receiver, runner = await _receiver(one)
        config = {
            "route": {
                "receiver": "test",
                "group_by": ["page", "severity"],
                "group_wait": "100ms",
                "group_interval": "1s",
            },
            "receivers": [{"name": "test", "webhook_configs": [{"url": receiver, "send_resolved": True}]}],
        }
        (home / "alertmanager.yml").write_text(json.dumps(config))
        command = [
            *_at_home(binary),
            f"--config.file={home / 'alertmanager.yml'}",
            f"--storage.path={home / 'data'}",
            f"--web.listen-address={one.url.removeprefix('http://')}",
            "--cluster.listen-address=",
        ]
        try:
            async with serving(command, home / "log", lambda: answers(session, f"{one.url}/-/ready")):
                yield one
        finally:
            await runner.cleanup()


def _at_home(binary: Path) -> list[str]:
    """Debian's build reads its template from /usr/share: where it is only unpacked, that is the package's own here."""
    share = binary.parents[1] / "share"
    if Path("/usr/share/prometheus/alertmanager/default.tmpl").exists() or not share.is_dir():
        return [str(binary)]
    unshare = shutil.which("unshare")
    command = [unshare or "unshare", "--map-root-user", "--mount", "--"]
    if unshare is None or subprocess.run([*command, "true"], capture_output=True, check=False).returncode:
        lacking("prometheus-alertmanager", "it is not installed, and without mount namespaces it runs nowhere else")
    script = 'mount --bind "$0" /usr/share && exec "$@"'
    return [*command, "sh", "-c", script, str(share), str(binary)]


async def _receiver(one: Alertmanager) -> tuple[str, web.AppRunner]:
    async def take(request: web.Request) -> web.Response:
        for alert in (await request.json())["alerts"]:
            labels = alert["labels"]
            one.told.append((alert["status"], labels["alertname"], labels["severity"]))
        return web.Response()

    app = web.Application()
    app.router.add_post("/", take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    return f"http://127.0.0.1:{runner.addresses[0][1]}/", runner
