"""Admin policies on a real API server, installed while driftd runs: judged by what they do, paged, never written."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from driftd.lab import Lab
from driftd.values import Finding
from tests.support.admins import GROUP, admin, incoming, outgoing, spaces
from tests.support.faulty import evidence
from tests.support.loose_kinds import loose_kind
from tests.support.pagerduty import StandIn
from tests.support.stage import DRIFTD, Body, Stage, forget_platform, stage

pytestmark = [pytest.mark.control_plane, pytest.mark.timeout(300)]  # judging every state costs CPU

SECONDS = 60.0
BOTH = spaces("acme-prod", "globex-prod")
OPENS = admin("opens", BOTH, incoming("Allow", BOTH), outgoing("Allow", BOTH))
SHUTS = admin("shuts", BOTH, incoming("Deny", BOTH), outgoing("Deny", BOTH), priority=1)


@pytest.fixture
async def stand_in(tmp_path: Path) -> AsyncIterator[StandIn]:
    async with StandIn(tmp_path) as one:
        yield one


@pytest.fixture
async def scene(lab: Lab, tmp_path: Path, stand_in: StandIn) -> AsyncIterator[Stage]:
    env = {
        "DRIFTD_PAGING__PAGERDUTY_KEY": "R0UTINGKEY",
        "DRIFTD_PAGING__PAGERDUTY_URL": stand_in.url,
        "DRIFTD_PAGING__CA_FILE": str(stand_in.ca_file),
        "DRIFTD_PAGING__RESOLVE_SECONDS": "3",
    }
    async with stage(lab, tmp_path / "data", env=env) as one:
        yield one
    await forget_platform(lab)


async def finding(data: Path, name: str) -> Finding | None:
    """What is open about an admin policy."""
    past = (await evidence(data)).about(name)
    return next((one.seen.finding for one in past if one.seen.closed is None), None)


def is_judged(data: Path, name: str, *directions: str) -> Callable[[], Awaitable[bool]]:
    async def holds() -> bool:
        found = await finding(data, name)
        return found is not None and found.direction.value in directions

    return holds


def is_over(data: Path, name: str) -> Callable[[], Awaitable[bool]]:
    async def holds() -> bool:
        return await finding(data, name) is None

    return holds


async def test_one_that_opens_across_tenants_is_told_and_paged_and_nothing_of_its_kind_is_ever_written(
    scene: Stage, stand_in: StandIn, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    async with loose_kind(
        scene.kube, "AdminNetworkPolicy", group=GROUP, version="v1alpha1", scope="Cluster"
    ) as collection:
        path = collection.format(where="")
        made: Body = await scene.kube.request("POST", path, body=OPENS)
        await scene.until("it is judged", is_judged(data, "opens", "loosens"), SECONDS)
        found = await finding(data, "opens")
        assert found is not None
        assert (found.type.value, found.severity.value) == ("foreign", "critical")
        assert found.witness is not None
        crossing = {str(found.witness.source).split("/")[0], str(found.witness.target).split("/")[0]}
        assert crossing == {"acme-prod", "globex-prod"}
        await scene.until("somebody is woken", lambda: is_paged(stand_in, "opens"), SECONDS)

        await scene.kube.request("POST", path, body=SHUTS)  # and would be asked first, if anybody asks
        await scene.until("the other is judged", is_judged(data, "shuts", "tightens"), SECONDS)
        found = await finding(data, "opens")
        assert found is not None
        assert found.direction.value == "loosens"

        assert await scene.kube.request("GET", f"{path}/opens") == made
        for name in ("shuts", "opens"):
            await scene.kube.request("DELETE", f"{path}/{name}")
        for name in ("shuts", "opens"):
            await scene.until(f"{name} is over", is_over(data, name), SECONDS)
        await scene.until("nobody is asked to come any more", lambda: is_quiet(stand_in), SECONDS)
    asked = [one for one in scene.records() if one.user == DRIFTD and one.key.group == GROUP]
    assert asked
    assert [one for one in asked if one.is_write] == []


async def is_paged(stand_in: StandIn, name: str) -> bool:
    triggers = [one["payload"] for one in stand_in.events if one["event_action"] == "trigger"]
    return any(name in one["summary"] and one["severity"] == "critical" for one in triggers)


async def is_quiet(stand_in: StandIn) -> bool:
    await asyncio.sleep(0)
    return not stand_in.incidents.open
