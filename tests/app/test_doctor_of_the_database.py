"""What the doctor says of the records: a file, a server that is new, known, or not to be reached."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from driftd.app.doctor import State, _database
from driftd.settings import Settings, StoreSettings
from driftd.store import Store
from tests.support.postgres import PASSWORD, Server
from tests.support.records import SteppingClock


def settings(folder: Path, url: str = "") -> Settings:
    return Settings(data_dir=folder / "data", store=StoreSettings(url=SecretStr(url)))


async def test_a_file_that_can_be_made_is_well_and_is_not_made(tmp_path: Path) -> None:
    check = await _database(settings(tmp_path))
    assert check.state is State.OK
    assert "will be made" in check.seen
    assert list(tmp_path.iterdir()) == []


async def test_a_new_server_is_well_and_a_used_one_says_how_much_it_holds(server: Server, tmp_path: Path) -> None:
    url = server.new_database()
    new = await _database(settings(tmp_path, url))
    assert (new.state, "tables will be made" in new.seen) == (State.OK, True)
    store = await Store.open(url, SteppingClock(), tmp_path)
    await store.close()
    used = await _database(settings(tmp_path, url))
    assert (used.state, used.seen) == (State.OK, "2 rows of evidence")


@pytest.mark.parametrize("change", [(PASSWORD, "wrong-but-secret"), ("127.0.0.1", "127.0.0.2")])
async def test_a_server_that_lets_nobody_in_is_unknown_and_no_password_is_told(
    server: Server, tmp_path: Path, change: tuple[str, str]
) -> None:
    check = await _database(settings(tmp_path, server.new_database().replace(*change)))
    assert check.state is State.UNKNOWN
    assert check.remedy
    assert PASSWORD not in check.seen
    assert "wrong-but-secret" not in check.seen
