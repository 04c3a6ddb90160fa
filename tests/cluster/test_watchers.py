"""One reflector a kind, from the moment it is served, and again when it comes back."""

import asyncio
from dataclasses import replace

import pytest

from driftd.cluster import Discovery, Interest, Mirror, Pace, ReflectorSettings, Session, Watchers
from driftd.drift import KindState
from driftd.values import Digest, ObjectRef
from tests.support.api_server import ApiServer, answer, status
from tests.support.cluster import CONFIGMAP, NETPOL, POLICIES, Until, policy
from tests.support.discovery import CORE, aggregated, found, serve

QUICK = ReflectorSettings(server_timeout=(20.0, 20.0), silence=5.0, absent_poll=1e9)
NETWORKING = ("networking.k8s.io", [{"version": "v1", "resources": [found("networkpolicies", "NetworkPolicy")]}])
CONFIGMAPS = aggregated(("", [{"version": "v1", "resources": [found("configmaps", "ConfigMap")]}]))


def interest(_group: str, kind: str) -> Interest:
    return {"NetworkPolicy": Interest.FULL, "ConfigMap": Interest.METADATA}.get(kind, Interest.NONE)


@pytest.fixture
def watchers(session: Session, mirror: Mirror, pace: Pace) -> Watchers:
    discovery = Discovery(session, interest)
    return Watchers(session, mirror, discovery, pace, [NETPOL], lambda _resource: QUICK, poll=(1e6, 1e6))


async def stop(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_required_kind_is_watched_even_while_discovery_is_silent(
    server: ApiServer, watchers: Watchers, mirror: Mirror, until: Until
) -> None:
    server.routes["GET", "/api"] = answer(503, status(503, "ServiceUnavailable"))
    task = asyncio.create_task(watchers.run())
    await until(lambda: mirror.state(NETPOL) is KindState.READY)
    assert mirror.state(NETPOL) is KindState.READY
    await stop(task)


async def test_a_kind_that_appears_is_watched_after_a_poke(
    server: ApiServer, watchers: Watchers, mirror: Mirror, until: Until
) -> None:
    serve(server, CORE, aggregated(NETWORKING))
    heard: list[int] = []
    watchers.subscribe(lambda served: heard.append(len(served.kinds)))
    task = asyncio.create_task(watchers.run())
    await until(lambda: heard == [1])
    assert mirror.state(CONFIGMAP) is KindState.ABSENT
    serve(server, CONFIGMAPS, aggregated(NETWORKING))
    watchers.poke()
    await until(lambda: mirror.state(CONFIGMAP) is KindState.READY)
    assert set(watchers.counts()) == {NETPOL, CONFIGMAP}
    await stop(task)


async def test_a_kind_that_comes_back_is_listed_again_at_once(
    server: ApiServer, watchers: Watchers, mirror: Mirror, until: Until
) -> None:
    kinds, server.kinds = server.kinds, {}
    serve(server, CORE, aggregated())
    task = asyncio.create_task(watchers.run())
    await until(lambda: mirror.state(NETPOL) is KindState.ABSENT)
    server.kinds = kinds
    serve(server, CORE, aggregated(NETWORKING))
    watchers.poke()
    await until(lambda: mirror.state(NETPOL) is KindState.READY)
    await stop(task)


async def test_a_restarted_reflector_lists_afresh(
    server: ApiServer, watchers: Watchers, mirror: Mirror, until: Until
) -> None:
    serve(server, CORE, aggregated(NETWORKING))
    path = POLICIES.format("a", "x")
    server.put(path, policy("a", "x"))
    task = asyncio.create_task(watchers.run())
    await until(lambda: mirror.state(NETPOL) is KindState.READY)
    server.remove(path, silently=True)
    watchers.restart(NETPOL)
    await until(lambda: mirror.get(ObjectRef(NETPOL.group, NETPOL.kind, "a", "x")) is None)
    await stop(task)


async def test_after_history_went_back_lists_are_believed_whatever_was_known(
    server: ApiServer, watchers: Watchers, mirror: Mirror, until: Until
) -> None:
    known = server.put(POLICIES.format("a", "x"), policy("a", "x", policyTypes=["Ingress"]))
    ref = ObjectRef(NETPOL.group, NETPOL.kind, "a", "x")
    task = asyncio.create_task(watchers.run())
    await until(lambda: mirror.get(ref) is not None)
    live = mirror.get(ref)
    assert live is not None
    mirror.correct(replace(live, resource_version="9000", digest=Digest(b"newer")))
    gone = replace(live, ref=replace(ref, name="gone"), uid="gone", resource_version="9001")
    mirror.correct(gone)
    watchers.restart(NETPOL)
    await until(lambda: mirror.state(NETPOL) is KindState.READY)
    assert mirror.get(gone.ref) is not None, "a list alone does not take away what is known to be later"
    watchers.rewind()
    await until(lambda: mirror.get(gone.ref) is None)
    found = mirror.get(ref)
    assert found is not None
    assert found.resource_version == known["metadata"]["resourceVersion"]
    await stop(task)
