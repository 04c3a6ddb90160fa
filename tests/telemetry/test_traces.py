"""Traces: what is kept, what a collector receives, and that a bad collector costs nothing."""

import asyncio
import time

import pytest
import structlog

from driftd.telemetry import Metrics, Traces, current_trace_id
from driftd.telemetry.names import meaning
from driftd.telemetry.otlp import OtlpRecorder
from driftd.telemetry.traces import MOST_ROOTS, MOST_STAGES
from driftd.values import Direction, Finding, FindingType, ObjectRef, Scope, Severity, Witness
from tests.support.collector import Collector, tree
from tests.support.spans import InMemory


def test_a_witness_stands_on_a_span_as_one_line_that_a_terminal_does_not_act_upon() -> None:
    ref = ObjectRef("", "Service", "shop", "door")
    witness = Witness("anybody", "shop/evil\n\x1b[2J" + "A" * 300, "TCP", "80")
    finding = Finding(
        "1", FindingType.EXPOSED, ref, Scope("shop"), "acme", Direction.LOOSENS, Severity.HIGH, "", witness=witness
    )
    told = str(meaning(finding)["driftd.witness"])
    assert told.isprintable()
    assert len(told) <= 256


def test_a_cycle_in_which_nothing_happened_leaves_no_span() -> None:
    recorder = InMemory()
    trace = Traces(recorder).begin("driftd.reconcile", {})
    with trace.stage("driftd.observe"):
        pass
    trace.end("clean", eventful=False)
    assert recorder.made == []
    assert trace.id == ""


def test_a_share_of_uneventful_cycles_is_kept_as_a_sample() -> None:
    recorder = InMemory(sample=True)
    trace = Traces(recorder).begin("driftd.reconcile", {})
    with trace.stage("driftd.observe"):
        pass
    trace.end("clean", eventful=False)
    assert [one.name for one in recorder.made] == ["driftd.reconcile", "driftd.observe"]
    assert all(one.ended for one in recorder.made)


def test_a_trace_kept_halfway_holds_what_went_before_and_what_comes_after() -> None:
    recorder = InMemory()
    trace = Traces(recorder).begin("driftd.reconcile", {"driftd.trigger": "NetworkPolicy changed"})
    with trace.stage("driftd.observe"):
        pass
    with trace.stage("driftd.remediate") as act:
        trace.keep()
        with trace.stage("driftd.write", {"driftd.verb": "create"}):
            pass
        act.note({"driftd.writes": 1})
    trace.end("repaired", eventful=True)
    root, observe, act_span, write = recorder.made
    assert [observe.parent, act_span.parent, write.parent] == [root, root, act_span]
    assert act_span.attributes == {"driftd.writes": 1}
    assert root.attributes == {"driftd.trigger": "NetworkPolicy changed", "driftd.outcome": "repaired"}
    assert {one.trace_id for one in recorder.made} == {trace.id}


def test_logs_and_records_carry_the_id_from_the_moment_a_trace_is_kept_until_it_ends() -> None:
    trace = Traces(InMemory()).begin("driftd.reconcile", {})
    assert current_trace_id() == ""
    trace.keep()
    assert current_trace_id() == trace.id == structlog.contextvars.get_contextvars()["trace_id"]
    trace.end("drift", eventful=True)
    assert current_trace_id() == ""
    assert "trace_id" not in structlog.contextvars.get_contextvars()


def test_what_came_of_a_trace_after_its_end_carries_its_id_and_only_while_it_is_done() -> None:
    trace = Traces(InMemory()).begin("driftd.reconcile", {})
    trace.end("repaired", eventful=True)
    with trace.resumed():
        assert current_trace_id() == trace.id == structlog.contextvars.get_contextvars()["trace_id"]
    assert current_trace_id() == ""
    assert "trace_id" not in structlog.contextvars.get_contextvars()


def test_an_error_names_its_class_and_nothing_of_what_it_says() -> None:
    recorder = InMemory()
    trace = Traces(recorder).begin("driftd.reconcile", {})
    trace.keep()
    with pytest.raises(ValueError, match="secret"), trace.stage("driftd.remediate"):
        raise ValueError("secret")
    trace.end("failed", eventful=True, failed="ValueError")
    assert [one.error for one in recorder.made] == ["ValueError", "ValueError"]


