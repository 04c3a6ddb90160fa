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


def test_the_migrations_lead_to_exactly_the_tables_the_code_uses(tmp_path: Path) -> None:
    SqliteFile(tmp_path / "s.db", SteppingClock().now, 250).open()
    engine = create_engine(f"sqlite:///{tmp_path}/s.db")
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
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
