"""An OpenTelemetry collector of the tests: takes OTLP over HTTP, decodes it with the published protobuf classes.

A stand-in that can also be slow or broken; what it reads is the wire format itself, so a wrong span cannot pass. A real
Jaeger is `tests.support.jaeger`.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True)
class Received:
    """One span as it came over the wire."""

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    start_ns: int
    end_ns: int
    attributes: dict[str, Any]
    resource: dict[str, Any]
    failed: str
    links: tuple[str, ...]


@dataclass
class Collector:
    """Listens on loopback. `status` is what it answers, `slow_seconds` how long it takes, `headers` what came last."""

    status: int = 200
    slow_seconds: float = 0.0
    spans: list[Received] = field(default_factory=list)
    requests: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    endpoint: str = ""
    _runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=64 << 20)
        app.router.add_post("/v1/traces", self._take)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.endpoint = f"http://127.0.0.1:{self._runner.addresses[0][1]}/v1/traces"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    def trace(self, trace_id: str) -> list[Received]:
        """All spans of one trace, by their start."""
        return sorted((one for one in self.spans if one.trace_id == trace_id), key=lambda one: one.start_ns)

    async def has(self, name: str, seconds: float = 10.0) -> Received:
        """The first span of that name, once it is here."""
        async with asyncio.timeout(seconds):
            while True:
                for one in self.spans:
                    if one.name == name:
                        return one
                await asyncio.sleep(0.02)

    async def _take(self, request: web.Request) -> web.Response:
        self.requests += 1
        self.headers = dict(request.headers)
        body = await request.read()
        await asyncio.sleep(self.slow_seconds)
        if self.status == 200:
            self.spans += _decoded(body)
        return web.Response(status=self.status, content_type="application/x-protobuf")


def tree(spans: list[Received]) -> dict[str, list[str]]:
    """Names of children by the name of their parent; the root stands under the empty name."""
    names = {one.span_id: one.name for one in spans}
    found: dict[str, list[str]] = {}
    for one in spans:
        found.setdefault(names.get(one.parent_id, ""), []).append(one.name)
    return found


def _decoded(body: bytes) -> Iterator[Received]:
    message = ExportTraceServiceRequest.FromString(body)
    for resource in message.resource_spans:
        of = {one.key: _value(one.value) for one in resource.resource.attributes}
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield Received(
                    trace_id=span.trace_id.hex(),
                    span_id=span.span_id.hex(),
                    parent_id=span.parent_span_id.hex(),
                    name=span.name,
                    start_ns=span.start_time_unix_nano,
                    end_ns=span.end_time_unix_nano,
                    attributes={one.key: _value(one.value) for one in span.attributes},
                    resource=of,
                    failed=span.status.message if span.status.code == 2 else "",
                    links=tuple(link.trace_id.hex() for link in span.links),
                )


def _value(value: Any) -> Any:
    return getattr(value, value.WhichOneof("value"))
