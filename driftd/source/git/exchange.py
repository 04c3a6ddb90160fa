"""One exchange with a git server: what a branch points to, or a pack, bounded in time, bytes and objects."""

import contextlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dulwich.objects import ObjectID

from driftd.source.errors import SourceError
from driftd.source.git.commit import is_commit_name
from driftd.source.git.deadline import Deadline
from driftd.source.git.errors import GitMissing, GitTooSlow, GitUnreachable, PackBroken
from driftd.source.git.https import HttpsClient
from driftd.source.git.pack import Caps, Damaged, Stored, unpacked
from driftd.source.git.repository import Budget, Repository, words
from driftd.source.git.ssh import SshClient

_REFS_BYTES = 4 * 1024 * 1024
"""A server of the old protocol names every branch and tag it has before anything else."""


@dataclass(slots=True)
class _Haves:
    """What dulwich asks for commits that are already here."""

    names: list[bytes]
    shallow: frozenset[bytes] = field(default_factory=frozenset)

    def __next__(self) -> bytes | None:
        return self.names.pop(0) if self.names else None

    def ack(self, sha: bytes) -> None:
        """The server has it too."""

    def nak(self) -> None:
        """The server has none of them."""


class Exchange:
    """Asks one repository. Every method blocks, at most until the deadline it is given: call it in a thread."""

    def __init__(self, repository: Repository, caps: Caps, scratch: Path) -> None:
        self._repository = repository
        self._caps = caps
        self._scratch = scratch

    def tip(self, deadline: Deadline) -> str:
        """The commit that the branch points to. Raises `SourceError`."""
        with self._talking(deadline, _REFS_BYTES) as client:
            found = client.get_refs(self._path, ref_prefix=[self._repository.ref])
            return self._tip_of(found.refs)

    def content(self, commit: str, deadline: Deadline) -> Mapping[str, Stored] | None:
        """The branch's newest commit with all it holds and nothing before it; None if it is no longer `commit`."""
        return self._pack(commit, deadline, depth=1)

    def since(self, commit: str, of: str, deadline: Deadline) -> Mapping[str, Stored] | None:
        """At least every commit that `commit` reaches and `of` does not; None if the branch moved on from `commit`.

        The server is told that `of` and its past are here already, although nothing is: only the commits in between
        are looked at, and a server that does not know `of` sends the whole history, in which it is not found.
        """
        return self._pack(commit, deadline, have=of)

    # -- talking ------------------------------------------------------------------------------------------------------

    @property
    def _path(self) -> bytes:
        return self._repository.address.path.encode()

    def _tip_of(self, refs: Mapping[Any, ObjectID | None]) -> str:
        name = (refs.get(self._repository.ref) or b"").decode("ascii", "replace")
        if not is_commit_name(name):
            raise GitMissing(str(self._repository.address), f"branch {self._repository.branch}")
        return name

    def _pack(
        self, commit: str, deadline: Deadline, *, have: str = "", depth: int | None = None
    ) -> Mapping[str, Stored] | None:
        moved = False

        def wants(refs: Mapping[Any, ObjectID], depth: int | None = None) -> Sequence[ObjectID]:
            nonlocal moved
            del depth
            moved = self._tip_of(refs) != commit
            return [] if moved else [ObjectID(commit.encode())]

        # Unnamed from the start: a process that dies leaves nothing behind that would have to be cleared away.
        with tempfile.TemporaryFile(dir=self._scratch, prefix="pack-") as pack:
            with self._talking(deadline, self._caps.pack_bytes + _REFS_BYTES) as client:
                client.fetch_pack(
                    self._path,
                    wants,  # type: ignore[arg-type]  # the protocol's names for its parameters
                    _Haves([have.encode()] if have else []),  # type: ignore[arg-type]
                    pack.write,
                    depth=depth,
                    ref_prefix=[self._repository.ref],
                    filter_spec=b"tree:0" if have else None,
                )
            if moved:
                return None
            size = pack.tell()
            pack.flush()
            try:
                return unpacked(pack, size, self._caps)
            except Damaged as error:
                raise PackBroken(str(self._repository), str(error)) from None
            except SourceError:
                raise
            except Exception as error:  # noqa: BLE001 - bytes of a stranger in somebody else's parser
                raise PackBroken(str(self._repository), words(error)) from None

    @contextlib.contextmanager
    def _talking(self, deadline: Deadline, limit: int) -> Iterator[HttpsClient | SshClient]:
        """A client whose every way to fail is a `SourceError`; the deadline's end is told as such."""
        repository = self._repository
        budget = Budget(str(repository), limit)
        kind = HttpsClient if repository.address.scheme == "https" else SshClient
        client = kind(repository, deadline, budget)
        try:
            yield client
        except SourceError:
            if deadline.over:
                raise GitTooSlow(str(repository), deadline.seconds) from None
            raise
        except Exception as error:  # noqa: BLE001 - dulwich meets a stranger's bytes with any exception there is
            if deadline.over:
                raise GitTooSlow(str(repository), deadline.seconds) from None
            if isinstance(client, SshClient):
                raise client.failure(words(error)) from None
            raise GitUnreachable(str(repository), words(error)) from None
        finally:
            client.close()
