"""Broken lines between driftd and the API server: silence, halves of events, cuts, delays, refusals, storms of 429."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from driftd.lab import Lab
from tests.support.faulty import OPEN, Evidence, Scene, allow_all, scene
from tests.support.proxy import Answer, Fate, Request, cutting, is_repair, is_watch_of

pytestmark = [
    pytest.mark.control_plane,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(300),
]

NOTHING_ELSE_LOOKS = {
    "DRIFTD_AUDIT__HEARTBEAT_SECONDS": "600",
    "DRIFTD_AUDIT__RELIST_SECONDS": "600",
    "DRIFTD_AUDIT__ROLLING_GETS_PER_SECOND": "0",
    "DRIFTD_WATCH__SERVER_TIMEOUT_MIN_SECONDS": "300",
    "DRIFTD_WATCH__SERVER_TIMEOUT_MAX_SECONDS": "300",
    "DRIFTD_WATCH__SILENCE_SECONDS": "3",
}
"""No audit and no heartbeat: only the watch itself can notice that it is dead."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def line(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    async with scene(lab, tmp_path_factory.mktemp("line") / "data") as one:
        yield one


@pytest_asyncio.fixture(loop_scope="module")
async def wired(line: Scene) -> Scene:
    await line.begin()
    return line


def watch_is_open(one: Scene) -> Callable[[], Awaitable[bool]]:
    async def holds() -> bool:
        return one.proxy.watching("networkpolicies") > 0

    return holds


async def test_a_watch_that_goes_silent_without_closing_is_noticed_and_replaced(lab: Lab, tmp_path: Path) -> None:
    async with scene(lab, tmp_path / "data", env=NOTHING_ELSE_LOOKS) as one:
        await one.until("the watch is open", watch_is_open(one))
        assert one.proxy.freeze_open(is_watch_of("networkpolicies"))
        await one.kube.merge("NetworkPolicy", "acme-prod", "default-deny", OPEN)
        found = await one.sound(seconds=20.0)
        assert found.about("default-deny", "acme-prod")[0].seen.finding.type.value == "modified"


async def test_a_deletion_on_a_silent_watch_is_found_by_the_audit_long_before_the_watch_is(
    lab: Lab, tmp_path: Path
) -> None:
    env = {
        **NOTHING_ELSE_LOOKS,
        "DRIFTD_WATCH__SILENCE_SECONDS": "300",
        "DRIFTD_AUDIT__ROLLING_GETS_PER_SECOND": "50",
    }
    async with scene(lab, tmp_path / "data", env=env) as one:
        one.proxy.freeze(is_watch_of("networkpolicies"))
        await one.kube.delete("NetworkPolicy", "globex-prod", "default-deny")
        await one.canonical(20.0)
        one.proxy.thaw()
        found = await one.sound()
        assert found.about("default-deny", "globex-prod")[0].seen.finding.type.value == "missing"
        assert one.repairs().total() == 1


async def test_half_an_event_is_no_event_and_the_whole_one_is_fetched_again(wired: Scene) -> None:
    assert wired.proxy.cut_inside_next_line(is_watch_of("networkpolicies"))
    await wired.kube.merge("NetworkPolicy", "acme-prod", "default-deny", OPEN)
    await wired.canonical()
    assert wired.proxy.cut_inside_next_line(is_watch_of("resourcequotas"))
    await wired.kube.delete("ResourceQuota", "acme-prod", "quota")
    found = await wired.sound()
    assert found.about("default-deny", "acme-prod")
    assert found.about("quota", "acme-prod")


async def test_connections_that_break_all_the_time_delay_a_repair_and_never_lose_it(wired: Scene) -> None:
    async def harass() -> None:
        while True:
            wired.proxy.cut()
            await asyncio.sleep(0.4)

    trouble = asyncio.ensure_future(harass())
    try:
        for name in ("default-deny", "web-egress", "api-ingress"):
            await wired.kube.merge("NetworkPolicy", "acme-prod", name, OPEN)
            await asyncio.sleep(0.3)
        await wired.kube.create(allow_all("acme-prod", "hole"))
        await asyncio.sleep(2.0)
    finally:
        trouble.cancel()
    found = await wired.sound()
    for name in ("default-deny", "web-egress", "api-ingress", "hole"):
        assert found.about(name, "acme-prod"), name


async def test_a_write_whose_answer_is_lost_is_looked_at_and_not_repeated(wired: Scene) -> None:
    wired.proxy.rule(is_repair, after=cutting)
    await wired.kube.merge("NetworkPolicy", "acme-prod", "default-deny", OPEN)
    await wired.sound()
    assert wired.repairs().total() == 1
    wired.proxy.rules.clear()
    wired.proxy.rule(is_repair, after=cutting)
    await wired.kube.delete("NetworkPolicy", "acme-prod", "db-ingress")
    found = await wired.sound()
    assert wired.repairs().total() == 2
    assert found.about("db-ingress", "acme-prod")


async def test_a_write_that_never_arrives_is_made_after_a_fresh_look(wired: Scene) -> None:
    wired.proxy.rule(is_repair, before=cutting, times=2)
    await wired.kube.create(allow_all("acme-prod", "lost"))
    found = await wired.sound()
    assert sorted(record.verb for record in wired.writes()) == ["delete", "update"]
    assert len(found.about("lost")) == 1


