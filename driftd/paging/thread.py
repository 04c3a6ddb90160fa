"""A thread of one's own for a client that blocks: work goes in, answers come back, and a hang stays in there.

A daemon thread, not an executor's: an executor is waited for when the process ends, and a server that trickles its
answer could hold that up for ever.
"""

import asyncio
import queue
import threading
from collections.abc import Callable
from functools import partial
from typing import Generic, TypeVar

T = TypeVar("T")

_MOST_HANGING = 3
"""Threads that may hang before nothing new is begun."""


class Hanging(Exception):
    """No answer within the deadline, or too many threads still wait for one."""


class _Job(Generic[T]):
    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._loop = asyncio.get_running_loop()
        self.answer: asyncio.Future[T] = self._loop.create_future()

    def run(self) -> None:
        settle: Callable[[], None]
        try:
            settle = partial(self.answer.set_result, self._work())
        except Exception as error:  # noqa: BLE001 - the thread border
            settle = partial(self.answer.set_exception, error)
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._settle, settle)

    def _settle(self, settle: Callable[[], None]) -> None:
        if not self.answer.done():  # nobody waits any more for what came too late
            settle()


class OwnThread:
    """Runs work one by one. Whatever outlasts its deadline is left behind with its thread, and a new one is begun."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._work: queue.SimpleQueue[_Job[object] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._hanging: list[threading.Thread] = []

    async def run(self, work: Callable[[], T], deadline: float) -> T:
        """What `work` returns or raises; `Hanging` after `deadline` seconds."""
        self._hanging = [thread for thread in self._hanging if thread.is_alive()]
        if len(self._hanging) >= _MOST_HANGING:
            raise Hanging(f"{len(self._hanging)} earlier tries still hang")
        if self._thread is None:
            self._work = queue.SimpleQueue()
            self._thread = threading.Thread(target=_serve, args=(self._work,), name=self._name, daemon=True)
            self._thread.start()
        job = _Job(work)
        self._work.put(job)  # type: ignore[arg-type]
        try:
            async with asyncio.timeout(deadline):  # not `wait_for`: before Python 3.12 that may swallow a cancellation
                return await job.answer
        except TimeoutError:
            self._leave()
            raise Hanging(f"no answer within {deadline:g} s") from None
        except asyncio.CancelledError:
            self._leave()
            raise

    def close(self) -> None:
        """Let the thread end when it has nothing to do."""
        if self._thread is not None:
            self._work.put(None)
            self._thread = None

    def _leave(self) -> None:
        if self._thread is not None:
            self._work.put(None)
            self._hanging.append(self._thread)
            self._thread = None


def _serve(work: "queue.SimpleQueue[_Job[object] | None]") -> None:
    while (job := work.get()) is not None:
        job.run()
