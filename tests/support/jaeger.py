"""A real Jaeger on loopback, built from its published Go module: takes OTLP over HTTP, is asked for a trace by its id.

A test takes it if it is there. `DRIFTD_REQUIRE=jaeger make test` builds it first: some four minutes on two cores, once,
kept in the per-user cache.
"""

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from driftd.lab.build import Recipe, cache_folder, cached, ensure
from tests.support.control_plane import lacking
from tests.support.loopback import answers, free_ports, serving

_RECIPE = Recipe(
    label="Jaeger",
    cost="about 4 minutes on 2 cores",
    module=Path(__file__).parent / "jaeger_module",
    pinned="github.com/jaegertracing/jaeger",
    programs=(("jaeger", "github.com/jaegertracing/jaeger/cmd/all-in-one"),),
)
_STRANGERS = (
    "admin.http",
    "collector.grpc-server",
    "collector.http-server",
    "collector.otlp.grpc",
    "query.grpc-server",
)
"""Doors of Jaeger that nobody uses here: each gets a port that the kernel picks."""


@dataclass(frozen=True)
class Span:
    """One span as Jaeger holds it; `parent` is the name of the span above it, empty at the root.

    `resource` is what it says of the process that made it.
    """

    name: str
    parent: str
    service: str
    tags: dict[str, Any]
    resource: dict[str, Any]


@dataclass
class Jaeger:
    """`endpoint` takes traces, `url` answers questions."""

    endpoint: str
    url: str
    session: aiohttp.ClientSession

    async def trace(self, trace_id: str) -> list[Span]:
        """The spans of a trace by their start; nothing while Jaeger knows none of it."""
        async with self.session.get(f"{self.url}/api/traces/{trace_id}") as answer:
            if answer.status == 404:
                return []
            body = await answer.json()
        (found,) = body["data"]
        names = {one["spanID"]: one["operationName"] for one in found["spans"]}
        return [
            Span(
                name=one["operationName"],
                parent=next((names.get(above["spanID"], "not here yet") for above in one["references"]), ""),
                service=found["processes"][one["processID"]]["serviceName"],
                tags={tag["key"]: tag["value"] for tag in one["tags"]},
                resource={tag["key"]: tag["value"] for tag in found["processes"][one["processID"]]["tags"]},
            )
            for one in sorted(found["spans"], key=lambda one: one["startTime"])
        ]


@asynccontextmanager
async def jaeger(home: Path) -> AsyncIterator[Jaeger]:
    """Skips where it is not built."""
    folder = cached(_RECIPE, cache_folder(os.environ))
    if folder is None:
        lacking("jaeger", "it is not built yet, which takes minutes; `DRIFTD_REQUIRE=jaeger make test` builds it")
    home.mkdir(parents=True)
    taking, asking = free_ports(2)
    command = [str(folder / "jaeger"), "--collector.otlp.http.host-port", f"127.0.0.1:{taking}"]
    command += ["--query.http-server.host-port", f"127.0.0.1:{asking}"]
    command += [f"--{door}.host-port=127.0.0.1:0" for door in _STRANGERS]
    env = {**os.environ, "SPAN_STORAGE_TYPE": "memory"}
    async with aiohttp.ClientSession() as session:
        one = Jaeger(f"http://127.0.0.1:{taking}/v1/traces", f"http://127.0.0.1:{asking}", session)

        async def ready() -> bool:
            asked = await answers(session, f"{one.url}/api/services")
            return asked and await answers(session, one.endpoint, status=405)  # it takes POST only

        async with serving(command, home / "log", ready, env):
            yield one


if __name__ == "__main__":
    print(ensure(_RECIPE, cache_folder(os.environ), os.environ, lambda line: print(line, file=sys.stderr)))
