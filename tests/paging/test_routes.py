"""Who hears of a page: those of its route, and after the settings have changed nobody is forgotten."""

from pathlib import Path

from structlog.testing import capture_logs

from driftd.paging import About, Condition, PageClass, Route, Rules
from driftd.paging.strangers import LOOK_SECONDS
from tests.support.pager import Fuse, Service, begin, replica
from tests.support.paging import START, HandClock, Scripted, drift

PLANS = {"acme-prod": "shared", "globex-prod": "dedicated", "initech-prod": "shared"}


def rules(*routes: Route) -> Rules:
    return Rules(routes, lambda namespace: PLANS[namespace])


def by_plan(name: str) -> Rules:
    """One route, for acme's namespaces by their plan."""
    return rules(Route(name, plans=frozenset({"shared"})))


def told(one: Scripted) -> list[tuple[str, str]]:
    return [(action, page.about.tenant) for action, page in one.accepted]


async def test_who_a_route_names_hears_of_it_and_the_general_one_does_not(tmp_path: Path) -> None:
    general, acme, gold = Scripted("general"), Scripted("acme"), Scripted("gold")
    run = await begin(
        tmp_path,
        HandClock(),
        general,
        routes={"acme": [acme], "gold": [gold]},
        rules=rules(Route("gold", plans=frozenset({"dedicated"})), Route("acme", tenants=frozenset({"acme"}))),
    )
    findings = [drift(tenant, namespace=f"{tenant}-prod", tenant=tenant) for tenant in ("acme", "globex", "initech")]
    await run.store.begin(findings, [])
    await run.pass_(1)
    await run.store.close_findings([one.id for one in findings], "driftd", START)
    await run.pass_(60)
    assert told(acme) == [("trigger", "acme"), ("resolve", "acme")]
    assert told(gold) == [("trigger", "globex"), ("resolve", "globex")]
    assert told(general) == [("trigger", "initech"), ("resolve", "initech")]
    assert await run.store.unsettled_pages() == []
    await run.store.close()


async def test_what_was_told_on_a_route_that_is_gone_goes_on_where_it_would_go_today(tmp_path: Path) -> None:
    clock, general, gold, every = HandClock(), Scripted("general"), Scripted("gold"), Scripted("every")
    run = await begin(tmp_path, clock, general, every, routes={"gold": [gold, every]}, rules=by_plan("gold"))
    await run.store.begin([drift("open"), drift("waits", "tightening", name="waits")], [])
    await run.pass_(1)
    assert (gold.said, every.said, general.said) == (["trigger"], ["trigger"], [])
    await run.die()
    with capture_logs() as logs:
        run = await begin(tmp_path, clock, general, every, rules=rules())
        await run.pass_(60)
    assert general.said == ["trigger"] * 2, "the open one, and the one whose window ran"
    assert every.said == ["trigger"] * 2, "of the open one it knew"
    await run.store.close_findings(["open", "waits"], "driftd", START)
    await run.pass_(60)
    assert general.said == every.said == ["trigger"] * 2 + ["resolve"] * 2
    assert await run.store.unsettled_pages() == []
    warned = [{**one, "log_level": ""} for one in logs if one["log_level"] == "warning"]
    assert warned == [
        {"event": "page.destination_gone", "destination": "gold", "pages": 1, "log_level": ""},
        {"event": "page.route_gone", "route": "gold", "instead": "default", "log_level": ""},
    ]
    await run.store.close()


async def test_a_route_of_another_name_and_the_same_key_ends_the_incidents_of_the_old_one(tmp_path: Path) -> None:
    clock, general, service = HandClock(), Scripted("general"), Service(Fuse())
    run = await begin(tmp_path, clock, general, routes={"gold": [service.destination("gold")]}, rules=by_plan("gold"))
    await run.store.begin([drift()], [])
    await run.pass_(1)
    await run.die()
    renamed = {"premium": [service.destination("premium")]}
    run = await begin(tmp_path, clock, general, routes=renamed, rules=by_plan("premium"))
    await run.store.close_findings(["f1"], "driftd", START)
    await run.pass_(60)
    assert (len(service.incidents.opened), service.incidents.open) == (1, set())
    assert general.said == []
    await run.store.close()


async def test_who_was_told_hears_the_end_although_the_route_names_others_by_now(tmp_path: Path) -> None:
    """A route without a key of its own tells the general one; then it gets one."""
    clock, general, gold = HandClock(), Scripted("general"), Scripted("gold")
    run = await begin(tmp_path, clock, general, routes={"gold": [general]}, rules=by_plan("gold"))
    await run.store.begin([drift("f1"), drift("f2", name="over")], [])
    await run.pass_(1)
    general.down()
    await run.store.close_findings(["f2"], "driftd", START)
    await run.pass_(60)
    await run.die()
    general.up()
    run = await begin(tmp_path, clock, general, routes={"gold": [gold]}, rules=by_plan("gold"))
    await run.store.close_findings(["f1"], "driftd", START)
    await run.pass_(60, steps=2)
    assert sorted(general.said) == ["resolve"] * 2 + ["trigger"] * 2
    assert await run.store.unsettled_pages() == []
    await run.store.begin([drift("f3", name="new")], [])
    await run.pass_(1)
    assert (len(general.said), gold.said[-1]) == (4, "trigger"), "what begins now is for those it names now"
    await run.store.close()


async def test_the_end_of_what_a_stand_by_told_on_a_route_that_tells_others_here_is_not_lost(tmp_path: Path) -> None:
    clock, service, acme = HandClock(), Service(Fuse()), rules(Route("acme", tenants=frozenset({"acme"})))
    here = service.destination()
    run = await begin(tmp_path, clock, here, routes={"acme": []}, rules=acme)
    paused = Condition(PageClass.PAUSED, About("pause", "Namespace", "acme-prod", "acme-prod", "acme"), "paused")
    standby = replica(
        run.store,
        clock,
        routes={"acme": [service.destination()]},
        rules=acme,
        conditions=[paused],
        leading=False,
    )
    await standby.pass_(0)
    await standby.pass_(3)
    here.down()
    await run.pass_(3 * LOOK_SECONDS, steps=18)
    assert len(service.incidents.open) == 1
    await run.die()
    here.up()
    run = await begin(tmp_path, clock, here, routes={"acme": []}, rules=acme)
    await run.pass_(1)
    assert service.incidents.open == set()
    assert await run.store.unsettled_pages() == []
    await run.store.close()
