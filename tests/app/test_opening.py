"""The store of a daemon whose predecessor has not ended yet."""

import asyncio
from pathlib import Path

import pytest

from driftd.app.opening import store_when_free
from driftd.app.system import SystemClock
from driftd.settings import Settings, StoreSettings
from driftd.store import Store, StoreInUse


async def test_a_new_pod_waits_until_the_old_one_lets_go_of_the_store(tmp_path: Path) -> None:
    settings, clock, stop = Settings(data_dir=tmp_path), SystemClock(), asyncio.Event()
    former = await store_when_free(settings, clock, stop)
    waiting = asyncio.create_task(store_when_free(settings, clock, stop))
    await asyncio.sleep(0.4)
    assert not waiting.done()
    await former.close()
    store: Store = await waiting
    await store.note("test", "here", {})
    await store.close()


async def test_the_journal_has_the_size_that_is_set(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, store=StoreSettings(journal_mebibytes=2))
    store = await store_when_free(settings, SystemClock(), asyncio.Event())
    assert (tmp_path / "journal" / "store.journal").stat().st_size == 2 << 20
    await store.close()


async def test_told_to_end_while_it_waits_it_ends_and_says_who_has_the_store(tmp_path: Path) -> None:
    settings, clock, stop = Settings(data_dir=tmp_path), SystemClock(), asyncio.Event()
    former = await store_when_free(settings, clock, stop)
    waiting = asyncio.create_task(store_when_free(settings, clock, stop))
    await asyncio.sleep(0.1)
    stop.set()
    with pytest.raises(StoreInUse, match="locked by another driftd"):
        await waiting
    await former.close()
