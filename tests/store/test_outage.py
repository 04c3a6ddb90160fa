"""The database is away for an hour while somebody fights for an object: the journal has room, and gives it back."""

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from driftd.settings import Settings
from driftd.store import StoreMode
from driftd.store.entries import encode
from tests.support.frail_store import until_back
from tests.support.outage import again, fight, name, open_away
from tests.support.paging import HandClock

HEALS = 2 * 3600
"""An object is repaired twice a second at most."""
ROOM = Settings().store.journal_mebibytes << 20
BATCH = 100


@pytest.mark.timeout(300)
async def test_an_hour_of_a_fight_has_room_in_the_journal_and_is_in_the_database_afterwards(tmp_path: Path) -> None:
    """A heal took 14 KB, and the journal had 16 MiB: after ten minutes nothing was recorded any more."""
    (tmp_path / "pattern").mkdir()
    heal = (await fight(tmp_path / "pattern", 1 << 20, 12))[-5:]
    assert [type(entry.act).__name__ for entry in heal] == ["Begin", "Finish", "Begin", "Finish", "Close"]
    assert 12_000 < sum(len(encode(entry)) for entry in heal) < 15_000, "what the settings and the runbook reckon with"
    clock = HandClock()
    store, database = await open_away(tmp_path, clock, ROOM)
    for first in range(0, HEALS, BATCH):
        await asyncio.gather(*(again(store, heal, number) for number in range(first, first + BATCH)))
        clock.pass_(BATCH / 2)
    assert (store.state.mode, store.state.lost) == (StoreMode.JOURNALLING, 0)
    database.refusals = 0
    clock.pass_(10)
    await store.note("note.last", "", {})
    await until_back(store, 240)
    assert (await store.verify()).ok
    await store.close()
    with closing(sqlite3.connect(tmp_path / "s.db")) as found:
        intended = found.execute("SELECT payload FROM audit WHERE kind = 'write.intended' ORDER BY seq").fetchall()
        assert [json.loads(payload)["id"] for (payload,) in intended] == [name(number) for number in range(HEALS)]
        kinds = dict(found.execute("SELECT kind, count(*) FROM audit GROUP BY kind").fetchall())
        assert {kinds[f"finding.{end}"] for end in ("opened", "closed")} == {HEALS}
        assert kinds["write.settled"] == HEALS
        (recovered,) = found.execute("SELECT payload FROM audit WHERE kind = 'store.recovered'").fetchone()
        assert json.loads(recovered)["replayed"] == str(len(heal) * HEALS + 1)
        assert found.execute("SELECT count(*) FROM intents WHERE result IS NULL").fetchone() == (0,)
        assert found.execute("SELECT count(*), count(closed) FROM findings").fetchone() == (HEALS, HEALS)
