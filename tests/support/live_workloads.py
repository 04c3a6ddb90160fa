"""Live workloads that are judged without an API server: what a watch tells, and what is found then."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from functools import cache
from typing import TypeVar

import orjson

from driftd.cluster import POD, SERVICE, SLICE, WORKLOADS, Mirror, Pace, WorkloadMirror
from driftd.cluster.budget import NOT_KEPT
from driftd.compile import Compiled, compile_model
from driftd.drift import Comparison, KindState, LiveService, LiveSlice, World
from driftd.engine import OpenFindings, WorkloadDrift
from driftd.engine.living import MOST_NAMES
from driftd.policy.kinds import KINDS
from driftd.policy.reach import Pod
from driftd.telemetry import Metrics
from driftd.values import Digest, Finding, Live, ObjectRef, Scope
from tests.support.cluster import spec_digest
from tests.support.model_texts import CLUSTER, environment, model

Answer = TypeVar("Answer")
SHOP = Scope("shop")
TODAY = date(2026, 11, 22)
THIEF = Pod("shop", "thief", {"app.kubernetes.io/name": "web"}, service_account="thief")


@cache
def compiled() -> Compiled:
    return compile_model(model(shop=environment("shop", "acme"), desk=environment("desk", "globex")))


BY_NAME = """\
---
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: to-db, namespace: shop}
spec:
  order: 500
  selector: app.kubernetes.io/name == 'web'
  types: [Egress]
  egress: [{action: Allow, protocol: TCP, destination: {services: {name: db}}}]
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: default.partners}
spec:
  order: 500
  namespaceSelector: has(driftd.dev/tenant)
  types: [Egress]
  egress: [{action: Allow, destination: {selector: role == 'partner'}}]
"""


@cache
def tiered(more: str = "") -> Compiled:
    cluster = CLUSTER.replace("spec:\n", "spec:\n  cni: {dialect: calico}\n", 1)
    return compile_model(model(cluster=cluster, shop=environment("shop", "acme") + BY_NAME + more))


@dataclass
class _Clock:
    """The loop's time, and what a test adds to it."""

    more: float = 0.0

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time() + self.more


@dataclass
class Judge:
    """A world without a thread; `faults` are raised first."""

    world: World = field(default_factory=lambda: World(compiled()))
    faults: list[Exception] = field(default_factory=list)
    reconsidered: list[frozenset[str] | None] = field(default_factory=list)
    asked_anew: int = 0

    async def ask(self, question: Callable[[World], Answer]) -> Answer:
        if self.faults:
            raise self.faults.pop()
        return question(self.world)

    def reconsider(self, namespaces: frozenset[str] | None = None) -> None:
        self.reconsidered.append(namespaces)

    def ask_anew(self) -> None:
        self.asked_anew += 1


@dataclass
class Stand:
    workloads: WorkloadMirror
    drift: WorkloadDrift
    judge: Judge
    findings: OpenFindings
    told: list[Scope]
    opened: list[Finding]
    mirror: Mirror
    clock: _Clock
    term: asyncio.Task[None]

    def ready(self) -> None:
        for one in WORKLOADS:
            self.workloads.mark(one, KindState.READY)

    def put(self, pod: Pod | None) -> None:
        """What a watch would: the pod as it is now, or gone."""
        self.workloads._put(POD, ("shop", "thief"), pod)

    def found(self, model_: Compiled | None = None, scope: Scope = SHOP) -> tuple[Finding, ...]:
        return self.drift.added_to(Comparison(scope), model_ or compiled(), TODAY).findings

    def listed(self, *addresses: str) -> None:
        """What a watch would: the slice of the database, as it is now."""
        one = LiveSlice("shop", "db-1", "db", addresses, (("TCP", 5432),))
        self.workloads._put(SLICE, ("shop", "db-1"), one)

    async def judged_again(self) -> None:
        looked = len(self.judge.reconsidered)
        self.drift.admins_changed()
        await self.until(lambda: len(self.judge.reconsidered) > looked)

    async def next_term(self, between: Callable[[], None] = lambda: None) -> None:
        """Another one of this replica."""
        self.term.cancel()
        await asyncio.gather(self.term, return_exceptions=True)
        between()
        self.term = asyncio.create_task(self.drift.run())

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not holds():
                await asyncio.sleep(0.01)


