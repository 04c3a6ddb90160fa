"""A client that blocks, in a thread of its own: answers, errors, hangs and cancellations."""

import asyncio
import threading
import time

import pytest

from driftd.paging.thread import Hanging, OwnThread


def fail() -> None:
    raise ValueError("no")


async def test_work_is_done_in_order_in_one_thread_that_is_not_this_one() -> None:
    one = OwnThread("test")
    names = [await one.run(threading.current_thread, 5.0) for _ in range(3)]
    assert len({thread.name for thread in names}) == 1
    assert names[0] is not threading.current_thread()
    one.close()


async def test_what_is_raised_there_is_raised_here() -> None:
    one = OwnThread("test")
    with pytest.raises(ValueError, match="no"):
        await one.run(fail, 5.0)
    assert await one.run(lambda: 7, 5.0) == 7
    one.close()


async def test_a_hang_is_left_behind_and_bounded() -> None:
    one, release = OwnThread("test"), threading.Event()
    for _ in range(3):
        with pytest.raises(Hanging, match="no answer"):
            await one.run(release.wait, 0.05)
    with pytest.raises(Hanging, match="3 earlier tries"):
        await one.run(lambda: 7, 5.0)
    release.set()
    await asyncio.sleep(0.05)
    assert await one.run(lambda: 7, 5.0) == 7
    one.close()


async def test_a_cancellation_is_never_swallowed_also_when_the_answer_comes_with_it() -> None:
    one = OwnThread("test")
    for _ in range(50):
        task = asyncio.ensure_future(one.run(lambda: 7, 5.0))
        await asyncio.sleep(0)
        time.sleep(0.002)  # noqa: ASYNC251 - the answer is there, and this loop has not seen it yet
        asyncio.get_running_loop().call_soon(task.cancel)
        with pytest.raises(asyncio.CancelledError):
            await task
    one.close()
