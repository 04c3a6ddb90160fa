"""Health, readiness and metrics over plain HTTP, on a port of their own."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import orjson
from aiohttp import web

from driftd.telemetry import Metrics


@dataclass(frozen=True, slots=True)
class Health:
    """What a probe is told: `ok` decides the status code, `parts` says which part is how."""

    ok: bool
    parts: Mapping[str, str] = field(default_factory=dict)


class HealthServer:
    """Serves `/healthz` (the process works), `/readyz` (it knows the cluster and the model) and `/metrics`.

    Args:
        live: asked at each `/healthz`; not ok answers 503, so that kubelet restarts the pod.
        ready: asked at each `/readyz`.
        host, port: where to listen; port 0 takes a free one, told by `port` after `start`.
    """

    def __init__(
        self, *, metrics: Metrics, live: Callable[[], Health], ready: Callable[[], Health], host: str, port: int
    ) -> None:
        self._metrics = metrics
        self._live = live
        self._ready = ready
        self._host = host
        self._wanted_port = port
        self._runner: web.AppRunner | None = None
        self.port = 0

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/healthz", self._on_live)
        app.router.add_get("/readyz", self._on_ready)
        app.router.add_get("/metrics", self._on_metrics)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=2.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._wanted_port)
        await site.start()
        self.port = int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _on_live(self, _request: web.Request) -> web.Response:
        return _answer(self._live())

    async def _on_ready(self, _request: web.Request) -> web.Response:
        return _answer(self._ready())

    async def _on_metrics(self, _request: web.Request) -> web.Response:
        body, content_type = self._metrics.exposition()
        return web.Response(body=body, headers={"Content-Type": content_type})


def _answer(health: Health) -> web.Response:
    body = orjson.dumps({"ok": health.ok, "parts": dict(health.parts)})
    return web.Response(status=200 if health.ok else 503, body=body, content_type="application/json")
