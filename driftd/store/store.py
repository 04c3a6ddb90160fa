"""The store: one door for everything driftd records, durable when a call returns."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Protocol, Self

from driftd.store.anchor import Anchor
from driftd.store.archive import Archive
from driftd.store.backend import Backend, address_of, backend_at
from driftd.store.chain import Head
from driftd.store.condition import StoreMode, StoreOptions, StoreState
from driftd.store.continuity import GAP, Gap
from driftd.store.entries import Act, Begin, Close, Finish, Note, Remember, Tell, stamp
from driftd.store.journal import Journal
from driftd.store.retention import next_step
from driftd.store.scribe import Scribe
from driftd.store.told import DeliveryRow, PageRow, Told
from driftd.values import Clock, Finding, Intent, Outcome


class Companion(Protocol):
    """Whoever writes pages about what the store is told (D9)."""

    def pages_for(self, act: Act) -> tuple[PageRow, ...]:
        """The pages that go into the same transaction as `act`. Called in order, on the event loop; must not raise."""
        ...

    def recorded(self, pages: Sequence[PageRow]) -> None:
        """These pages are durable, or nothing would take them: either way people may be told now."""
        ...


class Store(Archive):
    """Findings, intents, outcomes, evidence and remembered state.

    Every writing method returns when its record is durable, in the database or in the journal, and raises
    `StoreGone` when neither took it. Reading methods (see `Archive`) ask the database only: what still waits in
    the journal shows once it is replayed; `recall` and `recall_all` alone look through to it.
    """

    def __init__(self, database: Backend, scribe: Scribe) -> None:
        super().__init__(database)
        self._scribe = scribe
        self.companion: Companion | None = None
        self.epoch = 0
        """Stamped on every record from now on: that of the term for as long as it lasts, 0 for who does not lead."""

    @classmethod
    async def open(
        cls, url_or_path: str | Path, clock: Clock, journal_dir: Path, options: StoreOptions | None = None
    ) -> Self:
        """Open the database (a path, `sqlite:///path`, `postgresql://...`) and its journal, migrate, replay what waits.

        A database that is merely away (locked, disk full, server gone) gives a store that journals; `StoreInUse`,
        `SchemaTooNew` and `UnsupportedDatabase` are raised.
        """
        options = options or StoreOptions()
        address = address_of(url_or_path)
        journal = await asyncio.to_thread(Journal, journal_dir / "store.journal", options.journal_bytes)
        database = backend_at(address, clock, busy_ms=options.busy_ms, deadline_seconds=options.deadline_seconds)
        scribe = Scribe(database, journal, Anchor(journal_dir / "store.head"), clock, options)
        try:
            await scribe.start()
        except BaseException:
            await database.close()
            journal.close()
            raise
        return cls(database, scribe)

    async def close(self) -> None:
        """Write what is queued, fold the database's log into its file, release the journal."""
        await self._scribe.stop()

    @property
    def state(self) -> StoreState:
        """Where records go right now, since when and why."""
        return self._scribe.state

    @property
    def durable(self) -> bool:
        """Whether final deletes and writes that come from a changed model may go: only with the database itself."""
        return self._scribe.state.mode is StoreMode.OK

    @property
    def known_head(self) -> Head:
        """The chain's newest row as of the last commit, without asking the database: for log and lease."""
        return self._scribe.head

    def expect(self, chain_head: str) -> None:
        """A former leader has noted this head outside: evidence says so where the chain lacks it. Odd text is none."""
        head = Head.read(chain_head)
        if head is not None:
            self._scribe.expect(head)

    def watch(self, callback: Callable[[StoreState], None]) -> None:
        """Call `callback` on each change of mode and each lost record, on the event loop; it must not block or fail."""
        self._scribe.watchers.append(callback)

    async def begin(self, findings: Sequence[Finding], intents: Sequence[Intent]) -> None:
        """Record findings as open (or still open) and intents as about to leave, in one transaction."""
        await self._submit(Begin(tuple(findings), tuple(intents)))

    async def finish(self, outcomes: Sequence[Outcome], reports: Sequence[Finding]) -> None:
        """Record how writes ended, and findings again with their reports. The first outcome of an intent counts."""
        await self._submit(Finish(tuple(outcomes), tuple(reports)))

    async def close_findings(self, ids: Sequence[str], by: str, at: datetime) -> None:
        """End the open lives of `ids`; those not open are left alone."""
        await self._submit(Close(tuple(ids), by, at))

    async def confirm(self, ids: Sequence[str], at: datetime) -> None:
        """Findings were seen open again: cheap, not journalled, written within a second or so."""
        self._scribe.confirm(ids, at)

    async def note(self, kind: str, subject: str, detail: Mapping[str, str]) -> None:
        """Append one row of evidence about anything else. Never put a body or a secret into `detail`."""
        await self._scribe.submit(Note(kind, subject, dict(detail)), self.epoch)

    async def remember(self, key: str, value_json: str) -> None:
        """Keep one value for the next start."""
        await self.remember_all({key: value_json})

    async def remember_all(self, values: Mapping[str, str | None]) -> None:
        """Keep many values in one transaction; None forgets a key."""
        await self._scribe.submit(Remember(dict(values)), self.epoch)

    async def tell(self, pages: Sequence[PageRow], deliveries: Sequence[DeliveryRow] = ()) -> None:
        """Keep pages as they stand now, and what destinations have been told."""
        await self._scribe.submit(Tell(tuple(deliveries)), self.epoch, tuple(pages))

    async def unsettled_pages(self) -> Sequence[Told]:
        """Pages that somebody may still have to be told of, also what still waits in the journal."""
        return self._scribe.outbox.over(await super().unsettled_pages())

    async def prune(self, before: datetime) -> int:
        """Take away what was over before then, in small steps; how many. The chain says so and stays verifiable.

        Stops where the database is away: what is old may be a day older.
        """
        steps = 0
        cutoff = stamp(before)
        while self.durable:
            step = await self._database.read(lambda connection: next_step(connection, cutoff))
            if step is None:
                break
            await self._scribe.submit(step, self.epoch)
            steps += 1
        return steps

    async def gap(self) -> Gap | None:
        """The newest loss of evidence that was noticed, by any replica; raises `StoreUnreadable`."""
        return Gap.read(await self.recall(GAP))

    async def recall(self, key: str) -> str | None:
        """The value remembered under `key`, also when it still waits in the journal."""
        overlay = self._scribe.overlay
        return overlay[key] if key in overlay else await super().recall(key)

    async def recall_all(self, prefix: str) -> dict[str, str]:
        """Every remembered key that begins with `prefix`, including what still waits in the journal."""
        values: dict[str, str | None] = dict(await super().recall_all(prefix))
        values.update({key: value for key, value in self._scribe.overlay.items() if key.startswith(prefix)})
        return {key: value for key, value in values.items() if value is not None}

    async def _submit(self, act: Act) -> None:
        companion = self.companion
        pages = companion.pages_for(act) if companion is not None else ()
        try:
            await self._scribe.submit(act, self.epoch, pages)
        finally:
            if companion is not None and pages:
                companion.recorded(pages)
