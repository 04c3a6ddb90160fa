"""A small real HTTP server that answers as kube-apiserver does, and breaks in the ways a test asks for.

It keeps objects with versions and a history, pages lists, streams watches with bookmarks, and honours uid and
resourceVersion preconditions. Faults are handed out one by one to the requests they match.
"""

import asyncio
import json
import re
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

Body = dict[str, Any]
Action = Callable[[web.Request], Awaitable[web.StreamResponse]]


def status(code: int, reason: str, message: str = "", **details: Any) -> Body:
    """A `Status` as the API server writes it."""
    return {
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message or reason, "reason": reason, "details": details, "code": code,
    }  # fmt: skip


def answer(code: int, body: Body, **headers: str) -> Action:
    """An action that gives this answer."""

    async def act(_request: web.Request) -> web.StreamResponse:
        return web.json_response(body, status=code, headers={k.replace("_", "-"): v for k, v in headers.items()})

    return act


def stream(*parts: bytes, hang: bool = False, cut: bool = False) -> Action:
    """A watch answer made of these bytes; afterwards it ends, hangs in silence, or is cut off without an end."""

    async def act(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        for part in parts:
            await response.write(part)
        if hang:
            await asyncio.sleep(60)
        if cut and request.transport is not None:
            request.transport.abort()
        return response

    return act


async def silence(_request: web.Request) -> web.StreamResponse:
    """Never answers."""
    await asyncio.sleep(60)
    raise AssertionError("the client should have left long ago")


async def reset(request: web.Request) -> web.StreamResponse:
    """Breaks the connection instead of answering."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


@dataclass
class Fault:
    verb: str
    path: str
    action: Action
    times: int = 1
    watch: bool | None = None

    def matches(self, request: web.Request) -> bool:
        if self.times <= 0 or request.method != self.verb or not re.search(self.path, request.path_qs):
            return False
        return self.watch is None or self.watch == ("watch" in request.query)


@dataclass
class ApiServer:
    """`kinds` maps a collection (`apis/networking.k8s.io/v1/networkpolicies`) to its kind."""

    kinds: dict[str, str]
    host: str = ""
    version: int = 100
    compacted: int = 0
    objects: dict[str, Body] = field(default_factory=dict)
    history: list[tuple[int, str, str, Body]] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    bodies: list[tuple[str, str, Any]] = field(default_factory=list)
    tokens: set[str] | None = None
    bookmarks: float = 0.05
    routes: dict[tuple[str, str], Action] = field(default_factory=dict)
    generation: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    defaults: Callable[[Body], None] = lambda _body: None

    # -- what a test does behind driftd's back ---------------------------------------------------------------------

    def fail(self, verb: str, path: str, action: Action, times: int = 1, *, watch: bool | None = None) -> Fault:
        fault = Fault(verb, path, action, times, watch)
        self.faults.append(fault)
        return fault

    def put(self, path: str, body: Body) -> Body:
        """Creates or changes an object; returns it as stored."""
        old = self.objects.get(path)
        self.version += 1
        meta = dict(body.get("metadata", {}))
        meta["uid"] = old["metadata"]["uid"] if old else str(uuid.uuid4())
        meta["resourceVersion"] = str(self.version)
        meta["managedFields"] = [{"manager": "tester", "operation": "Update", "time": "2026-01-01T00:00:00Z"}]
        stored = {**body, "metadata": meta}
        self.defaults(stored)
        self.objects[path] = stored
        self._record("MODIFIED" if old else "ADDED", path, stored)
        return stored

    def remove(self, path: str, *, silently: bool = False) -> None:
        """Deletes an object; silently, no watch is told (a watch cache that loses a delete)."""
        old = self.objects.pop(path)
        self.version += 1
        gone = {**old, "metadata": {**old["metadata"], "resourceVersion": str(self.version)}}
        if not silently:
            self._record("DELETED", path, gone)

    def compact(self) -> None:
        """Forgets all history, as etcd does every five minutes."""
        self.compacted = self.version
        self.history.clear()

    def hang_up(self) -> None:
        """Ends all watches, as a server does that is asked to stop."""
        self.generation += 1
        self.changed.set()
        self.changed = asyncio.Event()

    def _record(self, kind: str, path: str, body: Body) -> None:
        self.history.append((self.version, kind, path, body))
        self.changed.set()
        self.changed = asyncio.Event()

    # -- the server ----------------------------------------------------------------------------------------------

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(f"{request.method} {request.path_qs}")
        data = await request.read()
        if data:
            self.bodies.append((request.method, request.path, json.loads(data)))
        if self.tokens is not None:
            token = request.headers.get("Authorization", "").removeprefix("Bearer ")
            if token not in self.tokens:
                return web.json_response(status(401, "Unauthorized"), status=401)
        for fault in self.faults:
            if fault.matches(request):
                fault.times -= 1
                return await fault.action(request)
        route = self.routes.get((request.method, request.path))
        if route is not None:
            return await route(request)
        collection = self._collection(request.path)
        if collection is None:
            return web.Response(status=404, text="404 page not found")
        prefix, _name = collection
        if request.method == "GET":
            if request.path.rsplit("/", 1)[-1] in {plural.rsplit("/", 1)[-1] for plural in self.kinds}:
                return await (self._watch(request, prefix) if "watch" in request.query else self._list(request, prefix))
            return self._get(request)
        return self._write(request, json.loads(data) if data else {})

    def _collection(self, path: str) -> tuple[str, str] | None:
        flat = re.sub(r"/namespaces/[^/]+/", "/", path) if path.count("/namespaces/") else path
        for kind in self.kinds:
            if flat.strip("/") == kind or flat.strip("/").startswith(kind + "/"):
                return kind, flat
        return None

    def _items(self, prefix: str) -> list[tuple[str, Body]]:
        return [(p, b) for p, b in sorted(self.objects.items()) if (c := self._collection(p)) and c[0] == prefix]

    async def _list(self, request: web.Request, prefix: str) -> web.StreamResponse:
        version, start = self.version, 0
        if token := request.query.get("continue"):
            version, start = (int(part) for part in token.split(":"))
            if version < self.compacted:
                message = "The provided continue parameter is too old"
                return web.json_response(status(410, "Expired", message), status=410)
        limit = int(request.query.get("limit", "0")) or 10**9
        items = self._items(prefix)
        more = start + limit < len(items)
        meta = {"resourceVersion": str(version)} | ({"continue": f"{version}:{start + limit}"} if more else {})
        page = [{k: v for k, v in body.items() if k not in {"apiVersion", "kind"}} for _, body in items]
        return web.json_response(
            {"kind": "List", "apiVersion": "v1", "metadata": meta, "items": page[start : start + limit]}
        )

    async def _watch(self, request: web.Request, prefix: str) -> web.StreamResponse:
        at = int(request.query["resourceVersion"])
        if at < self.compacted:
            return web.json_response(status(410, "Expired", "too old resource version"), status=410)
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        loop = asyncio.get_running_loop()
        end = loop.time() + float(request.query.get("timeoutSeconds", "60"))
        generation = self.generation
        while loop.time() < end and generation == self.generation:
            changed = self.changed
            for version, kind, path, body in list(self.history):
                if version > at and (c := self._collection(path)) and c[0] == prefix:
                    at = version
                    await response.write(json.dumps({"type": kind, "object": body}).encode() + b"\n")
            try:
                await asyncio.wait_for(changed.wait(), self.bookmarks)
            except TimeoutError:
                if changed.is_set():
                    continue  # at the same moment: a bookmark is never ahead of what has been told
                at = max(at, self.version)
                mark = {"type": "BOOKMARK", "object": {"kind": "X", "metadata": {"resourceVersion": str(at)}}}
                if request.transport is None or request.transport.is_closing():
                    return response
                await response.write(json.dumps(mark).encode() + b"\n")
        return response

    def _get(self, request: web.Request) -> web.StreamResponse:
        found = self.objects.get(request.path)
        return web.json_response(found) if found else self._not_found(request.path)

    def _not_found(self, path: str) -> web.Response:
        name = path.rsplit("/", 1)[-1]
        return web.json_response(status(404, "NotFound", f'"{name}" not found', name=name), status=404)

    def _write(self, request: web.Request, body: Body) -> web.StreamResponse:
        path, dry = request.path, "dryRun" in request.query
        if request.method == "POST":
            path = f"{path}/{body['metadata']['name']}"
            if path in self.objects:
                return web.json_response(status(409, "AlreadyExists"), status=409)
            return web.json_response(self._stored(path, body, dry), status=201)
        old = self.objects.get(path)
        if old is None:
            return self._not_found(path)
        wants = body.get("metadata", {}) if request.method == "PUT" else body.get("preconditions", {})
        for key in ("uid", "resourceVersion"):
            if wants.get(key) and wants[key] != old["metadata"][key]:
                return web.json_response(status(409, "Conflict", f"{key} is another"), status=409)
        if request.method == "PUT":
            return web.json_response(self._stored(path, body, dry))
        if old["metadata"].get("finalizers"):
            held = {**old, "metadata": {**old["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z"}}
            return web.json_response(self._stored(path, held, dry))
        if not dry:
            self.remove(path)
        details = {"name": old["metadata"]["name"], "uid": old["metadata"]["uid"]}
        return web.json_response({"kind": "Status", "status": "Success", "details": details})

    def _stored(self, path: str, body: Body, dry: bool) -> Body:
        if not dry:
            return self.put(path, body)
        meta = {**body["metadata"], "uid": "dry", "resourceVersion": body["metadata"].get("resourceVersion", "")}
        copy: Body = json.loads(json.dumps({**body, "metadata": meta}))
        self.defaults(copy)
        return copy


@asynccontextmanager
async def serving(server: ApiServer) -> AsyncIterator[ApiServer]:
    """Runs the server on a free local port."""
    app = web.Application(client_max_size=64 * 2**20)
    app.router.add_route("*", "/{tail:.*}", server.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.05)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    server.host = f"http://127.0.0.1:{port}"
    try:
        yield server
    finally:
        await runner.cleanup()
