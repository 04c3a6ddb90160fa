"""Every answer of the API server takes long, events of watches too: the lease is lost cleanly, or outlasts them.

Seconds stand for several of a usual lease; the campaign plays the same with answers of five seconds and shipped times.
"""

from pathlib import Path

import pytest

from driftd.cluster import LeaseSettings
from driftd.lab import Lab
from tests.campaign.slow import environment, kept, lost
from tests.support.faulty import scene

pytestmark = [pytest.mark.control_plane, pytest.mark.timeout(300)]

SHORT = LeaseSettings(duration=6.0, renew_deadline=4.0, retry=0.5)
LONG = LeaseSettings(duration=15.0, renew_deadline=10.0, retry=0.5)


async def test_answers_too_slow_for_the_lease_end_the_leadership_in_time_and_what_was_tampered_with_is_healed_after(
    lab: Lab, tmp_path: Path
) -> None:
    async with scene(lab, tmp_path / "data", env=environment(SHORT)) as one:
        found = await lost(one, 2.0, SHORT)
    assert found.faults == []
    assert found.terms >= 1
    assert len(found.healed) >= 4


async def test_answers_that_the_lease_outlasts_slow_repairs_down_and_cost_no_term(lab: Lab, tmp_path: Path) -> None:
    async with scene(lab, tmp_path / "data", env=environment(LONG)) as one:
        found = await kept(one, 1.0, LONG, times=1, restart=False)
    print(f"\n{found}")
    assert found.lost is None
    assert found.terms == 0
