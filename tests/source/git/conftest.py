"""A repository and its servers, for each test anew: making one takes a tenth of a second."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.support.git_server import HttpsServer, SshServer, Upstream, https_server, ssh_server


@pytest.fixture
def upstream(tmp_path: Path) -> Upstream:
    return Upstream(tmp_path / "git")


@pytest.fixture
async def server(upstream: Upstream) -> AsyncIterator[HttpsServer]:
    async with https_server(upstream) as one:
        yield one


@pytest.fixture
def sshd(upstream: Upstream) -> Iterator[SshServer]:
    with ssh_server(upstream) as one:
        yield one
