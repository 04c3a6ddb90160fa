"""Deeds at a steady pace beside a test, however long each of them takes."""

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

_MOST = 10


@asynccontextmanager
async def at_a_pace(per_second: float, deed: Callable[[int], Awaitable[object]]) -> AsyncIterator[Callable[[], int]]:
    """Do it so many times a second, with 0, 1, 2 and so on, until the block ends; yields how many are done by now.

    The end waits for deeds under way. A deed that fails stops the others and fails the block at its end. Where ten
    are under way at once, the machine cannot keep the pace: the next one waits, so that no queue grows.
    """
    done, stop, hands = 0, asyncio.Event(), asyncio.Semaphore(_MOST)

    async def one(number: int) -> None:
        nonlocal done
        try:
            await deed(number)
        finally:
            hands.release()
        done += 1

    async def keep_on() -> None:
        began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for number in itertools.count():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(began + number / per_second - time.monotonic()):
                        await stop.wait()
                await hands.acquire()
                if stop.is_set():
                    return
                group.create_task(one(number))

    task = asyncio.create_task(keep_on())
    try:
        yield lambda: done
    finally:
        stop.set()
        await asyncio.wait({task})
    task.result()
