"""Cutting a watch's byte stream into lines, with a limit: a line too long must not fill the memory."""

from collections.abc import Iterator
from dataclasses import dataclass, field


class LineTooLong(ValueError):
    """A line over the limit; nothing after it can be trusted to start at a line."""


@dataclass(slots=True)
class LineCutter:
    """Collects chunks and gives out whole lines. `pending` counts bytes of a line that has not ended."""

    limit: int
    _parts: list[bytes] = field(default_factory=list, init=False)
    pending: int = field(default=0, init=False)

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """The lines that end in this chunk, without their newline, blank ones left out.

        Raises:
            LineTooLong: a line grew over the limit.
        """
        start = 0
        while (end := chunk.find(b"\n", start)) >= 0:
            self._keep(chunk[start:end])
            line = b"".join(self._parts)
            self._parts.clear()
            self.pending = 0
            start = end + 1
            if line.strip():
                yield line
        self._keep(chunk[start:])

    def _keep(self, part: bytes) -> None:
        if not part:
            return
        self.pending += len(part)
        if self.pending > self.limit:
            raise LineTooLong(f"a line of more than {self.limit} bytes")
        self._parts.append(part)
