"""An API with a store, a model loop and pauses behind it, and a stand-in for the API server that knows three people."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any

import aiohttp
import structlog
from aiohttp import web

from driftd.cluster import Kubeconfig, Pace, Session
from driftd.compile import Compiled
from driftd.engine import Approvals, CompiledCache, InForce, ModelLoop, Pauses
from driftd.source import LastGood, Revision, content_name
from driftd.store import Store
from driftd.telemetry import Metrics, Traces
from driftd.web.api import Access, ApiServer, Handlers, Hook, RateLimit
from tests.support.api_server import ApiServer as Kubernetes
from tests.support.api_server import serving
from tests.support.cluster import HandClock, write_kubeconfig
from tests.support.model_texts import CLUSTER, PLAN, environment, files

BASE = {"cluster.yaml": CLUSTER, "plans.yaml": PLAN}
ACME = {"acme.yaml": environment("acme-prod", "acme")}
GLOBEX = {"globex.yaml": environment("globex-prod", "globex")}
ALICE, VERA, BOB, CARL = "alice-token", "vera-token", "bob-token", "carl-token"
RIGHTS: dict[str, Callable[[dict[str, str]], bool]] = {
    "alice": lambda _attributes: True,
    "vera": lambda attributes: attributes["verb"] in ("get", "list"),
    "bob": lambda attributes: attributes["namespace"] == "globex-prod",  # "*" by a RoleBinding
    "carl": lambda attributes: attributes["resource"] == "pauses" and attributes["name"] == "globex-prod",
}


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0
        self.wall = datetime(2026, 6, 1, 12, tzinfo=UTC)

    def now(self) -> datetime:
        return self.wall

    def monotonic(self) -> float:
        return self.seconds


class Scripted:
    def __init__(self) -> None:
        self.texts: Mapping[str, str] = {}

    async def read(self) -> Revision:
        found = files(self.texts)
        return Revision(found, content_name(found))

    async def changes(self) -> AsyncIterator[None]:
        return
        yield


@dataclass
class Reviews:
    """What the API server is asked about people."""

    audiences: list[str] | None = None
    asked: list[dict[str, Any]] = field(default_factory=list)

    async def who(self, request: web.Request) -> web.StreamResponse:
        spec = (await request.json())["spec"]
        self.asked.append(spec)
        name = spec["token"].removesuffix("-token")
        status: dict[str, Any] = {"authenticated": name in RIGHTS}
        if name in RIGHTS:
            status["user"] = {"username": name, "uid": "1", "groups": ["people"], "extra": {"scopes": ["a"]}}
            status["audiences"] = self.audiences
        return web.json_response({"kind": "TokenReview", "status": status}, status=201)

    async def may(self, request: web.Request) -> web.StreamResponse:
        spec = (await request.json())["spec"]
        self.asked.append(spec)
        assert spec["groups"] == ["people"]
        assert spec["extra"] == {"scopes": ["a"]}
        attributes = spec["resourceAttributes"]
        assert attributes["group"] == "driftd.dev"
        return web.json_response({"status": {"allowed": RIGHTS[spec["user"]](attributes)}}, status=201)


@dataclass
class Scene:
    """The API from outside, and what stands behind it."""

    address: str
    http: aiohttp.ClientSession
    api: ApiServer
    kubernetes: Kubernetes
    reviews: Reviews
    source: Scripted
    models: ModelLoop
    pauses: Pauses
    store: Store
    clock: Clock
    leader: list[str | None]
    knocks: list[None]
    folder: Path
    log: StringIO

    async def ask(
        self, method: str, path: str, token: str = ALICE, body: object = None, **headers: str
    ) -> tuple[int, dict[str, Any]]:
        given = {"Authorization": f"Bearer {token}", **headers} if token else headers
        async with self.http.request(method, self.address + path, json=body, headers=given) as answer:
            found = await answer.json() if answer.content_type == "application/json" else {}
            return answer.status, found

    async def offer(self, *texts: Mapping[str, str]) -> str:
        self.source.texts = {path: text for part in texts for path, text in part.items()}
        await self.models.consider()
        return self.models.status.held

    async def audited(self, kind: str) -> list[str]:
        return [row.payload for row in await self.store.audit() if row.kind == kind]


@asynccontextmanager
async def scene_in(folder: Path, *, audience: str = "") -> AsyncIterator[Scene]:
    clock, metrics, source, reviews = Clock(), Metrics(), Scripted(), Reviews()
    leader: list[str | None] = [None]
    knocks: list[None] = []
    log = StringIO()
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(log))
    store = await Store.open(folder / "driftd.sqlite", clock, folder / "journal")
    pauses = Pauses(store=store, clock=clock, metrics=metrics, changed=lambda _: None)
    models = ModelLoop(
        source=source,
        last_good=LastGood(folder),
        cache=CompiledCache(folder),
        store=store,
        clock=clock,
        metrics=metrics,
        traces=Traces(),
        own_namespace="driftd",
        approvals=Approvals(store, clock),
        settled=_settled,
        pending=_none_pending,
        prepare=_prepared,
        accepted=lambda _before, _after: None,
    )

    async def pages(tenant: str | None, limit: int) -> list[dict[str, Any]]:
        return [{"key": "a page", "tenant": tenant, "limit": limit}]

    async with (
        serving(Kubernetes({})) as kubernetes,
        Session(
            Kubeconfig(str(write_kubeconfig(folder / "kubeconfig", kubernetes.host))),
            Pace(HandClock(), _slept, lambda: 0.5),
        ) as session,
        aiohttp.ClientSession() as http,
    ):
        kubernetes.routes["POST", "/apis/authentication.k8s.io/v1/tokenreviews"] = reviews.who
        kubernetes.routes["POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews"] = reviews.may
        handlers = Handlers(Access(session, audience), models, pauses, store, pages, lambda: leader[0])
        (folder / "secret").write_text("hush\n")
        hook = Hook(folder / "secret", lambda: knocks.append(None))
        api = ApiServer(handlers, RateLimit(clock.monotonic, burst=40), host="127.0.0.1", port=0, hook=hook)
        await api.start()
        try:
            yield Scene(
                f"http://127.0.0.1:{api.port}",
                http, api, kubernetes, reviews, source, models, pauses, store, clock, leader, knocks, folder, log,
            )  # fmt: skip
        finally:
            await api.stop()
            await store.close()
            structlog.reset_defaults()


def _none_pending(_before: Compiled | None, _after: Compiled) -> Mapping[str, int]:
    return {}


async def _settled() -> None:
    return


async def _prepared(_before: InForce | None, _after: InForce) -> None:
    return


async def _slept(_seconds: float) -> None:
    return
