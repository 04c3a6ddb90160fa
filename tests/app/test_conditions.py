"""What driftd says of its own powers wakes somebody while it lasts: a pause, records that go nowhere."""

import sqlite3
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from driftd.app.paging import Inside
from driftd.drift import FightBreaker
from driftd.engine import Pauses
from driftd.engine.inforce import ModelStatus
from driftd.paging import PageClass, Route, Rules
from driftd.store import Store, StoreMode, StoreState
from driftd.telemetry import Metrics
from driftd.values import Clock, Scope
from tests.support.frail_store import until_back
from tests.support.pager import Run, begin
from tests.support.paging import START, HandClock, Scripted

ACME = SimpleNamespace(tenant="acme", plan="business")
NOBODY = cast(Any, None)
GOVERNED = {"acme-prod": ACME}


def inside(store: Any, clock: Clock, pauses: Any, status: ModelStatus | None = None) -> Inside:
    """A daemon that sees everything, and governs one namespace."""
    mirror = SimpleNamespace(states=dict, abridged=tuple, left_out=tuple, beyond=())
    models = SimpleNamespace(
        status=status or ModelStatus(),
        orphans=SimpleNamespace(unknown="", unusable=()),
        in_force=SimpleNamespace(
            governed=lambda scope: GOVERNED.get(scope.namespace), compiled=SimpleNamespace(governed=GOVERNED)
        ),
    )
    assert models.in_force.governed(Scope("acme-prod")) is ACME
    workloads = SimpleNamespace(mirror=mirror, stuck_seconds=(0.0, 0.0))
    seen, governs, watches = cast(Any, mirror), cast(Any, models), cast(Any, workloads)
    return Inside(seen, watches, governs, FightBreaker(), pauses, store, NOBODY, clock, clock.monotonic())


async def watched(folder: Path, clock: HandClock, *destinations: Scripted, acme: Scripted) -> tuple[Run, Pauses]:
    """A pager that is asked what its daemon says; `acme` is told about that tenant."""
    rules = Rules([Route("acme", tenants=frozenset({"acme"}))])
    run = await begin(folder, clock, *destinations, routes={"acme": [acme]}, rules=rules)
    pauses = Pauses(store=run.store, clock=clock, metrics=Metrics(), changed=lambda _: None)
    run.pager._conditions = inside(run.store, clock, pauses).conditions
    return run, pauses


async def test_a_pause_is_a_warning_for_its_tenants_people_until_it_ends(tmp_path: Path) -> None:
    clock, general, acme = HandClock(), Scripted("general"), Scripted("acme")
    run, pauses = await watched(tmp_path, clock, general, acme=acme)
    await pauses.begin("acme-prod", timedelta(minutes=30), "alice", "INC-1")
    await pauses.begin("elsewhere", timedelta(minutes=10), "bob", "INC-2")
    await run.pass_(0)
    await run.pass_(2)
    told = [*acme.accepted, *general.accepted]
    assert [(action, page.cls, page.urgency.value) for action, page in told] == [
        ("trigger", PageClass.PAUSED, "warning")
    ] * 2
    assert [(str(page.about), page.about.tenant, page.reasons[0].summary) for _, page in told] == [
        ("Namespace acme-prod", "acme", "paused until 02:30 UTC by alice: INC-1"),
        ("Namespace elsewhere", "", "paused until 02:10 UTC by bob: INC-2"),
    ]
    await run.pass_(9 * 60)
    await run.pass_(60)
    await run.pass_(60)
    assert (acme.said, general.said) == (["trigger"], ["trigger", "resolve"]), "the shorter one is over"
    await pauses.end("acme-prod", "alice")
    await run.pass_(0)
    await run.pass_(60)
    assert acme.said == ["trigger", "resolve"]
    await run.store.close()


async def test_a_tenant_that_is_kept_back_is_a_warning_for_its_people_until_its_file_is_mended(tmp_path: Path) -> None:
    clock, general, acme = HandClock(), Scripted("general"), Scripted("acme")
    run, pauses = await watched(tmp_path, clock, general, acme=acme)

    def says(*quarantined: str, held: str = "") -> None:
        status = ModelStatus("abc", "def", held, quarantined=quarantined)
        run.pager._conditions = inside(run.store, clock, pauses, status).conditions

    says("acme")
    await run.pass_(0)
    await run.pass_(1)
    says()
    await run.pass_(0)
    await run.pass_(3)
    assert acme.said == [], "a blip"
    says("acme", "globex")
    await run.pass_(0)
    await run.pass_(2)
    ((action, page),) = acme.accepted
    assert (action, page.cls, page.urgency.value) == ("trigger", PageClass.HELD, "warning")
    assert (str(page.about), page.about.tenant) == ("Tenant acme", "acme")
    assert "last good version" in page.reasons[0].summary
    assert general.said == ["trigger"], "of the other tenant"
    says("acme", held="plans.yaml is broken")
    await run.pass_(2)
    await run.pass_(60)
    assert (acme.said, general.said) == (["trigger"], ["trigger", "trigger", "resolve"])
    says(held="plans.yaml is broken")
    await run.pass_(0)
    await run.pass_(60)
    assert acme.said == ["trigger", "resolve"]
    await run.store.close()


async def test_records_that_go_to_the_journal_are_a_warning_until_the_database_is_back(tmp_path: Path) -> None:
    clock, general, acme = HandClock(), Scripted("general"), Scripted("acme")
    run, _ = await watched(tmp_path, clock, general, acme=acme)
    await run.pass_(10)
    assert general.said == []
    lock = sqlite3.connect(tmp_path / "s.db", isolation_level=None, timeout=5)
    lock.execute("BEGIN IMMEDIATE")
    await run.store.note("note", "x", {})
    await run.pass_(0)
    await run.pass_(2)
    ((action, page),) = general.accepted
    assert (action, page.cls, page.urgency.value) == ("trigger", PageClass.STORE, "warning")
    assert page.reasons[0].summary.startswith("journalling: ")
    lock.execute("ROLLBACK")
    lock.close()
    clock.pass_(10)
    await until_back(run.store)
    await run.pass_(0)
    await run.pass_(60)
    assert (general.said, acme.said) == (["trigger", "resolve"], [])
    await run.store.close()


@pytest.mark.parametrize("mode", [one for one in StoreMode if one is not StoreMode.OK])
def test_why_records_do_not_go_to_the_database_is_said_on_one_line_and_without_a_login(mode: StoreMode) -> None:
    reason = "cannot reach postgresql://driftd:hunter2@db/driftd\nagain"
    store = cast(Store, SimpleNamespace(state=StoreState(mode, START, reason)))
    (found,) = inside(store, HandClock(), SimpleNamespace(all=tuple)).conditions()
    assert found.cls is PageClass.STORE
    assert found.summary.startswith(f"{mode.value}: cannot reach ")
    assert "hunter2" not in found.summary
    assert "\n" not in found.summary
