"""Tampering on a real API server ends as a page that its destination has accepted: within its window and 2 s, whatever
the wall clock does meanwhile, and after hours in which nobody could be told. The daemon is a process with a clock that
the test sets; what it tells is asked of a stand-in over TLS.
"""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest

from driftd.lab import Lab
from driftd.values import Direction
from tests.support.clocked_daemon import program, set_to
from tests.support.faulty import EPOCH, allow_all, evidence
from tests.support.pagerduty import StandIn
from tests.support.stage import Stage, copy_models, forget_other_databases, stage

pytestmark = [pytest.mark.control_plane, pytest.mark.timeout(240)]

KEY = "R0UTINGKEY"
SLACK = 2.0
"""What a page may take beyond its window."""
REPORTED = ("acme-stage", "initech-prod")
SEVERITIES = ("critical", "error", "warning")

PATIENT = {"DRIFTD_LEASE__DURATION_SECONDS": "10800", "DRIFTD_LEASE__RENEW_DEADLINE_SECONDS": "7200"}
"""A lease that does not end when an hour passes between two renewals."""

Body = dict[str, Any]
Event = dict[str, Any]


@pytest.fixture
async def stand_in(tmp_path: Path) -> AsyncIterator[StandIn]:
    async with StandIn(tmp_path) as one:
        yield one


@pytest.fixture
def clock(tmp_path: Path) -> Path:
    """Holds by how many seconds the daemon's clocks are wrong."""
    set_to(tmp_path / "clock", 0.0)
    return tmp_path / "clock"


@pytest.fixture
async def scene(lab: Lab, tmp_path: Path, stand_in: StandIn, clock: Path) -> AsyncIterator[Stage]:
    async with reporting(lab, tmp_path, stand_in, clock) as one:
        yield one


@asynccontextmanager
async def reporting(
    lab: Lab, tmp_path: Path, stand_in: StandIn, clock: Path, more: Mapping[str, str] | None = None
) -> AsyncIterator[Stage]:
    """driftd with a key; once all is made, two environments are only reported: what is opened there stays open."""
    models = copy_models(tmp_path / "models")
    env = {
        "DRIFTD_PAGING__PAGERDUTY_KEY": KEY,
        "DRIFTD_PAGING__PAGERDUTY_URL": stand_in.url,
        "DRIFTD_PAGING__CA_FILE": str(stand_in.ca_file),
        "DRIFTD_PAGING__RESOLVE_SECONDS": "3",
        **(more or {}),
    }
    await forget_other_databases(lab)
    async with stage(lab, tmp_path / "data", models=models, env=env, program=program(clock)) as one:
        known = accepted(one)
        for name in REPORTED:
            file = models / "environments" / f"{name}.yaml"
            text = file.read_text()
            assert "  plan: " in text
            file.write_text(text.replace("  plan: ", "  remediation: {mode: report}\n  plan: ", 1))

        async def in_force() -> bool:
            return accepted(one) >= known + 1

        await one.until("the new model is in force", in_force)
        yield one
        for name in REPORTED:
            if await one.kube.find("NetworkPolicy", name, "hole"):
                await one.kube.delete("NetworkPolicy", name, "hole")


def accepted(one: Stage) -> int:
    return sum(event.get("event") == "model.accepted" for event in one.daemon.events())


async def told(stand_in: StandIn, holds: Callable[[Event], bool], began: float, within: float) -> Event:
    """The first event that fits, and it came in time."""
    while not (found := [event for event in stand_in.events if holds(event)]):
        took = time.monotonic() - began
        assert took < within, f"not within {within} s: {[event['payload'] for event in stand_in.events]}"
        await asyncio.sleep(0.02)
    return found[0]


def about(namespace: str, action: str = "trigger") -> Callable[[Event], bool]:
    def holds(event: Event) -> bool:
        details = event.get("payload", {}).get("custom_details", {})
        return bool(event["event_action"] == action and details.get("namespace") == namespace)

    return holds


