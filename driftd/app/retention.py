"""The leader takes away what is older than the settings want kept."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

import structlog

from driftd.store import Store, StoreError
from driftd.values import Clock

_EVERY_SECONDS = 3600.0
_FIRST_SECONDS = 60.0
"""A start has better things to do."""

_log = structlog.get_logger()


async def keep_days(
    days: int, store: Store, clock: Clock, leading: Callable[[], bool], first_seconds: float = _FIRST_SECONDS
) -> None:
    """Prune the store once an hour while this replica leads; returns at once where all is to be kept."""
    if not days:
        return
    pause = first_seconds
    while True:
        await asyncio.sleep(pause)
        pause = _EVERY_SECONDS
        if not leading():
            continue
        try:
            steps = await store.prune(clock.now() - timedelta(days=days))
        except StoreError as error:
            _log.warning("store.not_pruned", why=str(error))
        else:
            if steps:
                _log.info("store.pruned", steps=steps, days=days)
