"""`driftd doctor`: what rights, kinds and connections are missing, and the remedy for each."""

from pathlib import Path
from typing import Annotated, Any

import typer

from driftd.cli.options import ContextOption, KubeconfigOption, Output, OutputOption


def doctor(
    *,
    models: Annotated[
        Path | None, typer.Option("--models", "-m", help="Directory of the canonical model.", show_default="models")
    ] = None,
    kubeconfig: KubeconfigOption = None,
    context: ContextOption = None,
    namespace: Annotated[
        str | None, typer.Option("--namespace", help="driftd's own namespace.", show_default="driftd")
    ] = None,
    data_dir: Annotated[
        Path | None,
        typer.Option("--data-dir", help="Database, journal, last good model.", show_default="/var/lib/driftd"),
    ] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Say what is missing here, and what to do about it.

    Looks at what the daemon needs with the settings and the login that this process has: run it where the daemon
    runs (`kubectl exec deploy/driftd -- /opt/driftd/bin/driftd doctor`) or with its kubeconfig. Stores nothing. Whoever
    is to be told of pages and traces is connected to, and told nothing: `driftd page --test` sends.

    Exit code 0 when nothing is missing; 1 when something is; 3 when something could not be told. A warning (no traces
    get through) changes none of them.
    """
    import asyncio

    from driftd.app.doctor import State, examine
    from driftd.cli import show
    from driftd.cli.documents import CheckEntry, DoctorReport
    from driftd.cli.exits import Exit

    settings = _settings(models, kubeconfig, context, namespace, data_dir)
    checks = asyncio.run(examine(settings))
    states = {check.state for check in checks}
    code = Exit.UNKNOWN if State.UNKNOWN in states else Exit.DRIFT if State.MISSING in states else Exit.CLEAN
    if output is Output.TABLE:
        styles = {State.OK: "green", State.WARNING: "yellow", State.MISSING: "bold red", State.UNKNOWN: "yellow"}
        rows = [(check.state.value, check.subject, check.seen, check.remedy) for check in checks]
        show.table(("STATE", "WHAT", "SEEN", "REMEDY"), rows, [styles[check.state] for check in checks])
    else:
        entries = [
            CheckEntry(subject=one.subject, state=one.state.value, seen=one.seen, remedy=one.remedy) for one in checks
        ]
        show.emit(DoctorReport(healthy=code is Exit.CLEAN, checks=tuple(entries)), output)
    raise typer.Exit(code)


def _settings(
    models: Path | None, kubeconfig: Path | None, context: str | None, namespace: str | None, data_dir: Path | None
) -> Any:
    """The daemon's settings, as `driftd run` would have them, with what was given here."""
    from pydantic import ValidationError

    from driftd.settings import Settings

    given: dict[str, Any] = {}
    if namespace is not None:
        given["namespace"] = namespace
    if data_dir is not None:
        given["data_dir"] = data_dir
    if models is not None:
        given["model"] = {"path": models}
    api = {"kubeconfig": kubeconfig, "context": context}
    if any(value is not None for value in api.values()):
        given["api"] = {key: value for key, value in api.items() if value is not None}
    try:
        return Settings(**given)
    except ValidationError as error:
        for problem in error.errors():
            where = "__".join(str(part) for part in problem["loc"]).upper()
            typer.echo(f"driftd doctor: setting DRIFTD_{where}: {problem['msg']}", err=True)
        raise typer.Exit(2) from None
