import sqlite3
from collections.abc import Collection
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

import driftd.store.migrate as migration
from driftd.store import PageRow, Store
from driftd.store.schema import metadata
from driftd.store.sqlite import SqliteFile
from tests.support.records import START, SteppingClock, change, finding, intent, outcome


def tables_of(path: Path) -> set[tuple[str, str, str]]:
    """Tables and indexes with all their columns, however the statement that made them was laid out."""
    database = sqlite3.connect(path)
    columns = "SELECT m.type, m.name, group_concat(i.name || ' ' || i.type || i.\"notnull\" || i.pk)"
    tables = set(database.execute(f"{columns} FROM sqlite_master m JOIN pragma_table_info(m.name) i GROUP BY m.name"))
    found = "SELECT 'index', m.name, group_concat(i.name) FROM sqlite_master m JOIN pragma_index_info(m.name) i"
    indexes = set(database.execute(f"{found} GROUP BY m.name"))
    database.close()
    return tables | indexes


def test_the_migrations_lead_to_exactly_the_tables_the_code_uses(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path}/s.db")
    with engine.begin() as connection:
        migration.upgrade(connection)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        assert migration.version(connection) == migration.HEAD
    engine.dispose()


def test_a_new_database_is_made_at_once_as_the_migrations_would_make_it(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path}/migrated.db")
    with engine.begin() as connection:
        migration.upgrade(connection)
    engine.dispose()
    file = SqliteFile(tmp_path / "new.db", SteppingClock().now, 250)
    file.open()
    file.close()
    assert tables_of(tmp_path / "new.db") == tables_of(tmp_path / "migrated.db")
    engine = create_engine(f"sqlite:///{tmp_path}/new.db")
    with engine.connect() as connection:
        assert migration.version(connection) == migration.HEAD
    engine.dispose()


def test_the_known_revisions_are_those_on_disk_in_one_line() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migration.__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    scripts = ScriptDirectory.from_config(config)
    assert [script.revision for script in scripts.walk_revisions()][::-1] == list(migration.KNOWN)
    assert scripts.get_current_head() == migration.HEAD


def test_what_is_older_than_every_revision_is_copied_before_it_is_migrated(tmp_path: Path) -> None:
    """An empty version table stands for a database from before the first one."""
    path = tmp_path / "s.db"
    before = sqlite3.connect(path)
    before.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
    before.execute("CREATE TABLE keepsake (a)")
    before.commit()
    before.close()
    file = SqliteFile(path, SteppingClock().now, 250)
    file.open()
    file.close()
    copy = sqlite3.connect(tmp_path / f"s.db.before-{migration.HEAD}")
    assert copy.execute("SELECT name FROM sqlite_master ORDER BY name").fetchall() == [
        ("alembic_version",),
        ("keepsake",),
    ]
    copy.close()


def make(path: Path, revision: str) -> None:
    """A database as the migrations leave it at a revision."""
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        config = Config()
        config.set_main_option("script_location", str(Path(migration.__file__).parent / "migrations"))
        config.set_main_option("path_separator", "os")
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    engine.dispose()


def names_of(path: Path) -> set[str]:
    return {name for sort, name, _ in tables_of(path) if sort == "table"} - {"alembic_version"}


def rows_of(path: Path, tables: Collection[str]) -> dict[str, list[tuple[object, ...]]]:
    with closing(sqlite3.connect(path)) as database:
        return {table: database.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall() for table in tables}


def revision_of(path: Path) -> list[tuple[str]]:
    with closing(sqlite3.connect(path)) as database:
        return database.execute("SELECT version_num FROM alembic_version").fetchall()


@pytest.mark.parametrize("revision", migration.KNOWN[:-1])
async def test_a_file_at_an_earlier_revision_comes_to_the_newest_with_its_rows_and_its_chain(
    tmp_path: Path, revision: str
) -> None:
    old, now = tmp_path / "s.db", tmp_path / "now.db"
    store = await Store.open(now, SteppingClock(), tmp_path / "journal")
    await store.begin([finding("f1"), finding("f2", name="other")], [intent("i1"), intent("i2")])
    await store.finish([outcome("i1")], [finding("f1", changes=(change(),))])
    await store.close_findings(["f2"], "driftd", START)
    await store.remember("accepted", '"dir:1"')
    await store.close()
    make(old, revision)
    with closing(sqlite3.connect(old)) as database:
        database.execute("ATTACH ? AS now", (str(now),))
        for table in names_of(old):
            database.execute(f"INSERT INTO main.{table} SELECT * FROM now.{table}")
        database.commit()
    before = rows_of(old, names_of(old))
    assert len(before["findings"]) == len(before["intents"]) == 2

    store = await Store.open(old, SteppingClock(), tmp_path / "journal")
    assert store.durable
    assert [seen.finding.id for seen in await store.open_findings()] == ["f1"]
    assert [left.id for left in await store.unsettled()] == ["i2"]
    assert await store.recall("accepted") == '"dir:1"'
    await store.tell([PageRow("k", 1, "open", "crossing", "critical", "acme", "acme-prod", START, "{}")])
    assert len(await store.unsettled_pages()) == 1
    assert (await store.verify()).ok
    assert await store.gap() is None, "it is the chain that the anchor beside the journal names"
    await store.close()

    assert revision_of(old) == [(migration.HEAD,)]
    assert tables_of(old) == tables_of(now)
    after = rows_of(old, before)
    kept = {table: after[table][: len(rows)] if table == "audit" else after[table] for table, rows in before.items()}
    assert {**kept, "writers": []} == {**before, "writers": []}
    copy = tmp_path / f"s.db.before-{migration.HEAD}"
    assert revision_of(copy) == [(revision,)]
    assert rows_of(copy, before) == before
    assert names_of(copy) == before.keys()