async def test_a_rival_who_is_first_each_time_costs_a_fresh_look_each_time_and_comes_too_late_in_the_end(
    wired: Scene,
) -> None:
    ports = iter(range(2, 100))

    async def overtake(_request: Request) -> Fate:
        hole = {"spec": {"egress": [{"ports": [{"port": next(ports), "protocol": "TCP"}]}]}}
        await wired.kube.merge("NetworkPolicy", "acme-prod", "default-deny", hole)
        return Fate.PASS

    wired.proxy.rule(is_repair, before=overtake, times=3)
    await wired.kube.merge("NetworkPolicy", "acme-prod", "default-deny", OPEN)
    found = await wired.sound()
    mine = [(record.key.name, record.code) for record in wired.attempts()]
    assert mine == [("default-deny", 409)] * 2 + [("default-deny", 200)], "the third goes by the uid"
    assert found.about("default-deny", "acme-prod")


async def test_a_slow_line_does_not_turn_into_double_work(wired: Scene) -> None:
    async def slowly(_request: Request) -> Fate:
        await asyncio.sleep(0.15)
        return Fate.PASS

    wired.proxy.rule(lambda request: "/leases/" not in request.path, before=slowly, times=10_000)
    await wired.kube.merge("NetworkPolicy", "acme-prod", "default-deny", OPEN)
    await wired.kube.delete("LimitRange", "acme-prod", "limits")
    await wired.sound()
    assert set(wired.repairs().values()) == {1}
    assert wired.repairs().total() == 2


async def test_a_server_that_answers_429_to_everything_is_given_the_time_it_asks_for(wired: Scene) -> None:
    refusal = Answer(429, "Too Many Requests", _STATUS, (("Retry-After", "1"),))

    async def refused(_request: Request) -> Fate | Answer:
        return refusal

    before = await wired.epoch()
    rule = wired.proxy.rule(lambda request: "/leases/" not in request.path, before=refused, times=10_000)
    wired.proxy.cut(is_watch_of(""))
    await wired.kube.merge("NetworkPolicy", "acme-prod", "default-deny", OPEN)
    await wired.kube.create(allow_all("globex-prod", "hole"))
    await asyncio.sleep(6.0)
    wired.proxy.rules.clear()
    await wired.sound()
    assert rule.seen < 200, "a storm must not be answered by a storm"
    assert await wired.epoch() == before, "the lease was not touched by the storm, so the term goes on"


async def test_one_refusal_is_a_failed_try_and_a_repeated_one_is_told_until_somebody_else_sees_to_it(
    wired: Scene,
) -> None:
    """Seen: a 403 of an API server that had just started kept a hole open for half a minute, and the next one too."""
    said = Answer(403, "Forbidden", _STATUS.replace(b"429", b"403").replace(b"TooManyRequests", b"Forbidden"))

    async def refused(_request: Request) -> Fate | Answer:
        return said

    async def blocked() -> bool:
        return "blocked" in types(await wired.evidence())

    def types(found: Evidence) -> list[str]:
        return sorted(past.seen.finding.type.value for past in found.about("refused"))

    wired.proxy.rule(is_repair, before=refused)
    await wired.kube.create(allow_all("acme-prod", "refused"))
    once = await wired.sound()
    assert types(once) == ["unexpected"]

    wired.proxy.rules.clear()
    rule = wired.proxy.rule(is_repair, before=refused, times=10_000)
    await wired.kube.create(allow_all("acme-prod", "refused"))
    await wired.until("a finding says that the repair is refused", blocked)
    await wired.kube.delete("NetworkPolicy", "acme-prod", "refused")
    await wired.sound()
    assert rule.seen < 30, "a refusal is no reason to hurry"

    wired.proxy.rules.clear()
    before = types(await wired.evidence())
    await wired.kube.create(allow_all("acme-prod", "refused"))
    after = types(await wired.sound())
    assert after.count("blocked") == before.count("blocked"), "an old refusal is no setback any more"


async def test_a_twin_that_is_refused_is_told_of_the_object_that_it_stands_for(wired: Scene) -> None:
    said = Answer(403, "Forbidden", _STATUS.replace(b"429", b"403").replace(b"TooManyRequests", b"Forbidden"))

    async def refused(_request: Request) -> Fate | Answer:
        return said

    async def blocked() -> bool:
        found = (await wired.evidence()).about("default-deny", "initech-prod")
        return "blocked" in {past.seen.finding.type.value for past in found}

    wired.proxy.rule(lambda request: request.is_repair and request.verb == "POST", before=refused, times=10_000)
    held = {"metadata": {"finalizers": ["mallory.example/keep"]}}
    await wired.kube.merge("NetworkPolicy", "initech-prod", "default-deny", held)
    await wired.kube.delete("NetworkPolicy", "initech-prod", "default-deny")
    try:
        await wired.until("a finding says that the repair is refused", blocked)
    finally:
        wired.proxy.rules.clear()
        await wired.kube.merge("NetworkPolicy", "initech-prod", "default-deny", {"metadata": {"finalizers": None}})
    await wired.sound()


_STATUS = (
    b'{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure",'
    b'"message":"too many requests","reason":"TooManyRequests","code":429}'
)
