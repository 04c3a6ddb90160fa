"""The ledger: turns entries into rows, inside one transaction that somebody else opens and commits.

Rows of a whole group of entries go with one `executemany` a table: the time before a write to the cluster is time a
hole stays open. Applying is idempotent: an intent is written and settled once, what is open does not open again.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, assert_never

import msgspec
from sqlalchemy import Connection

from driftd.store import outbox, retention
from driftd.store import statements as sql
from driftd.store.chain import GENESIS, AuditRow, Head, link
from driftd.store.entries import (
    Begin,
    Close,
    Entry,
    Finish,
    Note,
    Prune,
    Remember,
    Tell,
    finding_from,
    finding_text,
    moment,
    stamp,
)
from driftd.store.told import DeliveryRow, PageRow
from driftd.values import Finding, Intent, ObjectRef, Outcome


@dataclass(slots=True)
class _Life:
    """One episode of a finding while a group is being applied."""

    finding: Finding
    episode: int
    opened: str
    confirmed: str
    closed: str | None = None
    closed_by: str = ""
    new: bool = False
    changed: bool = False


@dataclass(slots=True)
class _Known:
    """An intent the database has, or will have with this group."""

    ref: ObjectRef
    settled: bool


@dataclass(slots=True)
class _Group:
    """Everything one transaction is about to write."""

    head: Head
    lives: dict[str, _Life]
    known: dict[str, _Known]
    touched: list[_Life] = field(default_factory=list)
    intents: list[dict[str, Any]] = field(default_factory=list)
    settled: list[dict[str, Any]] = field(default_factory=list)
    audit: list[AuditRow] = field(default_factory=list)
    state: dict[str, tuple[str | None, str]] = field(default_factory=dict)
    pages: list[PageRow] = field(default_factory=list)
    deliveries: list[DeliveryRow] = field(default_factory=list)
    steps: list[Prune] = field(default_factory=list)

    def evidence(self, entry: Entry, kind: str, subject: str, payload: str) -> None:
        """Append one audit row; `payload` is a JSON object, and gets the trace in which this happened."""
        if entry.trace:
            payload = f'{payload[:-1]}{"" if payload == "{}" else ","}"trace":"{entry.trace}"}}'
        row = link(self.head, at=stamp(entry.at), epoch=entry.epoch, kind=kind, subject=subject, payload=payload)
        self.head = Head(row.seq, row.hash)
        self.audit.append(row)


def head_of(connection: Connection) -> Head:
    """The newest row of the chain."""
    row = connection.execute(sql.SELECT_HEAD).one_or_none()
    return Head(row.seq, row.hash) if row else Head(0, GENESIS)


def remembered(connection: Connection) -> dict[str, str]:
    """Every remembered value that still is JSON: for salvage from a broken file."""
    values = {}
    for row in connection.execute(sql.SELECT_VALUES):
        with suppress(msgspec.DecodeError, TypeError):
            msgspec.json.decode(row.value)
            values[str(row.key)] = str(row.value)
    return values


def unapplied(connection: Connection, entries: Sequence[Entry]) -> list[Entry]:
    """Those of `entries` (oldest first) that no committed transaction has applied yet."""
    ids = sorted({entry.writer for entry in entries})
    applied = {row.id: row.applied for row in connection.execute(sql.SELECT_WRITERS, {"ids": ids})}
    return [entry for entry in entries if entry.n > applied.get(entry.writer, -1)]


def apply(connection: Connection, entries: Sequence[Entry], head: Head) -> Head:
    """Write `entries`, in order, behind `head`; returns the new head. The caller commits.

    Raises whatever the database raises; then nothing of it counts and the caller rolls back.
    """
    if not entries:
        return head
    group = _Group(head, _lives(connection, entries), _known(connection, entries))
    for entry in entries:
        _one(group, entry)
    _flush(connection, group)
    _watermarks(connection, entries, group.head)
    return group.head


def confirm(connection: Connection, seen: Mapping[str, datetime]) -> None:
    """Move the last-seen time of open findings forward. No evidence: it is no event."""
    rows = [{"at_id": id, "seen": stamp(at)} for id, at in seen.items()]
    if rows:
        connection.execute(sql.CONFIRM, rows)


def _one(group: _Group, entry: Entry) -> None:
    group.pages += entry.pages
    match entry.act:
        case Begin(findings=seen, intents=writes):
            _begin(group, entry, seen, writes)
        case Finish(outcomes=outcomes, reports=reports):
            _finish(group, entry, outcomes, reports)
        case Close(ids=ids, by=by, at=at):
            for id in ids:
                _close(group, entry, id, by, at)
        case Note(kind=kind, subject=subject, detail=detail):
            group.evidence(entry, kind, subject, _json(dict(detail)))
        case Remember(values=values):
            group.state.update({key: (value, stamp(entry.at)) for key, value in values.items()})
        case Tell(deliveries=told):
            for delivery in told:
                _tell(group, entry, delivery)
        case Prune() as step:
            group.steps.append(step)
            group.evidence(entry, retention.PRUNED, "audit", _json(retention.payload_of(step)))
            group.state[retention.BASE] = (_json(f"{step.seq}:{step.hash}"), stamp(entry.at))
        case _ as never:
            assert_never(never)


def _begin(group: _Group, entry: Entry, seen: Sequence[Finding], writes: Sequence[Intent]) -> None:
    for finding in seen:
        _see(group, entry, finding, reported=False)
    for intent in writes:
        _intend(group, entry, intent)


def _finish(group: _Group, entry: Entry, outcomes: Sequence[Outcome], reports: Sequence[Finding]) -> None:
    for outcome in outcomes:
        _settle(group, entry, outcome)
    for finding in reports:
        _see(group, entry, finding, reported=True)


def _see(group: _Group, entry: Entry, finding: Finding, *, reported: bool) -> None:
    life = group.lives.get(finding.id)
    now = stamp(entry.at)
    if life is None or (life.closed is not None and not reported):
        episode = life.episode + 1 if life else 1
        life = _Life(finding, episode, opened=now, confirmed=now, new=True)
        group.lives[finding.id] = life
        group.touched.append(life)
        group.evidence(entry, "finding.opened", str(finding.ref), finding_text(finding))
        return
    before = life.finding
    life.finding = _merged(before, finding)
    if life.closed is None:
        life.confirmed = max(life.confirmed, now)
    if not life.changed and not life.new:
        life.changed = True
        group.touched.append(life)
    if life.finding != before:
        kind = "finding.reported" if reported else "finding.changed"
        group.evidence(entry, kind, str(finding.ref), finding_text(life.finding))


def _merged(before: Finding, now: Finding) -> Finding:
    """What is known together: a cycle that only compared digests does not wipe out an earlier report."""
    if not now.changes and before.changes:
        now = replace(now, changes=before.changes, omitted=before.omitted)
    return replace(now, witness=now.witness or before.witness, claimed_by=now.claimed_by or before.claimed_by)


def _intend(group: _Group, entry: Entry, intent: Intent) -> None:
    if intent.id in group.known:
        return
    group.known[intent.id] = _Known(intent.ref, settled=False)
    group.intents.append(
        {
            "id": intent.id,
            "finding": intent.finding,
            "episode": life.episode if (life := group.lives.get(intent.finding)) else 0,
            "group": intent.ref.group,
            "kind": intent.ref.kind,
            "namespace": intent.ref.namespace,
            "name": intent.ref.name,
            "verb": intent.verb,
            "uid": intent.uid,
            "resource_version": intent.resource_version,
            "epoch": intent.epoch,
            "commit": intent.commit,
            "at": stamp(intent.at),
            "trace": entry.trace,
            "result": None,
            "settled": None,
            "result_version": "",
            "message": "",
        }
    )
    group.evidence(entry, "write.intended", str(intent.ref), _json(intent))


def _settle(group: _Group, entry: Entry, outcome: Outcome) -> None:
    known = group.known.get(outcome.intent)
    if known is not None and known.settled:
        return
    if known is not None:
        known.settled = True
        group.settled.append(
            {
                "at_id": outcome.intent,
                "outcome": outcome.result.value,
                "settled_at": stamp(outcome.at),
                "version": outcome.resource_version,
                "words": outcome.message,
            }
        )
    # An intent can be unknown when the file that held it was quarantined: its end is evidence all the same.
    subject = str(known.ref) if known else f"intent {outcome.intent}"
    group.evidence(entry, "write.settled", subject, _json(outcome))


def _close(group: _Group, entry: Entry, id: str, by: str, at: datetime) -> None:
    life = group.lives.get(id)
    if life is None or life.closed is not None:
        return
    life.closed, life.closed_by = max(stamp(at), life.opened), by
    if not life.changed and not life.new:
        life.changed = True
        group.touched.append(life)
    seconds = (moment(life.closed) - moment(life.opened)).total_seconds()
    payload = {"by": by, "closed": life.closed, "finding": id, "opened": life.opened, "open_seconds": seconds}
    group.evidence(entry, "finding.closed", str(life.finding.ref), _json(payload))


def _tell(group: _Group, entry: Entry, delivery: DeliveryRow) -> None:
    """Who was told what, and when, is evidence; that a later life took a page's place is none."""
    group.deliveries.append(delivery)
    if not delivery.superseded:
        kind = "page.refused" if delivery.refused else "page.resolved" if delivery.resolved else "page.told"
        group.evidence(entry, kind, delivery.key, _json(delivery))


