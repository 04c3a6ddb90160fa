"""The chain goes on behind what the database holds, and says so where that is not what was written last."""

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Final, Self

import msgspec
import structlog
from sqlalchemy import Connection

from driftd.store import statements as sql
from driftd.store.chain import Head, link
from driftd.store.entries import stamp
from driftd.store.ledger import flush_state, head_of
from driftd.store.retention import base_of

DISCONTINUED: Final = "chain.discontinued"
"""The kind of evidence that the database has not any more what it once confirmed."""
GAP: Final = "chain.gap"
"""Remembered under this key: the newest such loss."""

_log = structlog.get_logger("driftd.store")


class Gap(msgspec.Struct, frozen=True):
    """Evidence is gone: the row that was known to be written, and the one that the chain goes on behind."""

    at: Annotated[datetime, msgspec.Meta(tz=True)]
    expected: str
    found: str

    @property
    def text(self) -> str:
        """As it is remembered."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def read(cls, text: str | None) -> Self | None:
        """The inverse of `text`; what makes no sense is none."""
        try:
            return msgspec.json.decode(text or "null", type=cls | None)
        except msgspec.MsgspecError:
            return None


def behind(connection: Connection, expected: Head, database: str, at: datetime) -> Head:
    """The newest row, to write behind: one that says so, where the chain has lost the row `expected`.

    A server that took over without the last transactions, or a backup that was put back, is otherwise a chain without
    a fault. That others have written since, or that the row was pruned, is none.
    """
    found = head_of(connection)
    if found == expected or not expected.seq:
        return found
    there = connection.execute(sql.SELECT_ROW, {"seq": expected.seq}).scalar_one_or_none()
    if there == expected.hash or (there is None and expected.seq <= base_of(connection).seq):
        return found
    detail = {"expected": str(expected), "found": str(found)}
    _log.error(DISCONTINUED, **detail)
    payload = msgspec.json.encode(detail, order="sorted").decode()
    row = link(found, at=stamp(at), epoch=0, kind=DISCONTINUED, subject=database, payload=payload)
    connection.execute(sql.INSERT_AUDIT, [asdict(row)])
    flush_state(connection, {GAP: (Gap(at, **detail).text, stamp(at))})
    return Head(row.seq, row.hash)
