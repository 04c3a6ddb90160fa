"""No page is lost, none doubled: a pager on a real store, killed at every step, its destinations away for hours."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from driftd.paging import About, Condition, NotAccepted, PageClass, PageState, Rules, Step, recent
from driftd.store import StoreMode
from driftd.telemetry import Traces
from tests.support.frail_store import until_back
from tests.support.pager import Fuse, Killed, Run, Service, begin
from tests.support.paging import START, HandClock, Scripted, drift
from tests.support.spans import InMemory

Act = Callable[[Run], Awaitable[None]]


async def shown(run: Run) -> list[tuple[str, str]]:
    return [(one["class"], one["state"]) for one in await recent(run.store)]


async def test_a_page_is_told_and_its_end_too(tmp_path: Path) -> None:
    one = Scripted()
    run = await begin(tmp_path, HandClock(), one)
    await run.store.begin([drift()], [])
    await run.pass_(0.9)
    assert one.said == []
    await run.pass_(0.1)
    assert one.said == ["trigger"]
    await run.store.close_findings(["f1"], "driftd", START)
    await run.pass_(60)
    assert one.said == ["trigger", "resolve"]
    assert await run.store.unsettled_pages() == []
    assert await shown(run) == [("crossing", "resolved")]
    await run.store.close()


async def test_a_refusal_is_counted_from_zero_and_leaves_nothing_to_tell(tmp_path: Path) -> None:
    one = Scripted()
    one.refusing()
    run = await begin(tmp_path, HandClock(), one)

    def refused() -> float | None:
        labels = {"destination": one.name, "action": "trigger", "result": "refused"}
        return run.metrics.registry.get_sample_value("driftd_page_deliveries_total", labels)

    assert refused() == 0
    await run.store.begin([drift()], [])
    await run.pass_(1)
    assert refused() == 1
    assert run.metrics.registry.get_sample_value("driftd_outbox_depth", {"destination": one.name}) == 0
    await run.store.close()


async def test_what_was_refused_and_is_over_is_not_told_by_the_next_run(tmp_path: Path) -> None:
    """A refusal holds for a run: a page that ended after it was told anew, and its end, by every start."""
    one = Scripted()
    one.refusing()
    run = await begin(tmp_path, HandClock(), one)
    await run.store.begin([drift()], [])
    await run.pass_(1)
    await run.store.close_findings(["f1"], "driftd", START)
    await run.pass_(60)
    await run.pass_(0)
    assert await run.store.unsettled_pages() == []
    await run.store.close()
    other = Scripted()
    again = await begin(tmp_path, HandClock(), other)
    await again.pass_(60)
    assert other.said == []
    await again.store.close()


async def test_whoever_is_told_is_a_late_part_of_the_cycle_that_found_it_and_the_log_names_its_trace(
    tmp_path: Path,
) -> None:
    spans, clock = InMemory(), HandClock()
    traces, one, refuses = Traces(spans), Scripted("pagerduty"), Scripted("refuses")
    refuses.refusing()
    run = await begin(tmp_path, clock, one, refuses, traces=traces)
    cycle = traces.begin("driftd.reconcile", {})
    cycle.keep()
    await run.store.begin([drift()], [])
    cycle.end("repaired", eventful=True)
    with capture_logs() as said:
        await run.pass_(1)
        await run.store.close_findings(["f1"], "driftd", START)
        await run.pass_(60)
    root, *told = spans.made
    assert all(span.parent is root and span.ended for span in told)
    assert [span.attributes for span in told if span.attributes["driftd.page.destination"] == "pagerduty"] == [
        {
            "driftd.page.destination": "pagerduty",
            "driftd.page.action": action,
            "driftd.page.class": "crossing",
            "driftd.page.urgency": "critical",
            "driftd.result": "accepted",
        }
        for action in ("trigger", "resolve")
    ]
    assert "refused" in {span.attributes["driftd.result"] for span in told}
    assert {line["trace_id"] for line in said if line["event"] in ("page.accepted", "page.refused")} == {cycle.id}
    await run.store.close()


async def test_nobody_is_told_of_what_is_not_recorded_yet(tmp_path: Path) -> None:
    one = Scripted()
    run = await begin(tmp_path, HandClock(), one)
    recording = asyncio.ensure_future(run.store.begin([drift()], []))
    await asyncio.sleep(0)
    run.clock.pass_(2)
    await run.pager.deliver()
    assert one.said == []
    await recording
    await run.pass_(0)
    assert one.said == ["trigger"]
    await run.store.close()


async def test_without_a_destination_the_same_events_are_recorded_and_served(tmp_path: Path) -> None:
    run = await begin(tmp_path, HandClock())
    await run.store.begin([drift()], [])
    await run.pass_(1)
    (page,) = await recent(run.store)
    (event,) = page["events"]
    assert (event["event_action"], event["payload"]["severity"]) == ("trigger", "critical")
    assert "routing_key" not in event
    await run.store.close_findings(["f1"], "driftd", START)
    await run.pass_(60)
    (page,) = await recent(run.store)
    assert [event["event_action"] for event in page["events"]] == ["trigger", "resolve"]
    assert await run.store.unsettled_pages() == []
    await run.store.close()


async def test_a_change_event_is_for_those_who_take_them(tmp_path: Path) -> None:
    takes, takes_not = Scripted("takes"), Scripted("takes not", takes_changes=False)
    run = await begin(tmp_path, HandClock(), takes, takes_not)
    await run.store.begin([drift("f1", "loosening")], [])
    await run.store.close_findings(["f1"], "driftd", START)
    await run.pass_(1)
    assert (takes.said, takes_not.said) == (["change"], [])
    assert await run.store.unsettled_pages() == []
    await run.store.close()


async def test_open_pages_are_said_again_where_that_is_the_way(tmp_path: Path) -> None:
    one = Scripted(refresh_seconds=60.0)
    run = await begin(tmp_path, HandClock(), one)
    await run.store.begin([drift()], [])
    await run.pass_(300, steps=30)
    assert len(one.refreshed) in (4, 5)
    await run.store.close_findings(["f1"], "driftd", START)
    await run.pass_(60)
    said = len(one.refreshed)
    await run.pass_(300, steps=5)
    assert len(one.refreshed) == said
    await run.store.close()


async def test_conditions_are_pages_like_others(tmp_path: Path) -> None:
    one = Scripted()
    held = Condition(PageClass.HELD, About("model", "Model", "newest"), "dir:abc: two errors")
    run = await begin(tmp_path, HandClock(), one, conditions=[held])
    await run.pass_(2)
    ((_, page),) = one.accepted
    assert (page.cls, page.urgency.value) == (PageClass.HELD, "warning")
    await run.store.close()


async def test_a_replica_that_stands_by_tells_nothing(tmp_path: Path) -> None:
    one = Scripted()
    held = Condition(PageClass.HELD, About("model", "Model", "newest"), "dir:abc: two errors")
    run = await begin(tmp_path, HandClock(), one, conditions=[held], active=False)
    await run.pass_(100, steps=5)
    assert one.tries == 0
    await run.store.close()


async def test_open_pages_are_counted_by_class_and_urgency_where_this_replica_leads(tmp_path: Path) -> None:
    leading = [True]
    run = await begin(tmp_path, HandClock(), Scripted())
    run.pager._active = lambda: leading[0]
    await run.store.begin([drift("f1"), drift("f2", name="a"), drift("f3", "loosening", name="b")], [])
    assert open_pages(run) == {}
    await run.pass_(5)
    assert open_pages(run) == {("crossing", "critical"): 2, ("loosening", "error"): 1}
    await run.store.close_findings(["f1", "f3"], "driftd", START)
    await run.pass_(60)
    assert open_pages(run) == {("crossing", "critical"): 1}
    leading[0] = False
    await run.pass_(0)
    assert open_pages(run) == {}, "the other one counts them now"
    leading[0] = True
    await run.pass_(0)
    assert open_pages(run) == {("crossing", "critical"): 1}
    await run.store.close()


def open_pages(run: Run) -> dict[tuple[str, str], float]:
    (family,) = run.metrics.pages_open.collect()
    return {(one.labels["class"], one.labels["urgency"]): one.value for one in family.samples}


async def test_who_leads_again_goes_on_with_what_the_other_one_left(tmp_path: Path) -> None:
    clock, one = HandClock(), Scripted()
    leading = [True]
    run = await begin(tmp_path, clock, one)
    run.pager._active = lambda: leading[0]
    await run.store.begin([drift()], [])
    await run.pass_(1)
    leading[0] = False
    await run.pass_(10)
    await run.store.close_findings(["f1"], "the other one", START)  # its own pager saw this, ours does not matter
    await run.pass_(100)
    assert one.said == ["trigger"]
    leading[0] = True
    await run.pass_(0)
    await run.pass_(60)
    assert one.said == ["trigger", "resolve"]
    await run.store.close()


class Odd:
    """Rules that trip over one namespace, until they are mended."""

    broken = True

    def plan_of(self, namespace: str) -> str:
        if self.broken and namespace == "odd":
            raise LookupError(namespace)
        return "shared"


async def test_an_odd_finding_costs_no_page_but_its_own_and_is_offered_again(tmp_path: Path) -> None:
    one, odd = Scripted(), Odd()
    run = await begin(tmp_path, HandClock(), one, rules=Rules(plan_of=odd.plan_of))
    with capture_logs() as logs:
        await run.store.begin([drift("f1", namespace="odd"), drift("f2"), drift("f3", namespace="odd", name="x")], [])
        await run.store.finish([], [drift("f1", namespace="odd", summary="it is worse"), drift("f2", summary="worse")])
    assert [entry["finding"] for entry in logs if entry["event"] == "page.fault"] == ["f1", "f3"]
    await run.pass_(1)
    assert [(step, page.about.namespace) for step, page in one.accepted] == [("trigger", "acme-prod")]
    await run.store.close_findings(["f3"], "driftd", START)
    await run.pass_(59)
    odd.broken = False
    await run.pass_(61)
    await run.pass_(1)
    told = [(step, page.about.namespace, page.reasons[0].summary) for step, page in one.accepted[1:]]
    assert told == [("trigger", "odd", "it is worse")], "with what is known by now; what is over by then wakes nobody"
    await run.store.close()


async def test_an_odd_finding_keeps_nobody_from_taking_over(tmp_path: Path) -> None:
    clock, one, odd = HandClock(), Scripted(), Odd()
    run = await begin(tmp_path, clock, rules=Rules(plan_of=odd.plan_of))
    await run.store.begin([drift("f1", namespace="odd"), drift("f2")], [])
    await run.die()
    again = await begin(tmp_path, clock, one, rules=Rules(plan_of=odd.plan_of))
    await again.pager.activate()
    await again.pass_(60, steps=2)
    await again.pass_(1)
    assert [page.about.namespace for _, page in one.accepted] == ["acme-prod"]
    await again.store.close()


async def test_while_the_database_is_away_people_are_told_and_nothing_is_told_twice(tmp_path: Path) -> None:
    clock, one = HandClock(), Scripted()
    run = await begin(tmp_path, clock, one)
    lock = sqlite3.connect(tmp_path / "s.db", isolation_level=None, timeout=5)
    lock.execute("BEGIN IMMEDIATE")
    await run.store.begin([drift()], [])
    assert run.store.state.mode is StoreMode.JOURNALLING
    await run.pass_(1)
    assert one.said == ["trigger"]
    await run.die()
    again = await begin(tmp_path, clock, one)  # the database is still away: the journal knows
    await again.pass_(10)
    assert one.said == ["trigger"]
    lock.execute("ROLLBACK")
    lock.close()
    clock.pass_(10)
    await until_back(again.store)
    await again.store.close_findings(["f1"], "driftd", START)
    await again.pass_(60)
    assert one.said == ["trigger", "resolve"]
    assert await again.store.unsettled_pages() == []
    await again.store.close()


async def test_a_destination_that_is_gone_from_the_settings_keeps_no_page_waiting(tmp_path: Path) -> None:
    clock, one = HandClock(), Scripted()
    one.down()
    run = await begin(tmp_path, clock, one)
    await run.store.begin([drift()], [])
    await run.pass_(1)
    await run.store.close_findings(["f1"], "driftd", START)
    await run.pass_(60)
    assert len(await run.store.unsettled_pages()) == 1
    await run.die()
    again = await begin(tmp_path, clock)
    assert await again.store.unsettled_pages() == []
    await again.store.close()


# -- hours ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("jump", [0.0, 3600.0, -3600.0])
async def test_six_hours_without_anybody_to_tell_lose_nothing_and_double_nothing(tmp_path: Path, jump: float) -> None:
    clock, fuse = HandClock(), Fuse()
    service = Service(fuse)
    one = service.destination()
    one.down()
    run = await begin(tmp_path, clock, one)
    for n in range(36):  # every ten minutes one drift that is healed, and one that is not
        await run.store.begin([drift(f"healed{n}", name=f"healed{n}"), drift(f"open{n}", name=f"open{n}")], [])
        clock.pass_(0.01)
        await run.store.close_findings([f"healed{n}"], "driftd", START)
        await run.pass_(599.99, steps=6)
        if n == 18:
            clock.jump(jump)
        if n == 24:
            await run.die()
            run = await begin(tmp_path, clock, one)
    assert service.incidents.opened == []
    assert run.pager.depth == 72
    one.up()
    await run.pass_(600, steps=2)
    assert len(service.incidents.opened) == len(set(service.incidents.opened)) == 72
    assert len(service.incidents.open) == 36
    urgencies = [page.urgency.value for action, page in one.accepted if action == "trigger"]
    assert urgencies == ["critical"] * 36 + ["warning"] * 36
    await run.store.close_findings([f"open{n}" for n in range(36)], "driftd", START)
    await run.pass_(600, steps=2)
    assert service.incidents.open == set()
    assert await run.store.unsettled_pages() == []
    await run.store.close()


async def test_a_storm_during_an_outage_is_one_incident(tmp_path: Path) -> None:
    clock, one = HandClock(), Scripted()
    one.down()
    run = await begin(tmp_path, clock, one)
    await run.store.begin([drift(f"f{n}", name=f"p{n}") for n in range(1000)], [])
    await run.pass_(3600, steps=20)
    one.up()
    await run.pass_(600)
    ((action, page),) = one.accepted
    assert (action, page.cls, page.members, page.state) == ("trigger", PageClass.STORM, 1000, PageState.OPEN)
    await run.store.close()


async def test_a_drift_that_came_back_during_an_outage_is_one_incident(tmp_path: Path) -> None:
    clock = HandClock()
    service = Service(Fuse())
    one = service.destination()
    run = await begin(tmp_path, clock, one)
    one.down()
    for _ in range(5):
        await run.store.begin([drift()], [])
        await run.pass_(1)
        await run.store.close_findings(["f1"], "driftd", START)
        await run.pass_(600, steps=3)
    one.up()
    await run.pass_(600)
    await run.pass_(1)
    assert len(service.incidents.opened) == 1
    assert service.incidents.open == set()
    assert await run.store.unsettled_pages() == []
    await run.store.close()


# -- deaths -----------------------------------------------------------------------------------------------------------


async def opened(run: Run) -> None:
    if not any(one.finding.id == "f1" for one in await run.store.open_findings()):
        await run.store.begin([drift()], [])


async def closed(run: Run) -> None:
    await run.store.close_findings(["f1"], "driftd", START + timedelta(seconds=5))


async def repaired_elsewhere(run: Run) -> None:
    if not any(one.page.namespace == "acme-dev" for one in await run.store.pages()):
        await run.store.begin([drift("g1", "loosening", namespace="acme-dev")], [])
    await run.store.close_findings(["g1"], "driftd", START + timedelta(seconds=5))


def waiting(seconds: float) -> Act:
    return lambda run: run.pass_(seconds)


STORY: list[Act] = [
    opened,
    waiting(1.1),
    repaired_elsewhere,
    waiting(2.0),
    closed,
    waiting(61.0),
    waiting(700.0),
    waiting(700.0),
]


async def survive(folder: Path, clock: HandClock, service: Service, fuse: Fuse) -> None:
    """Tell the story, and begin anew with whatever act the process died in."""
    run = await begin(folder, clock, service.destination(), fuse=fuse)
    acts = list(STORY)
    while acts:
        try:
            await acts[0](run)
            acts.pop(0)
        except Killed:
            await run.die()
            clock.pass_(3.0)
            run = await begin(folder, clock, service.destination(), fuse=fuse)
    assert await run.store.unsettled_pages() == []
    assert await run.store.open_findings() == []
    assert (await run.store.verify()).ok
    await run.store.close()


async def steps_of_the_story(folder: Path) -> int:
    fuse = Fuse()
    await survive(folder, HandClock(), Service(fuse), fuse)
    return fuse.passed


async def test_a_process_killed_at_any_step_loses_no_page_and_doubles_none(tmp_path: Path) -> None:
    count = await steps_of_the_story(tmp_path / "whole")
    assert count > 20
    for nth in range(1, count + 1):
        fuse = Fuse(nth)
        service = Service(fuse)
        await survive(tmp_path / str(nth), HandClock(), service, fuse)
        assert fuse.left <= 0, "it was never killed"
        assert len(service.incidents.opened) == 1, f"killed at {nth}: {service.incidents}"
        assert service.incidents.open == set(), f"killed at {nth}"
        assert 1 <= len(service.changes) <= 2, f"killed at {nth}: change events have no key, twice is the most"


async def test_a_destination_that_loses_answers_hears_of_one_incident(tmp_path: Path) -> None:
    clock = HandClock()
    service = Service(Fuse())
    one = service.destination()
    answers = 0
    sent = one.send

    async def forgetful(step: Step, at: object) -> None:
        nonlocal answers
        await sent(step, at)  # type: ignore[arg-type]
        answers += 1
        if answers % 3:
            raise NotAccepted("service", "the answer was lost")

    one.send = forgetful  # type: ignore[method-assign]
    run = await begin(tmp_path, clock, one)
    await run.store.begin([drift()], [])
    await run.pass_(120, steps=40)
    await run.store.close_findings(["f1"], "driftd", START)
    await run.pass_(300, steps=40)
    assert len(service.incidents.opened) == 1
    assert service.incidents.open == set()
    await run.store.close()
