"""A server, a session to it, and time that tests own."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from driftd.cluster import Kubeconfig, Mirror, Pace, Session, Timeouts
from tests.support.api_server import ApiServer, serving
from tests.support.cluster import HandClock, Until, spec_digest, write_kubeconfig


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def pace(clock: HandClock) -> Pace:
    return Pace(clock, clock.sleep, lambda: 0.5)


@pytest.fixture
async def server() -> AsyncIterator[ApiServer]:
    kinds = {
        "apis/networking.k8s.io/v1/networkpolicies": "NetworkPolicy",
        "api/v1/configmaps": "ConfigMap",
        "apis/coordination.k8s.io/v1/leases": "Lease",
        "api/v1/namespaces": "Namespace",
    }
    async with serving(ApiServer(kinds)) as running:
        yield running


@pytest.fixture
async def session(server: ApiServer, pace: Pace, tmp_path: Path) -> AsyncIterator[Session]:
    config = write_kubeconfig(tmp_path / "kubeconfig", server.host)
    async with Session(Kubeconfig(str(config)), pace, Timeouts(1.0, 0.5, 2.0)) as session:
        yield session


@pytest.fixture
def mirror(pace: Pace) -> Mirror:
    return Mirror(spec_digest, pace)


@pytest.fixture
def until() -> Until:
    async def wait(condition: Callable[[], bool], seconds: float = 15.0) -> None:
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(0.005)

    return wait
