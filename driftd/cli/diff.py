"""`driftd diff`: what lies between the cluster and the model, as YAML."""

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


def diff(
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
    """Show what differs, as YAML.

    One unified diff an object, with the model's file and line.
    Lines with - stand in the cluster, lines with + in the model. Only what driftd compares is shown, with defaults
    written out. Nothing is written anywhere.

    Exit code 0: clean. 1: drift. 2: wrong usage, or a model with errors. 3: something could not be read or told.
    """
    from driftd.cli.comparing import asked, compared, quiet_logs
    from driftd.cli.failures import failures_told

    quiet_logs()
    with failures_told("diff"):
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
    from driftd.cli.check import remarks
    from driftd.cli.entries import drift_entry, drift_report
    from driftd.cli.unified import diff_of

    coverage = found.model.compiled.coverage
    diffs = [(one, diff_of(one, coverage)) for one in found.verdict.findings]
    if output is not Output.TABLE:
        entries = tuple(drift_entry(one, text) for one, text in diffs)
        show.emit(drift_report(found.model, found.live.source, found.verdict, entries), output)
        return
    told: list[tuple[str, str]] = []
    for one, text in diffs:
        told.append((f"# {show.printable(one.finding.summary)}", "bold"))
        if one.finding.effect:
            told.append((f"# {show.printable(one.finding.effect)}", "bold"))
        told += [(show.printable(line), _style(line)) for line in (text or "").splitlines()]
        told.append(("", ""))
    show.lines(told)
    remarks(found, "diff")


def _style(line: str) -> str:
    if line.startswith(("---", "+++")):
        return "bold"
    if line.startswith("@@"):
        return "cyan"
    return "red" if line.startswith("-") else "green" if line.startswith("+") else ""
