"""What is old enough goes, and the chain stays verifiable: its new beginning is written down in the chain itself.

A step takes the oldest rows of evidence up to one of them, and the closed findings, their writes and the settled pages
that were over by then. The chain gets a row `chain.pruned` that names the last row taken and its hash, so a chain that
lost its beginning otherwise is still found out. Steps are small: each is one transaction before which repairs wait.
"""

from typing import Final

import msgspec
from sqlalchemy import BindParameter, Connection, String, bindparam, delete, exists, func, select, tuple_

from driftd.store.chain import GENESIS, AuditRow, Head
from driftd.store.entries import Prune
from driftd.store.schema import audit, deliveries, findings, intents, pages, state, writers

BASE: Final = "chain.base"
"""Remembered: the last row that was taken away."""
PRUNED: Final = "chain.pruned"
_STEP: Final = 2_000

_CUTOFF: BindParameter[str] = bindparam("cutoff", type_=String)
_OLDEST = select(audit.c.seq, audit.c.at).order_by(audit.c.seq).limit(_STEP).subquery()
_FIRST_YOUNG = (
    select(func.min(_OLDEST.c.seq)).where(_OLDEST.c.at >= bindparam("before", type_=String)).scalar_subquery()
)
_BOUND = func.coalesce(_FIRST_YOUNG, select(func.max(_OLDEST.c.seq) + 1).scalar_subquery())
_NEWEST = select(func.max(audit.c.seq)).scalar_subquery()
_LAST_OLD = (
    select(audit.c.seq, audit.c.at, audit.c.hash)
    .where(audit.c.seq < _BOUND, audit.c.seq < _NEWEST)
    .order_by(audit.c.seq.desc())
    .limit(1)
)
_OLD_PAGES = select(pages.c.key, pages.c.life).where(pages.c.settled == 1, pages.c.opened < _CUTOFF)
_REMOVALS = (
    delete(findings).where(findings.c.closed.is_not(None), findings.c.closed < _CUTOFF),
    delete(intents).where(
        intents.c.result.is_not(None),
        intents.c.settled < _CUTOFF,
        ~exists().where(findings.c.id == intents.c.finding, findings.c.episode == intents.c.episode),
    ),
    delete(deliveries).where(tuple_(deliveries.c.key, deliveries.c.life).in_(_OLD_PAGES)),
    delete(pages).where(pages.c.settled == 1, pages.c.opened < _CUTOFF),
    delete(writers).where(writers.c.at < _CUTOFF),
)


def next_step(connection: Connection, before: str) -> Prune | None:
    """The next rows to take of those written before a stamp; None when none are left. The newest row always stays.

    No row goes that is younger, whatever its number. A hole in the chain is no hindrance: that somebody deleted a row
    must not keep all the others for ever.
    """
    row = connection.execute(_LAST_OLD, {"before": before}).one_or_none()
    return Prune(row.seq, row.hash, row.at) if row else None


def remove(connection: Connection, step: Prune) -> None:
    """Take away what the step names; the caller has written it into the chain, and commits."""
    connection.execute(delete(audit).where(audit.c.seq <= step.seq))
    for statement in _REMOVALS:
        connection.execute(statement, {"cutoff": step.before})


def base_of(connection: Connection) -> Head:
    """Behind which row the chain begins; `Head(0, GENESIS)` where nothing was ever taken."""
    text = connection.execute(select(state.c.value).where(state.c.key == BASE)).scalar_one_or_none()
    if text is None:
        return Head(0, GENESIS)
    seq, _, digest = msgspec.json.decode(text, type=str).partition(":")
    return Head(int(seq), digest)


def payload_of(step: Prune) -> dict[str, str]:
    """What the chain says of a step."""
    return {"up_to": str(step.seq), "hash": step.hash, "before": step.before}


def attests(row: AuditRow, base: Head) -> bool:
    """Whether this row says that the chain was pruned up to `base`."""
    if row.kind != PRUNED:
        return False
    told = msgspec.json.decode(row.payload)
    return (told.get("up_to"), told.get("hash")) == (str(base.seq), base.hash)