async def test_who_is_woken_by_what_and_when(scene: Stage, stand_in: StandIn, tmp_path: Path) -> None:
    assert stand_in.events == [], "the first install, and a new model, wake nobody"
    began = time.monotonic()
    await scene.kube.create(allow_all("initech-prod", "hole"))  # one half of a way: it leads out of its own tenant
    await told(stand_in, about("initech-prod"), began, 5.0 + SLACK)

    began = time.monotonic()
    await scene.kube.create(
        allow_all("acme-stage", "hole")
    )  # the other half: open across tenants, and nobody closes it
    open_ = await told(stand_in, about("acme-stage"), began, 1.0 + SLACK)
    assert open_["payload"]["severity"] == "critical"
    assert open_["payload"]["class"] == "crossing"
    assert open_["payload"]["custom_details"]["history"].startswith("driftd history --namespace acme-stage")

    began = time.monotonic()
    await scene.kube.create(allow_all("acme-prod", "hole"))  # across tenants as well, and closed at once
    healed = await told(stand_in, about("acme-prod"), began, 1.0 + SLACK)
    assert healed["payload"]["severity"] == "warning"

    key = healed["dedup_key"]
    began = time.monotonic()
    await told(stand_in, lambda event: event["dedup_key"] == key and event["event_action"] == "resolve", began, 10.0)
    term = await epoch_of(scene)
    fight = await a_fight_is_one_incident(scene, stand_in)
    await a_held_model_is_told(scene, stand_in)
    for name in REPORTED:
        await scene.kube.delete("NetworkPolicy", name, "hole")
    await scene.until("all but the fight is over", lambda: at_most(stand_in, fight), 20.0)
    if not stand_in.incidents.open:  # a fight is remembered for a term: a machine that stalls may end one
        assert await epoch_of(scene) > term
    assert len(stand_in.incidents.opened) == len(set(stand_in.incidents.opened))
    kept_no_secret(scene, tmp_path)


async def test_a_wall_clock_that_jumps_an_hour_either_way_costs_no_term_and_no_page_and_tells_none_twice(
    scene: Stage, stand_in: StandIn, clock: Path
) -> None:
    epoch = await epoch_of(scene)
    began = time.monotonic()
    await scene.kube.create(allow_all("initech-prod", "hole"))  # only reported there: it stays open
    await told(stand_in, about("initech-prod"), began, 5.0 + SLACK)
    for jump, namespace in ((3600.0, "acme-prod"), (-3600.0, "globex-prod")):
        set_to(clock, jump)
        await asyncio.sleep(1.0)
        began = time.monotonic()
        await scene.kube.create(allow_all(namespace, "hole"))
        await told(stand_in, about(namespace), began, 1.0 + SLACK)
        await scene.canonical()
    opened = stand_in.incidents.opened
    assert len(opened) == len(set(opened)) == 3
    await scene.kube.delete("NetworkPolicy", "initech-prod", "hole")
    await scene.until("every incident is over", lambda: at_most(stand_in), 20.0)
    assert len(opened) == 3
    assert await epoch_of(scene) == epoch, "leadership goes by a clock that does not jump"
    found = await evidence(clock.parent / "data")
    assert found.chain.ok
    assert [past for past in found.about("hole") if past.seen.closed is None] == []
    assert found.unsettled == []


async def test_what_nobody_could_be_told_for_six_hours_is_told_afterwards_once_and_in_order(
    lab: Lab, tmp_path: Path, stand_in: StandIn, clock: Path
) -> None:
    """Each hour one drift that stays open and one that is healed; in the fourth the process is killed."""
    async with reporting(lab, tmp_path, stand_in, clock, PATIENT) as scene:
        await stand_in.go_away()
        passed = 0.0
        for hour in range(6):
            await scene.kube.create(opening("initech-prod", f"stays-{hour}", 7000 + hour))
            await scene.until("it is judged", lambda: judged(scene, f"stays-{hour}"))  # noqa: B023 - awaited here
            await scene.kube.create(allow_all("acme-prod", f"healed-{hour}"))
            await scene.until("it is healed", lambda: judged(scene, f"healed-{hour}", over=True))  # noqa: B023
            if hour == 3:
                passed = await killed(scene, clock, passed)
            passed = await an_hour(clock, passed)
        assert passed >= 6 * 3600
        assert (stand_in.requests, stand_in.incidents.opened) == (0, [])
        await stand_in.come_back()
        await scene.kube.create(allow_all("acme-prod", "healed-6"))  # the next one finds it back
        await scene.until("all is told", lambda: caught_up(stand_in), 20.0)
        told_in_order(stand_in)
        for hour in range(6):
            await scene.kube.delete("NetworkPolicy", "initech-prod", f"stays-{hour}")
        await scene.until("what stayed is over", lambda: over(stand_in), 20.0)
        assert len(stand_in.incidents.opened) == len(set(stand_in.incidents.opened))


def opening(namespace: str, name: str, port: int) -> Body:
    """A policy that nobody ordered and that opens one port of everything in its namespace."""
    rule = {"ports": [{"port": port, "protocol": "TCP"}]}
    body = allow_all(namespace, name)
    return {**body, "spec": {**body["spec"], "ingress": [rule], "egress": [rule]}}


async def judged(scene: Stage, name: str, *, over: bool = False) -> bool:
    with closing(sqlite3.connect(scene.models.parent / "data" / "driftd.sqlite")) as database:
        lives = database.execute("SELECT direction, closed FROM findings WHERE instr(body, ?)", (name,)).fetchall()
    return any(direction != Direction.UNKNOWN and (closed is not None or not over) for direction, closed in lives)


