"""Parts of the cluster room pointed at a real API server, for control-plane tests."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson

from driftd.app.system import SystemClock
from driftd.cluster import FenceState, Mirror, Pace, Session, Truth, Writer
from driftd.values import ObjectRef
from tests.support.cluster import NETPOL, policy

NETPOLS = "/apis/networking.k8s.io/v1/namespaces/{}/networkpolicies"


PACE = Pace(SystemClock(), asyncio.sleep, random.random)


def truth_of(session: Session, mirror: Mirror) -> Truth:
    return Truth(session, lambda ref: mirror.reader(mirror.resource_of(ref)))


def writer_of(session: Session, mirror: Mirror, epoch: int = 1) -> Writer:
    fence = FenceState(leading=True, epoch=epoch, remaining=60.0)
    return Writer(session, lambda ref: mirror.reader(mirror.resource_of(ref)), lambda: fence)


def full(namespace: str, name: str, **spec: Any) -> dict[str, Any]:
    return policy(namespace, name, policyTypes=["Ingress", "Egress"], **spec)


async def create_namespace(session: Session, name: str) -> str:
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    await session.request("POST", "/api/v1/namespaces", body=orjson.dumps(body))
    return name


async def create(session: Session, namespace: str, name: str, **spec: Any) -> dict[str, Any]:
    body = full(namespace, name, **spec)
    answer = await session.request("POST", NETPOLS.format(namespace), body=orjson.dumps(body))
    stored: dict[str, Any] = orjson.loads(answer.body)
    return stored


def ref_of(namespace: str, name: str) -> ObjectRef:
    return ObjectRef(NETPOL.group, NETPOL.kind, namespace, name)


async def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


@asynccontextmanager
async def running(*works: Awaitable[Any]) -> AsyncIterator[None]:
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
