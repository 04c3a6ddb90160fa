"""`driftd approve`: let one held revision of the model pass; without a commit, see what is held."""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from driftd.cli.options import (
    DEFAULT_API,
    ApiOption,
    CaFileOption,
    ContextOption,
    KubeconfigOption,
    Output,
    OutputOption,
    TokenFileOption,
)

if TYPE_CHECKING:
    from driftd.cli.daemon_api import DaemonApi
    from driftd.documents import ModelState


def approve(
    *,
    commit: Annotated[
        str | None, typer.Argument(help="The held revision, as the daemon names it, or its first 7 letters or more.")
    ] = None,
    reason: Annotated[str, typer.Option("--reason", help="Why; it is audited with your name.")] = "",
    wait: Annotated[
        int, typer.Option("--wait", min=0, max=600, help="Seconds to wait for it to be in force; 0 does not.")
    ] = 30,
    api: ApiOption = DEFAULT_API,
    token_file: TokenFileOption = None,
    ca_file: CaFileOption = None,
    kubeconfig: KubeconfigOption = None,
    context: ContextOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Accept a held model.

    That revision and no other: whatever is pushed next is held by the same guards. Without COMMIT, tells which model
    is in force and what is held.

    Exit code 0; 1 while something is held; 2 for wrong usage; 3 when the daemon refuses or cannot be asked.
    """
    from driftd.cli import show
    from driftd.cli.daemon_api import daemon_api, requested
    from driftd.cli.exits import Exit
    from driftd.cli.failures import failures_told
    from driftd.documents import Approval, ApprovalRequest, ModelState

    with failures_told("approve"):
        daemon = daemon_api(api, token_file, ca_file, kubeconfig, context)
        if commit is None:
            state = daemon.get("/api/model", ModelState)
        else:
            request = requested(ApprovalRequest, commit=commit, reason=reason)
            approved = daemon.post("/api/approvals", request, Approval)
            show.note(f"{approved.commit} is approved by {approved.by}")
            state = _awaited(daemon, approved.commit, wait)
    if output is Output.TABLE:
        _print(state)
    else:
        show.emit(state, output)
    raise typer.Exit(Exit.DRIFT if state.held else Exit.CLEAN)


def _awaited(daemon: "DaemonApi", commit: str, seconds: int) -> "ModelState":
    """The daemon's model once that revision is in force, or as it is when patience ends."""
    from driftd.documents import ModelState

    end = time.monotonic() + seconds
    while True:
        state = daemon.get("/api/model", ModelState)
        if state.commit == commit or time.monotonic() >= end:
            return state
        time.sleep(0.5)


def _print(state: "ModelState") -> None:
    from driftd.cli import show

    show.lines([(show.printable(f"in force: {state.commit or 'none'}"), "")])
    if state.held:
        show.lines([(show.printable(f"held: {state.newest}: {state.held}"), "yellow")])
    for what, names in (
        ("quarantined tenants", state.quarantined),
        ("orphaned namespaces", state.orphaned),
        ("paused namespaces", state.paused),
    ):
        if names:
            show.lines([(show.printable(f"{what}: {', '.join(names)}"), "")])
