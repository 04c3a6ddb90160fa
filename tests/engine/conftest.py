"""A model loop and its store."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from driftd.store import Store
from tests.support.model_scene import FixedClock, FrailStore, Scene


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[FrailStore]:
    store = await FrailStore.open(tmp_path / "driftd.sqlite", FixedClock(), tmp_path / "journal")
    yield store
    await store.close()


@pytest.fixture
def scene(tmp_path: Path, store: Store) -> Scene:
    return Scene(tmp_path, store)
