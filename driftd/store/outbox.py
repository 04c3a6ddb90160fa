"""The outbox's rows: pages as they stand, and what each destination has been told of them.

The store knows columns, not meaning: `body` belongs to the room above that writes it. A row is always written whole, so
that applying it twice is the same as once.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib import import_module
from typing import Any

from sqlalchemy import Connection, Executable, Row, Table, bindparam, delete, select, tuple_

from driftd.store.entries import moment, stamp
from driftd.store.schema import deliveries, pages
from driftd.store.told import DeliveryRow, PageRow, Told

_CHUNK = 200
"""Pairs in one IN list."""

_DELETE_PAGE = delete(pages).where(pages.c.key == bindparam("at_key"), pages.c.life == bindparam("at_life"))
_FORGET_DELIVERIES = delete(deliveries).where(
    deliveries.c.key == bindparam("at_key"), deliveries.c.life == bindparam("at_life")
)


def write(connection: Connection, page_rows: Iterable[PageRow], delivery_rows: Iterable[DeliveryRow]) -> None:
    """Make these rows what the tables hold; of several for one life the last counts."""
    last = {(row.key, row.life): row for row in page_rows}
    told = {(row.key, row.life, row.destination): row for row in delivery_rows}
    dialect = connection.dialect.name
    forgotten = [{"at_key": key, "at_life": life} for (key, life), row in last.items() if row.gone]
    if forgotten:
        connection.execute(_DELETE_PAGE, forgotten)
        connection.execute(_FORGET_DELIVERIES, forgotten)
    kept = [_page_values(row) for row in last.values() if not row.gone]
    if kept:
        connection.execute(_put(pages, dialect), kept)
    if told:
        connection.execute(_put(deliveries, dialect), [_delivery_values(row) for row in told.values()])


@cache
def _put(table: Table, dialect: str) -> Executable:
    """Insert a row, or let it take the place of the one with its key: one statement, in the words of each database."""
    # Whoever uses the one need not have the other in memory.
    insert = import_module(f"sqlalchemy.dialects.{dialect}").insert
    statement = insert(table)
    keys = [column.name for column in table.primary_key]
    others = {column.name: statement.excluded[column.name] for column in table.columns if column.name not in keys}
    whole: Executable = statement.on_conflict_do_update(index_elements=keys, set_=others)
    return whole


def unsettled(connection: Connection) -> Sequence[Told]:
    """Every life that somebody may still have to be told of, oldest first."""
    statement = select(pages).where(pages.c.settled == 0).order_by(pages.c.opened, pages.c.key, pages.c.life)
    return _told(connection, connection.execute(statement).all())


def unsettled_names(connection: Connection) -> set[tuple[str, int]]:
    """Key and life of each of these: an index and two columns, however long what is kept of them."""
    return {
        (row.key, row.life) for row in connection.execute(select(pages.c.key, pages.c.life).where(pages.c.settled == 0))
    }


def named(connection: Connection, names: Sequence[tuple[str, int]]) -> Sequence[Told]:
    """These lives, as far as there are such, oldest first."""
    found: list[Row[Any]] = []
    for start in range(0, len(names), _CHUNK):
        pairs = names[start : start + _CHUNK]
        found += connection.execute(select(pages).where(tuple_(pages.c.key, pages.c.life).in_(pairs)))
    return _told(connection, sorted(found, key=lambda row: (row.opened, row.key, row.life)))


def newest(connection: Connection, limit: int, tenant: str | None) -> Sequence[Told]:
    """The newest lives, the newest first."""
    statement = select(pages).order_by(pages.c.opened.desc(), pages.c.key, pages.c.life.desc()).limit(limit)
    if tenant is not None:
        statement = statement.where(pages.c.tenant == tenant)
    return _told(connection, connection.execute(statement).all())


def _told(connection: Connection, rows: Sequence[Row[Any]]) -> Sequence[Told]:
    found: dict[tuple[str, int], list[DeliveryRow]] = {(row.key, row.life): [] for row in rows}
    names = list(found)
    for start in range(0, len(names), _CHUNK):
        pairs = names[start : start + _CHUNK]
        statement = select(deliveries).where(tuple_(deliveries.c.key, deliveries.c.life).in_(pairs))
        for row in connection.execute(statement.order_by(deliveries.c.destination)):
            found[row.key, row.life].append(_delivery(row))
    return [Told(_page(row), tuple(found[row.key, row.life])) for row in rows]


def _page_values(row: PageRow) -> Mapping[str, Any]:
    return {
        "key": row.key,
        "life": row.life,
        "state": row.state,
        "class": row.page_class,
        "urgency": row.urgency,
        "tenant": row.tenant,
        "namespace": row.namespace,
        "opened": stamp(row.opened),
        "settled": int(row.settled),
        "body": row.body,
    }


def _delivery_values(row: DeliveryRow) -> Mapping[str, Any]:
    return {
        "key": row.key,
        "life": row.life,
        "destination": row.destination,
        "revision": row.revision,
        "resolved": int(row.resolved),
        "urgency": row.urgency,
        "attempts": row.attempts,
        "at": stamp(row.at),
        "refused": row.refused,
        "superseded": int(row.superseded),
    }


def _page(row: Row[Any]) -> PageRow:
    found = row._mapping  # noqa: SLF001 - SQLAlchemy's public way to columns whose names are Python's own words
    return PageRow(
        key=row.key,
        life=row.life,
        state=row.state,
        page_class=found["class"],
        urgency=row.urgency,
        tenant=row.tenant,
        namespace=row.namespace,
        opened=moment(row.opened),
        body=row.body,
        settled=bool(row.settled),
    )


def _delivery(row: Row[Any]) -> DeliveryRow:
    return DeliveryRow(
        key=row.key,
        life=row.life,
        destination=row.destination,
        revision=row.revision,
        resolved=bool(row.resolved),
        urgency=row.urgency,
        attempts=row.attempts,
        at=moment(row.at),
        refused=row.refused,
        superseded=bool(row.superseded),
    )
