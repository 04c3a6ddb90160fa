"""The JSON that driftd prints and serves: strict documents with a version, and what several of them have in common."""

from driftd.documents.findings import (
    ChangeEntry,
    ClaimEntry,
    FindingEntry,
    LifeEntry,
    Place,
    WitnessEntry,
    WriteEntry,
    finding_entry,
    life_entry,
)
from driftd.documents.parts import Document, GapEntry, ObjectName, Part, object_name

__all__ = [
    "ChangeEntry",
    "ClaimEntry",
    "Document",
    "FindingEntry",
    "GapEntry",
    "LifeEntry",
    "ObjectName",
    "Part",
    "Place",
    "WitnessEntry",
    "WriteEntry",
    "finding_entry",
    "life_entry",
    "object_name",
]
