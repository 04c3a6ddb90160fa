"""Spans on their way to a collector: OTLP over HTTP, from a thread of its own, dropped rather than waited for."""

import asyncio
import contextlib
import random
import threading
from collections.abc import Mapping, Sequence

from opentelemetry import trace as otel
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import Link, Status, StatusCode

from driftd.telemetry.metrics import Metrics
from driftd.telemetry.names import CLUSTER, Attributes
from driftd.telemetry.traces import Span


class OtlpRecorder:
    """Sends spans in batches. A slow, failing or absent collector costs driftd nothing but the spans.

    Args:
        endpoint: the collector's traces address (`http://collector:4318/v1/traces`); empty leaves it to the standard
            `OTEL_EXPORTER_OTLP_*` variables, which also hold headers and certificates.
        resource: what every span says of this process.
        share: the share (0 to 1) of uneventful cycles kept as samples.
        timeout_seconds: bound on one batch.
        queue: spans held at most while the collector is away; what does not fit is dropped and counted.
    """

    def __init__(
        self,
        *,
        endpoint: str,
        resource: Mapping[str, str],
        share: float,
        timeout_seconds: float,
        queue: int,
        metrics: Metrics,
    ) -> None:
        exporter = OTLPSpanExporter(endpoint=endpoint or None, timeout=timeout_seconds)
        self._batches = _Batches(_Counted(exporter, metrics), queue, metrics)
        self._resource = Resource.create(dict(resource))
        self._tracer = self._tracer_of(self._resource)
        self._metrics = metrics
        self._share = share
        self._random = random.Random()  # noqa: S311 - picks samples
        self._timeout = timeout_seconds

    def start(self, name: str, start_ns: int, parent: Span | None, links: Sequence[Span]) -> Span:
        context = otel.set_span_in_context(parent.span) if isinstance(parent, OtlpSpan) else None
        made = self._tracer.start_span(
            name,
            context=context,
            start_time=start_ns,
            links=[Link(one.span.get_span_context()) for one in links if isinstance(one, OtlpSpan)],
        )
        return OtlpSpan(made, self._metrics)

    def _tracer_of(self, resource: Resource) -> otel.Tracer:
        # The decision which trace to keep is made before the first span: nothing is sampled away afterwards.
        provider = TracerProvider(sampler=ALWAYS_ON, resource=resource, shutdown_on_exit=False)
        provider.add_span_processor(self._batches)
        return provider.get_tracer("driftd")

    def of_cluster(self, name: str) -> None:
        """What `OTEL_RESOURCE_ATTRIBUTES` says of the cluster counts for more."""
        self._tracer = self._tracer_of(Resource({CLUSTER: name}).merge(self._resource))

    def keeps_uneventful(self) -> bool:
        return self._random.random() < self._share

    async def close(self) -> None:
        """Send what waits, for at most `timeout_seconds`: then the process may end, whatever the collector does."""
        done = asyncio.Event()
        loop = asyncio.get_running_loop()

        def shut() -> None:
            self._batches.shutdown()  # type: ignore[no-untyped-call]
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile: nobody waits any more
                loop.call_soon_threadsafe(done.set)

        threading.Thread(target=shut, name="driftd-traces-end", daemon=True).start()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._timeout):
                await done.wait()


class OtlpSpan:
    """One span of the OpenTelemetry SDK."""

    __slots__ = ("_metrics", "span")

    def __init__(self, span: otel.Span, metrics: Metrics) -> None:
        self.span = span
        self._metrics = metrics

    @property
    def trace_id(self) -> str:
        return otel.format_trace_id(self.span.get_span_context().trace_id)

    @property
    def span_id(self) -> str:
        return otel.format_span_id(self.span.get_span_context().span_id)

    def end(self, end_ns: int, attributes: Attributes, error: str) -> None:
        self.span.set_attributes(dict(attributes))
        if error:
            self.span.set_status(Status(StatusCode.ERROR, error))
        self.span.end(end_ns)
        self.span = otel.NonRecordingSpan(self.span.get_span_context())  # late parts and links need no more of it
        self._metrics.spans.labels("made").inc()


class _Batches(BatchSpanProcessor):
    """Counts what finds no room before the SDK drops it, which it tells nobody but its own log."""

    def __init__(self, exporter: "_Counted", queue: int, metrics: Metrics) -> None:
        super().__init__(
            exporter, max_queue_size=queue, max_export_batch_size=min(queue, 512), schedule_delay_millis=1000
        )
        self._exporter = exporter
        self._queue = queue
        self._metrics = metrics
        self._handed = 0
        self._turn = threading.Lock()

    def on_end(self, span: ReadableSpan) -> None:
        with self._turn:
            room = self._handed - self._exporter.taken < self._queue
            self._handed += room
        if room:
            super().on_end(span)
        else:
            self._metrics.spans.labels("lost").inc()


class _Counted(SpanExporter):
    """Counts what was sent and what was lost: a dead collector shows in the metrics, not in the log.

    `taken` is how many spans have left the queue, whatever came of them; only the exporting thread changes it.
    """

    def __init__(self, inner: SpanExporter, metrics: Metrics) -> None:
        self._inner = inner
        self._metrics = metrics
        self.taken = 0
        for result in ("made", "sent", "lost"):
            metrics.spans.labels(result)  # a counter that begins with its first event hides it from increase()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.taken += len(spans)
        result = self._inner.export(spans)
        self._metrics.spans.labels("sent" if result is SpanExportResult.SUCCESS else "lost").inc(len(spans))
        return result

    def shutdown(self) -> None:
        self._inner.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._inner.force_flush(timeout_millis)
