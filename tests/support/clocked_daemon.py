"""`driftd run` by a wall clock that a test sets: `program` names the file that holds the seconds to add."""

import asyncio
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from driftd.app import run
from driftd.settings import Settings


class SetClock:
    """The machine's time, its wall clock moved by what the file says now."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=float(self._file.read_text()))

    def monotonic(self) -> float:
        return time.monotonic()


def program(file: Path) -> tuple[str, ...]:
    """What a `Daemon` is told to run."""
    return "-m", __name__, str(file)


def set_to(file: Path, seconds: float) -> None:
    """Move the wall clock of whoever reads this file, at once."""
    half = file.with_suffix(".half")
    half.write_text(str(seconds))
    half.rename(file)


if __name__ == "__main__":
    sys.exit(asyncio.run(run(Settings(), SetClock(Path(sys.argv[1])))))
