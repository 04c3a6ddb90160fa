"""A repair as on-call people see it: the trace that a real Jaeger shows for the id that the log names."""

import asyncio
from pathlib import Path

import pytest

from driftd.lab import Lab
from tests.support.jaeger import jaeger
from tests.support.pagerduty import StandIn
from tests.support.stage import copy_models, stage

pytestmark = pytest.mark.control_plane

HEALED = {"event": "drift.healed", "namespace": "acme-prod", "name": "default-deny"}
UNDER_THE_ROOT = {
    "driftd.observe",
    "driftd.diff",
    "driftd.decide",
    "driftd.remediate",
    "driftd.verify",
    "driftd.judge",
    "driftd.page",
}


async def test_a_real_jaeger_that_is_asked_for_the_id_in_the_log_holds_the_repairs_tree(
    lab: Lab, tmp_path: Path
) -> None:
    async with jaeger(tmp_path / "jaeger") as server, StandIn(tmp_path) as pagerduty:
        env = {
            "DRIFTD_TELEMETRY__OTLP_ENDPOINT": server.endpoint,
            "DRIFTD_PAGING__PAGERDUTY_KEY": "R0UTINGKEY",
            "DRIFTD_PAGING__PAGERDUTY_URL": pagerduty.url,
            "DRIFTD_PAGING__CA_FILE": str(pagerduty.ca_file),
        }
        models = copy_models(tmp_path / "models")
        async with stage(lab, tmp_path / "data", models=models, env=env) as scene:
            await asyncio.sleep(1.0)  # driftd has just created it, and writes one object twice a second at most
            before = len(scene.daemon.events())
            await scene.kube.merge("NetworkPolicy", "acme-prod", "default-deny", {"spec": {"egress": [{}]}})
            named: list[str] = []

            async def shown() -> bool:
                said = scene.daemon.events()[before:]
                named[:] = [one["trace_id"] for one in said if HEALED.items() <= one.items() and "trace_id" in one]
                return bool(named) and {one.name for one in await server.trace(named[0])} >= UNDER_THE_ROOT

            await scene.until("Jaeger shows the whole trace", shown, 45.0)
            spans = await server.trace(named[0])
            accepted = next(one for one in scene.daemon.events() if one.get("event") == "model.accepted")
            (load,) = await server.trace(accepted["trace_id"])

    assert {(one.service, one.resource["k8s.cluster.name"]) for one in spans} == {("driftd", "shared-eu-1")}
    assert (load.name, load.tags["driftd.model.revision"]) == ("driftd.model.load", accepted["commit"])
    above = {one.name: one.parent for one in spans}
    assert [name for name, parent in above.items() if not parent] == ["driftd.reconcile"]
    assert {name: above[name] for name in UNDER_THE_ROOT} == dict.fromkeys(UNDER_THE_ROOT, "driftd.reconcile")
    assert above["driftd.write"] == "driftd.remediate"
    root = next(one for one in spans if not one.parent)
    assert root.tags["driftd.outcome"] == "repaired"
    assert root.tags["k8s.namespace.name"] == "acme-prod"
