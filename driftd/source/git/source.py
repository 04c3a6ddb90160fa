"""A git branch as the model's source: asked now and then or when told, read whole, moved forward only."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import TypeVar

import structlog

from driftd.source.errors import SourceError, SourceUnsettled
from driftd.source.git.commit import commit_among, is_commit_name, leads_to
from driftd.source.git.deadline import Deadline
from driftd.source.git.errors import GitTooSlow, HistoryRewritten, PackBroken, SignersUnusable
from driftd.source.git.exchange import Exchange
from driftd.source.git.files import model_files
from driftd.source.git.pack import Caps, Damaged, Stored
from driftd.source.git.repository import Repository
from driftd.source.git.signatures import allowed_signers, verified
from driftd.source.revision import Limits, Revision
from driftd.values import Clock

_log = structlog.get_logger()
_T = TypeVar("_T")
_TRIES = 3
"""Times a reading begins again because somebody pushed meanwhile."""
_PATIENCE = 3
"""Looks in a row that fail before it is told: a server that is away for half a minute changes nothing for anybody."""


class GitSource:
    """Reads the newest commit of one branch. Nothing is kept between readings: no clone that could grow or break.

    A reading proves that the commit descends from the one in force and is signed before anything of it is used. The git
    server is asked in a thread, one reading at a time, each within `timeout_seconds`. A revision is called by its
    commit, and by `COMMIT:FOLDER` where the model is a folder: another folder of one commit is another model.

    Args:
        in_force: the commit in force, or a name that is none ("" or a directory's): then there is nothing to descend
            from, and the branch is taken as it is.
        approved: the commit that a person accepted although it does not descend from the one in force.
        signers_file: OpenSSH's allowed-signers file; None asks for no signature.
    """

    def __init__(
        self,
        repository: Repository,
        *,
        clock: Clock,
        scratch: Path,
        in_force: Callable[[], str],
        approved: Callable[[], str] = str,
        signers_file: Path | None = None,
        poll_seconds: float = 30.0,
        retry_seconds: float = 10.0,
        timeout_seconds: float = 60.0,
        caps: Caps | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.repository = repository
        self._exchange = Exchange(repository, caps or Caps(), scratch)
        self._clock = clock
        self._in_force = in_force
        self._approved = approved
        self._signers_file = signers_file
        self._poll = poll_seconds
        self._retry = retry_seconds
        self._timeout = timeout_seconds
        self._limits = limits or Limits()
        self._turn = asyncio.Lock()
        self._poked = asyncio.Event()
        self._known = ""
        self._failures = 0
        self._misses = 0

    async def read(self) -> Revision:
        """The branch's newest commit, proved and whole. Raises `SourceError`: then the model in force stays."""
        self._failures += 1
        of, approved = _commit_of(self._in_force()), _commit_of(self._approved())
        if of and not is_commit_name(of):
            _log.warning("model.git.no_ancestor", in_force=self._in_force())  # from another kind of source
        revision = await self._apart(lambda deadline: self._read(deadline, of, approved))
        self._known, self._failures = _commit_of(revision.commit), 0
        return revision

    async def changes(self) -> AsyncIterator[None]:
        """Yields when the branch points elsewhere than the last reading found, and again while readings fail."""
        while True:
            if self._failures or await self._moved():
                yield
            try:
                async with asyncio.timeout(self._pause()):
                    await self._poked.wait()
                    _log.info("model.git.poked")
            except TimeoutError:
                pass
            self._poked.clear()

    def poke(self) -> None:
        """Somebody says that the branch has moved: look now. What they say is not believed, only looked at."""
        self._poked.set()

    async def is_descendant(self, commit: str, of: str) -> bool:
        """Whether `commit` is `of` or comes after it on the branch as it is now (D10). Raises `SourceError`: unknown.

        False as well for a commit that the branch no longer leads through.
        """
        commit, of = _commit_of(commit), _commit_of(of)
        if commit == of:
            return True
        if not (is_commit_name(commit) and is_commit_name(of)):
            return False
        return await self._apart(lambda deadline: self._descends(deadline, commit, of))

    # -- in the event loop --------------------------------------------------------------------------------------------

    def _pause(self) -> float:
        """Seconds until the next look; a failing server is asked ever less often, down to the usual pace."""
        if not (troubles := self._failures or self._misses):
            return self._poll
        return min(self._retry * 2.0 ** min(troubles - 1, 10), max(self._poll, self._retry))

    async def _moved(self) -> bool:
        """Whether the branch has another tip; failures in a row are a reason to read, which tells why."""
        try:
            moved = await self._apart(self._exchange.tip) != self._known
        except SourceError as error:
            self._misses += 1
            _log.info("model.git.missed", why=str(error), times=self._misses)
            return self._misses >= _PATIENCE
        self._misses = 0
        return moved

    async def _apart(self, work: Callable[[Deadline], _T]) -> _T:
        """Do work in a thread, within the deadline; who is cancelled breaks it off and waits for nothing."""
        async with self._turn:
            deadline = Deadline(self._timeout)

            def run() -> _T:
                with deadline:
                    return work(deadline)

            try:
                return await asyncio.to_thread(run)
            finally:
                deadline.end_now()

    # -- in the thread ------------------------------------------------------------------------------------------------

    def _read(self, deadline: Deadline, of: str, approved: str) -> Revision:
        for _ in range(_TRIES):
            tip = self._exchange.tip(deadline)
            if not self._leads_on(deadline, tip, of, approved):
                continue
            content = self._exchange.content(tip, deadline)
            if content is not None:
                return self._revision(tip, content, deadline)
        raise SourceUnsettled(Path(str(self.repository)), self._timeout)

    def _leads_on(self, deadline: Deadline, tip: str, of: str, approved: str) -> bool:
        """Whether the tip comes after the commit in force; False if the branch moved again while it was asked."""
        if tip in (of, approved) or not is_commit_name(of):
            return True
        between = self._exchange.since(tip, of, deadline)
        if between is None:
            return False
        try:
            if leads_to(tip, of, between):
                return True
        except Damaged as error:
            raise PackBroken(str(self.repository), str(error)) from None
        raise HistoryRewritten(str(self.repository), self._named(tip), of)

    def _descends(self, deadline: Deadline, commit: str, of: str) -> bool:
        for _ in range(_TRIES):
            between = self._exchange.since(self._exchange.tip(deadline), of, deadline)
            if between is not None:
                try:
                    return leads_to(commit, of, between)
                except Damaged as error:
                    raise PackBroken(str(self.repository), str(error)) from None
        raise SourceUnsettled(Path(str(self.repository)), self._timeout)

    def _revision(self, tip: str, content: Mapping[str, Stored], deadline: Deadline) -> Revision:
        def in_time() -> None:
            if deadline.over:
                raise GitTooSlow(str(self.repository), deadline.seconds)

        try:
            commit = commit_among(content, tip)
            self._must_be_signed(tip, commit.signature, commit.signed)
            files = model_files(commit.tree, self.repository.folder, content, self._limits, in_time)
        except Damaged as error:
            raise PackBroken(str(self.repository), str(error)) from None
        return Revision(files, self._named(tip))

    def _named(self, tip: str) -> str:
        return f"{tip}:{self.repository.folder}" if self.repository.folder else tip

    def _must_be_signed(self, tip: str, signature: bytes, signed: bytes) -> None:
        if self._signers_file is None:
            return
        try:
            text = self._signers_file.read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise SignersUnusable(str(self._signers_file), type(error).__name__) from None
        signers = allowed_signers(str(self._signers_file), text)
        who = verified(tip, signature, signed, signers, self._clock.now())
        _log.info("model.git.signed", commit=tip, by=who)


def _commit_of(name: str) -> str:
    """The commit in a revision's name; any other name as it is."""
    commit, _, _ = name.partition(":")
    return commit if is_commit_name(commit) else name
