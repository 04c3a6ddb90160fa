"""A revision: all files of the model at one moment, and the name of that moment."""

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Protocol

from driftd.model import SourceFile


@dataclass(frozen=True, slots=True)
class Revision:
    """Files ordered by path, and what they are called: a commit, or `dir:` and 12 hex digits of their content."""

    files: tuple[SourceFile, ...]
    commit: str


class Source(Protocol):
    """Where revisions come from: a directory now, a verified git branch later."""

    async def read(self) -> Revision:
        """The current revision, whole: never a mixture of two. Raises `SourceError`."""
        ...

    def changes(self) -> AsyncIterator[None]:
        """Yields when a read may give something other than the last read did; also after a failed one."""
        ...


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a model may be before it is refused."""

    file_bytes: int = 1024 * 1024
    total_bytes: int = 64 * 1024 * 1024
    files: int = 20_000
    depth: int = 32


def content_name(files: Iterable[SourceFile]) -> str:
    """`dir:` and 12 hex digits that depend on every path and every byte, and on nothing else."""
    digest = blake2b(digest_size=6)
    for file in sorted(files, key=lambda file: file.path):
        path = file.path.encode("utf-8", "surrogateescape")
        digest.update(b"%d %d\n" % (len(path), len(file.data)))
        digest.update(path)
        digest.update(file.data)
    return f"dir:{digest.hexdigest()}"
