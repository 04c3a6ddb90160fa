"""The chain goes on behind what the database holds, and says so where that is not what was written last."""

from dataclasses import asdict
from datetime import datetime
from typing import Final

import msgspec
import structlog
from sqlalchemy import Connection

from driftd.store import statements as sql
from driftd.store.chain import Head, link
from driftd.store.entries import stamp
from driftd.store.ledger import head_of
from driftd.store.retention import base_of

DISCONTINUED: Final = "chain.discontinued"
"""The kind of evidence that the database has not any more what it once confirmed."""

_log = structlog.get_logger("driftd.store")


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
    return Head(row.seq, row.hash)