def test_a_cycle_with_thousands_of_stages_makes_a_bounded_trace_that_says_so() -> None:
    recorder = InMemory()
    trace = Traces(recorder).begin("driftd.reconcile", {})
    for _ in range(MOST_STAGES + 7):
        with trace.stage("driftd.write"):
            pass
    trace.end("repaired", eventful=True)
    assert len(recorder.made) == MOST_STAGES + 1
    assert recorder.made[0].attributes["driftd.stages.left_out"] == 7


def test_without_a_recorder_everything_is_accepted_and_nothing_kept() -> None:
    trace = Traces().begin("driftd.reconcile", {})
    trace.keep()
    with trace.stage("driftd.remediate"):
        pass
    trace.end("repaired", eventful=True)
    trace.late("driftd.judge", time.time_ns(), {})
    assert trace.id == ""


def test_what_led_to_a_trace_is_linked_if_it_was_kept() -> None:
    recorder = InMemory()
    traces = Traces(recorder)
    kept, dropped = traces.begin("driftd.model.load", {}), traces.begin("driftd.model.load", {})
    kept.end("accepted", eventful=True)
    dropped.end("held", eventful=False)
    trace = traces.begin("driftd.reconcile", {}, links=(kept.id, dropped.id))
    trace.keep()
    assert recorder.made[-1].links == [kept.root]


def test_what_is_told_of_a_trace_later_is_a_part_of_it_and_of_one_that_nobody_kept_nothing_is() -> None:
    recorder = InMemory()
    traces = Traces(recorder)
    trace = traces.begin("driftd.reconcile", {})
    trace.end("repaired", eventful=True)
    traces.late(trace.id, "driftd.page", time.time_ns(), {"driftd.page.action": "trigger"})
    traces.late("", "driftd.page", time.time_ns(), {})
    traces.late("0" * 32, "driftd.page", time.time_ns(), {})
    Traces().late(trace.id, "driftd.page", time.time_ns(), {})
    root, page = recorder.made
    assert (page.parent, page.trace_id, page.attributes) == (root, trace.id, {"driftd.page.action": "trigger"})
    assert page.ended


def test_of_very_many_traces_the_oldest_are_forgotten() -> None:
    recorder = InMemory()
    traces = Traces(recorder)
    ids = []
    for _ in range(MOST_ROOTS + 1):
        trace = traces.begin("driftd.reconcile", {})
        trace.end("repaired", eventful=True)
        ids.append(trace.id)
    for id in ids[:2]:
        traces.late(id, "driftd.page", time.time_ns(), {})
    assert [one.trace_id for one in recorder.made if one.name == "driftd.page"] == [ids[1]]


def recorder_of(endpoint: str, metrics: Metrics, *, timeout: float = 5.0, queue: int = 4096) -> OtlpRecorder:
    return OtlpRecorder(
        endpoint=endpoint,
        resource={"service.name": "driftd"},
        share=0.0,
        timeout_seconds=timeout,
        queue=queue,
        metrics=metrics,
    )


def value(metrics: Metrics, result: str) -> float:
    return metrics.registry.get_sample_value("driftd_spans_total", {"result": result}) or 0.0


async def test_a_collector_receives_the_tree_with_its_times_and_attributes() -> None:
    metrics = Metrics()
    async with Collector() as collector:
        recorder = recorder_of(collector.endpoint, metrics)
        traces = Traces(recorder)
        trace = traces.begin("driftd.reconcile", {"k8s.namespace.name": "acme-prod"})
        with trace.stage("driftd.observe"):
            await asyncio.sleep(0.01)
        trace.keep()
        with trace.stage("driftd.remediate"), trace.stage("driftd.write", {"driftd.verb": "replace"}):
            pass
        trace.end("repaired", eventful=True)
        trace.late("driftd.judge", time.time_ns(), {"driftd.direction": "loosens"})
        traces.late(trace.id, "driftd.page", time.time_ns(), {"driftd.page.action": "trigger"})
        linked = traces.begin("driftd.reconcile", {}, links=(trace.id,))
        linked.end("drift", eventful=True)
        await recorder.close()
        spans = collector.trace(trace.id)
        (follower,) = collector.trace(linked.id)
    assert tree(spans) == {
        "": ["driftd.reconcile"],
        "driftd.reconcile": ["driftd.observe", "driftd.remediate", "driftd.judge", "driftd.page"],
        "driftd.remediate": ["driftd.write"],
    }
    by_name = {one.name: one for one in spans}
    assert by_name["driftd.reconcile"].attributes == {"k8s.namespace.name": "acme-prod", "driftd.outcome": "repaired"}
    assert by_name["driftd.reconcile"].resource["service.name"] == "driftd"
    assert by_name["driftd.observe"].end_ns - by_name["driftd.observe"].start_ns >= 9_000_000
    assert by_name["driftd.write"].attributes == {"driftd.verb": "replace"}
    assert follower.links == (trace.id,)
    assert (value(metrics, "made"), value(metrics, "sent")) == (7, 7)


