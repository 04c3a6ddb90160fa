"""Two replicas on a real PostgreSQL while somebody tampers twenty times a second; the campaign plays it for longer,
and replaces the replicas meanwhile.
"""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from driftd.lab import Lab
from tests.campaign.replicas import fight
from tests.support.postgres import postgres
from tests.support.replicas import Replicas, replicas

pytestmark = [
    pytest.mark.control_plane,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(300),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pair(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Replicas]:
    with postgres() as server:
        async with replicas(lab, server, tmp_path_factory.mktemp("replicas")) as one:
            yield one


async def test_a_fight_over_one_object_costs_two_writes_a_second_and_one_page_that_says_how_long_it_stood_open(
    pair: Replicas,
) -> None:
    found = await fight(pair, 15.0)  # five repairs make a fight; with a rival this quick some of them meet a 409
    print(f"\n{found}")
    assert found.tamperings >= 150, "the rival was too slow to be one"
    assert found.faults == []
