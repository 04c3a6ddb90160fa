"""What was in force before, here or in another replica: what a start goes on with, and what the next one will.

On disk is the last good model of this replica, in the store what any of them accepted last, and which revision comes
after which the source may know.
"""

import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

import structlog

from driftd.compile import Compiled
from driftd.engine.candidate import Candidate, ReadModel
from driftd.engine.compiled_cache import CompiledCache
from driftd.engine.inforce import ModelStatus
from driftd.engine.last_accepted import LastAccepted
from driftd.model import Problem, SourceFile
from driftd.source import Kept, LastGood, Revision, SourceError
from driftd.store import Store, StoreError
from driftd.values import Clock

_log = structlog.get_logger()
_REMEMBERED_COMMITS = 256


class Past:
    """Finds what was in force, judges revisions beside it, and keeps what comes into force.

    Args:
        descends: whether one commit comes after another, where the source can tell; raises `SourceError`.
        read_model: reads, admits and compiles revisions.
        signed: commits must be signed, and so the store puts none in force.
    """

    def __init__(
        self,
        *,
        last_good: LastGood,
        cache: CompiledCache,
        store: Store,
        clock: Clock,
        descends: Callable[[str, str], Awaitable[bool]] | None,
        read_model: ReadModel,
        signed: bool,
    ) -> None:
        self._last_good = last_good
        self._cache = cache
        self._store = store
        self._clock = clock
        self._descends = descends
        self._read_model = read_model
        self._signed = signed
        self._last_accepted = LastAccepted(store)
        self._files: tuple[SourceFile, ...] | None = None
        self._unconfirmed = False
        self._commits: deque[str] = deque(maxlen=_REMEMBERED_COMMITS)
        self.unknown = False
        """The store could not tell a replica without a model what others had in force."""

    # -- going on -------------------------------------------------------------------------------------------------

    async def here(self) -> Kept:
        """What this replica had in force before its start."""
        return await self._last_good.load()

    async def elsewhere(self) -> Kept:
        """What others accepted last. Raises `StoreError`, and `unknown` says so until it answers.

        Where commits must be signed, what the store has is no more than what broken tenants go back to.
        """
        try:
            kept = await self._last_accepted.recall()
        except StoreError as error:
            self.unknown = True
            _log.error("store.past_unknown", why=str(error))
            raise
        self.unknown = False
        if not self._signed:
            return kept
        self._files = kept.revision.files if kept.revision else None
        return Kept(None)

    async def usable(self, kept: Kept) -> tuple[Compiled, ModelStatus] | None:
        """What `here` or `elsewhere` found, for this build to put in force; None where it is of no use."""
        if kept.problem:
            _log.error("model.last_good.unusable", why=kept.problem)
        if kept.revision is None:
            return None
        commit, files, quarantined = kept.revision.commit, kept.revision.files, kept.quarantined
        problems: tuple[Problem, ...] = ()
        compiled = await self._cache.load(commit)
        if compiled is None:
            candidate = await self._judged(kept.revision, None)
            admitted, compiled = candidate.admitted, candidate.compiled
            if compiled is None:
                _log.error("model.last_good.unusable", why=candidate.why)
                return None
            files, problems = admitted.files, tuple(admitted.problems)
            if admitted.quarantined:  # what an older build let pass
                quarantined = tuple(sorted({*quarantined, *admitted.quarantined}))
            else:
                await self._cache.keep(commit, compiled)
        self._files, self._unconfirmed = files, True
        return compiled, ModelStatus(commit, commit, "", problems, quarantined)

    async def taken_over(self, revision: Revision, quarantined: tuple[str, ...]) -> None:
        """What was found `elsewhere` is in force here."""
        with contextlib.suppress(OSError):  # the store has it
            await self._last_good.keep(revision, quarantined)
        _log.info("model.taken_over", commit=revision.commit, quarantined=quarantined)

    async def look(self) -> None:
        """Ask the store once more for what it could not tell. Raises `StoreError`."""
        await self._last_accepted.recall()
        self.unknown = False

    # -- judging --------------------------------------------------------------------------------------------------

    async def judged(self, revision: Revision) -> Candidate:
        """What might come into force of a revision, with what broken tenants go back to."""
        return await self._judged(revision, await self._files_before(revision.commit))

    async def confirmed(self, revision: Revision, status: ModelStatus) -> ModelStatus | None:
        """The status of what is in force as the source has it under that name, None where that is something else.

        What a start went on with must be what the source has, but for tenants who are kept back: whoever can write to
        the store or the data folder need not be one who may push to the branch.
        """
        here = set(self._files or ())
        if self._unconfirmed and set(revision.files) != here:
            admitted = (await self._judged(revision, self._files)).admitted
            if admitted.held or set(admitted.files) != here:
                return None
            problems, quarantined = tuple(admitted.problems), tuple(sorted(admitted.quarantined))
            status = replace(status, problems=problems, quarantined=quarantined)
        self._unconfirmed = False
        return status

    async def has_had(self, commit: str) -> bool:
        """Whether what is in force here is this revision or one after it."""
        if commit in self._commits:
            return True
        if not self._commits or self._descends is None:
            return False
        newest = self._commits[-1]
        try:
            return await self._descends(newest, commit)
        except SourceError as error:
            _log.warning("model.descent.unknown", commit=newest, of=commit, why=str(error))
            return False

    async def was_in_force(self, commit: str) -> bool:
        """Whether nothing is switched on: this replica is new, and others had this very revision in force before it.

        What differs then is drift. Else a replica that starts during an attack would hold the model because of it.
        """
        if self._commits:
            return False
        try:
            return await self._last_accepted.commit() == commit
        except StoreError as error:
            _log.error("store.past_unknown", why=str(error))
            return False

    async def _files_before(self, commit: str) -> tuple[SourceFile, ...] | None:
        """What broken tenants go back to: what others have in force, if that is this very commit or is not known here.

        A replica that has slept has older versions of theirs, and would take them and other replicas back to those.
        """
        try:
            named = await self._last_accepted.commit()
            if not named or (named != commit and await self.has_had(named)):
                return self._files
            kept = await self._last_accepted.recall()
        except StoreError as error:
            _log.error("store.past_unknown", why=str(error))
            return self._files
        return self._files if kept.revision is None else kept.revision.files

    async def _judged(self, revision: Revision, last_good: tuple[SourceFile, ...] | None) -> Candidate:
        return await self._read_model(revision, last_good, self._clock.now().date())

    # -- keeping --------------------------------------------------------------------------------------------------

    async def record(
        self,
        revision: Revision,
        quarantined: tuple[str, ...],
        changes: Mapping[str, str | None],
        detail: Mapping[str, str],
    ) -> None:
        """Write down that a revision is about to come into force: in the store with `changes`, and on disk.

        Raises `StoreError`, `OSError`.
        """
        values = await self._last_accepted.values(revision, quarantined)
        await self._store.remember_all({**changes, **values})
        await self._store.note("model.accepted", revision.commit, detail)
        await self._last_good.keep(revision, quarantined)

    async def accepted(self, revision: Revision, compiled: Compiled) -> None:
        """It is recorded, and tenants whom a later revision breaks go back to it."""
        await self._cache.keep(revision.commit, compiled)
        self._files, self._unconfirmed = revision.files, False

    def entered(self, commit: str) -> None:
        """It is in force."""
        self._commits.append(commit)
