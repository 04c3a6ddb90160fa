"""What on-call people look at: the trace of a repair, found by the id that logs, metrics and evidence name."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from driftd.lab import Lab
from driftd.telemetry import names
from tests.docs.dashboards import TRACE_QUERIES, conditions, queries, variables
from tests.support.collector import Collector, Received, tree
from tests.support.faulty import evidence
from tests.support.pagerduty import StandIn
from tests.support.prometheus import prometheus
from tests.support.stage import ROOT, Stage, copy_models, stage

pytestmark = pytest.mark.control_plane

DOOR = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "door", "namespace": "acme-prod"},
    "spec": {"type": "NodePort", "selector": {"app": "api"}, "ports": [{"port": 80}]},
}


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    async with Collector() as one:
        yield one


@pytest.fixture
async def scene(lab: Lab, tmp_path: Path, collector: Collector) -> AsyncIterator[Stage]:
    async with StandIn(tmp_path) as pagerduty:
        env = {
            "DRIFTD_TELEMETRY__OTLP_ENDPOINT": collector.endpoint,
            "DRIFTD_TELEMETRY__UNEVENTFUL_PERCENT": "0",
            "DRIFTD_PAGING__PAGERDUTY_KEY": "R0UTINGKEY",
            "DRIFTD_PAGING__PAGERDUTY_URL": pagerduty.url,
            "DRIFTD_PAGING__CA_FILE": str(pagerduty.ca_file),
        }
        models = copy_models(tmp_path / "models")
        async with stage(lab, tmp_path / "data", models=models, env=env) as one:
            yield one


async def logged(scene: Stage, event: str, after: int, **fields: str) -> dict[str, Any]:
    """The first event of that name with these fields, among those behind the first `after`."""
    found: list[dict[str, Any]] = []

    async def said() -> bool:
        wanted = {"event": event, **fields}.items()
        found[:] = [one for one in scene.daemon.events()[after:] if all(one.get(key) == value for key, value in wanted)]
        return bool(found)

    await scene.until(f"the log says {event} with {fields}", said)
    return found[0]


def found_by(query: str, spans: list[Received]) -> list[Received]:
    """The spans that a TraceQL query of the dashboards finds."""
    found = []
    for one in spans:
        said = {f"span.{key}": value for key, value in one.attributes.items()}
        said |= {f"resource.{key}": value for key, value in one.resource.items()}
        said |= {"name": one.name, "status": "error" if one.failed else "ok"}
        if conditions(query).items() <= said.items():
            found.append(one)
    return found


async def test_a_repair_is_one_trace_that_its_log_its_metrics_and_its_evidence_name(
    scene: Stage, collector: Collector, tmp_path: Path
) -> None:
    await asyncio.sleep(1.0)  # driftd has just created it, and writes one object twice a second at most
    before = len(scene.daemon.events())
    opened = await scene.kube.merge("NetworkPolicy", "acme-prod", "default-deny", {"spec": {"egress": [{}]}})
    found = await logged(scene, "drift.found", before, name="default-deny")
    trace_id = found["trace_id"]
    healed = await logged(scene, "drift.healed", before, name="default-deny")
    assert healed["trace_id"] == trace_id

    judged = await logged(scene, "drift.judged", before, finding=found["finding"])
    assert judged["trace_id"] == trace_id

    async def sent() -> bool:
        here = {one.name for one in collector.trace(trace_id)}
        return {"driftd.reconcile", "driftd.judge", "driftd.page"} <= here

    await scene.until("the root and what came after it have reached the collector", sent)
    spans = collector.trace(trace_id)
    shape = tree(spans)
    assert shape[""] == ["driftd.reconcile"]
    assert shape["driftd.reconcile"][:4] == ["driftd.observe", "driftd.diff", "driftd.decide", "driftd.remediate"]
    later = {"driftd.verify", "driftd.report", "driftd.record", "driftd.judge", "driftd.page"}
    assert later <= set(shape["driftd.reconcile"][4:])
    assert shape["driftd.remediate"] == ["driftd.write"]
    assert all(one.name in names.SPANS and one.attributes.keys() <= set(names.ATTRIBUTES) for one in collector.spans)
    assert {one.resource["k8s.cluster.name"] for one in collector.spans} == {"shared-eu-1"}
    assert all(set(names.RESOURCE) <= one.resource.keys() for one in collector.spans)
    by_name = {one.name: one for one in spans}
    root, write = by_name["driftd.reconcile"], by_name["driftd.write"]
    assert root.failed == ""
    assert isinstance(root.attributes["driftd.cycle.id"], int)
    assert next(one for one in spans if one.name == "driftd.diff").attributes["driftd.drift.kinds"] == "NetworkPolicy"
    assert by_name["driftd.verify"].attributes["driftd.objects"] > 1
    assert root.attributes["driftd.outcome"] == "repaired"
    assert root.attributes["k8s.namespace.name"] == "acme-prod"
    assert root.attributes["driftd.repaired.count"] == 1
    assert write.attributes["driftd.verb"] == "replace"
    assert write.attributes["driftd.object.name"] == "default-deny"
    assert write.attributes["driftd.result"] == "done"
    healthy = await scene.kube.get("NetworkPolicy", "acme-prod", "default-deny")
    assert [write.attributes[f"driftd.object.resource_version.{when}"] for when in ("before", "after")] == [
        one["metadata"]["resourceVersion"] for one in (opened, healthy)
    ]
    judgement = by_name["driftd.judge"].attributes
    assert (judgement["driftd.direction"], judgement["driftd.severity"]) == (judged["direction"], judged["severity"])
    assert "acme-prod/" in judgement["driftd.witness"]
    told = by_name["driftd.page"].attributes
    assert (told["driftd.page.destination"], told["driftd.page.class"]) == ("pagerduty", "crossing")
    assert (await logged(scene, "page.accepted", before))["trace_id"] == trace_id

    accepted = await logged(scene, "model.accepted", 0)
    (load,) = collector.trace(accepted["trace_id"])
    assert (load.name, load.parent_id, load.attributes["driftd.outcome"]) == ("driftd.model.load", "", "accepted")
    assert load.attributes["driftd.model.revision"] == accepted["commit"] == root.attributes["driftd.model.revision"]

    shown = {title: found_by(query, collector.spans) for title, query in TRACE_QUERIES}
    assert root in shown["Repairs"]
    assert by_name["driftd.page"] in shown["Pages told"]
    assert load in shown["Models"]
    assert shown["Cycles that failed"] == []

    assert f'trace_id="{trace_id}"' in await scene.daemon.metrics()
    rows = (await evidence(tmp_path / "data")).rows
    kinds = {row.kind for row in rows if orjson.loads(row.payload).get("trace") == trace_id}
    assert kinds >= {"finding.opened", "write.intended", "write.settled", "finding.closed"}


async def test_a_repair_that_had_to_wait_for_its_turn_names_its_trace_as_well(
    scene: Stage, collector: Collector
) -> None:
    for _ in range(2):  # the second within half a second of driftd's write: a cycle finds it, a later one repairs it
        before = len(scene.daemon.events())
        await scene.kube.merge("NetworkPolicy", "acme-prod", "default-deny", {"spec": {"egress": [{}]}})
        healed = await logged(scene, "drift.healed", before, name="default-deny")

    async def sent() -> bool:
        return "driftd.write" in {one.name for one in collector.trace(healed["trace_id"])}

    await scene.until("the write has reached the collector under the id of the log", sent)


async def test_the_cycles_that_a_new_model_asks_for_are_linked_to_how_it_came(
    scene: Stage, collector: Collector
) -> None:
    before, plans = len(scene.daemon.events()), scene.models / "plans.yaml"
    plans.write_text(plans.read_text().replace('pods: "120"', 'pods: "121"'))
    came = (await logged(scene, "model.accepted", before))["trace_id"]

    async def linked() -> bool:
        return any(one.name == "driftd.reconcile" and one.links == (came,) for one in collector.spans)

    await scene.until("a cycle that leads to the model has reached the collector", linked)


async def test_a_cycle_in_which_nothing_happened_sends_no_trace(scene: Stage, collector: Collector) -> None:
    async def clean() -> bool:
        return 'driftd_cycles_total{outcome="clean"}' in await scene.daemon.metrics()

    await scene.until("a cycle was clean", clean)
    cycles = [one for one in collector.spans if one.name == "driftd.reconcile"]
    assert {one.attributes.get("driftd.outcome") for one in cycles} <= {"repaired", "drift"}


async def test_no_alert_holds_of_a_daemon_that_is_well(scene: Stage, tmp_path: Path) -> None:
    """Seen: `driftd_store_ok` was 0 from the start to the first outage, and DriftdStoreGone fired everywhere."""
    rules = ROOT / "deploy" / "prometheus" / "rules.yaml"
    alerts = {
        rule["alert"]: rule["expr"]
        for group in yaml.safe_load(rules.read_text())["groups"]
        for rule in group["rules"]
        if "alert" in rule
    }
    async with prometheus(tmp_path / "prometheus", scene.daemon.port, rules) as server:
        holds: list[str] = []

        async def well() -> bool:
            scraped = await server.query("driftd_store_ok")
            holds[:] = [name for name, expression in alerts.items() if await server.query(expression)]
            return bool(scraped) and holds == ["DriftdWatchdog"]

        try:
            await scene.until("no alert holds", well, 90.0)  # one by one as the daemon gets to its first pass
        except AssertionError as error:
            raise AssertionError(f"{holds}\n{error}") from None


async def test_a_real_prometheus_answers_every_query_of_the_dashboards_and_leads_from_a_bucket_to_its_trace(
    scene: Stage, tmp_path: Path
) -> None:
    rules = ROOT / "deploy" / "prometheus" / "rules.yaml"
    async with prometheus(tmp_path / "prometheus", scene.daemon.port, rules) as server:
        before = len(scene.daemon.events())
        await scene.kube.merge("NetworkPolicy", "acme-prod", "default-deny", {"spec": {"ingress": [{}]}})
        healed = await logged(scene, "drift.healed", before, name="default-deny")
        await scene.kube.create(DOOR)  # nothing repairs a tenant's Service: this finding stays open
        with (scene.models / "cluster.yaml").open("a") as file:
            file.write("\n  nonsense: true\n")  # a held model is a page, and stays one

        empty: list[str] = []
        # an answer of `or vector(0)` proves nothing: what stands before it has to have one of its own
        asked = sorted({*queries(), *(one.partition(" or ")[0] for one in queries())})

        async def answered() -> bool:
            empty[:] = [one for one in asked if not await server.query(one)]
            return not empty

        try:
            await scene.until("every query has an answer", answered, 45.0)  # some tell at the first audit
        except AssertionError as error:
            raise AssertionError(f"no data: {empty}\n{error}") from None
        for metric, label in variables():
            assert "acme" in await server.label_values(metric, label), (metric, label)
        exemplars = await server.exemplars("driftd_time_to_heal_seconds_bucket")
        assert healed["trace_id"] in {one["labels"]["trace_id"] for one in exemplars}
        assert await server.sick_rules() == []
        for counter in ('driftd_mirror_divergence_total{kind="NetworkPolicy"}', 'driftd_spans_total{result="lost"}'):
            assert [one["value"][1] for one in await server.query(counter)] == ["0"], (
                "an alert waits for its first step"
            )
        firing = {one["metric"]["alertname"] for one in await server.query('ALERTS{alertstate="firing"}')}
        assert firing == {"DriftdWatchdog"}
    await scene.kube.delete("Service", "acme-prod", "door")
