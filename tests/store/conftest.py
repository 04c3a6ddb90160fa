"""The databases that the store's contract is held against."""

from pathlib import Path

import pytest

from tests.support.postgres import Server


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each sort."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/driftd.db"
    made: Server = request.getfixturevalue("server")
    return made.new_database()