@asynccontextmanager
async def standing(
    judge: Judge | None = None,
    model_: Callable[[], Compiled] = compiled,
    workloads: WorkloadMirror | None = None,
    most_names: int = MOST_NAMES,
) -> AsyncIterator[Stand]:
    clock = _Clock()
    pace = Pace(clock, lambda _seconds: asyncio.sleep(0.001), random.random)
    workloads, metrics = workloads or WorkloadMirror(lambda _namespace: True), Metrics()
    findings, told, opened = OpenFindings(metrics), list[Scope](), list[Finding]()
    judge, mirror = judge or Judge(World(model_())), Mirror(spec_digest, pace)

    async def updated(_finding: Finding) -> None:
        return

    drift = WorkloadDrift(
        workloads=workloads,
        mirror=mirror,
        compiled=model_,
        judge=judge,
        findings=findings,
        changed=told.append,
        updated=updated,
        opened=opened.append,
        pace=pace,
        metrics=metrics,
        most_names=most_names,
    )
    stand = Stand(workloads, drift, judge, findings, told, opened, mirror, clock, asyncio.create_task(drift.run()))
    try:
        yield stand
    finally:
        stand.term.cancel()
        await asyncio.gather(stand.term, return_exceptions=True)


def door(name: str, keys: int = 0) -> LiveService:
    return LiveService("shop", name, "LoadBalancer", {f"k{one}": "v" * 60 for one in range(keys)}, (), ())


def doors(stand: Stand) -> set[str]:
    return {one.ref.name for one in stand.found() if one.ref.kind == "Service"}


def let_go(stand: Stand, *names: str) -> None:
    """There is no room for these any more, and they stand."""
    for name in names:
        stand.workloads._put(SERVICE, ("shop", name), door(name, 170))
        assert ("shop", name) not in stand.workloads.services


async def held_open(stand: Stand) -> None:
    """A way in that is open, stands, and is not kept."""
    stand.ready()
    stand.workloads._put(SERVICE, ("shop", "hole"), door("hole"))
    fill(stand)
    await stand.until(lambda: doors(stand) == {"hole"})
    stand.findings.take(SHOP, stand.findings.sift(SHOP, stand.found(), ()))
    let_go(stand, "hole")
    await stand.judged_again()
    assert doors(stand) == {"hole"}


ACCOUNTS = KINDS["", "ServiceAccount"].resource


def account(name: str, version: str, **labels: str) -> Live:
    ref = ObjectRef("", "ServiceAccount", "shop", name)
    body = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "labels": labels}}
    return Live(ref, orjson.dumps(body), Digest(version.encode()), f"u-{name}", version, terminating=False, managers=())


def odd(name: str, version: str, more: int = 0) -> Live:
    live = account(name, version)
    body = live.body() | {"more": "x" * more}
    body["metadata"]["labels"] = NOT_KEPT  # nobody knows what they let in
    return replace(live, kept=orjson.dumps(body))


def fill(stand: Stand) -> None:
    """So many Services and pods that there is no room, and then some room again: what was left out is not known."""
    number = 0
    while not {(SERVICE, "shop"), (POD, "shop")} <= stand.workloads.beyond:
        small = LiveService("shop", f"s{number}", "ClusterIP", {}, (), ())
        stand.workloads._put(SERVICE, ("shop", small.name), small)
        pod = replace(THIEF, name=f"p{number}", labels={}, owner="", ips=())
        stand.workloads._put(POD, ("shop", pod.name), pod)
        number += 1
    for one in range(number):
        stand.workloads._put(SERVICE, ("shop", f"s{one}"), None)
        stand.workloads._put(POD, ("shop", f"p{one}"), None)
