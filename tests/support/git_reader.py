"""A source that reads a branch of a test's server, and what its daemon would hold to be in force."""

from datetime import UTC, datetime
from pathlib import Path

from driftd.source.git import Caps, GitSource, Repository
from tests.support.git_server import GitServer

SMALL = {"cluster.yaml": "a: 1\n", "environments/acme.yaml": "b: 2\n", "README.md": "read me\n"}


class Now:
    def now(self) -> datetime:
        return datetime(2026, 6, 1, tzinfo=UTC)

    def monotonic(self) -> float:
        return 0.0


class Reader:
    """A source and what it takes for the commit in force."""

    def __init__(
        self, repository: Repository, scratch: Path, *, caps: Caps | None = None, timeout: float = 20.0
    ) -> None:
        self.in_force = ""
        self.approved = ""
        self.source = GitSource(
            repository,
            clock=Now(),
            scratch=scratch,
            in_force=lambda: self.in_force,
            approved=lambda: self.approved,
            poll_seconds=0.05,
            retry_seconds=0.05,
            timeout_seconds=timeout,
            caps=caps,
        )

    async def accept(self) -> str:
        self.in_force = (await self.source.read()).commit
        return self.in_force


async def paths(reader: Reader) -> list[str]:
    return [file.path for file in (await reader.source.read()).files]


def reader(server: GitServer, tmp_path: Path, **more: object) -> Reader:
    return Reader(server.repository(), tmp_path, **more)  # type: ignore[arg-type]
