"""`driftd check`: the model against live objects in files (or a cluster that is named), for CI."""

from typing import TYPE_CHECKING

import typer

from driftd.cli.options import (
    DEFAULT_MODELS,
    ContextOption,
    KindsOption,
    KubeconfigOption,
    ManifestsOption,
    ModelsOption,
    MorePathsArgument,
    NamespacesOption,
    Output,
    OutputOption,
)

if TYPE_CHECKING:
    from driftd.cli.comparing import Compared
    from driftd.values import Finding


def check(
    *,
    models: ModelsOption = DEFAULT_MODELS,
    manifests: ManifestsOption = None,
    more: MorePathsArgument = None,
    kubeconfig: KubeconfigOption = None,
    context: ContextOption = None,
    namespace: NamespacesOption = None,
    kind: KindsOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """List what differs from the model.

    Live objects come from files, such as `kubectl get ns,netpol,quota,limits,sa -A -o yaml` writes them, or from the
    cluster of a --kubeconfig (in a pod, its own). An object that the files do not hold counts as missing: give all of
    them, or narrow the question with --kind and --namespace.

    Exit code 0: clean. 1: drift. 2: wrong usage, or a model with errors. 3: something could not be read or told.
    """
    from driftd.cli.comparing import asked, compared, quiet_logs
    from driftd.cli.exits import Exit
    from driftd.cli.failures import CommandError, failures_told
    from driftd.cluster import in_a_pod

    quiet_logs()
    with failures_told("check"):
        if not manifests and kubeconfig is None and not in_a_pod():
            message = "no live state is named: give --manifests PATH, or --kubeconfig FILE to read a cluster"
            raise CommandError(message, Exit.USAGE)
        found = compared(
            asked(
                models=models,
                manifests=manifests,
                more=more,
                kubeconfig=kubeconfig,
                context=context,
                namespaces=namespace,
                kinds=kind,
            )
        )
    _print(found, output)
    raise typer.Exit(found.exit)


def _print(found: "Compared", output: Output) -> None:
    from driftd.cli import show
    from driftd.cli.entries import drift_entry, drift_report

    verdict = found.verdict
    if output is not Output.TABLE:
        entries = tuple(drift_entry(one) for one in verdict.findings)
        show.emit(drift_report(found.model, found.live.source, verdict, entries), output)
        return
    rows: list[tuple[str, str, str, str]] = []
    styles: list[str] = []
    for one in verdict.findings:
        finding = one.finding
        at = "" if finding.origin is None else f"{finding.origin.file}:{finding.origin.line}"
        told = [change.sentence for change in finding.changes] or [_what(finding)]
        rows.append((finding.type.value, str(finding.ref), at, told[0]))
        rows += [("", "", "", sentence) for sentence in told[1:]]
        if finding.omitted:
            rows.append(("", "", "", f"and {finding.omitted} more"))
        if finding.effect:
            rows.append(("", "", "", finding.effect))
        styles += [show.SEVERITY_STYLES[finding.severity.value]] * (len(rows) - len(styles))
    if rows:
        show.table(("FINDING", "OBJECT", "MODEL", "WHAT"), rows, styles)
    remarks(found, "check")


def _what(finding: "Finding") -> str:
    """The summary without what the other columns say."""
    return finding.summary.removeprefix(f"{finding.ref} ").replace(f" ({finding.origin})", "")


def remarks(found: "Compared", command: str) -> None:
    """What stands beside the findings, on stderr: gaps, warnings of the model, exemptions, the sum."""
    from driftd.cli import show
    from driftd.cli.sources import located

    verdict = found.verdict
    for gap in verdict.gaps:
        show.note(show.printable(f"driftd {command}: could not tell: {gap}"))
    for problem in found.model.problems:
        show.note(located(problem, found.model.directory))
    for exempt in verdict.exempted:
        show.note(f"exempt until {exempt.until}: {exempt.ref} ({exempt.owner}: {exempt.reason})")
    if verdict.unmarked:
        count = len(verdict.unmarked)
        show.note(
            f"{count} {'object differs' if count == 1 else 'objects differ'} in nothing but driftd's own marks: "
            "driftd has not taken them over yet, and writes the marks the first time it enforces"
        )
    source = show.printable(found.live.source)
    show.note(f"{source}: {verdict.compared} objects in {verdict.namespaces} namespaces: {_sum(found)}")


def _sum(found: "Compared") -> str:
    verdict = found.verdict
    count = len(verdict.findings) - verdict.tolerated
    parts = [f"{count} {'finding' if count == 1 else 'findings'}"] * verdict.drift
    parts += [f"{len(verdict.gaps)} could not be told"] * verdict.unknown
    parts = parts or ["clean"]
    parts += [f"{verdict.tolerated} that the plan lets stand"] * bool(verdict.tolerated)
    return ", ".join(parts)
