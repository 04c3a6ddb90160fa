"""Takes the daemon's traces, as a collector would: OTLP over HTTP on loopback, kept in memory until the story ends."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

_LARGEST_BATCH = 16 << 20


@dataclass(frozen=True, slots=True)
class Span:
    """One stage of a cycle, as it came over the wire."""

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    start_ns: int
    end_ns: int

    @property
    def milliseconds(self) -> float:
        return (self.end_ns - self.start_ns) / 1e6


@dataclass(slots=True)
class Traces:
    """Everything received so far. `endpoint` is what the daemon is told."""

    endpoint: str = ""
    _spans: list[Span] = field(default_factory=list)

    def tree(self, trace_id: str) -> tuple[tuple[int, Span], ...]:
        """The spans of a trace with their depths, each below its parent, by their beginnings; empty while unknown.

        A span whose parent has not come yet is left out.
        """
        children: dict[str, list[Span]] = {}
        for span in sorted(self._spans, key=lambda one: one.start_ns):
            if span.trace_id == trace_id:
                children.setdefault(span.parent_id, []).append(span)

        def below(parent: str, depth: int) -> Iterator[tuple[int, Span]]:
            for span in children.get(parent, ()):
                yield depth, span
                yield from below(span.span_id, depth + 1)

        return tuple(below("", 0))

    async def take(self, request: web.Request) -> web.Response:
        """`POST /v1/traces` of the OTLP specification."""
        batch = ExportTraceServiceRequest.FromString(await request.read())
        for resource in batch.resource_spans:
            for scope in resource.scope_spans:
                self._spans += [
                    Span(
                        span.trace_id.hex(),
                        span.span_id.hex(),
                        span.parent_span_id.hex(),
                        span.name,
                        span.start_time_unix_nano,
                        span.end_time_unix_nano,
                    )
                    for span in scope.spans
                ]
        return web.Response(content_type="application/x-protobuf")


@asynccontextmanager
async def taking_traces() -> AsyncIterator[Traces]:
    """Listen on a free port of loopback until the block ends."""
    traces = Traces()
    app = web.Application(client_max_size=_LARGEST_BATCH)
    app.router.add_post("/v1/traces", traces.take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        traces.endpoint = f"http://127.0.0.1:{runner.addresses[0][1]}/v1/traces"
        yield traces
    finally:
        await runner.cleanup()
