"""The chain's head, noted in a file beside the journal: a database that was rolled back or rebuilt does not know it.

It lags behind by a second or so and is not synced: it is one witness more, besides the log and the lease.
"""

from contextlib import suppress
from pathlib import Path

from driftd.store.chain import Head


class Anchor:
    """One small file that is replaced whole."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> Head | None:
        """The head noted last; None when there is none that can be read."""
        with suppress(OSError, ValueError):
            return Head.read(self._path.read_text("ascii"))
        return None

    def write(self, head: Head) -> None:
        """Note `head`; a volume without space keeps the older one, which is no less true."""
        with suppress(OSError):
            draft = self._path.with_suffix(".new")
            draft.write_text(f"{head}\n", "ascii")
            draft.replace(self._path)
