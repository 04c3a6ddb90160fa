"""From values of the house to entries of the printed documents."""

from typing import TYPE_CHECKING

from driftd.cli.document import GapEntry, ObjectName
from driftd.cli.documents import (
    ChangeEntry,
    ClaimEntry,
    DriftEntry,
    DriftReport,
    DriftSummary,
    ExemptionEntry,
    FindingEntry,
    ModelName,
    Place,
    ProblemEntry,
    WitnessEntry,
)
from driftd.compile import Mode
from driftd.model import Problem
from driftd.values import Finding, ObjectRef

if TYPE_CHECKING:  # at runtime they would bring the cluster room into `driftd lint`
    from driftd.cli.sources import ValidModel
    from driftd.cli.verdict import Judged, Verdict


def object_name(ref: ObjectRef) -> ObjectName:
    """Identity."""
    return ObjectName(group=ref.group, kind=ref.kind, namespace=ref.namespace, name=ref.name)


def problem_entry(problem: Problem) -> ProblemEntry:
    """One fault of the model."""
    return ProblemEntry(
        severity=problem.severity,
        file=problem.file,
        line=problem.line,
        column=problem.column,
        field=problem.field,
        message=problem.message,
        remedy=problem.remedy,
        others=problem.others,
    )


def finding_entry(finding: Finding) -> FindingEntry:
    """One difference."""
    origin, witness, claim = finding.origin, finding.witness, finding.claimed_by
    return FindingEntry(
        id=finding.id,
        type=finding.type,
        object=object_name(finding.ref),
        scope=finding.scope.namespace,
        tenant=finding.tenant,
        direction=finding.direction,
        severity=finding.severity,
        summary=finding.summary,
        origin=None if origin is None else Place(file=origin.file, line=origin.line, document=origin.document),
        changes=tuple(
            ChangeEntry(path=one.path, desired=one.desired, live=one.live, sentence=one.sentence)
            for one in finding.changes
        ),
        omitted=finding.omitted,
        witness=None
        if witness is None
        else WitnessEntry(
            source=witness.source,
            target=witness.target,
            protocol=witness.protocol,
            port=witness.port,
            request=witness.request,
        ),
        claimed_by=None if claim is None else ClaimEntry(who=claim.who, source=claim.source, at=claim.at),
        dialect=finding.dialect,
    )


def drift_entry(judged: "Judged", diff: str | None = None) -> DriftEntry:
    """A finding of a comparison; `diff` is its unified diff."""
    entry = finding_entry(judged.finding)
    reports = judged.governed.mode_of(judged.finding.ref.kind) is Mode.REPORT
    return DriftEntry(
        **{name: getattr(entry, name) for name in FindingEntry.model_fields},
        mode="report" if reports else "enforce",
        diff=diff,
    )


def drift_report(model: "ValidModel", source: str, verdict: "Verdict", entries: tuple[DriftEntry, ...]) -> DriftReport:
    """The whole document."""
    return DriftReport(
        cluster=model.compiled.cluster,
        model=ModelName(directory=str(model.directory), commit=model.commit),
        live=source,
        verdict="unknown" if verdict.unknown else "drift" if verdict.drift else "clean",
        summary=DriftSummary(
            namespaces=verdict.namespaces,
            objects=verdict.compared,
            findings=len(verdict.findings),
            gaps=len(verdict.gaps),
        ),
        findings=entries,
        gaps=tuple(GapEntry(where=gap.where, why=gap.why) for gap in verdict.gaps),
        exempted=tuple(
            ExemptionEntry(object=object_name(one.ref), until=one.until.isoformat(), owner=one.owner, reason=one.reason)
            for one in verdict.exempted
        ),
        unmarked=tuple(map(object_name, verdict.unmarked)),
        warnings=tuple(map(problem_entry, model.problems)),
    )
