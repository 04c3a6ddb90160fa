"""Who leads: one Lease, held by renewing it in time, and an epoch that lets the API server refuse a former leader.

A lease is not a lock (client-go says so itself), so leadership is only a permission with an end: each write asks
`state` for the seconds left. Time is monotonic and judged by change seen here, never by times written in the Lease.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final

import structlog

from driftd.cluster.epoch_parameter import EpochParameter
from driftd.cluster.errors import ClusterError, Conflict, NotFound
from driftd.cluster.fence import NOT_LEADING, FenceState
from driftd.cluster.lease import CHAIN_HEAD, COMMIT, LeaseObject, LeaseRecord
from driftd.cluster.pace import Pace
from driftd.cluster.session import Session, Timeouts
from driftd.cluster.versions import older
from driftd.values import EPOCH

_LONGEST: Final = 4
"""A foreign holder's own duration counts up to this many times ours: nobody may lock driftd out with a number."""

_LOOKS: Final = 8
"""A standby looks so many times as often as a leader renews: until it notices, nobody repairs."""

_log = structlog.get_logger()


class WorkOutlivedLease(RuntimeError):
    """The leader's work did not stop when leadership ended. The process must end: it cannot be trusted any more."""


class NotLeading(RuntimeError):
    """Something only a leader may do was asked of one who does not lead, or no longer."""


@dataclass(frozen=True, slots=True)
class LeaseSettings:
    """Seconds, with client-go's defaults. `renew_deadline` must be below `duration`: the gap is the allowed skew.

    `stop` is how long the leader's work may take to end. An API server whose answers take longer than a sixth of
    `duration`, or a quarter of `renew_deadline`, costs the leadership: five go by before a term is open, and a renewal
    waits for three. So whoever lengthens one lengthens both, the deadline to two thirds of the duration.
    """

    duration: float = 15.0
    renew_deadline: float = 10.0
    retry: float = 2.0
    stop: float = 5.0

    def __post_init__(self) -> None:
        if not 0 < self.retry * 1.2 < self.renew_deadline < self.duration:
            raise ValueError(f"lease settings need retry * 1.2 < renew deadline < duration, got {self}")

    @property
    def answer(self) -> float:
        """The longest that is waited for one answer about the Lease: there is time for two more tries."""
        return self.renew_deadline / 3


@dataclass(frozen=True, slots=True)
class Term:
    """One leadership: its epoch, and what the former leader left behind (nothing for the first ever).

    `epoch_before` is 0 too where another replica has held the Lease since this one led: what was known may be over.
    """

    epoch: int
    commit: str
    chain_head: str
    epoch_before: int = 0