async def an_hour(clock: Path, passed: float) -> float:
    """Lets it pass for the daemon, and the lease be renewed; how much has passed by then."""
    passed += 3600
    set_to(clock, passed, passed)
    await asyncio.sleep(0.6)
    return passed


async def killed(scene: Stage, clock: Path, passed: float) -> float:
    """The process dies, and its successor waits until the old lease is over; how much has passed by then."""
    await scene.daemon.kill()
    await scene.daemon.start(ready=False)
    async with asyncio.timeout(60.0):
        while True:
            try:
                await scene.daemon.wait_ready(0.5)
            except AssertionError:
                passed = await an_hour(clock, passed)
            else:
                return passed


def named(event: Event) -> str:
    """The policy that an event is about, `resolve` events by the key that a `trigger` had."""
    about = str(event.get("payload", {}).get("custom_details", {}).get("object", ""))
    return about.rpartition("/")[2] if about.startswith("NetworkPolicy ") else ""


def keys(stand_in: StandIn, what: str) -> set[str]:
    return {event["dedup_key"] for event in stand_in.events if named(event).startswith(what)}


async def caught_up(stand_in: StandIn) -> bool:
    stays = keys(stand_in, "stays")
    healed = keys(stand_in, "healed")
    return (len(stays), len(healed)) == (6, 7) and stand_in.incidents.open & (stays | healed) == stays


async def over(stand_in: StandIn) -> bool:
    return not stand_in.incidents.open & keys(stand_in, "stays")


def told_in_order(stand_in: StandIn) -> None:
    """What has waited is told by urgency and age, all of it before the first end; each page has one end at most."""
    waited = {f"{what}-{hour}" for what in ("stays", "healed") for hour in range(6)}
    told = [event for event in stand_in.events if named(event) in waited]
    assert [named(event) for event in told] == [named(event) for event in sorted(told, key=urgency_and_age)]
    assert {named(event) for event in told} == waited
    assert len(told) == len(waited), "each once"
    ends = [event["dedup_key"] for event in stand_in.events if event["event_action"] == "resolve"]
    assert {*ends} >= keys(stand_in, "healed")
    assert not {*ends} & keys(stand_in, "stays")
    assert len(ends) == len(set(ends))
    first_end = next(at for at, event in enumerate(stand_in.events) if event["event_action"] == "resolve")
    assert stand_in.events.index(told[-1]) < first_end


def urgency_and_age(event: Event) -> tuple[int, int]:
    """The hour of a policy is the end of its name."""
    return SEVERITIES.index(event["payload"]["severity"]), int(named(event)[-1])


async def epoch_of(one: Stage) -> int:
    lease = await one.kube.get("Lease", "driftd", "driftd")
    return int(lease["metadata"]["annotations"][EPOCH])


async def a_fight_is_one_incident(scene: Stage, stand_in: StandIn) -> str:
    """Somebody opens one object twenty times a second; its page stays open until they have been quiet for long."""
    known = len(stand_in.incidents.opened)
    began = time.monotonic()
    while time.monotonic() < began + 4.0:
        await scene.kube.merge("NetworkPolicy", "globex-prod", "default-deny", {"spec": {"egress": [{}]}})
        await asyncio.sleep(0.05)
    event = await told(stand_in, about("globex-prod"), began, 4.0 + SLACK)
    await scene.until("the object is as the model has it", lambda: healed(scene), 20.0)
    assert len(stand_in.incidents.opened) == known + 1
    return str(event["dedup_key"])


async def healed(scene: Stage) -> bool:
    found = await scene.kube.find("NetworkPolicy", "globex-prod", "default-deny")
    return found is not None and not found["spec"].get("egress")


async def a_held_model_is_told(scene: Stage, stand_in: StandIn) -> None:
    file = scene.models / "cluster.yaml"
    text = file.read_text()
    began = time.monotonic()
    file.write_text(text + "\n  nonsense: true\n")

    def held(event: Event) -> bool:
        return bool(event.get("payload", {}).get("class") == "held")

    event = await told(stand_in, held, began, 2.0 + SLACK + 1.0)  # a second for the source to be looked at
    assert event["payload"]["severity"] == "warning"
    file.write_text(text)


async def at_most(stand_in: StandIn, *keys: str) -> bool:
    """Whether no other incident is open than these."""
    return stand_in.incidents.open <= {*keys}


def kept_no_secret(scene: Stage, folder: Path) -> None:
    """The routing key is in nothing that the daemon wrote."""
    assert KEY not in scene.daemon.log_path.read_text(errors="replace")
    with closing(sqlite3.connect(folder / "data" / "driftd.sqlite")) as database:
        tables = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            assert not [row for row in database.execute(f"SELECT * FROM {table}") if KEY in repr(row)]
