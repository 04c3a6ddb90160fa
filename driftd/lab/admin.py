"""The few requests the lab itself makes of its parts: are you ready, a token please, forget the past."""

import asyncio
import json
import socket
import ssl
from asyncio.trsock import TransportSocket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import aiohttp

from driftd.lab.authority import KeyPairFiles
from driftd.lab.errors import AdminRequestError
from driftd.lab.flags import LOOPBACK, Keys

_LOOK_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Reply:
    """Status code and body of an answer."""

    code: int
    text: str

    def json(self) -> Any:
        return json.loads(self.text)


class Admin:
    """HTTPS with a client certificate of the lab's authority; a connection and a deadline for each request."""

    def __init__(self, keys: Keys, client: KeyPairFiles, seconds: float) -> None:
        self._tls = ssl.create_default_context(cafile=str(keys.root))
        self._tls.load_cert_chain(str(client.certificate), str(client.key))
        self._timeout = aiohttp.ClientTimeout(total=seconds)

    async def request(self, method: str, url: str, body: Any = None) -> Reply:
        """One exchange. Raises `AdminRequestError` when there is no answer; any status is an answer."""
        try:
            async with (
                aiohttp.ClientSession(timeout=self._timeout, connector=aiohttp.TCPConnector(ssl=self._tls)) as session,
                session.request(method, url, json=body) as response,
            ):
                return Reply(response.status, await response.text())
        except (aiohttp.ClientError, TimeoutError) as error:
            raise AdminRequestError(f"{method} {url}: no answer ({type(error).__name__} {error})") from error

    @asynccontextmanager
    async def websocket(
        self, url: str, protocol: str, seconds: float
    ) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """A websocket for so long at most, for what streams. Errors are aiohttp's, and `TimeoutError`."""
        async with (
            asyncio.timeout(seconds),
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=self._tls)) as session,
            session.ws_connect(url, protocols=(protocol,), max_msg_size=0) as stream,
        ):
            connection: TransportSocket | None = stream.get_extra_info("socket")
            try:
                yield stream
            finally:
                if connection is not None:
                    await stream.close()
                    await _cut(connection)

    async def answers(self, url: str) -> bool:
        """Whether a health address says yes, soon: a stranger on that port, or a frozen part, may never answer."""
        try:
            async with asyncio.timeout(_LOOK_SECONDS):
                reply = await self.request("GET", url)
        except (AdminRequestError, TimeoutError):
            return False
        return reply.code == 200

    async def fetch(self, method: str, url: str, body: Any = None) -> Any:
        """A request that has to succeed; the decoded answer."""
        reply = await self.request(method, url, body)
        if reply.code >= 300:
            raise AdminRequestError(f"{method} {url}: {reply.code} {reply.text[:500]}")
        return reply.json()


async def _cut(connection: TransportSocket) -> None:
    """Until it is closed: aiohttp forgets a TLS connection that still waits for the other side's farewell."""
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    while True:
        if connection.fileno() == -1:
            return
        await asyncio.sleep(0.01)


async def compact(etcd: Admin, port: int) -> int:
    """Have etcd forget everything before its newest revision, and answer that revision.

    Through etcd's own JSON gateway (its `rpc.proto`); `physical` waits until the old revisions are really gone.
    """
    base = f"https://{LOOPBACK}:{port}/v3"
    status = await etcd.fetch("POST", f"{base}/maintenance/status", {})
    revision = int(status["header"]["revision"])
    reply = await etcd.request("POST", f"{base}/kv/compaction", {"revision": revision, "physical": True})
    if reply.code >= 300 and "has been compacted" not in reply.text:
        raise AdminRequestError(f"Compaction of etcd at revision {revision}: {reply.code} {reply.text[:500]}")
    return revision


async def token_of(api: Admin, server: str, namespace: str, account: str, seconds: int) -> str:
    """A fresh token of a service account, by TokenRequest."""
    url = f"{server}/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": seconds}}
    said = await api.fetch("POST", url, body)
    return str(said["status"]["token"])


async def default_account_exists(api: Admin, server: str) -> bool:
    """The first visible work of the controller-manager: without this account no pod can be created."""
    return await api.answers(f"{server}/api/v1/namespaces/default/serviceaccounts/default")
