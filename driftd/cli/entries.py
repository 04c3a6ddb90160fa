"""From values of the house to entries of the printed documents."""

from typing import TYPE_CHECKING

from driftd.cli.documents import DriftEntry, DriftReport, DriftSummary, ExemptionEntry, ModelName, ProblemEntry
from driftd.compile import Mode
from driftd.documents import FindingEntry, GapEntry, finding_entry, object_name
from driftd.model import Problem

if TYPE_CHECKING:  # at runtime they would bring the cluster room into `driftd lint`
    from driftd.cli.sources import ValidModel
    from driftd.cli.verdict import Judged, Verdict


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
