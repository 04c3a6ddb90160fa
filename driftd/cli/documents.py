"""The JSON documents that commands print: these classes are what they look like, and what their schema is made from."""

from typing import Literal

from pydantic import Field

from driftd.cli.document import Document as _Document
from driftd.cli.document import GapEntry, ObjectName
from driftd.cli.document import Part as _Part
from driftd.cli.flows.documents import FLOW_DOCUMENTS
from driftd.values import Direction, FindingType, Severity


class Place(_Part):
    """Where in the model something stands."""

    file: str = Field(description="Path below the model's directory.")
    line: int = Field(ge=0, description="From 1; 0 means the model as a whole.")
    document: str = Field(description="`Kind/name`.")


class ModelName(_Part):
    """Which model was read."""

    directory: str
    commit: str = Field(description="Name of its content: the same bytes have the same name.")


class ChangeEntry(_Part):
    """One covered field that differs."""

    path: tuple[str, ...] = Field(description="Keys from the object's root; rules are keyed by what they say.")
    desired: str | None = Field(description="Compact JSON of the model's value; null where it has none.")
    live: str | None = Field(description="Compact JSON of the cluster's value; null where it has none.")
    sentence: str


class WitnessEntry(_Part):
    """A flow that shows what the difference does."""

    source: str
    target: str
    protocol: str
    port: str
    request: str


class ClaimEntry(_Part):
    """Who is said to have made the change. A claim and no proof."""

    who: str
    source: str = Field(description="managedFields, admission, audit-log or unknown.")
    at: str


class FindingEntry(_Part):
    """One difference between model and cluster."""

    id: str = Field(description="Stable: the same difference of the same object keeps it.")
    type: FindingType
    object: ObjectName
    scope: str = Field(description="The namespace it is judged in; empty for the cluster.")
    tenant: str
    direction: Direction
    severity: Severity
    summary: str
    origin: Place | None
    changes: tuple[ChangeEntry, ...]
    omitted: int = Field(ge=0, description="Changes beyond those listed.")
    witness: WitnessEntry | None
    claimed_by: ClaimEntry | None
    dialect: str = Field(description="The reading of NetworkPolicy that the direction holds for.")


class DriftEntry(FindingEntry):
    """A finding of `check` or `diff`."""

    mode: Literal["report", "enforce"] = Field(description="Whether a daemon with this model would repair it.")
    diff: str | None = Field(description="Unified YAML diff of what is compared; only `driftd diff` fills it.")


class ExemptionEntry(_Part):
    """A difference that the model permits today."""

    object: ObjectName
    until: str = Field(description="Last day (UTC) of the exemption.")
    owner: str
    reason: str


class ProblemEntry(_Part):
    """One fault of the model."""

    severity: Literal["error", "warning"]
    file: str = Field(description="Path below the model's directory; empty for the model as a whole.")
    line: int = Field(ge=0, description="From 1; 0 for the model as a whole.")
    column: int = Field(ge=0, description="From 1; 0 for the model as a whole.")
    field: str
    message: str
    remedy: str
    others: tuple[str, ...] = Field(description="Further files that take part in it.")


class DriftSummary(_Part):
    """Counts."""

    namespaces: int
    objects: int = Field(description="Objects of the model that were asked about.")
    findings: int
    gaps: int


class DriftReport(_Document):
    """What `driftd check` and `driftd diff` found."""

    kind: Literal["DriftReport"] = "DriftReport"
    cluster: str = Field(description="Name of the model's Cluster.")
    model: ModelName
    live: str = Field(description="Where the live state came from.")
    verdict: Literal["clean", "drift", "unknown"] = Field(
        description="`unknown` as soon as anything could not be told, whatever else was found."
    )
    summary: DriftSummary
    findings: tuple[DriftEntry, ...]
    gaps: tuple[GapEntry, ...] = Field(description="What could not be told, and why.")
    exempted: tuple[ExemptionEntry, ...]
    unmarked: tuple[ObjectName, ...] = Field(
        description="Those found to differ in nothing but driftd's own marks: not taken over yet."
    )
    warnings: tuple[ProblemEntry, ...] = Field(description="Of the model.")


class LintReport(_Document):
    """What `driftd lint` found."""

    kind: Literal["LintReport"] = "LintReport"
    model: ModelName
    valid: bool = Field(description="No problem is an error.")
    errors: int
    warnings: int
    problems: tuple[ProblemEntry, ...]


class WriteEntry(_Part):
    """One write that driftd made because of a finding."""

    verb: str = Field(description="create, replace, condemn or delete.")
    object: ObjectName
    at: str
    epoch: int = Field(description="Leadership epoch of the writer.")
    commit: str = Field(description="The model in force.")
    result: str | None = Field(description="done, conflict, refused, ...; null while nobody knows.")
    settled: str | None
    message: str


class LifeEntry(_Part):
    """One life of a finding: a difference that comes back has several."""

    finding: FindingEntry
    episode: int = Field(description="From 1: how often it has come.")
    opened: str
    confirmed: str = Field(description="Last seen open.")
    closed: str | None = Field(description="null while it is open.")
    closed_by: str
    open_seconds: float = Field(description="Until it was closed, or last seen.")
    writes: tuple[WriteEntry, ...]


class History(_Document):
    """What `driftd history` read from the records: newest first."""

    kind: Literal["History"] = "History"
    database: str
    lives: tuple[LifeEntry, ...]
    more: bool = Field(description="Older ones matched as well, beyond --limit.")


class ChainHead(_Part):
    """The newest row of the audit chain."""

    seq: int
    hash: str


class ChainVerification(_Document):
    """What `driftd history --verify` found."""

    kind: Literal["ChainVerification"] = "ChainVerification"
    database: str
    intact: bool
    rows: int = Field(description="Rows that fit, from the first on.")
    head: ChainHead
    first_bad: int = Field(description="Number of the first row that does not fit; 0 if all do.")
    problem: str


class Adoption(_Document):
    """What `driftd adopt` wrote, or with --dry-run would write."""

    kind: Literal["Adoption"] = "Adoption"
    namespace: str
    tenant: str
    file: str
    written: bool
    objects: tuple[ObjectName, ...]
    review: tuple[str, ...] = Field(description="What a person should look at before the model is accepted.")
    differs: tuple[DriftEntry, ...] = Field(description="What still differs from the live state after adoption.")


DOCUMENTS: dict[str, type[_Document]] = {
    one.__name__: one for one in (DriftReport, LintReport, History, ChainVerification, Adoption)
} | FLOW_DOCUMENTS
"""Every document by its `kind`."""


def schema_of(kind: str) -> dict[str, object]:
    """JSON Schema of a document."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **DOCUMENTS[kind].model_json_schema(by_alias=True, mode="serialization"),
    }
