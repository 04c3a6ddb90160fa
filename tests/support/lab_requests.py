"""Requests to a lab in the plain: what a kubeconfig says, used with nothing but aiohttp."""

import asyncio
import base64
import ssl
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import yaml

Body = dict[str, Any]


class Api:
    """One user's requests to one API server."""

    def __init__(self, session: aiohttp.ClientSession, server: str) -> None:
        self._session = session
        self._server = server

    async def call(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Body]:
        async with self._session.request(method, self._server + path, json=body, headers=headers) as response:
            return response.status, await response.json()

    async def create(self, path: str, body: Body) -> Body:
        code, answer = await self.call("POST", path, body)
        assert code == 201, answer
        return answer

    async def get(self, path: str) -> Body:
        code, answer = await self.call("GET", path)
        assert code == 200, answer
        return answer


@asynccontextmanager
async def api(kubeconfig: Path, *, seconds: float = 30) -> AsyncIterator[Api]:
    """As the user of a kubeconfig file, at the server it names."""
    said = yaml.safe_load(kubeconfig.read_text())
    cluster, user = said["clusters"][0]["cluster"], said["users"][0]["user"]
    root = base64.b64decode(cluster["certificate-authority-data"]).decode()
    tls = ssl.create_default_context(cadata=root)
    if "client-certificate-data" in user:
        with tempfile.NamedTemporaryFile() as pair:
            for part in ("client-certificate-data", "client-key-data"):
                pair.write(base64.b64decode(user[part]))
            pair.flush()
            tls.load_cert_chain(pair.name)
    headers = {"Authorization": f"Bearer {user['token']}"} if "token" in user else {}
    timeout, connector = aiohttp.ClientTimeout(total=seconds), aiohttp.TCPConnector(ssl=tls)
    async with aiohttp.ClientSession(timeout=timeout, connector=connector, headers=headers) as session:
        yield Api(session, cluster["server"])


async def until(holds: Callable[[], Awaitable[bool]], seconds: float = 30) -> None:
    """Wait for something that has to become so."""
    deadline = time.monotonic() + seconds
    while not await holds():
        assert time.monotonic() < deadline, f"it did not become so within {seconds} s"
        await asyncio.sleep(0.05)
