"""The one held revision that a person let pass: remembered until it, or another one, is in force."""

import asyncio

import msgspec
import structlog

from driftd.store import Store, StoreError
from driftd.values import Clock

KEY = "approved"
"""Under this the store remembers it: replicas that share a store share the approval."""

_SHORTEST = 7
_log = structlog.get_logger()


class NotHeld(LookupError):
    """An approval that fits nothing: only what is held can be approved, and only under its name."""

    def __init__(self, commit: str, held: str) -> None:
        now = f"{held} is" if held else "nothing is"
        super().__init__(f"{commit} is not held; {now} held now (an approval is good for one revision only)")


class NotApprovable(ValueError):
    """No approval lets this revision through: it has to be mended."""

    def __init__(self, commit: str, why: str) -> None:
        super().__init__(f"{commit} cannot be approved, only another revision helps: {why}")


class Approval(msgspec.Struct, frozen=True):
    """Who let which revision pass, when and why."""

    commit: str
    by: str
    at: str
    reason: str


class Approvals:
    """What the store holds of it, and a copy at hand for who cannot wait."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._granted: Approval | None = None

    @property
    def commit(self) -> str:
        """The approved revision, as of the last look; empty for none."""
        return self._granted.commit if self._granted else ""

    @property
    def by(self) -> str:
        """Who approved it."""
        return self._granted.by if self._granted else ""

    async def look(self) -> None:
        """Read it again: another replica may have been told. Where the store cannot say, what is known stays."""
        try:
            value = await self._store.recall(KEY)
            self._granted = None if value is None else msgspec.json.decode(value, type=Approval)
        except (StoreError, msgspec.MsgspecError) as error:
            _log.error("approval.unreadable", why=str(error))

    async def grant(self, commit: str, by: str, reason: str, held: str) -> None:
        """Approve a revision that is held for the reason `held`. Raises `StoreGone`: then it is not approved."""
        approval = Approval(commit, by, self._clock.now().isoformat(), reason)
        await asyncio.gather(
            self._store.remember(KEY, msgspec.json.encode(approval).decode()),
            self._store.note("model.approved", commit, {"by": by, "reason": reason, "held": held}),
        )
        self._granted = approval
        _log.warning("model.approved", commit=commit, by=by, reason=reason)

    async def spend(self) -> None:
        """A revision comes into force: whatever was approved before is used up."""
        if self._granted is None:
            return
        try:
            await self._store.remember_all({KEY: None})
        except StoreError as error:
            _log.error("store.not_recorded", why=str(error))
        self._granted = None


def named(commit: str, held: str) -> bool:
    """Whether `commit` names the held revision, whole or by a beginning that is long enough to be meant."""
    return bool(held) and (commit == held or (len(commit) >= _SHORTEST and held.startswith(commit)))
