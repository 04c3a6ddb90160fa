"""When a start asks whether the admission policies hold: not before a term has raised the epoch."""

from collections.abc import Iterator
from itertools import repeat
from pathlib import Path
from typing import Any

from aiohttp import web
from structlog.testing import capture_logs

from driftd.app.rights import warn_of_guards
from driftd.cluster import BOUNDS_POLICY, FENCE_POLICY, Kubeconfig, Pace, Session
from driftd.values import EPOCH
from tests.support.api_server import ApiServer, serving, status
from tests.support.cluster import HandClock, write_kubeconfig

FROZEN = 7
"""The epoch that the API server's fence stands still at."""


def denied(policy: str) -> web.Response:
    words = f"forbidden: ValidatingAdmissionPolicy '{policy}' with binding '{policy}' denied request: no"
    return web.json_response(status(403, "Forbidden", words), status=403)


async def frozen(request: web.Request) -> web.StreamResponse:
    written = int((await request.json())["metadata"]["annotations"][EPOCH])
    return denied(FENCE_POLICY) if written < FROZEN else web.json_response({}, status=201)


async def bounded(_request: web.Request) -> web.StreamResponse:
    return denied(BOUNDS_POLICY)


async def asked(tmp_path: Path, leads: Iterator[bool], clock: HandClock) -> list[tuple[Any, ...]]:
    """What a start logs where the fence stands still and, as in a new installation, no epoch rules before a term."""
    server = ApiServer({"api/v1/configmaps": "ConfigMap"})
    server.routes["POST", "/apis/networking.k8s.io/v1/namespaces/driftd/networkpolicies"] = frozen
    server.routes["POST", "/api/v1/namespaces/driftd/configmaps"] = bounded
    pace = Pace(clock, clock.sleep, lambda: 0.5)
    fence = "/api/v1/namespaces/driftd/configmaps/driftd-fence"

    def leading() -> bool:
        if led := next(leads):
            server.put(fence, {"metadata": {"name": "driftd-fence"}, "data": {"epoch": str(FROZEN + 1)}})
        return led

    async with serving(server) as running:
        config = write_kubeconfig(tmp_path / "kubeconfig", running.host)
        async with Session(Kubeconfig(str(config)), pace) as session:
            with capture_logs() as logs:
                await warn_of_guards(session, "driftd", pace, leading)
    return [(line["event"], line["policy"], line["why"]) for line in logs]


async def test_a_fence_that_stands_still_is_noticed_since_a_start_asks_when_its_term_has_begun(tmp_path: Path) -> None:
    """Seen: asked before, the fence refused epoch 0 and seemed to hold; then the epoch rose, and nobody noticed."""
    said = await asked(tmp_path, iter([False, False, True]), HandClock())
    assert said == [("guard.missing", FENCE_POLICY, f"a write of epoch {FROZEN} would be let in")]


async def test_a_replica_that_stands_by_asks_after_a_minute(tmp_path: Path) -> None:
    clock = HandClock()
    began = clock.time
    assert await asked(tmp_path, repeat(False), clock) == []
    assert clock.time - began == 60
