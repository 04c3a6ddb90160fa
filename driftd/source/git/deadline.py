"""A deadline that is kept from outside: whatever a thread waits for is cut off when its time is over."""

import contextlib
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self


class Deadline:
    """A span of time, and what to break off at its end. Entered once, by the thread that works.

    Timeouts of sockets bound one wait each; a server that sends a byte a second would hold a thread for ever.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds
        self._lock = threading.Lock()
        self._breaks: list[Callable[[], None]] = []
        self._timer = threading.Timer(seconds, self.end_now)
        self._timer.daemon = True
        self.over = False

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()

    @property
    def patience(self) -> float:
        """Seconds that one wait may take by itself: a second more than are left, so that it is the end that ends it."""
        return max(0.0, self._end - time.monotonic()) + 1.0

    def breaking(self, action: Callable[[], None]) -> None:
        """Have `action` done at the end, or now if it has come; it may come from another thread."""
        with self._lock:
            if not self.over:
                self._breaks.append(action)
                return
        self._do(action)

    def end_now(self) -> None:
        """Break everything off."""
        with self._lock:
            self.over = True
            actions, self._breaks = self._breaks, []
        for action in actions:
            self._do(action)

    @staticmethod
    def _do(action: Callable[[], None]) -> None:
        with contextlib.suppress(OSError, ValueError):  # closed already: then nobody waits on it
            action()
