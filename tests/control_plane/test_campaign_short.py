"""The fixed part of the campaign: a few seeded rounds that leave the shared control plane alone."""

from pathlib import Path

import pytest

from driftd.lab import Lab
from tests.campaign.__main__ import rounds
from tests.campaign.faults import GENTLE

pytestmark = [pytest.mark.control_plane, pytest.mark.timeout(400)]


async def test_a_few_seeded_rounds_of_tampering_under_faults_break_no_invariant(lab: Lab, tmp_path: Path) -> None:
    tales = await rounds(lab, tmp_path, "fixed-43", range(4), faults=GENTLE)
    assert [tale.failure for tale in tales if tale.failure] == []
    assert sum(len(tale.tamperings) for tale in tales) >= 8
    assert any(tale.faults for tale in tales)
