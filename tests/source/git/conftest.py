"""A repository and its servers, for each test anew: making one takes a tenth of a second."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.support.git_server import GitServer, HttpsServer, SshServer, Upstream, https_server, ssh_server


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


@pytest.fixture(params=["https", "ssh"])
async def remote(request: pytest.FixtureRequest, upstream: Upstream) -> AsyncIterator[GitServer]:
    """Of each kind once: they fail in ways of their own."""
    if request.param == "ssh":
        with ssh_server(upstream) as by_ssh:
            yield by_ssh
        return
    async with https_server(upstream) as by_https:
        yield by_https