def _flush(connection: Connection, group: _Group) -> None:
    new = [_finding_row(life) for life in group.touched if life.new]
    changed = [_finding_update(life) for life in group.touched if not life.new]
    if new:
        connection.execute(sql.INSERT_FINDING, new)
    if changed:
        connection.execute(sql.UPDATE_FINDING, changed)
    if group.intents:
        connection.execute(sql.INSERT_INTENT, group.intents)
    if group.settled:
        connection.execute(sql.SETTLE, group.settled)
    if group.state:
        flush_state(connection, group.state)
    outbox.write(connection, group.pages, group.deliveries)
    if group.audit:
        names = AuditRow.__slots__  # `asdict` would copy every text deeply, at the cost of all else here
        connection.execute(sql.INSERT_AUDIT, [{name: getattr(row, name) for name in names} for row in group.audit])
    for step in group.steps:
        retention.remove(connection, step)


def flush_state(connection: Connection, values: Mapping[str, tuple[str | None, str]]) -> None:
    """Remember these values, each with its time; None forgets the key."""
    known = {row.key for chunk in sql.chunks(values) for row in connection.execute(sql.SELECT_STATE, {"ids": chunk})}
    gone = [{"at_key": key} for key, (value, _) in values.items() if value is None and key in known]
    kept = {key: (value, at) for key, (value, at) in values.items() if value is not None}
    changed = [{"at_key": key, "new": value, "since": at} for key, (value, at) in kept.items() if key in known]
    new = [{"key": key, "value": value, "at": at} for key, (value, at) in kept.items() if key not in known]
    if gone:
        connection.execute(sql.DELETE_STATE, gone)
    if changed:
        connection.execute(sql.UPDATE_STATE, changed)
    if new:
        connection.execute(sql.INSERT_STATE, new)


