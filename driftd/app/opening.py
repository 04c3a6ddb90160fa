"""What must be open before anything runs: the store, and the clients of the API server."""

import asyncio
import contextlib
import os
import random
from dataclasses import dataclass

import structlog

from driftd import __version__
from driftd.cluster import Credentials, Pace, ReflectorSettings, Session, Timeouts, default_credentials
from driftd.settings import Settings, TelemetrySettings
from driftd.store import Store, StoreInUse, StoreOptions
from driftd.telemetry import Metrics, Traces, names
from driftd.values import Clock

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Outside:
    """The outside as one daemon reaches it. The lease has a client of its own: nothing stands in its way."""

    clock: Clock
    pace: Pace
    store: Store
    session: Session
    lease: Session
    metrics: Metrics
    traces: Traces


async def open_outside(
    settings: Settings, clock: Clock, stack: contextlib.AsyncExitStack, stop: asyncio.Event
) -> Outside:
    """Open it all; `stack` closes it. Raises `StoreError`."""
    store = await store_when_free(settings, clock, stop)
    stack.push_async_callback(store.close)
    credentials: Credentials = default_credentials(
        str(settings.api.kubeconfig) if settings.api.kubeconfig else None, settings.api.context
    )
    pace = Pace(clock, asyncio.sleep, random.random)
    timeouts = Timeouts(
        settings.api.connect_timeout_seconds,
        settings.api.read_timeout_seconds,
        settings.api.read_timeout_seconds * 2,
    )
    session = await stack.enter_async_context(Session(credentials, pace, timeouts))
    lease = await stack.enter_async_context(Session(credentials, pace, timeouts, pool=2))
    metrics = Metrics()
    return Outside(clock, pace, store, session, lease, metrics, await _open_traces(settings, metrics, stack))


_HANDOVER_SECONDS = 60.0
"""A pod that is told to end has 40 s for it (deploy/chart), and Kubernetes starts the next one at once."""
_LOOK_SECONDS = 0.25


async def store_when_free(settings: Settings, clock: Clock, stop: asyncio.Event) -> Store:
    """The store, as soon as whoever had it lets go. Raises `StoreError`; `StoreInUse` after a minute, or at `stop`."""
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    where = settings.store.address(settings.data_dir)
    options = StoreOptions(journal_bytes=settings.store.journal_mebibytes << 20)
    deadline = clock.monotonic() + _HANDOVER_SECONDS
    told = False
    while True:
        try:
            return await Store.open(where, clock, settings.data_dir / "journal", options)
        except StoreInUse as error:
            if stop.is_set() or clock.monotonic() > deadline:
                raise
            if not told:
                _log.warning("store.in_use", why=str(error))
                told = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LOOK_SECONDS):
                await stop.wait()


def collector_of(settings: TelemetrySettings) -> str:
    """Where traces go, by the settings or else by OpenTelemetry's own variables; empty: nowhere."""
    if os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return ""
    named = settings.otlp_endpoint or os.environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "")
    general = os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT", "")
    return named or (f"{general.removesuffix('/')}/v1/traces" if general else "")


async def _open_traces(settings: Settings, metrics: Metrics, stack: contextlib.AsyncExitStack) -> Traces:
    """Traces go to a collector where one is named; else OpenTelemetry is not even loaded (15 MB, 0.2 s)."""
    one, endpoint = settings.telemetry, collector_of(settings.telemetry)
    if not endpoint:
        return Traces()
    from driftd.telemetry.otlp import OtlpRecorder  # noqa: PLC0415 - a daemon without a collector need not load it

    recorder = OtlpRecorder(
        endpoint=endpoint,
        resource={
            names.SERVICE: "driftd",
            names.SERVICE_VERSION: __version__,
            names.SERVICE_INSTANCE: settings.identity,
            names.NAMESPACE: settings.namespace,
        },
        share=one.uneventful_percent / 100,
        timeout_seconds=one.timeout_seconds,
        queue=one.queue_spans,
        metrics=metrics,
    )
    stack.push_async_callback(recorder.close)
    return Traces(recorder)


def reflector_settings(settings: Settings) -> ReflectorSettings:
    """How each kind is watched."""
    watch = settings.watch
    return ReflectorSettings(
        page_limit=watch.page_size,
        server_timeout=(watch.server_timeout_min_seconds, watch.server_timeout_max_seconds),
        silence=watch.silence_seconds,
        connect=settings.api.connect_timeout_seconds,
        blind_after=watch.blind_seconds,
        absent_poll=watch.discovery_seconds,
    )
