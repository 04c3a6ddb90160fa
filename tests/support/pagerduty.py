"""A stand-in for PagerDuty's Events API v2, and nothing more: it is not PagerDuty.

Contract, after PagerDuty's public documentation of the Events API v2 (alert events, change events, response codes):
`POST /v2/enqueue` takes `trigger`, `acknowledge` and `resolve`, answers 202 with the deduplication key; a trigger with
the key of an open incident joins it, a resolve without an open incident is dropped; `POST /v2/change/enqueue` takes
change events; 400 for what is malformed, 429 when asked too often. Speaks TLS with a certificate of its own authority.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from ssl import PROTOCOL_TLS_SERVER, SSLContext
from typing import Any, Self

from aiohttp import web

from driftd.lab.authority import Authority, write_key_pair
from tests.support.paging import Incidents

Event = dict[str, Any]
Handling = Callable[[web.Request, "StandIn", Callable[[], web.Response]], Awaitable[web.StreamResponse]]
SEVERITIES = {"critical", "error", "warning", "info"}


async def well(_request: web.Request, _one: "StandIn", accept: Callable[[], web.Response]) -> web.StreamResponse:
    return accept()


def answering(status: int, retry_after: str = "") -> Handling:
    """Take nothing, and say so."""

    async def handle(_request: web.Request, _one: "StandIn", _accept: Callable[[], web.Response]) -> web.StreamResponse:
        headers = {"Retry-After": retry_after} if retry_after else {}
        return web.json_response({"status": "throttle exceeded", "message": "no"}, status=status, headers=headers)

    return handle


async def late(request: web.Request, one: "StandIn", accept: Callable[[], web.Response]) -> web.StreamResponse:
    """Take it, and answer when nobody waits any more."""
    answer = accept()
    await asyncio.sleep(one.slowness)
    return answer


async def lost(request: web.Request, _one: "StandIn", accept: Callable[[], web.Response]) -> web.StreamResponse:
    """Take it, and lose the connection before the answer."""
    accept()
    return await cut(request, _one, accept)


async def cut(request: web.Request, _one: "StandIn", _accept: Callable[[], web.Response]) -> web.StreamResponse:
    """Lose the connection before anything is taken."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response(status=500)


async def garbled(_request: web.Request, _one: "StandIn", accept: Callable[[], web.Response]) -> web.StreamResponse:
    """Take it, and answer in words that nobody understands."""
    accept()
    return web.Response(status=202, text="thank you")


@dataclass
class StandIn:
    """One running stand-in. `handling` says how it treats requests from now on."""

    folder: Path
    handling: Handling = well
    slowness: float = 3.0
    keys: frozenset[str] = frozenset({"R0UTINGKEY"})
    events: list[Event] = field(default_factory=list)
    changes: list[Event] = field(default_factory=list)
    incidents: Incidents = field(default_factory=Incidents)
    requests: int = 0
    port: int = 0
    _runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    @property
    def ca_file(self) -> Path:
        return self.folder / "stand-in-ca.pem"

    async def __aenter__(self) -> Self:
        authority = Authority.open(self.folder, "stand-in")
        self.ca_file.write_bytes(authority.certificate)
        identity = authority.server("stand-in-server", ("localhost", "127.0.0.1"))
        files = write_key_pair(self.folder, "stand-in-server", identity)
        self._trust = SSLContext(PROTOCOL_TLS_SERVER)
        self._trust.load_cert_chain(files.certificate, files.key)
        await self.come_back()
        # Whoever calls has deadlines of a moment, and must not spend them on the import of its client.
        await asyncio.to_thread(import_module, "pagerduty")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.go_away()

    async def come_back(self) -> None:
        """Listen, on the port it had before if it had one."""
        app = web.Application()
        app.router.add_post("/v2/enqueue", self._enqueue)
        app.router.add_post("/v2/change/enqueue", self._change)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, ssl_context=self._trust)
        await site.start()
        self.port = int(self._runner.addresses[0][1])

    async def go_away(self) -> None:
        """Refuse connections."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _enqueue(self, request: web.Request) -> web.StreamResponse:
        self.requests += 1
        event: Event = await request.json()
        wrong = self._wrong(event)
        if wrong:
            return _invalid(wrong)

        def accept() -> web.Response:
            self.events.append(event)
            self.incidents.take(event["event_action"], event["dedup_key"])
            words = {"status": "success", "message": "Event processed", "dedup_key": event["dedup_key"]}
            return web.json_response(words, status=202)

        return await self.handling(request, self, accept)

    async def _change(self, request: web.Request) -> web.StreamResponse:
        self.requests += 1
        event: Event = await request.json()
        payload = event.get("payload") or {}
        if event.get("routing_key") not in self.keys or not payload.get("summary") or not payload.get("timestamp"):
            return _invalid(["'payload.summary' and 'payload.timestamp' are required"])

        def accept() -> web.Response:
            self.changes.append(event)
            return web.json_response({"status": "success", "message": "Change event processed"}, status=202)

        return await self.handling(request, self, accept)

    def _wrong(self, event: Event) -> list[str]:
        if event.get("routing_key") not in self.keys:
            return ["Invalid routing key"]
        if event.get("event_action") not in ("trigger", "acknowledge", "resolve"):
            return ["'event_action' is missing or unknown"]
        if not 0 < len(event.get("dedup_key", "")) <= 255:
            return ["Length of 'dedup_key' is incorrect (must be between 1 and 255)"]
        payload = event.get("payload") or {}
        if event["event_action"] == "trigger":
            if not payload.get("source") or not 0 < len(payload.get("summary", "")) <= 1024:
                return ["'payload.summary' and 'payload.source' are required and bounded"]
            if payload.get("severity") not in SEVERITIES:
                return ["'payload.severity' is invalid"]
        return []


def _invalid(errors: list[str]) -> web.Response:
    words = {"status": "invalid event", "message": "Event object is invalid", "errors": errors}
    return web.json_response(words, status=400)
