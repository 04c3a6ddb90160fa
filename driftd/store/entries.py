"""Entries: everything the store is ever told, as values that survive a crash as one JSON line each.

An entry names its writer (one start of the process) and its number there. Entries of one writer are applied in
the order of their numbers, so a single watermark a writer makes every replay exactly-once.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TypeAlias

import msgspec

from driftd.store.told import DeliveryRow, PageRow
from driftd.values import Finding, Intent, Outcome


class Begin(msgspec.Struct, frozen=True, tag="begin"):
    """Findings seen open, and the writes about to leave because of them."""

    findings: tuple[Finding, ...]
    intents: tuple[Intent, ...]


class Finish(msgspec.Struct, frozen=True, tag="finish"):
    """How writes ended, and the findings again with their reports."""

    outcomes: tuple[Outcome, ...]
    reports: tuple[Finding, ...]


class Close(msgspec.Struct, frozen=True, tag="close"):
    """Findings that are over, and by what."""

    ids: tuple[str, ...]
    by: str
    at: datetime


class Note(msgspec.Struct, frozen=True, tag="note"):
    """Any other event worth evidence: a model accepted or held, leadership, a change of mode."""

    kind: str
    subject: str
    detail: Mapping[str, str]


class Remember(msgspec.Struct, frozen=True, tag="remember"):
    """State to find again after a restart; None forgets a key."""

    values: Mapping[str, str | None]


class Tell(msgspec.Struct, frozen=True, tag="tell"):
    """What destinations have been told; the pages as they stand travel with the entry itself."""

    deliveries: tuple[DeliveryRow, ...]


class Prune(msgspec.Struct, frozen=True, tag="prune"):
    """Evidence up to row `seq` goes, with what was over before its stamp (`retention`)."""

    seq: int
    hash: str
    before: str


Act: TypeAlias = Begin | Finish | Close | Note | Remember | Tell | Prune


class Entry(msgspec.Struct, frozen=True):
    """One act, stamped: who wrote it, its number there, when, under which leadership epoch, in which trace.

    `pages` are written with it, whatever the act: a page is a row in the transaction of its finding.
    """

    writer: str
    n: int
    at: datetime
    epoch: int
    trace: str
    act: Act
    pages: tuple[PageRow, ...] = ()

    @property
    def what(self) -> str:
        """A few words for error messages; never the content."""
        match self.act:
            case Begin(findings=findings, intents=intents):
                return f"begin of {len(findings)} findings and {len(intents)} intents"
            case Finish(outcomes=outcomes, reports=reports):
                return f"finish of {len(outcomes)} outcomes and {len(reports)} reports"
            case Close(ids=ids):
                return f"close of {len(ids)} findings"
            case Note(kind=kind):
                return f"note {kind}"
            case Remember(values=values):
                return f"{len(values)} remembered values"
            case Tell(deliveries=told):
                return f"{len(told)} deliveries and {len(self.pages)} pages"
            case Prune(seq=seq):
                return f"pruning up to row {seq}"


_DECODER = msgspec.json.Decoder(Entry)
_FINDING = msgspec.json.Decoder(Finding)


def encode(entry: Entry) -> bytes:
    """The entry as one line of JSON without its newline."""
    return msgspec.json.encode(entry)


def decode(line: bytes) -> Entry:
    """The inverse of `encode`; raises `msgspec.DecodeError` on anything else."""
    return _DECODER.decode(line)


def finding_text(finding: Finding) -> str:
    """A finding as canonical JSON: keys sorted, so that equal findings have equal text."""
    return msgspec.json.encode(finding, order="sorted").decode()


def finding_from(text: str) -> Finding:
    """The inverse of `finding_text`."""
    return _FINDING.decode(text)


def stamp(moment: datetime) -> str:
    """Fixed-width UTC text (27 characters) that sorts like time on every database and reads well by eye."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def moment(text: str) -> datetime:
    """The inverse of `stamp`."""
    return datetime.fromisoformat(text)
