"""The reduced mirror: what is kept of pods, services and slices, where, and for how long it may be believed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from driftd.cluster import (
    POD,
    SLICE,
    WORKLOADS,
    Pace,
    ReflectorSettings,
    Session,
    WorkloadMirror,
    WorkloadWatchers,
)
from driftd.drift import KindState
from tests.support.api_server import ApiServer, answer, serving, status
from tests.support.cluster import Until

QUICK = ReflectorSettings(server_timeout=(20.0, 20.0), silence=2.0, connect=1.0, page_limit=3, blind_after=0.0)
KINDS = {
    "api/v1/pods": "Pod",
    "api/v1/services": "Service",
    "apis/discovery.k8s.io/v1/endpointslices": "EndpointSlice",
}


@pytest.fixture
async def server() -> AsyncIterator[ApiServer]:
    async with serving(ApiServer(KINDS)) as running:
        yield running


def at(namespace: str, name: str) -> str:
    return f"/api/v1/namespaces/{namespace}/pods/{name}"


def pod(namespace: str, name: str, **labels: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {"containers": [{"name": "c", "ports": [{"name": "http", "containerPort": 8080}]}]},
        "status": {"podIP": "10.244.0.7"},
    }


@asynccontextmanager
async def watching(session: Session, pace: Pace, wanted: set[str]) -> AsyncIterator[tuple[WorkloadMirror, Any]]:
    mirror = WorkloadMirror(lambda namespace: namespace in wanted)
    watchers = WorkloadWatchers(session, mirror, Pace(pace.clock, asyncio.sleep, pace.random), QUICK, 600.0)
    task = asyncio.create_task(watchers.run())
    try:
        yield mirror, watchers
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_only_what_decides_flows_is_kept_and_only_of_namespaces_of_interest(
    server: ApiServer, session: Session, pace: Pace, until: Until
) -> None:
    for number in range(7):
        server.put(at("a", f"p{number}"), pod("a", f"p{number}", app="web"))
    server.put(at("other", "p"), pod("other", "p"))
    async with watching(session, pace, {"a"}) as (mirror, _):
        await until(lambda: not mirror.not_ready)
        assert sorted(mirror.pods) == [("a", f"p{number}") for number in range(7)]
        one, two = mirror.pods["a", "p0"], mirror.pods["a", "p1"]
        assert (one.ips, one.service_account, dict(one.labels)) == (("10.244.0.7",), "default", {"app": "web"})
        assert one.labels is two.labels  # what a template made is stored once
        server.put(at("a", "new"), pod("a", "new"))
        await until(lambda: ("a", "new") in mirror.pods)
        server.remove(at("a", "p0"))
        await until(lambda: ("a", "p0") not in mirror.pods)


async def test_a_change_that_decides_no_flow_is_no_change(
    server: ApiServer, session: Session, pace: Pace, until: Until
) -> None:
    server.put(at("a", "p"), pod("a", "p", app="web"))
    async with watching(session, pace, {"a"}) as (mirror, _):
        await until(lambda: not mirror.not_ready)
        told: list[tuple[str, str]] = []
        mirror.subscribe(lambda _resource, name, _news: told.append(name))
        body = pod("a", "p", app="web")
        body["status"]["conditions"] = [{"type": "Ready", "status": "True"}]
        server.put(at("a", "p"), body)
        server.put(at("a", "p"), pod("a", "p", app="db"))
        await until(lambda: bool(told))
        assert told == [("a", "p")]
        assert mirror.pods["a", "p"].labels["app"] == "db"


async def test_other_namespaces_of_interest_are_listed_and_unknown_until_then(
    server: ApiServer, session: Session, pace: Pace, until: Until
) -> None:
    server.put(at("b", "p"), pod("b", "p"))
    wanted = {"a"}
    async with watching(session, pace, wanted) as (mirror, watchers):
        await until(lambda: not mirror.not_ready)
        assert not mirror.pods
        wanted.add("b")
        watchers.relist()
        assert mirror.not_ready == ("Pod", "Service")
        await until(lambda: not mirror.not_ready)
        assert ("b", "p") in mirror.pods


async def test_after_history_went_back_every_kind_is_listed_and_unknown_until_then(
    server: ApiServer, session: Session, pace: Pace, until: Until
) -> None:
    """The watch goes on in a past that is another one: it tells nothing of what is no longer there."""
    kept, lost = at("a", "kept"), at("a", "lost")
    service, slice_ = "/api/v1/namespaces/a/services/s", "/apis/discovery.k8s.io/v1/namespaces/a/endpointslices/s"
    server.put(kept, pod("a", "kept"))
    server.put(lost, pod("a", "lost"))
    server.put(service, {"kind": "Service", "metadata": {"name": "s", "namespace": "a"}, "spec": {}})
    server.put(slice_, {"kind": "EndpointSlice", "metadata": {"name": "s", "namespace": "a"}, "endpoints": []})
    async with watching(session, pace, {"a"}) as (mirror, watchers):
        await until(lambda: not mirror.not_ready)
        assert (len(mirror.pods), len(mirror.services), len(mirror.slices)) == (2, 1, 1)
        for path in (lost, service, slice_):
            server.remove(path, silently=True)
        watchers.rewind()
        assert mirror.not_ready == ("Pod", "Service", "EndpointSlice")
        await until(lambda: not mirror.not_ready)
        assert (list(mirror.pods), len(mirror.services), len(mirror.slices)) == ([("a", "kept")], 0, 0)


async def test_without_rights_the_kind_is_blind_and_what_was_seen_stays(
    server: ApiServer, session: Session, pace: Pace, until: Until
) -> None:
    server.put(at("a", "p"), pod("a", "p"))
    async with watching(session, pace, {"a"}) as (mirror, _):
        await until(lambda: not mirror.not_ready)
        server.fail("GET", "/api/v1/pods", answer(403, status(403, "Forbidden")), times=1000)
        server.hang_up()
        await until(lambda: mirror.state(POD) is KindState.BLIND)
        assert ("a", "p") in mirror.pods
        assert "Pod" in mirror.not_ready


async def test_services_and_slices_are_cut_down_as_well(
    server: ApiServer, session: Session, pace: Pace, until: Until
) -> None:
    meta = {"name": "s", "namespace": "a", "labels": {"kubernetes.io/service-name": "s"}}
    spec = {"type": "NodePort", "selector": {"app": "web"}, "ports": [{"port": 80, "nodePort": 30080}]}
    server.put("/api/v1/namespaces/a/services/s", {"kind": "Service", "metadata": meta, "spec": spec})
    slice_ = {
        "kind": "EndpointSlice",
        "metadata": {**meta, "namespace": "stranger"},
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["10.0.0.1"], "targetRef": {"name": "x"}}],
        "ports": [{"port": 80}],
    }
    server.put("/apis/discovery.k8s.io/v1/namespaces/stranger/endpointslices/s", slice_)
    async with watching(session, pace, {"a"}) as (mirror, _):
        await until(lambda: not mirror.not_ready)
        assert mirror.services["a", "s"].ports[0].node_port == 30080
        assert mirror.slices["stranger", "s"].addresses == ("10.0.0.1",)  # kept wherever it stands
        assert set(mirror.states()) == set(WORKLOADS)
        assert mirror.state(SLICE) is KindState.READY


async def test_a_pod_of_megabytes_of_labels_is_small_and_taken_for_one_that_no_policy_governs(
    server: ApiServer, session: Session, pace: Pace, until: Until
) -> None:
    server.put(at("a", "huge"), pod("a", "huge", **{f"key-{number}": "x" * 60 for number in range(2000)}))
    server.put(at("a", "plain"), pod("a", "plain", app="web"))
    async with watching(session, pace, {"a"}) as (mirror, _):
        await until(lambda: len(mirror.pods) == 2)
        assert (mirror.pods["a", "huge"].labels, mirror.pods["a", "huge"].host_network) == ({}, True)
        assert (mirror.pods["a", "plain"].labels, mirror.pods["a", "plain"].host_network) == ({"app": "web"}, False)
