"""The daemon's records as `driftd history` reads them: beside it, read-only, never in its way."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

from driftd.cli.clock import CommandClock
from driftd.cli.documents import ActEntry, ChainHead, ChainVerification, History
from driftd.cli.exits import Exit
from driftd.cli.failures import CommandError
from driftd.documents import PageList, life_entry
from driftd.store import AuditRow, Head, ReadOnly, StoreError, address_of, shown
from driftd.values import Direction

T = TypeVar("T")

_AGO = re.compile(r"([0-9]{1,9})(s|m|h|d|w)")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_HEAD = re.compile(r"([0-9]{1,18}):([0-9a-f]{64})")


ACTS = frozenset({"model.approved", "namespace.retired", "pause.begun", "pause.ended"})
"""Kinds of audit rows that tell what people decided."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which lives are asked for; None, or no direction, asks for all."""

    tenant: str | None
    namespace: str | None
    kind: str | None
    since: datetime | None
    directions: frozenset[Direction]
    limit: int


def database_of(data_dir: Path | None, database: Path | None) -> str | Path:
    """The address of the records: the file that is named, else where the daemon's settings put it.

    Raises:
        CommandError: the settings name no database that is known, or are not valid (exit code 2).
    """
    if database is not None:
        return database
    if data_dir is not None:
        return data_dir / "driftd.sqlite"
    from pydantic import ValidationError

    from driftd.settings import Settings

    try:
        settings = Settings()
        address = settings.store.address(settings.data_dir)
        address_of(address)
        return address
    except (ValidationError, StoreError) as error:
        raise CommandError(f"the settings do not say where the records are: {error}", Exit.USAGE) from error


def directions_of(said: Sequence[str] | None) -> frozenset[Direction]:
    """Raises `CommandError` for a direction that does not exist."""
    for one in said or ():
        if one.lower() not in tuple(Direction):
            raise CommandError(f"--direction {one}: expected one of {', '.join(Direction)}", Exit.USAGE)
    return frozenset(Direction(one.lower()) for one in said or ())


def moment_since(said: str | None, now: datetime) -> datetime | None:
    """A moment from `12h` (ago) or from ISO 8601; UTC unless an offset is said. Raises `CommandError`."""
    if said is None:
        return None
    try:
        if ago := _AGO.fullmatch(said):
            return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        moment = datetime.fromisoformat(said)
        return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        message = f"--since {said}: expected 90m, 12h, 7d, or a time such as 2026-11-22T08:00Z"
        raise CommandError(message, Exit.USAGE) from None


def anchor_of(said: str | None) -> Head | None:
    """A head as log and lease have it. Raises `CommandError` for anything else."""
    if said is None:
        return None
    found = _HEAD.fullmatch(said)
    if found is None:
        raise CommandError(f"--anchor {said[:80]}: expected number:hash, the hash in 64 hex digits", Exit.USAGE)
    return Head(int(found[1]), found[2])


def read_history(database: str | Path, asked: Filter) -> History:
    """Lives of findings, newest first. Raises `CommandError` when the records cannot be read (exit code 3)."""

    async def ask(archive: ReadOnly) -> History:
        lives = await archive.history(
            tenant=asked.tenant,
            namespace=asked.namespace,
            kind=asked.kind,
            since=asked.since,
            directions=asked.directions,
            limit=asked.limit + 1,
        )
        told = tuple(life_entry(past) for past in lives[: asked.limit])
        acts: tuple[ActEntry, ...] = ()
        if asked.tenant is None and asked.kind is None and not asked.directions:
            rows = await archive.notes(ACTS, subject=asked.namespace, since=asked.since, limit=asked.limit)
            acts = tuple(map(_act, rows))
        return History(database=shown(address_of(database)), lives=told, acts=acts, more=len(lives) > asked.limit)

    return _with_archive(database, ask)


def read_pages(database: str | Path, tenant: str | None, limit: int) -> PageList:
    """Pages, newest first. Raises `CommandError` when the records cannot be read (exit code 3)."""
    from driftd.paging import recent

    async def ask(archive: ReadOnly) -> PageList:
        return PageList(pages=tuple(await recent(archive, tenant=tenant, limit=limit)))

    return _with_archive(database, ask)


def _act(row: AuditRow) -> ActEntry:
    """A row of the audit chain about what a person decided."""
    detail = json.loads(row.payload)
    return ActEntry(
        at=row.at, act=row.kind, subject=row.subject, by=detail.get("by", ""), reason=detail.get("reason", "")
    )


def verify_chain(database: str | Path, anchor: Head | None) -> ChainVerification:
    """Walk the whole audit chain. Raises `CommandError` when the records cannot be read (exit code 3)."""

    async def ask(archive: ReadOnly) -> ChainVerification:
        found = await archive.verify(anchor)
        return ChainVerification(
            database=shown(address_of(database)),
            intact=found.ok,
            rows=found.rows,
            head=ChainHead(seq=found.head.seq, hash=found.head.hash),
            first_bad=found.first_bad,
            problem=found.problem,
        )

    return _with_archive(database, ask)


def export_lives(database: str | Path, asked: Filter, write: Callable[[str], None]) -> None:
    """Lives of findings as `History` has them, one JSON object a line, newest first. Raises `CommandError`."""
    import orjson

    for life in read_history(database, asked).lives:
        write(orjson.dumps(life.model_dump(mode="json", by_alias=True)).decode())


def export_evidence(database: str | Path, write: Callable[[str], None]) -> None:
    """Every row of the audit chain in order, one JSON object a line. Raises `CommandError`.

    `payload` is text, as it was hashed: SHA-256 over `prevHash` and the JSON array `[seq, at, epoch, kind, subject,
    payload]` is `hash`, so that an export can be checked without driftd.
    """
    import orjson

    async def ask(archive: ReadOnly) -> None:
        after = 0
        while rows := await archive.audit(after=after, limit=2_000):
            for row in rows:
                told = {"prevHash" if key == "prev_hash" else key: value for key, value in asdict(row).items()}
                write(orjson.dumps(told).decode())
            after = rows[-1].seq

    _with_archive(database, ask)


def _with_archive(database: str | Path, ask: Callable[[ReadOnly], Awaitable[T]]) -> T:
    async def run() -> T:
        archive = ReadOnly.at(database, CommandClock())
        try:
            return await ask(archive)
        finally:
            await archive.close()

    try:
        return asyncio.run(run())
    except StoreError as error:
        raise CommandError(f"the records cannot be read: {error}", Exit.UNKNOWN) from error