def _watermarks(connection: Connection, entries: Sequence[Entry], head: Head) -> None:
    last = {entry.writer: entry for entry in entries}
    for id, entry in last.items():
        values = {"n": entry.n, "seq": head.seq, "head": head.hash, "since": stamp(entry.at)}
        if connection.execute(sql.UPDATE_WRITER, {"at_id": id, **values}).rowcount == 0:
            row = {"id": id, "applied": entry.n, "head_seq": head.seq, "head_hash": head.hash, "at": stamp(entry.at)}
            connection.execute(sql.INSERT_WRITER, row)


def _lives(connection: Connection, entries: Sequence[Entry]) -> dict[str, _Life]:
    ids: set[str] = set()
    for entry in entries:
        match entry.act:
            case Begin(findings=seen, intents=writes):
                ids.update(finding.id for finding in seen)
                ids.update(intent.finding for intent in writes)
            case Finish(reports=seen):
                ids.update(finding.id for finding in seen)
            case Close(ids=closed):
                ids.update(closed)
            case _:
                pass
    lives: dict[str, _Life] = {}
    for chunk in sql.chunks(sorted(ids)):
        for row in connection.execute(sql.SELECT_LIVES, {"ids": chunk}):
            lives[row.id] = _Life(
                finding_from(row.body), row.episode, row.opened, row.confirmed, row.closed, row.closed_by
            )
    return lives


def _known(connection: Connection, entries: Sequence[Entry]) -> dict[str, _Known]:
    ids: set[str] = set()
    for entry in entries:
        match entry.act:
            case Begin(intents=writes):
                ids.update(intent.id for intent in writes)
            case Finish(outcomes=outcomes):
                ids.update(outcome.intent for outcome in outcomes)
            case _:
                pass
    return {
        row.id: _Known(ObjectRef(row.group, row.kind, row.namespace, row.name), row.result is not None)
        for chunk in sql.chunks(sorted(ids))
        for row in connection.execute(sql.SELECT_INTENTS, {"ids": chunk})
    }


def _finding_row(life: _Life) -> dict[str, Any]:
    finding = life.finding
    return {
        "id": finding.id,
        "episode": life.episode,
        "opened": life.opened,
        "confirmed": life.confirmed,
        "closed": life.closed,
        "closed_by": life.closed_by,
        "tenant": finding.tenant,
        "namespace": finding.scope.namespace,
        "kind": finding.ref.kind,
        "direction": finding.direction.value,
        "severity": finding.severity.value,
        "body": finding_text(finding),
    }


def _finding_update(life: _Life) -> dict[str, Any]:
    return {
        "at_id": life.finding.id,
        "at_episode": life.episode,
        "confirmed": life.confirmed,
        "closed": life.closed,
        "closed_by": life.closed_by,
        "direction": life.finding.direction.value,
        "severity": life.finding.severity.value,
        "body": finding_text(life.finding),
    }


def _json(value: object) -> str:
    return msgspec.json.encode(value, order="sorted").decode()
