"""The JSON documents that commands print: these classes are what they look like, and what their schema is made from."""

from typing import Literal

from pydantic import Field

from driftd.cli.flows.documents import FLOW_DOCUMENTS
from driftd.cli.lab_documents import LAB_DOCUMENTS
from driftd.documents import API_DOCUMENTS, FindingEntry, GapEntry, LifeEntry, ObjectName
from driftd.documents import Document as _Document
from driftd.documents import Part as _Part


class ModelName(_Part):
    """Which model was read."""

    directory: str
    commit: str = Field(description="Name of its content: the same bytes have the same name.")


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


class ActEntry(_Part):
    """Something that a person decided, or the end of it."""

    at: str
    act: str = Field(description="model.approved, namespace.retired, pause.begun or pause.ended.")
    subject: str = Field(description="The revision, or the namespace.")
    by: str
    reason: str


class History(_Document):
    """What `driftd history` read from the records: newest first."""

    kind: Literal["History"] = "History"
    database: str
    lives: tuple[LifeEntry, ...]
    acts: tuple[ActEntry, ...] = Field(description="What people decided, newest first; with --namespace, there.")
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


class TrialEntry(_Part):
    """One event that a destination was told for a test."""

    destination: str
    action: Literal["trigger", "resolve"]
    accepted: bool
    milliseconds: float
    why: str = Field(description="Why it was not accepted; empty if it was.")


class PageTrial(_Document):
    """What `driftd page --test` found: each destination told of a page and of its end."""

    kind: Literal["PageTrial"] = "PageTrial"
    accepted: bool = Field(description="By all, and both times.")
    tries: tuple[TrialEntry, ...]


class CheckEntry(_Part):
    """One thing that driftd needs."""

    subject: str
    state: Literal["ok", "warning", "missing", "unknown"] = Field(
        description="`warning`: driftd does all of its work without it; `unknown`: it could not be told."
    )
    seen: str
    remedy: str = Field(description="What to do where the state is not `ok`.")


class DoctorReport(_Document):
    """What `driftd doctor` found."""

    kind: Literal["DoctorReport"] = "DoctorReport"
    healthy: bool = Field(description="Nothing is `missing` or `unknown`.")
    checks: tuple[CheckEntry, ...]


DOCUMENTS: dict[str, type[_Document]] = (
    {
        one.__name__: one
        for one in (DriftReport, LintReport, History, ChainVerification, Adoption, PageTrial, DoctorReport)
    }
    | FLOW_DOCUMENTS
    | LAB_DOCUMENTS
    | API_DOCUMENTS
)
"""Every document by its `kind`."""


def schema_of(kind: str) -> dict[str, object]:
    """JSON Schema of a document."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **DOCUMENTS[kind].model_json_schema(by_alias=True, mode="serialization"),
    }
