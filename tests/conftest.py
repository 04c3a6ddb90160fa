"""What holds for every test: examples have no deadline, since time is the benchmarks' business."""

from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.support.postgres import Server, postgres

settings.register_profile("driftd", deadline=None)
settings.load_profile("driftd")


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """One PostgreSQL for all tests that need no more; one that stops it must start it again."""
    with postgres() as one:
        yield one
