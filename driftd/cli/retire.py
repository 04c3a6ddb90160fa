"""`driftd retire`: stop governing a namespace whose environment is gone from the model."""

from typing import Annotated

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


def retire(
    *,
    namespace: Annotated[str, typer.Argument(help="The orphaned namespace.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; it is audited with your name.")] = "",
    api: ApiOption = DEFAULT_API,
    token_file: TokenFileOption = None,
    ca_file: CaFileOption = None,
    kubeconfig: KubeconfigOption = None,
    context: ContextOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Let an orphaned namespace go.

    driftd stops watching over it. Its policies, quotas and labels stay in the cluster as they are: driftd takes none
    of them away and never deletes a Namespace. Whoever owns the namespace may delete it then.

    Exit code 0; 2 for wrong usage; 3 when the daemon refuses or cannot be asked.
    """
    from driftd.cli import show
    from driftd.cli.daemon_api import daemon_api, requested
    from driftd.cli.failures import failures_told
    from driftd.documents import Retirement, RetirementRequest

    with failures_told("retire"):
        request = requested(RetirementRequest, namespace=namespace, reason=reason)
        daemon = daemon_api(api, token_file, ca_file, kubeconfig, context)
        done = daemon.post("/api/retirements", request, Retirement)
    if output is not Output.TABLE:
        show.emit(done, output)
        return
    left = ", ".join(f"{count} {kind}" for kind, count in sorted(done.left.items()))
    show.lines([(f"{done.namespace} ({done.tenant}) is governed no longer; these stay as they are: {left}", "")])
    show.note("delete the namespace with kubectl when its owner agrees; nothing repairs it any more")
