import sqlite3
from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

import driftd.store.migrate as migration
from driftd.store.schema import metadata
from driftd.store.sqlite import SqliteFile
from tests.support.records import SteppingClock


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


def test_an_older_schema_is_copied_before_it_is_migrated(tmp_path: Path) -> None:
    """There is one revision so far: an empty version table stands for a database from before it."""
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