async def test_spans_say_of_which_cluster_they_are_as_soon_as_a_model_names_it() -> None:
    async with Collector() as collector:
        recorder = recorder_of(collector.endpoint, Metrics())
        traces = Traces(recorder)
        for name in ("", "shared-eu-1"):
            if name:
                traces.of_cluster(name)
            traces.begin("driftd.model.load", {}).end("accepted", eventful=True)
        await recorder.close()
    assert [one.resource.get("k8s.cluster.name") for one in collector.spans] == [None, "shared-eu-1"]
    assert {one.resource["service.name"] for one in collector.spans} == {"driftd"}


async def test_what_the_standard_variable_calls_the_cluster_counts_for_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "k8s.cluster.name=prod")
    async with Collector() as collector:
        recorder = recorder_of(collector.endpoint, Metrics())
        traces = Traces(recorder)
        traces.of_cluster("shared-eu-1")
        traces.begin("driftd.model.load", {}).end("accepted", eventful=True)
        await recorder.close()
    assert [one.resource["k8s.cluster.name"] for one in collector.spans] == ["prod"]


async def test_spans_without_room_in_the_queue_are_counted_as_lost_and_the_others_are_sent() -> None:
    metrics = Metrics()
    async with Collector(slow_seconds=1.0) as collector:
        recorder = recorder_of(collector.endpoint, metrics, queue=64)
        traces = Traces(recorder)
        for _ in range(500):
            traces.begin("driftd.reconcile", {}).end("repaired", eventful=True)
        assert value(metrics, "lost") >= 500 - 3 * 64, (
            "of a queue's length each: under way, waiting, and taken meanwhile"
        )
        await recorder.close()
    assert value(metrics, "sent") == len(collector.spans) >= 64
    assert value(metrics, "made") == 500 == value(metrics, "sent") + value(metrics, "lost")


async def test_traces_leave_by_the_proxy_of_the_environment_and_with_its_headers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with Collector() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.endpoint.removesuffix("/v1/traces"))
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20token")
        recorder = recorder_of("http://collector.invalid:4318/v1/traces", Metrics())
        Traces(recorder).begin("driftd.model.load", {}).end("accepted", eventful=True)
        await recorder.close()
    assert [one.name for one in proxy.spans] == ["driftd.model.load"]
    assert proxy.headers["Authorization"] == "Bearer token"


@pytest.mark.parametrize("what", ["slow", "failing", "absent"])
async def test_a_bad_collector_costs_neither_time_nor_memory_nor_the_end(what: str) -> None:
    metrics = Metrics()
    async with Collector(status=500 if what == "failing" else 200, slow_seconds=60 if what == "slow" else 0) as bad:
        endpoint = "http://127.0.0.1:9/v1/traces" if what == "absent" else bad.endpoint
        recorder = recorder_of(endpoint, metrics, timeout=0.5, queue=64)
        traces = Traces(recorder)
        slowest = 0.0
        for _ in range(500):
            began = time.perf_counter()
            trace = traces.begin("driftd.reconcile", {})
            trace.end("repaired", eventful=True)
            slowest = max(slowest, time.perf_counter() - began)
        began = time.perf_counter()
        await recorder.close()
        assert time.perf_counter() - began < 5.0
    assert slowest < 1.0  # never a network's time
    assert value(metrics, "made") == 500
    assert value(metrics, "sent") == 0
