"""When it is asked whether the admission policies hold: at each beginning of a term, and once by who has had none."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from aiohttp import web
from structlog.testing import capture_logs

from driftd.app.daemon import Daemon
from driftd.app.parts import Parts
from driftd.cluster import BOUNDS_POLICY, FENCE_POLICY, Kubeconfig, Pace, Session, Term
from driftd.compile import compile_model
from driftd.values import EPOCH
from tests.support.api_server import ApiServer, answer, serving, status
from tests.support.cluster import HandClock, write_kubeconfig
from tests.support.model_texts import CLUSTER, LOGS, PLAN, model

FROZEN = 7
"""The epoch that the API server's fence stands still at."""
ROUTE = ("POST", "/apis/networking.k8s.io/v1/namespaces/driftd/networkpolicies")
SAID = ("guard.missing", FENCE_POLICY, f"a write of epoch {FROZEN} would be let in")


def denied(policy: str) -> web.Response:
    words = f"forbidden: ValidatingAdmissionPolicy '{policy}' with binding '{policy}' denied request: no"
    return web.json_response(status(403, "Forbidden", words), status=403)


async def frozen(request: web.Request) -> web.StreamResponse:
    written = int((await request.json())["metadata"]["annotations"].get(EPOCH, "0"))
    return denied(FENCE_POLICY) if written < FROZEN else web.json_response({}, status=201)


async def bounded(_request: web.Request) -> web.StreamResponse:
    return denied(BOUNDS_POLICY)


async def forever() -> None:
    await asyncio.Event().wait()


async def at_once() -> None:
    return


@dataclass
class Replica:
    """One daemon's terms and its stand-by, against an API server whose fence stands still."""

    server: ApiServer
    clock: HandClock
    logs: list[Any]
    session: Session
    pace: Pace
    elector: SimpleNamespace = field(init=False)
    models: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(in_force=None))

    def __post_init__(self) -> None:
        self.elector = SimpleNamespace(pace=self.pace, epoch=0)

    def daemon(self, lead: Callable[[Term], Awaitable[None]]) -> Daemon:
        parts = SimpleNamespace(
            settings=SimpleNamespace(namespace="driftd", lease=SimpleNamespace(name="driftd")),
            session=self.session,
            elector=self.elector,
            watching=SimpleNamespace(settled=at_once),
            models=self.models,
            audits=SimpleNamespace(run=forever),
            paging=SimpleNamespace(pager=SimpleNamespace(activate=at_once)),
            leadership=SimpleNamespace(lead=lead),
        )
        return Daemon(cast(Parts, parts))

    async def term(self, epoch: int, work: Callable[[], Awaitable[None]]) -> None:
        """A term that has raised the epoch, as the elector does before, and ends when `work` does."""
        self.elector.epoch = epoch
        self.rules(epoch)
        async with asyncio.timeout(10):
            await self.daemon(lambda _term: work())._term(Term(epoch, "", ""))

    def rules(self, epoch: int) -> None:
        fence = "/api/v1/namespaces/driftd/configmaps/driftd-fence"
        self.server.put(fence, {"metadata": {"name": "driftd-fence"}, "data": {"epoch": str(epoch)}})

    @property
    def said(self) -> list[tuple[str, str, str]]:
        lines = [line for line in self.logs if line["event"].startswith("guard.")]
        return [(line["event"], line["policy"], line["why"]) for line in lines]

    @property
    def asked(self) -> int:
        """How many questions came as far as the bounds, which are asked last."""
        return sum(line.startswith("POST") and "configmaps" in line for line in self.server.seen)

    async def until_said(self) -> None:
        async with asyncio.timeout(10):
            while not self.said:
                await asyncio.sleep(0.01)

    async def until_asked(self, times: int) -> None:
        async with asyncio.timeout(10):
            while self.asked < times:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.1)  # and the answer is told


