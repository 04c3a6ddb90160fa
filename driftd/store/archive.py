"""The archive: what the records answer. Reads only, for the store itself and for commands beside a running daemon."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

from sqlalchemy import Connection, Row, and_, select

from driftd.store import outbox
from driftd.store.backend import Backend, address_of, backend_at
from driftd.store.chain import AuditRow, Head, Verification, walk
from driftd.store.entries import finding_from, moment, stamp
from driftd.store.errors import StoreUnreadable
from driftd.store.ledger import head_of
from driftd.store.retention import attests, base_of
from driftd.store.schema import audit, findings, intents, state, writers
from driftd.store.told import Told
from driftd.values import Clock, Direction, Intent, ObjectRef, Outcome, Result, Seen

T = TypeVar("T")

_BATCH = 2_000
"""Rows of the chain in one reading: a walk along millions gives way to others in between."""


@dataclass(frozen=True, slots=True)
class Settled:
    """One write with its end; `outcome` is None while nobody knows it."""

    intent: Intent
    outcome: Outcome | None


@dataclass(frozen=True, slots=True)
class Past:
    """One life of a finding: `episode` counts how often it came back, `writes` what driftd did about it."""

    seen: Seen
    episode: int
    writes: tuple[Settled, ...]


class Reads(Protocol):
    """Something that runs a body in a read transaction."""

    async def read(self, body: Callable[[Connection], T]) -> T: ...


class Archive:
    """Questions to the records. Every one raises `StoreUnreadable` while the database is gone."""

    def __init__(self, database: Reads) -> None:
        self._database = database

    async def open_findings(self) -> Sequence[Seen]:
        """Findings that are open, oldest first."""
        statement = select(findings).where(findings.c.closed.is_(None)).order_by(findings.c.opened, findings.c.id)
        return await self._database.read(lambda c: [_seen(row) for row in c.execute(statement)])

    async def unsettled(self) -> Sequence[Intent]:
        """Intents whose end nobody recorded, oldest first: look at the cluster, then settle them."""
        statement = select(intents).where(intents.c.result.is_(None)).order_by(intents.c.at, intents.c.id)
        return await self._database.read(lambda c: [_intent(row) for row in c.execute(statement)])

    async def history(
        self,
        *,
        tenant: str | None = None,
        namespace: str | None = None,
        kind: str | None = None,
        since: datetime | None = None,
        directions: Collection[Direction] = (),
        limit: int = 100,
    ) -> Sequence[Past]:
        """Lives of findings, newest first; `since` bounds when they were last seen open, `kind` is the object's.

        Of no `directions` all are asked for.
        """
        statement = (
            select(findings).order_by(findings.c.opened.desc(), findings.c.id, findings.c.episode.desc()).limit(limit)
        )
        if tenant is not None:
            statement = statement.where(findings.c.tenant == tenant)
        if namespace is not None:
            statement = statement.where(findings.c.namespace == namespace)
        if kind is not None:
            statement = statement.where(findings.c.kind == kind)
        if since is not None:
            statement = statement.where(findings.c.confirmed >= stamp(since))
        if directions:
            statement = statement.where(findings.c.direction.in_(sorted(one.value for one in directions)))
        return await self._database.read(lambda c: [_past(c, row) for row in c.execute(statement).all()])

    async def unsettled_pages(self) -> Sequence[Told]:
        """Pages that somebody may still have to be told of, oldest first."""
        return await self._database.read(outbox.unsettled)

    async def unsettled_page_names(self) -> set[tuple[str, int]]:
        """Key and life of each of these, as the database has it."""
        return await self._database.read(outbox.unsettled_names)

    async def pages_named(self, names: Sequence[tuple[str, int]]) -> Sequence[Told]:
        """These lives (key and number) as the database has them, oldest first; those that it has not are left out."""
        return await self._database.read(lambda c: outbox.named(c, names))

    async def pages(self, *, tenant: str | None = None, limit: int = 100) -> Sequence[Told]:
        """The newest pages, the newest first, with what each destination was told."""
        return await self._database.read(lambda c: outbox.newest(c, limit, tenant))

    async def audit(self, *, after: int = 0, limit: int = 100) -> Sequence[AuditRow]:
        """Rows of evidence with `seq` above `after`, in order."""
        statement = select(audit).where(audit.c.seq > after).order_by(audit.c.seq).limit(limit)
        return await self._database.read(lambda c: [_audit(row) for row in c.execute(statement)])

    async def notes(
        self, kinds: Collection[str], *, subject: str | None = None, since: datetime | None = None, limit: int = 100
    ) -> Sequence[AuditRow]:
        """Rows of evidence of these kinds, newest first; of one subject, or of all."""
        statement = select(audit).where(audit.c.kind.in_(sorted(kinds))).order_by(audit.c.seq.desc()).limit(limit)
        if subject is not None:
            statement = statement.where(audit.c.subject == subject)
        if since is not None:
            statement = statement.where(audit.c.at >= stamp(since))
        return await self._database.read(lambda c: [_audit(row) for row in c.execute(statement)])

    async def head(self) -> Head:
        """The newest row of the chain as the database has it."""
        return await self._database.read(head_of)

    async def recall(self, key: str) -> str | None:
        """The value remembered under `key`."""
        statement = select(state.c.value).where(state.c.key == key)
        value: str | None = await self._database.read(lambda c: c.execute(statement).scalar_one_or_none())
        return value

    async def recall_all(self, prefix: str) -> dict[str, str]:
        """Every remembered key that begins with `prefix`, with its value."""
        statement = select(state.c.key, state.c.value).where(state.c.key.startswith(prefix, autoescape=True))
        rows = await self._database.read(lambda c: c.execute(statement).all())
        # Once more here: LIKE does not mind case on every database.
        return {key: value for key, value in rows if key.startswith(prefix)}

    async def verify(self, anchor: Head | None = None) -> Verification:
        """Walk the whole chain; it must reach the last transaction known before, and `anchor` if one is given.

        `anchor` is a head noted outside the database (log, lease): a chain that was cut off or rebuilt does not
        contain it. A chain that was pruned is walked from there, and one of its rows must say that it was.
        """
        # Before the walk: a daemon may be writing beside it.
        last, base = await self._database.read(lambda connection: (_last_written(connection), base_of(connection)))
        head, rows, told = base, 0, base.seq == 0
        while batch := await self.audit(after=head.seq, limit=_BATCH):
            found = walk(batch, head)
            head, rows = found.head, rows + found.rows
            told = told or any(attests(row, base) for row in batch)
            if not found.ok:
                return Verification(ok=False, rows=rows, head=head, first_bad=found.first_bad, problem=found.problem)
            if anchor is not None and anchor.seq and batch[0].seq <= anchor.seq <= head.seq:
                there = batch[anchor.seq - batch[0].seq]
                if there.hash != anchor.hash:
                    return _broken(rows, head, anchor.seq, f"row {anchor.seq} is not the one anchored outside")
        for known, where in ((last, "the last transaction"), (anchor, "the anchor outside")):
            if known is not None and known.seq > head.seq:
                return _broken(rows, head, head.seq + 1, f"the chain ends at {head.seq}, {where} knew {known.seq}")
        if not told:
            return _broken(
                rows, head, base.seq, f"rows up to {base.seq} are gone, and no row says that they were pruned"
            )
        return Verification(ok=True, rows=rows, head=head)


class ReadOnly(Archive):
    """The archive of a database that somebody else writes (`driftd history`, `driftd verify`)."""

    def __init__(self, database: Backend) -> None:
        super().__init__(database)
        self._own = database

    @classmethod
    def at(cls, url_or_path: str | Path, clock: Clock) -> Self:
        """The archive at an address; raises `UnsupportedDatabase`, and `StoreUnreadable` where there is no file."""
        address = address_of(url_or_path)
        if isinstance(address, Path) and not address.is_file():
            raise StoreUnreadable(f"there is no file {address}")
        return cls(backend_at(address, clock, busy_ms=2_000, deadline_seconds=10.0))

    async def close(self) -> None:
        """Let go of it."""
        await self._own.close()


def _broken(rows: int, head: Head, seq: int, problem: str) -> Verification:
    return Verification(ok=False, rows=rows, head=head, first_bad=seq, problem=problem)


def _last_written(connection: Connection) -> Head | None:
    statement = select(writers.c.head_seq, writers.c.head_hash).order_by(writers.c.head_seq.desc()).limit(1)
    row = connection.execute(statement).one_or_none()
    return Head(row.head_seq, row.head_hash) if row else None


def _past(connection: Connection, row: Row[Any]) -> Past:
    seen = _seen(row)
    mine = and_(intents.c.finding == row.id, intents.c.episode == row.episode)
    statement = select(intents).where(mine).order_by(intents.c.at, intents.c.id)
    writes = tuple(Settled(_intent(found), _outcome(found)) for found in connection.execute(statement))
    return Past(seen, row.episode, writes)


def _seen(row: Row[Any]) -> Seen:
    return Seen(
        finding_from(row.body),
        moment(row.opened),
        moment(row.confirmed),
        moment(row.closed) if row.closed is not None else None,
        row.closed_by,
    )


def _intent(row: Row[Any]) -> Intent:
    return Intent(
        id=row.id,
        finding=row.finding,
        ref=ObjectRef(row.group, row.kind, row.namespace, row.name),
        verb=row.verb,
        uid=row.uid,
        resource_version=row.resource_version,
        epoch=row.epoch,
        commit=row.commit,
        at=moment(row.at),
    )


def _outcome(row: Row[Any]) -> Outcome | None:
    if row.result is None:
        return None
    return Outcome(row.id, Result(row.result), moment(row.settled), row.result_version, row.message)


def _audit(row: Row[Any]) -> AuditRow:
    return AuditRow(row.seq, row.at, row.epoch, row.kind, row.subject, row.payload, row.prev_hash, row.hash)
