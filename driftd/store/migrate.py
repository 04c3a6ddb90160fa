"""The schema's version: forward only, a copy of the file first, and Alembic imported only to change what is there."""

from pathlib import Path

from sqlalchemy import Column, Connection, MetaData, String, Table, inspect, select

from driftd.store.errors import SchemaTooNew
from driftd.store.schema import metadata

HEAD = "0002"
"""The newest revision in `migrations/versions`. Kept here so that an ordinary start need not import Alembic (0.9 s)."""

KNOWN = ("0001", "0002")
"""Every revision, oldest first."""

_SCRIPTS = Path(__file__).parent / "migrations"


def version(connection: Connection) -> str:
    """The revision the database is at; empty for a database without tables."""
    if not inspect(connection).has_table("alembic_version"):
        return ""
    return str(connection.execute(select(_stamp(MetaData()).c.version_num)).scalar_one_or_none() or "")


def holds_anything(connection: Connection) -> bool:
    """Whether there is a table at all, and so something that a migration could harm."""
    names = inspect(connection).get_table_names()
    connection.rollback()
    return bool(names)


def incomplete(connection: Connection) -> tuple[str, ...]:
    """Tables of this schema that are missing although the version says that they exist."""
    present = set(inspect(connection).get_table_names())
    return tuple(sorted(set(metadata.tables) - present))


def refuse_newer(database: str, found: str) -> None:
    """Raise `SchemaTooNew` for a revision this driftd does not know."""
    if found and found not in KNOWN:
        raise SchemaTooNew(database, found, HEAD)


def create(connection: Connection) -> None:
    """Make the tables of `HEAD` in an empty database, inside the caller's transaction.

    What all migrations together lead to (a test holds the two against each other), without the 11 MB and 0.3 to 0.9 s
    that Alembic costs.
    """
    own = MetaData()
    stamp = _stamp(own)
    metadata.create_all(connection)
    own.create_all(connection)
    connection.execute(stamp.insert().values(version_num=HEAD))


def upgrade(connection: Connection) -> None:
    """Bring the database to `HEAD`, inside the caller's transaction. Blocking, and slow to import: use a thread."""
    from alembic import command  # noqa: PLC0415 - see HEAD
    from alembic.config import Config  # noqa: PLC0415 - see HEAD

    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _stamp(where: MetaData) -> Table:
    """Alembic's own table. Known here: a server answers ten questions before it has described it."""
    return Table("alembic_version", where, Column("version_num", String(32), primary_key=True))
