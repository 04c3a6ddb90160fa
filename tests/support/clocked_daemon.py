"""`driftd run` by a clock that a test sets: `program` names the file with the seconds to add, to wall and monotonic."""

import asyncio
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from driftd.app import run
from driftd.settings import Settings


class SetClock:
    """The machine's time, moved by what the file says now."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self._added()[0])

    def monotonic(self) -> float:
        return time.monotonic() + self._added()[1]

    def _added(self) -> tuple[float, float]:
        wall, monotonic = self._file.read_text().split()
        return float(wall), float(monotonic)


def program(file: Path) -> tuple[str, ...]:
    """What a `Daemon` is told to run."""
    return "-m", __name__, str(file)


def set_to(file: Path, wall: float, monotonic: float = 0.0) -> None:
    """Move the clocks of whoever reads this file, at once, from the machine's. `monotonic` must never become less."""
    half = file.with_suffix(".half")
    half.write_text(f"{wall} {monotonic}")
    half.rename(file)


if __name__ == "__main__":
    sys.exit(asyncio.run(run(Settings(), SetClock(Path(sys.argv[1])))))
