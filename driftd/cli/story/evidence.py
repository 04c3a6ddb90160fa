"""What really happened, from two sides: the API server's audit log, and driftd's own records."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from driftd.cli.clock import CommandClock
from driftd.cli.story.daemon import USER, Daemon
from driftd.lab import AuditLog, AuditRecord
from driftd.paging import recent
from driftd.store import Past, ReadOnly, Verification
from driftd.values import Finding

_RECORDS_SECONDS = 5.0
_LOOK_SECONDS = 0.03
_VERIFICATIONS = 3
_NOBODY = "by nobody known"


@dataclass(frozen=True, slots=True)
class Healing:
    """A tampering and its repair as the audit log has them. Times are between ends of requests (`ResponseComplete`)."""

    tampering: AuditRecord
    repairs: tuple[AuditRecord, ...]
    removal: AuditRecord | None = None
    """The request that made an end of a deleted namespace: the last one to finalize it."""

    @property
    def first_ms(self) -> float | None:
        """Until the first repairing write was answered: from here on the tampering allows nothing any more."""
        return _ms(self.tampering, self.repairs[0]) if self.repairs else None

    @property
    def whole_ms(self) -> float | None:
        """Until the last one was: all is as the model has it."""
        return _ms(self.tampering, self.repairs[-1]) if self.repairs else None

    @property
    def dying_ms(self) -> float | None:
        """Until Kubernetes had removed a deleted namespace, before which nothing may be written; None: none was."""
        return _ms(self.tampering, self.removal) if self.removal else None

    @property
    def verbs(self) -> str:
        """The writes in words, in order; many of a sort as a number."""
        counted = Counter(record.verb for record in self.repairs)
        if len(self.repairs) <= 3:
            return ", ".join(record.verb for record in self.repairs)
        return ", ".join(f"{count} x {verb}" for verb, count in counted.items())


class Trail:
    """The audit log of the lab, read scene by scene."""

    def __init__(self, log: AuditLog) -> None:
        self._log = log
        self._records: list[AuditRecord] = []

    def begin(self) -> None:
        """What is written from now on belongs to the next scene."""
        self._log.skip()
        self._records = []

    def healing(self, audit_id: str, namespace: str) -> Healing | None:
        """The request of that id and the daemon's writes into the namespace so far; None while the log lacks it."""
        self._records += self._log.writes()
        tampering = next((one for one in self._records if one.audit_id == audit_id), None)
        if tampering is None:
            return None
        repairs = [
            one for one in self.repairs() if one.ref is not None and (one.ref.namespace or one.ref.name) == namespace
        ]
        finalized = [
            one
            for one in self._records
            if one.ref is not None and (one.ref.name, one.ref.subresource) == (namespace, "finalize")
        ]
        return Healing(tampering, tuple(repairs), finalized[-1] if finalized else None)

    def repairs(self) -> tuple[AuditRecord, ...]:
        """Every write of the daemon to a governed object since `begin`, by the time of its end."""
        self._records += self._log.writes()
        mine = [
            one
            for one in self._records
            if one.user == USER
            and one.ref is not None
            and one.ref.namespace != "driftd"
            and one.ref.resource != "events"
        ]
        return tuple(sorted(mine, key=lambda one: one.stage_at))


@dataclass(frozen=True, slots=True)
class Records:
    """The daemon's database, read beside it."""

    daemon: Daemon

    async def lives(self, namespace: str, since: datetime) -> tuple[Past, ...]:
        """Findings of a namespace that opened since then, oldest first; waits until what was repaired is closed.

        Reports are made after the repair, so the records follow it by some milliseconds.
        """
        archive = ReadOnly.at(self.daemon.database, CommandClock())
        try:
            loop = asyncio.get_running_loop()
            deadline = loop.time() + _RECORDS_SECONDS
            while True:
                past = await archive.history(namespace=namespace, since=since, limit=1000)
                found = [one for one in past if one.seen.opened >= since]
                told = [one for one in found if one.writes]
                done = bool(told) and all(one.seen.closed is not None for one in told)
                if done or loop.time() > deadline:
                    return tuple(sorted(found, key=lambda one: one.seen.opened))
                await asyncio.sleep(_LOOK_SECONDS)
        finally:
            await archive.close()

    async def open(self) -> tuple[Finding, ...]:
        """Findings that are open now, oldest first."""
        archive = ReadOnly.at(self.daemon.database, CommandClock())
        try:
            return tuple(seen.finding for seen in await archive.open_findings())
        finally:
            await archive.close()

    async def pages(self) -> list[dict[str, Any]]:
        """The newest pages, newest first, as the API serves them under `/api/pages`."""
        archive = ReadOnly.at(self.daemon.database, CommandClock())
        try:
            return await recent(archive)
        finally:
            await archive.close()

    async def verify(self) -> Verification:
        """Walk the audit chain. One that grows during the walk may look cut off, so a failure is looked at again."""
        archive = ReadOnly.at(self.daemon.database, CommandClock())
        try:
            for _ in range(_VERIFICATIONS):
                found = await archive.verify()
                if found.ok:
                    break
                await asyncio.sleep(0.5)
            return found
        finally:
            await archive.close()


def claims(lives: Sequence[Past]) -> tuple[str, ...]:
    """Who is said to have done it, each with the source of that claim, without repeats."""
    said: dict[str, None] = {}
    for life in lives:
        claim = life.seen.finding.claimed_by
        if claim is not None:
            said[_NOBODY if claim.source == "unknown" else f"by {claim.who} ({claim.source})"] = None
    known = [one for one in said if one != _NOBODY]
    return tuple(known or said)


def _ms(earlier: AuditRecord, later: AuditRecord) -> float:
    return (later.stage_at - earlier.stage_at).total_seconds() * 1000
