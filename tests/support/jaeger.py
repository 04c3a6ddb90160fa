"""A real Jaeger on loopback, built from its published Go module: takes OTLP over HTTP, is asked for a trace by its id.

A test takes it if it is there. `DRIFTD_REQUIRE=jaeger make test` builds it first: some four minutes on two cores, once,
kept in the per-user cache.
"""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from driftd.lab.build import Recipe, cache_folder, cached, ensure
from tests.support.control_plane import lacking

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
    """One span as Jaeger holds it; `parent` is the name of the span above it, empty at the root."""

    name: str
    parent: str
    service: str
    tags: dict[str, Any]


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
    taking, asking = _free_ports(2)
    command = [str(folder / "jaeger"), "--collector.otlp.http.host-port", f"127.0.0.1:{taking}"]
    command += ["--query.http-server.host-port", f"127.0.0.1:{asking}"]
    command += [f"--{door}.host-port=127.0.0.1:0" for door in _STRANGERS]
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "SPAN_STORAGE_TYPE": "memory"})
    try:
        async with aiohttp.ClientSession() as session:
            one = Jaeger(f"http://127.0.0.1:{taking}/v1/traces", f"http://127.0.0.1:{asking}", session)
            await _ready(one, home / "log", process)
            yield one
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait, 20)


async def _ready(one: Jaeger, log: Path, process: subprocess.Popen[bytes]) -> None:
    try:
        async with asyncio.timeout(30):
            while True:
                assert process.poll() is None, log.read_text()
                try:
                    async with (
                        one.session.get(f"{one.url}/api/services") as asked,
                        one.session.get(one.endpoint) as taken,
                    ):
                        if asked.status == 200 and taken.status == 405:  # it takes POST only
                            return
                except aiohttp.ClientError:
                    pass  # it is starting
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"Jaeger is not ready: {log.read_text()}") from None


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


if __name__ == "__main__":
    print(ensure(_RECIPE, cache_folder(os.environ), os.environ, lambda line: print(line, file=sys.stderr)))
