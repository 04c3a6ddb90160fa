"""The scribe: the one task that writes, so that the order of records is the order of calls, whatever happens.

Entries that wait at the same time share a transaction (group commit). When the database fails they go to the
journal; when it is back the journal is replayed, in order and exactly once (a watermark for each writer, moved in
the same transaction), before anything newer is written.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import TypeVar
from uuid import uuid4

import structlog
from sqlalchemy import Connection

from driftd.store import ledger
from driftd.store.anchor import Anchor
from driftd.store.backend import Backend
from driftd.store.chain import Head
from driftd.store.condition import StoreMode, StoreOptions, StoreState
from driftd.store.continuity import GAP, Gap, behind
from driftd.store.entries import Act, Begin, Close, Entry, Finish, Note, Remember, Tell, stamp
from driftd.store.errors import DatabaseUnavailable, EntryRefused, Overtaken, StoreGone
from driftd.store.journal import Journal, JournalRefused
from driftd.store.told import Overlay, PageRow
from driftd.store.write_queue import GROUP, Waiting, WriteQueue
from driftd.telemetry import current_trace_id
from driftd.values import Clock

T = TypeVar("T")

_log = structlog.get_logger("driftd.store")

_DIVERTING_ROUNDS = 3
"""How often the journal is replayed to where its end was, with newcomers added behind it meanwhile."""

_HAPPENS_ANYHOW = (Begin, Finish, Close, Tell)
"""Whoever records these goes on without a record. What is to be remembered is not done without; a note tells of it."""

_MUCH_BYTES = 64 * 1024
"""For the replay of so much newcomers do not wait."""


class Scribe:
    """Owns the database's writing side and the journal. Not for use outside this room: see `Store`."""

    def __init__(
        self, database: Backend, journal: Journal, anchor: Anchor, clock: Clock, options: StoreOptions
    ) -> None:
        self.state = StoreState(StoreMode.OK, clock.now())
        self.head = Head()
        self.overlay: dict[str, str | None] = {}
        self.outbox = Overlay()
        self.watchers: list[Callable[[StoreState], None]] = []
        self._database, self._journal, self._anchor = database, journal, anchor
        self._clock, self._options = clock, options
        self._journal_thread = ThreadPoolExecutor(1, thread_name_prefix="driftd-journal")
        self._writer, self._next = uuid4().hex, 0
        # Its own notes run ahead of entries that still queue, so they must not move those entries' watermark.
        self._own_writer, self._own_next = f"{self._writer}.own", 0
        self._queue = WriteQueue()
        self._group: list[Waiting] = []
        self._wake = asyncio.Event()
        self._leads = False
        self._head_known = False
        self._noted: Head | None = None
        self._anchored = Head()
        self._confirms: dict[str, datetime] = {}
        self._idle_due = 0.0
        self._retry_at, self._retry_after = 0.0, options.retry_first_seconds
        self._well_since = clock.monotonic()
        self._closing = False
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Open the database, replay what waits, begin to serve. A database that is away is no error."""
        offset = 0
        while (reading := await self._in_journal_thread(self._journal.read, offset)).entries:
            for entry in reading.entries:
                self._overlay_with(entry)
            offset = reading.end
        try:
            await self._database.open()
            await self._come_back()
        except DatabaseUnavailable as error:
            self._degrade(error.reason)
        self._task = asyncio.create_task(self._run(), name="store-writer")

    async def stop(self) -> None:
        """Write what is queued, then release database and journal."""
        self._closing = True
        self._wake.set()
        if self._task is not None:
            await self._task
        await self._database.close()
        await self._in_journal_thread(self._journal.close)
        self._journal_thread.shutdown(wait=False)

    async def submit(self, act: Act, epoch: int, pages: tuple[PageRow, ...] = ()) -> None:
        """Return when `act` and the pages with it are durable; raises `StoreGone` or `EntryRefused`.

        What would wait for the replay of a full journal is `StoreGone` too: a repair, a finding or a page is taken
        after it, anything else is not.
        """
        if self._closing:
            raise StoreGone("a record", "the store is closed")
        self._leads = epoch > 0
        entry = Entry(self._writer, self._next, self._clock.now(), epoch, current_trace_id(), act, pages)
        self._next += 1
        waiting = self._queue.add(entry, self._clock.monotonic())
        self._wake.set()
        await waiting.done

    def expect(self, head: Head) -> None:
        """Somebody outside has noted this row: the next record says so where the chain has it no more."""
        self._noted = head if head.seq > self.head.seq else self._noted

    def confirm(self, ids: Sequence[str], at: datetime) -> None:
        """Take note that findings were seen again; written when there is nothing better to do."""
        for id in ids:
            self._confirms[id] = max(at, self._confirms.get(id, at))
        self._wake.set()

    # ----------------------------------------------------------------------------------------------------- the task

    async def _run(self) -> None:
        while self._queue or not self._closing:
            try:
                await self._turn()
            except Exception as error:  # noqa: BLE001 - the supervisor of this task: nobody may wait for ever on a defect of ours
                _log.exception("store.writer_fault")
                for waiting in self._group:
                    if not waiting.settled:
                        self._lose(waiting, f"unexpected {type(error).__name__}, see the log")
                self._degrade(f"unexpected {type(error).__name__}")
        if self._well:
            await self._write_idle()

    async def _turn(self) -> None:
        if not self._queue:
            await self._sleep()
        self._group = self._queue.take()
        if self._group and self._well:
            await self._commit(self._group)
        elif self._group:
            await self._put_aside(self._group)
        now = self._clock.monotonic()
        if not self._well and now >= self._retry_at:
            await self._try_to_come_back()
        elif self._well and not self._queue and self._has_idle_work and now >= self._idle_due:
            await self._write_idle()

    @property
    def _well(self) -> bool:
        return self.state.mode is StoreMode.OK

    @property
    def _has_idle_work(self) -> bool:
        return bool(self._confirms) or self.head != self._anchored

    async def _sleep(self) -> None:
        due = self._retry_at if not self._well else self._idle_due if self._has_idle_work else None
        self._wake.clear()
        if self._queue or self._closing:
            return
        timer = None
        if due is not None:
            delay = max(0.0, due - self._clock.monotonic())
            timer = asyncio.get_running_loop().call_later(delay, self._wake.set)
        try:
            await self._wake.wait()
        finally:
            if timer is not None:
                timer.cancel()

    async def _commit(self, group: Sequence[Waiting]) -> None:
        try:
            await self._apply([waiting.entry for waiting in group])
        except DatabaseUnavailable as error:
            self._degrade(error.reason)
            await self._put_aside(group)
        except EntryRefused as error:
            if len(group) == 1:
                await self._refuse(group[0], error)
                return
            for waiting in group:
                await (self._commit([waiting]) if self._well else self._put_aside([waiting]))
        else:
            for waiting in group:
                waiting.acknowledge()

    async def _apply(self, entries: Sequence[Entry]) -> int:
        """Commit those of `entries` that are not applied yet; returns how many that were."""
        known, self._head_known = self._head_known and self._noted is None, False
        before = self._noted or self.head
        if known:
            # With a known head nothing was ever uncertain, so nothing of these entries can be there already.
            with suppress(Overtaken):
                self.head = await self._write(lambda one: ledger.apply(one, entries, before), before)
                self._head_known = True
                return len(entries)
        name, now = self._database.name, self._clock.now()

        def body(connection: Connection) -> tuple[Head, int]:
            left = ledger.unapplied(connection, entries)
            return ledger.apply(connection, left, behind(connection, before, name, now)), len(left)

        self.head, count = await self._write(body)
        self._noted = None if self._noted is before else self._noted
        self._head_known = True
        return count

    async def _write(self, body: Callable[[Connection], T], after: Head | None = None) -> T:
        """One transaction. While this replica does not lead, no repair waits for it: the leader's turns come first."""
        return await self._database.write(body, after, patient=not self._leads)

    async def _put_aside(self, group: Sequence[Waiting]) -> None:
        try:
            await self._journal_all(group)
        except (JournalRefused, EntryRefused) as error:
            if len(group) > 1:  # what still fits is still taken, in order
                for waiting in group:
                    await self._put_aside([waiting])
                return
            if isinstance(error, EntryRefused):
                await self._refuse(group[0], error)
                return
            self._enter(StoreMode.GONE, f"{self.state.reason}; {error}" if self._journalling else str(error))
            self._lose(group[0], self.state.reason)
            return
        if self.state.mode is StoreMode.GONE:
            self._enter(StoreMode.JOURNALLING, self.state.reason)

    async def _journal_all(self, group: Sequence[Waiting]) -> None:
        """All of a group or none; raises `JournalRefused` or `EntryRefused`."""
        await self._in_journal_thread(self._journal.append, [waiting.entry for waiting in group])
        for waiting in group:
            self._overlay_with(waiting.entry)
            waiting.acknowledge()

    @property
    def _journalling(self) -> bool:
        return self.state.mode is StoreMode.JOURNALLING

    async def _write_idle(self) -> None:
        self._idle_due = self._clock.monotonic() + self._options.idle_seconds
        seen, self._confirms = self._confirms, {}
        try:
            if seen:
                await self._write(lambda connection: ledger.confirm(connection, seen))
        except DatabaseUnavailable as error:
            self._confirms = seen | self._confirms
            self._degrade(error.reason)
        if self.head != self._anchored:
            self._anchored = self.head
            await self._in_journal_thread(self._anchor.write, self.head)

    # --------------------------------------------------------------------------------------- going, and coming back

    def _degrade(self, reason: str) -> None:
        self._head_known = False
        now = self._clock.monotonic()
        if now - self._well_since >= self._options.steady_seconds:
            self._retry_after = self._options.retry_first_seconds
        self._retry_at = now + self._retry_after
        self._enter(StoreMode.JOURNALLING, reason)

    async def _try_to_come_back(self) -> None:
        try:
            await self._database.recover()
            await self._come_back()
        except (DatabaseUnavailable, JournalRefused) as error:
            self._head_known = False
            self.state = replace(self.state, reason=str(error))
        finally:
            self._retry_after = min(self._retry_after * 2, self._options.retry_last_seconds)
            self._retry_at = self._clock.monotonic() + self._retry_after

    async def _come_back(self) -> None:
        """Set right what the file suffered, replay the journal, and write to the database again."""
        self._head_known = False
        if not self.head.seq:
            noted: Head | None = await self._in_journal_thread(self._anchor.read)
            self.head = self.head if noted is None else noted
        await self._record_setbacks()
        replayed, damaged = await self._replay_all()
        outage = {"replayed": str(replayed), "since": stamp(self.state.since), "reason": self.state.reason}
        outage |= {"lost": str(self.state.lost)} if self.state.lost else {}
        kind = "store.opened" if self._task is None else "store.recovered"
        await self._own_note(kind, self._database.name, outage if kind == "store.recovered" or replayed else {})
        if damaged:
            await self._own_note("journal.damaged", self._journal.path.name, {"unreadable_lines": str(damaged)})
        await self._clear_journal()
        self.overlay.clear()
        self.outbox.clear()
        self._well_since = self._clock.monotonic()
        self._enter(StoreMode.OK, "")

    async def _record_setbacks(self) -> None:
        found, lost = await self._write(ledger.head_of), self.head
        setbacks = self._database.setbacks
        for setback in setbacks:
            _log.error(setback.kind, reason=setback.reason, kept=setback.kept, last_head=setback.last_head)
        details = [
            (setback.kind, {"kept": setback.kept, "last_head": setback.last_head, "reason": setback.reason})
            for setback in setbacks
        ]
        if found.seq == 0:
            begun = {key: value for _, detail in details for key, value in detail.items()}
            details = [("chain.begun", begun | ({"expected": str(self.head)} if self.head.seq else {}))]
            self.head = found
        for kind, detail in details:
            await self._own_note(kind, self._database.name, detail)
        for setback in setbacks:
            if setback.salvaged:
                await self._own(Remember(setback.salvaged))
                note = {"values": str(len(setback.salvaged)), "from": setback.kept}
                await self._own_note("store.salvaged", self._database.name, note)
        if lost.seq and found.seq == 0:
            await self._own(Remember({GAP: Gap(self._clock.now(), str(lost), str(found)).text}))
        self._database.forget_setbacks()

    async def _replay_all(self) -> tuple[int, int]:
        """Replay the journal to its end; returns how many entries that was, and how many lines could not be read.

        While much is left, newcomers go behind it into the journal. The rest they wait for: under a steady load the
        journal would otherwise never be empty.
        """
        offset = replayed = damaged = 0
        for round_left in range(_DIVERTING_ROUNDS, -1, -1):
            end = self._journal.used
            much = round_left > 0 and end - offset > _MUCH_BYTES
            while offset < end and (reading := await self._in_journal_thread(self._journal.read, offset)).entries:
                offset, damaged = reading.end, damaged + reading.damaged
                for start in range(0, len(reading.entries), GROUP):
                    replayed += await self._replay(reading.entries[start : start + GROUP])
                    if much:
                        await self._divert_queue()
            if not much:
                break
        return replayed, damaged

    async def _replay(self, entries: Sequence[Entry]) -> int:
        self._head_known = False
        try:
            return await self._apply(entries)
        except EntryRefused as error:
            if len(entries) > 1:
                return sum([await self._replay([entry]) for entry in entries])
            # A record that the database will never take must not stop those behind it.
            _log.error("store.entry_refused", what=entries[0].what, reason=str(error))
            await self._own_note("store.refused", entries[0].what, {"reason": str(error)})
            return 0

    async def _divert_queue(self) -> None:
        """Put newcomers behind what is replayed; those for whom there is no room stay in the queue until its end.

        Their callers do not wait for that beyond a transaction's deadline: repairs go on.
        """
        most = GROUP
        while self._queue:
            self._group = self._queue.take(most)
            try:
                await self._journal_all(self._group)
            except EntryRefused as error:
                if len(self._group) == 1:
                    await self._refuse(self._group[0], error)
                    continue
                self._put_back()
                most = 1
            except JournalRefused as error:
                self._put_back()
                self._put_off(str(error))
                return

    def _put_back(self) -> None:
        self._queue.put_back(self._group)
        self._group = []

    def _put_off(self, reason: str) -> None:
        """Let those go on who have waited for a transaction's deadline.

        What happens with or without a record stays in the queue; what is done only if it is kept is lost.
        """
        late = self._clock.monotonic() - self._options.deadline_seconds
        for waiting in self._queue.late(late):
            if isinstance(waiting.entry.act, _HAPPENS_ANYHOW):
                waiting.put_off(
                    StoreGone(waiting.entry.what, f"it waits for the end of the journal's replay: {reason}")
                )
            else:
                self._queue.remove(waiting)
                self._lose(waiting, reason)

    async def _refuse(self, waiting: Waiting, error: EntryRefused) -> None:
        """Nobody will ever take this record. Where its caller has gone on, nobody else is left to be told."""
        what, alone = waiting.entry.what, waiting.alone
        waiting.fail(error.about(what))
        if alone:
            _log.error("store.entry_refused", what=what, reason=str(error))
            if self._well:
                await self._own_note("store.refused", what, {"reason": str(error)})

    async def _clear_journal(self) -> None:
        if self._journal.used:
            try:
                await self._in_journal_thread(self._journal.clear)
            except JournalRefused as error:
                # No harm: the watermarks know that these entries are applied. They only take room.
                _log.warning("journal.not_cleared", reason=str(error))

    async def _own_note(self, kind: str, subject: str, detail: Mapping[str, str]) -> None:
        await self._own(Note(kind, subject, dict(detail)))

    async def _own(self, act: Act) -> None:
        entry = Entry(self._own_writer, self._own_next, self._clock.now(), 0, "", act)
        self._own_next += 1
        await self._apply([entry])

    def _enter(self, mode: StoreMode, reason: str) -> None:
        if mode is self.state.mode:
            return
        self.state = StoreState(mode, self._clock.now(), reason, 0 if mode is StoreMode.OK else self.state.lost)
        level = _log.info if mode is StoreMode.OK else _log.error
        level("store.mode", mode=mode.value, reason=reason, waiting_bytes=self._journal.used)
        self._tell()

    def _lose(self, waiting: Waiting, reason: str) -> None:
        """Nobody takes this record: whoever gave it knows, and it counts."""
        waiting.fail(StoreGone(waiting.entry.what, reason))
        self.state = replace(self.state, lost=self.state.lost + 1)
        self._tell()

    def _tell(self) -> None:
        for watcher in self.watchers:
            watcher(self.state)

    def _overlay_with(self, entry: Entry) -> None:
        if isinstance(entry.act, Remember):
            self.overlay.update(entry.act.values)
        self.outbox.take(entry.pages, entry.act.deliveries if isinstance(entry.act, Tell) else ())

    async def _in_journal_thread(self, work: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._journal_thread, work, *arguments)