@asynccontextmanager
async def replica(folder: Path) -> AsyncIterator[Replica]:
    server = ApiServer({"api/v1/configmaps": "ConfigMap"})
    server.routes[ROUTE] = frozen
    server.routes["POST", "/api/v1/namespaces/driftd/configmaps"] = bounded
    clock = HandClock()
    pace = Pace(clock, clock.sleep, lambda: 0.5)
    async with serving(server) as running:
        config = write_kubeconfig(folder / "kubeconfig", running.host)
        async with Session(Kubeconfig(str(config)), pace) as session:
            with capture_logs() as logs:
                yield Replica(server, clock, logs, session, pace)


async def test_each_term_asks_when_its_epoch_is_raised_however_late_it_begins(tmp_path: Path) -> None:
    """Seen: asked before, the fence refused epoch 0 and seemed to hold; then the epoch rose, and nobody noticed."""
    async with replica(tmp_path) as one:
        await one.term(FROZEN, lambda: one.until_asked(1))
        assert one.said == []
        one.clock.time += 1_000_000
        await one.term(FROZEN + 1, lambda: one.until_asked(2))
        assert one.said == [SAID]


async def test_no_repair_waits_for_the_answer_and_the_end_of_the_term_ends_the_question(tmp_path: Path) -> None:
    asked = asyncio.Event()

    async def silent(_request: web.Request) -> web.StreamResponse:
        asked.set()
        await forever()
        raise AssertionError

    async def until_asked() -> None:
        await asyncio.wait_for(asked.wait(), 5)

    async with replica(tmp_path) as one:
        one.server.routes[ROUTE] = silent
        await one.term(FROZEN + 1, until_asked)
        assert not [task for task in asyncio.all_tasks() if task.get_name() == "guards"]
        assert one.said == []


async def test_a_term_that_is_taken_away_ends_with_its_question(tmp_path: Path) -> None:
    async with replica(tmp_path) as one:
        term = asyncio.create_task(one.term(FROZEN + 1, forever))
        await one.until_asked(1)
        term.cancel()
        await asyncio.wait({term})
        assert term.cancelled()
        assert one.said == [SAID]


async def stood_by(one: Replica, epoch: int) -> None:
    """What a start does besides leading, for longer than it waits for its first term."""
    one.elector.epoch = epoch
    auditing = asyncio.create_task(one.daemon(lambda _term: forever())._audit())
    async with asyncio.timeout(10):
        while one.clock.naps[:1] != [60]:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.3)
    auditing.cancel()
    await asyncio.wait({auditing})


async def test_a_replica_without_a_term_asks_once_after_a_minute(tmp_path: Path) -> None:
    async with replica(tmp_path) as one:
        one.rules(FROZEN + 1)
        await stood_by(one, epoch=0)
        assert one.asked == 1
        assert one.said == [SAID]


async def test_a_replica_that_has_led_has_asked(tmp_path: Path) -> None:
    async with replica(tmp_path) as one:
        one.rules(FROZEN + 1)
        await stood_by(one, epoch=FROZEN + 1)
        assert one.asked == 0


async def test_a_term_tells_of_the_models_platform_that_the_bounds_leave_open(tmp_path: Path) -> None:
    """But not of a namespace into which the model has driftd write, nor of driftd's own, for which a rule stands."""
    service = LOGS.replace("port: 8080", "port: 8080, policies: write")
    platform = "platformNamespaces: [kube-system, ingress, platform-logs, driftd]"
    cluster = CLUSTER.replace("platformNamespaces: [kube-system, ingress, platform-logs]", platform)
    compiled = compile_model(model(cluster=cluster, plan=PLAN, logs=service))
    async with replica(tmp_path) as one:
        answers = {"kube-system": bounded, "ingress": answer(201, {}), "platform-logs": answer(201, {})}
        for namespace, action in answers.items():
            path = f"/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies"
            one.server.routes["POST", path] = action
        one.models.in_force = SimpleNamespace(compiled=compiled)
        await one.term(FROZEN, one.until_said)
        assert one.said == [("guard.missing", BOUNDS_POLICY, "a write into ingress would be let in")]
