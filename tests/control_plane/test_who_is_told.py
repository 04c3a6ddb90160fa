"""Settings as people write them decide who is told: routes with keys of their own, a window from a file, a real
Alertmanager beside them; a pause and a database that is away are told like drift.
"""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from driftd.lab import Lab
from tests.support.alertmanager import Alertmanager, alertmanager
from tests.support.faulty import OPEN, Scene, allow_all, locked, scene
from tests.support.pagerduty import StandIn
from tests.support.people import account, run_as
from tests.support.stage import forget_other_databases

pytestmark = [
    pytest.mark.control_plane,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(300),
]

GENERAL, ACME, BUSINESS = "key-of-everybody-else", "key-of-acme", "key-of-business"
REASON = "CHG-123"
SECONDS = 60.0
"""So long a test waits for what takes seconds."""

Event = dict[str, Any]


@dataclass
class Told:
    """driftd with routes beside the general one, of which one has no key of its own, and everybody whom it tells."""

    stage: Scene
    pagerduty: StandIn
    alerts: Alertmanager
    windows: Path

    def events(self, action: str = "trigger", **payload: str) -> list[Event]:
        """What PagerDuty took of pages whose payload, or its details, say so."""
        keys = {one["dedup_key"] for one in self.pagerduty.events if says(one, payload)}
        return [one for one in self.pagerduty.events if one["dedup_key"] in keys and one["event_action"] == action]

    async def until(self, action: str = "trigger", **payload: str) -> set[str]:
        """The routing keys under which it was told so, once it was."""

        async def told() -> bool:
            return bool(self.events(action, **payload))

        await self.stage.until(f"{action} of {payload}", told, SECONDS)
        return {one["routing_key"] for one in self.events(action, **payload)}

    async def until_alert(self, **labels: str) -> dict[str, str]:
        """The labels of an alert that Alertmanager holds for active."""
        found: list[dict[str, str]] = []

        async def active() -> bool:
            alerts = [one["labels"] for one in await self.alerts.alerts()]
            found[:] = [one for one in alerts if labels.items() <= one.items()]
            return bool(found)

        await self.stage.until(f"an alert {labels}", active, SECONDS)
        return found[0]


def says(event: Event, payload: dict[str, str]) -> bool:
    said = event.get("payload", {})
    return payload.items() <= {**said.get("custom_details", {}), "class": said.get("class")}.items()


def window(**fields: object) -> dict[str, object]:
    """One that has begun, and lasts longer than any test."""
    now = datetime.now(UTC)
    begin, end = now - timedelta(hours=1), now + timedelta(hours=6)
    return {"from": begin.isoformat(), "until": end.isoformat(), "reason": REASON, **fields}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def told(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Told]:
    root = tmp_path_factory.mktemp("told")
    windows, key = root / "windows.json", root / "acme"
    key.write_text(f"{ACME}\n")
    windows.write_text(json.dumps([window(tenants=["globex"], classes=["paused"])]))
    await forget_other_databases(lab)
    keys = frozenset({GENERAL, ACME, BUSINESS})
    async with StandIn(root, keys=keys) as pagerduty, alertmanager(root / "alertmanager") as alerts:
        routes = [
            {"name": "business", "plans": ["business"], "pagerduty_key": BUSINESS},
            {"name": "acme", "tenants": ["acme"], "pagerduty_key_file": str(key)},
            {"name": "initech", "tenants": ["initech"]},
        ]
        env = {
            "DRIFTD_PAGING__PAGERDUTY_KEY": GENERAL,
            "DRIFTD_PAGING__PAGERDUTY_URL": pagerduty.url,
            "DRIFTD_PAGING__CA_FILE": str(pagerduty.ca_file),
            "DRIFTD_PAGING__TIMEOUT_SECONDS": "20",
            "DRIFTD_PAGING__ROUTES": json.dumps(routes),
            "DRIFTD_PAGING__ALERTMANAGER_URLS": json.dumps([alerts.url]),
            "DRIFTD_PAGING__MAINTENANCE_FILE": str(windows),
            "DRIFTD_PAGING__RESOLVE_SECONDS": "1",
            "DRIFTD_PAGING__STORM_PAGES": "1000",  # the install has just made many pages that nobody is told of
        }
        async with scene(lab, root / "data", proxied=False, env=env) as one:
            yield Told(one, pagerduty, alerts, windows)
            assert not one.daemon.unhandled(), one.daemon.unhandled()


async def test_drift_is_told_under_the_key_of_its_tenant_or_plan_and_under_no_other(told: Told) -> None:
    keys = {"acme-prod": ACME, "acme-stage": ACME, "globex-prod": BUSINESS, "initech-prod": GENERAL}
    for namespace in keys:
        await told.stage.kube.create(allow_all(namespace, "hole"))
    assert {namespace: await told.until(namespace=namespace) for namespace in keys} == {
        namespace: {key} for namespace, key in keys.items()
    }
    assert {namespace: await told.until("resolve", namespace=namespace) for namespace in keys} == {
        namespace: {key} for namespace, key in keys.items()
    }
    routes = {"acme-prod": "acme", "acme-stage": "acme", "globex-prod": "business", "initech-prod": "initech"}
    for namespace, route in routes.items():
        assert (await told.until_alert(namespace=namespace))["route"] == route


async def test_a_pause_within_a_window_is_told_when_the_window_is_taken_out_of_its_file(told: Told, lab: Lab) -> None:
    one, operator = told.stage, await account(lab, "operator", "driftd-operator")
    for namespace in ("globex-prod", "acme-prod"):
        wish = ("pause", "-n", namespace, "--for", "1h", "--reason", "upgrade")
        done = await run_as(one, operator, *wish)
        assert done.code == 0, done.err
    assert await told.until(**{"class": "paused"}, namespace="acme-prod") == {ACME}

    async def held_back() -> bool:
        about = {"event": "page.state", "class": "paused", "tenant": "globex", "muted": REASON}
        return any(about.items() <= event.items() for event in one.daemon.events())

    await one.until("the window holds a page back", held_back, SECONDS)
    paused = {"class": "paused", "namespace": "globex-prod"}
    assert told.events(**paused) == []

    told.windows.write_text("[]")
    assert await told.until(**paused) == {BUSINESS}
    event = told.events(**paused)[0]
    assert event["payload"]["severity"] == "warning"
    assert "upgrade" in json.dumps(event["payload"])
    alert = await told.until_alert(alertname="DriftdPaused", namespace="globex-prod")
    assert (alert["severity"], alert["tenant"], alert["route"]) == ("warning", "globex", "business")
    await told.alerts.until_told(("firing", "DriftdPaused", "warning"), seconds=SECONDS)
    for namespace, key in (("globex-prod", BUSINESS), ("acme-prod", ACME)):
        assert (await run_as(one, operator, "pause", "-n", namespace, "--end")).code == 0
        assert await told.until("resolve", **{"class": "paused"}, namespace=namespace) == {key}


async def test_a_database_that_is_away_is_told_to_the_general_one_and_shows_in_the_metrics(told: Told) -> None:
    one = told.stage
    with locked(one.data / "driftd.sqlite"):
        await one.kube.merge("NetworkPolicy", "initech-prod", "default-deny", OPEN)
        assert await told.until(**{"class": "store"}) == {GENERAL}
        assert await one.metric("driftd_store_ok") == 0
    assert await told.until("resolve", **{"class": "store"}) == {GENERAL}
    event = told.events(**{"class": "store"})[0]
    assert event["payload"]["severity"] == "warning"
    await one.canonical(SECONDS)
