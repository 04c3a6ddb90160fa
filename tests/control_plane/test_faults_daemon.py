"""The daemon itself dies: kill -9 between any two writes, and a stop in the middle of a plan."""

import asyncio
import signal
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from driftd.lab import Lab
from tests.support.crash import ONLY_THE_WATCH, Point, as_if_nothing_had_happened, die_at, tamper
from tests.support.faulty import PATIENCE, Scene, scene
from tests.support.proxy import Fate, Request, is_repair

pytestmark = [
    pytest.mark.control_plane,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(300),
]

POINTS = [
    *(Point(nth, after=False) for nth in (1, 2, 3, 4, 6, 7)),
    *(Point(nth, after=True) for nth in (1, 2, 3, 5, 6, 7)),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def wired(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    async with scene(lab, tmp_path_factory.mktemp("daemon") / "data", env=ONLY_THE_WATCH) as one:
        yield one


@pytest.mark.parametrize("point", POINTS, ids=str)
async def test_a_kill_at_any_write_changes_nothing_but_the_time_it_takes(wired: Scene, point: Point) -> None:
    assert await die_at(wired, point), f"the plan had fewer than {point.nth} writes"
    await as_if_nothing_had_happened(wired)


async def test_what_a_restart_says_of_a_cut_off_write_agrees_with_the_api_server(wired: Scene) -> None:
    for after in (False, True):
        await wired.begin()
        known = {row.seq for row in (await wired.evidence()).rows}
        assert await die_at(wired, Point(1, after=after))
        found = await as_if_nothing_had_happened(wired)
        settled = [row for row in found.rows if row.seq not in known and "settled after a restart" in row.payload]
        assert settled
        assert any('"result":"done"' in row.payload.replace(" ", "") for row in settled) == after


async def test_a_stop_in_the_middle_of_a_plan_finishes_or_refuses_each_write_and_leaves_nothing_open(
    wired: Scene,
) -> None:
    daemon = wired.daemon

    async def stop_while_it_waits(_request: Request) -> Fate:
        daemon.send(signal.SIGTERM)
        await asyncio.sleep(0.3)
        return Fate.PASS

    await wired.begin()
    wired.proxy.rule(is_repair, before=stop_while_it_waits, nth=3)
    await tamper(wired)
    wired.proxy.thaw()
    assert daemon.process is not None
    assert await asyncio.to_thread(daemon.process.wait, 25) == 0
    found = await wired.evidence()
    assert found.unsettled == []
    assert found.chain.ok
    wired.proxy.rules.clear()
    daemon.port = 0
    await daemon.start(ready=False)
    await daemon.wait_ready(PATIENCE)
    await as_if_nothing_had_happened(wired)


async def test_three_deaths_in_one_repair_are_no_worse_than_one(wired: Scene) -> None:
    assert await die_at(wired, Point(3, after=True))
    for nth in (1, 2):
        await wired.daemon.kill()
        await wired.daemon.start(ready=False)
        await asyncio.sleep(0.2 * nth)
    await wired.daemon.kill()
    await wired.daemon.start(ready=False)
    await wired.daemon.wait_ready(PATIENCE)
    await as_if_nothing_had_happened(wired)
