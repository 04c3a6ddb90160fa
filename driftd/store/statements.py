"""The statements of the ledger: SQLAlchemy Core without a dialect, built once.

Bind names differ from column names wherever an UPDATE needs both its row's key and new values.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from sqlalchemy import BindParameter, and_, bindparam, case, delete, func, insert, select, update

from driftd.store.schema import audit, findings, intents, state, writers

_IDS: BindParameter[Any] = bindparam("ids", expanding=True)
_LAST_EPISODES = (
    select(findings.c.id, func.max(findings.c.episode).label("last"))
    .where(findings.c.id.in_(_IDS))
    .group_by(findings.c.id)
    .subquery()
)
SELECT_LIVES = select(
    findings.c.id,
    findings.c.episode,
    findings.c.opened,
    findings.c.confirmed,
    findings.c.closed,
    findings.c.closed_by,
    findings.c.body,
).join(_LAST_EPISODES, and_(findings.c.id == _LAST_EPISODES.c.id, findings.c.episode == _LAST_EPISODES.c.last))
SELECT_INTENTS = select(
    intents.c.id, intents.c.group, intents.c.kind, intents.c.namespace, intents.c.name, intents.c.result
).where(intents.c.id.in_(_IDS))
SELECT_STATE = select(state.c.key).where(state.c.key.in_(_IDS))
SELECT_VALUES = select(state.c.key, state.c.value)
SELECT_HEAD = select(audit.c.seq, audit.c.hash).order_by(audit.c.seq.desc()).limit(1)
SELECT_ROW = select(audit.c.hash).where(audit.c.seq == bindparam("seq"))
SELECT_WRITERS = select(writers.c.id, writers.c.applied).where(writers.c.id.in_(_IDS))
INSERT_FINDING = insert(findings)
UPDATE_FINDING = (
    update(findings)
    .where(findings.c.id == bindparam("at_id"), findings.c.episode == bindparam("at_episode"))
    .values(
        confirmed=bindparam("confirmed"),
        closed=bindparam("closed"),
        closed_by=bindparam("closed_by"),
        direction=bindparam("direction"),
        severity=bindparam("severity"),
        body=bindparam("body"),
    )
)
CONFIRM = (
    update(findings)
    .where(findings.c.id == bindparam("at_id"), findings.c.closed.is_(None))
    .values(
        confirmed=case((findings.c.confirmed < bindparam("seen"), bindparam("seen")), else_=findings.c.confirmed),
    )
)
INSERT_INTENT = insert(intents)
SETTLE = (
    update(intents)
    .where(intents.c.id == bindparam("at_id"), intents.c.result.is_(None))
    .values(
        result=bindparam("outcome"),
        settled=bindparam("settled_at"),
        result_version=bindparam("version"),
        message=bindparam("words"),
    )
)
INSERT_AUDIT = insert(audit)
INSERT_STATE = insert(state)
UPDATE_STATE = (
    update(state).where(state.c.key == bindparam("at_key")).values(value=bindparam("new"), at=bindparam("since"))
)
DELETE_STATE = delete(state).where(state.c.key == bindparam("at_key"))
UPDATE_WRITER = (
    update(writers)
    .where(writers.c.id == bindparam("at_id"))
    .values(applied=bindparam("n"), head_seq=bindparam("seq"), head_hash=bindparam("head"), at=bindparam("since"))
)
INSERT_WRITER = insert(writers)

_CHUNK = 512
"""Names in one IN list: far below every database's bound on parameters."""


def chunks(ids: Iterable[str]) -> Iterator[list[str]]:
    """Parts of a list for `ids`, each filled up to a power of two: a server prepares a statement for each length."""
    every = list(ids)
    for start in range(0, len(every), _CHUNK):
        part = every[start : start + _CHUNK]
        yield part + part[-1:] * ((1 << (len(part) - 1).bit_length()) - len(part))
