"""The audit chain: each row carries the hash of all before it, so that no row can change, vanish or slip in.

The hash of a row is SHA-256 over the previous row's hash (64 hex characters) followed by the JSON array
`[seq, at, epoch, kind, subject, payload]` as UTF-8: an auditor can check an export with nothing but `sha256sum`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256

import msgspec

GENESIS = "0" * 64
"""What the first row names as its predecessor."""


@dataclass(frozen=True, slots=True)
class Head:
    """The newest row: its number and hash. `Head(0, GENESIS)` is a chain without rows."""

    seq: int = 0
    hash: str = GENESIS

    def __str__(self) -> str:
        return f"{self.seq}:{self.hash}"

    @classmethod
    def read(cls, text: str) -> "Head | None":
        """The reverse of `str`; None for what is no head."""
        seq, _, digest = text.strip().partition(":")
        sound = seq.isascii() and seq.isdecimal() and len(seq) <= 18 and len(digest) == len(GENESIS)
        return cls(int(seq), digest) if sound else None


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One row of evidence. `at` is UTC text, `payload` canonical JSON."""

    seq: int
    at: str
    epoch: int
    kind: str
    subject: str
    payload: str
    prev_hash: str
    hash: str


@dataclass(frozen=True, slots=True)
class Verification:
    """What a walk along the chain found. `first_bad` is the first row number that does not fit (0: none)."""

    ok: bool
    rows: int
    head: Head
    first_bad: int = 0
    problem: str = ""


def link(head: Head, *, at: str, epoch: int, kind: str, subject: str, payload: str) -> AuditRow:
    """The row that follows `head`."""
    seq = head.seq + 1
    return AuditRow(
        seq, at, epoch, kind, subject, payload, head.hash, _hash(head.hash, (seq, at, epoch, kind, subject, payload))
    )


def walk(rows: Iterable[AuditRow], head: Head) -> Verification:
    """Follow `rows` (in order) from `head`; stops at the first that does not fit."""
    count = 0
    for row in rows:
        problem = _misfit(row, head)
        if problem:
            return Verification(ok=False, rows=count, head=head, first_bad=row.seq, problem=problem)
        head = Head(row.seq, row.hash)
        count += 1
    return Verification(ok=True, rows=count, head=head)


def _misfit(row: AuditRow, head: Head) -> str:
    if row.seq != head.seq + 1:
        return f"row {head.seq + 1} is missing: after {head.seq} comes {row.seq}"
    if row.prev_hash != head.hash:
        return f"row {row.seq} does not follow row {head.seq}: its prev_hash is another"
    content = (row.seq, row.at, row.epoch, row.kind, row.subject, row.payload)
    if row.hash != _hash(head.hash, content):
        return f"row {row.seq} was altered: its content does not give its hash"
    return ""


def _hash(previous: str, content: tuple[int, str, int, str, str, str]) -> str:
    return sha256(previous.encode() + msgspec.json.encode(content)).hexdigest()