@dataclass(slots=True)
class Elector:
    """Competes for the Lease and runs the leader's work while it is held.

    `session` must be this elector's own: a lease that waits behind watches is lost. `identity` must be unique to the
    process. `known_epoch` gives the highest epoch the store remembers, 0 if the store cannot say. `went_back` hears
    when the Lease is read at an older version than it had: etcd came back from a backup. `competes`: if it does yet.
    """

    session: Session
    pace: Pace
    namespace: str
    identity: str
    known_epoch: Callable[[], Awaitable[int]]
    name: str = "driftd"
    settings: LeaseSettings = field(default_factory=LeaseSettings)
    parameter: EpochParameter | None = None
    went_back: Callable[[], None] = lambda: None
    competes: bool = field(default=False, init=False)
    _lease: LeaseObject = field(init=False)
    _record: LeaseRecord | None = field(default=None, init=False)
    _seen: tuple[str, str, str, int] = field(default=("", "", "", 0), init=False)
    _seen_at: float = field(default=float("-inf"), init=False)
    _epoch: int = field(default=0, init=False)
    _deadline: float = field(default=float("-inf"), init=False)
    _leading: bool = field(default=False, init=False)
    _looked: bool = field(default=False, init=False)
    _other_held: bool = field(default=False, init=False)
    _notes: dict[str, str] = field(default_factory=dict, init=False)
    _noted: list[asyncio.Future[None]] = field(default_factory=list, init=False)
    _wake: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    def __post_init__(self) -> None:
        seconds = self.settings.answer
        self._lease = LeaseObject(self.session, self.namespace, self.name, Timeouts(seconds, seconds, seconds))
        if self.parameter is None:
            self.parameter = EpochParameter(self.session, self.namespace)

    # -- what others ask --------------------------------------------------------------------------------------------

    def state(self) -> FenceState:
        """Whether writes may leave now, under which epoch, for how long. To be asked before each write."""
        remaining = self._deadline - self.pace.clock.monotonic()
        if not self._leading or remaining <= 0:
            return NOT_LEADING
        return FenceState(leading=True, epoch=self._epoch, remaining=remaining)

    @property
    def leading(self) -> bool:
        return self.state().leading

    @property
    def epoch(self) -> int:
        """The epoch of this leadership, or of the last one."""
        return self._epoch

    @property
    def holder(self) -> str:
        """Who held the Lease when it was last looked at."""
        return self._record.holder if self._record else ""

    @property
    def led_by_other(self) -> bool:
        """Whether another replica holds the Lease and was seen to renew it not long ago.

        Without that end nobody would speak while the leader and the API server are gone together.
        """
        alive = self.pace.clock.monotonic() < self._seen_at + _LONGEST * self.settings.duration
        return alive and self.holder not in {"", self.identity}

    @property
    def looked(self) -> bool:
        """Whether the Lease was ever read: before, an empty `holder` only says that nothing is known."""
        return self._looked

    async def look(self) -> None:
        """Reads who holds the Lease, for whoever must know before this replica competes for it. Raises ClusterError."""
        record = await self._lease.read()
        if not self.competes:
            self._looked, self._record = True, record
            if record is not None:
                self._notice(record)

    async def publish(self, *, commit: str | None = None, chain_head: str | None = None) -> None:
        """Writes the accepted commit or the audit chain's head into the Lease; returns when it is stored.

        A commit must be published before anything is enforced from it: the next leader starts there.

        Raises:
            NotLeading: not the leader, or leadership ended before it was stored.
        """
        if not self.leading:
            raise NotLeading("only the leader writes into the lease")
        notes = {COMMIT: commit, CHAIN_HEAD: chain_head}
        self._notes |= {key: value for key, value in notes.items() if value is not None}
        stored: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._noted.append(stored)
        self._wake.set()
        await stored

    # -- the loop ---------------------------------------------------------------------------------------------------

    async def run(self, work: Callable[[Term], Awaitable[None]]) -> None:
        """Leads whenever it can, until `work` ends by itself or this is cancelled; the Lease is released then.

        `work` is started once a term and cancelled, and awaited, when the term ends.

        Raises:
            WorkOutlivedLease: the work did not end in `settings.stop` seconds. Whatever `work` raises.
        """
        self.competes = True
        while True:
            if not await self._acquire():
                await self._pause(self.settings.retry / _LOOKS)
                continue
            term = await self._try_term()
            if term is None:
                await self._pause(self.settings.retry)
                continue
            _log.info("cluster.lease.acquired", epoch=term.epoch, identity=self.identity)
            if await self._lead(work, term):
                return

    async def _pause(self, seconds: float) -> None:
        await self.pace.sleep(seconds * (1 + 0.2 * self.pace.random()))

    async def _acquire(self) -> bool:
        """One attempt; every trouble is a no."""
        sent = self.pace.clock.monotonic()
        try:
            record = await self._read()
            if record is not None and self._held_by_other(record):
                return False
            self._record = await self._write(record)
        except ClusterError as error:
            if not isinstance(error, Conflict):
                _log.info("cluster.lease.unreadable", error=str(error))
            return False
        self._deadline = sent + self.settings.renew_deadline
        return True

    def _held_by_other(self, record: LeaseRecord) -> bool:
        self._notice(record)
        self._record = record
        if record.holder in {"", self.identity}:
            return False
        self._other_held = True
        patience = max(self.settings.duration, min(record.duration, _LONGEST * self.settings.duration))
        return self.pace.clock.monotonic() < self._seen_at + patience

    def _notice(self, record: LeaseRecord) -> None:
        # Not the version: an edit of the annotations by somebody is no sign of life of the holder.
        seen = (record.uid, record.holder, record.renewed, record.transitions)
        if seen != self._seen:
            self._seen, self._seen_at = seen, self.pace.clock.monotonic()

    async def _try_term(self) -> Term | None:
        """A term, or None when the cluster did not let us open one; the Lease is given back then, and on any error."""
        opened: Term | None = None
        try:
            opened = await self._open_term()
        except (ClusterError, TimeoutError) as error:
            _log.warning("cluster.lease.term_failed", error=str(error) or "took longer than the lease")
        finally:
            if opened is None:
                await asyncio.shield(asyncio.ensure_future(self._release()))
        return opened

    async def _open_term(self) -> Term:
        """From holding the Lease to leading: a new epoch, first in the fence's parameter, then in the Lease."""
        assert self.parameter is not None  # noqa: S101 (set in __post_init__)
        assert self._record is not None  # noqa: S101 (set by _acquire)
        # Nobody else may take the Lease before its whole duration is over, and what is written here is bound to its
        # version: a server too slow for the first renewal to be due is no reason to begin anew.
        slack = self.settings.duration - self.settings.renew_deadline
        async with asyncio.timeout(max(0.0, self._deadline + slack - self.pace.clock.monotonic())):
            record = self._record
            epoch = await self.parameter.raise_above(max(await self.known_epoch(), record.epoch))
            sent = self.pace.clock.monotonic()
            self._record = await self._write(record, {EPOCH: str(epoch)})
        self._epoch, self._deadline, self._leading = epoch, sent + self.settings.renew_deadline, True
        notes = record.annotations
        before, self._other_held = 0 if self._other_held else record.epoch, False
        return Term(epoch, notes.get(COMMIT, ""), notes.get(CHAIN_HEAD, ""), before)

    async def _lead(self, work: Callable[[Term], Awaitable[None]], term: Term) -> bool:
        """Runs the work under a kept lease. True: it ended by itself; False: the lease was lost."""
        task = asyncio.ensure_future(work(term))
        try:
            while not task.done():
                self._wake.clear()
                if not await self._keep(task):
                    _log.warning("cluster.lease.lost", epoch=term.epoch, identity=self.identity)
                    return False
            await self._finish(task)
            await self._release()
            task.result()
            return True
        except asyncio.CancelledError:
            await self._stop_and_release(task)
            raise
        finally:
            self._abdicate()
            await self._finish(task)

    async def _keep(self, task: "asyncio.Future[None]") -> bool:
        """Waits for the next renewal and renews, again and again until the deadline; False when the lease is lost."""
        pause = asyncio.sleep(0) if self._notes else self._pause(self.settings.retry)
        waits: list[asyncio.Future[Any]] = [asyncio.ensure_future(self._wake.wait()), asyncio.ensure_future(pause)]
        try:
            await asyncio.wait([task, *waits], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)
        return task.done() or await self._renew()

    async def _renew(self) -> bool:
        while (left := self._deadline - self.pace.clock.monotonic()) > 0:
            notes, noted, sent = dict(self._notes), tuple(self._noted), self.pace.clock.monotonic()
            try:
                async with asyncio.timeout(left):
                    self._record = await self._write(self._record, notes)
            except NotFound:
                return False  # deleted: whoever takes it next rules; compete again, with a new epoch
            except Conflict:
                if not await self._still_mine():
                    return False
                continue
            except (ClusterError, TimeoutError) as error:
                _log.info("cluster.lease.renew_failed", left=round(left, 1), error=str(error))
                await self.pace.sleep(min(self.settings.retry, 1.0))
                continue
            self._deadline = sent + self.settings.renew_deadline
            self._notes = {key: value for key, value in self._notes.items() if notes.get(key) != value}
            for stored in noted:
                self._noted.remove(stored)
                if not stored.done():
                    stored.set_result(None)
            return await self._still_rules()
        return False

    async def _still_mine(self) -> bool:
        """After a conflict: somebody edited the Lease; take its new version if it still names us and our epoch."""
        try:
            record = await self._read()
        except ClusterError:
            return self._deadline > self.pace.clock.monotonic()
        if record is None or record.holder != self.identity or record.epoch > self._epoch:
            return False
        self._record = record
        return True

    async def _still_rules(self) -> bool:
        """Whether the fence's parameter names our epoch; gone, unreadable or older, it is made to.

        While it is gone the API server refuses nobody, and while it names a higher epoch it refuses us.
        """
        assert self.parameter is not None  # noqa: S101 (set in __post_init__)
        try:
            async with asyncio.timeout(self.settings.answer):
                ruling = await self.parameter.raise_to(self._epoch)
        except (ClusterError, TimeoutError) as error:
            _log.warning("cluster.fence.unknown", epoch=self._epoch, error=str(error) or "no answer in time")
            return True  # nothing is known, and the lease is held: the next renewal asks again
        return ruling == self._epoch

    async def _read(self) -> LeaseRecord | None:
        known = self._record
        record = await self._lease.read()
        self._looked = True
        if record is not None and known is not None and older(record.resource_version, known.resource_version):
            _log.error("cluster.lease.went_back", known=known.resource_version, read=record.resource_version)
            self._record = record
            self.went_back()
        return record

    async def _write(self, before: LeaseRecord | None, notes: dict[str, str] | None = None) -> LeaseRecord:
        annotations = {**(notes or {})}
        if self._leading:
            annotations[EPOCH] = str(self._epoch)
        return await self._lease.write(
            before, self.identity, round(self.settings.duration), self.pace.clock.now(), annotations
        )

    # -- the end ----------------------------------------------------------------------------------------------------

    def _abdicate(self) -> None:
        self._leading = False
        self._deadline = float("-inf")
        self._notes.clear()
        for stored in self._noted:
            if not stored.done():
                stored.set_exception(NotLeading("leadership ended before the lease was written"))
        self._noted.clear()

    async def _finish(self, task: "asyncio.Future[None]") -> None:
        """Ends the work and waits for it: the old leader's hands must be still before anything else happens."""
        if not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=self.settings.stop)
        if not task.done():
            raise WorkOutlivedLease(f"the leader's work did not end within {self.settings.stop} s; ending the process")
        if not task.cancelled() and (fault := _fault(task.exception())) is not None:
            _log.error("cluster.lease.work_failed", epoch=self._epoch, exc_info=fault)

    async def _stop_and_release(self, task: "asyncio.Future[None]") -> None:
        async def stop() -> None:
            await self._finish(task)
            await self._release()

        await asyncio.shield(asyncio.ensure_future(stop()))

    async def _release(self) -> None:
        """Gives the Lease back, best effort and time-boxed: if it fails the next leader only waits longer."""
        record, self._leading = self._record, False
        if record is None or record.holder != self.identity:
            return
        try:
            async with asyncio.timeout(self.settings.answer):
                self._record = await self._lease.write(record, "", 1, self.pace.clock.now(), {})
        except (ClusterError, TimeoutError) as error:
            _log.info("cluster.lease.release_failed", error=str(error))
        else:
            _log.info("cluster.lease.released", epoch=self._epoch)


def _fault(error: BaseException | None) -> BaseException | None:
    """What went wrong in the leader's work, but for what it was told by `publish` when its lease was lost."""
    if isinstance(error, BaseExceptionGroup):
        return error.split(NotLeading)[1]
    return None if isinstance(error, NotLeading) else error
