"""`driftd adopt`: write what governs a live namespace into the model, as plain manifests."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from driftd.cli.options import (
    DEFAULT_MODELS,
    ContextOption,
    KubeconfigOption,
    ManifestsOption,
    ModelsOption,
    Output,
    OutputOption,
)

if TYPE_CHECKING:
    from driftd.cli.adoption import Adopted


def adopt(
    *,
    namespace: Annotated[str, typer.Argument(help="The namespace whose policies are to be governed.")],
    models: ModelsOption = DEFAULT_MODELS,
    tenant: Annotated[
        str | None, typer.Option("--tenant", help="Whose it is; by default as its driftd.dev/tenant label says.")
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option("--file", help="Where to write, below --models.", show_default="manifests/<namespace>.yaml"),
    ] = None,
    manifests: ManifestsOption = None,
    kubeconfig: KubeconfigOption = None,
    context: ContextOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be written, and write nothing.")] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Take a live namespace into the model.

    Writes its Namespace, NetworkPolicies, ResourceQuotas and LimitRanges as plain manifests, which are canonical word
    for word, and says what to review. A file that exists is never written over; the cluster is only read.

    Exit code 0: written, and the model agrees with the live state. 1: written, and something still differs. 2: wrong
    usage, or refused. 3: not all could be read, so nothing was written.
    """
    from driftd.cli.adoption import Adopting, adopt_namespace
    from driftd.cli.comparing import asked, quiet_logs
    from driftd.cli.exits import Exit
    from driftd.cli.failures import failures_told

    quiet_logs()
    with failures_told("adopt"):
        question = asked(models=models, manifests=manifests, more=None, kubeconfig=kubeconfig, context=context)
        adopted = adopt_namespace(question, Adopting(namespace, tenant, file, dry_run))
    _print(adopted, output)
    raise typer.Exit(Exit.DRIFT if adopted.differs else Exit.CLEAN)


def _print(adopted: "Adopted", output: Output) -> None:
    from driftd.cli import show
    from driftd.cli.documents import Adoption
    from driftd.cli.entries import drift_entry
    from driftd.documents import object_name

    if output is not Output.TABLE:
        document = Adoption(
            namespace=adopted.namespace,
            tenant=adopted.tenant,
            file=adopted.file,
            written=adopted.written,
            objects=tuple(map(object_name, adopted.refs)),
            review=adopted.review,
            differs=tuple(map(drift_entry, adopted.differs)),
        )
        show.emit(document, output)
        return
    if adopted.written:
        show.table(("KIND", "NAME", "FILE"), [(ref.kind, ref.name, adopted.file) for ref in adopted.refs])
    else:
        typer.echo(adopted.text, nl=False)
    for one in adopted.review:
        show.note(show.printable(f"review: {one}"))
    for judged in adopted.differs:
        show.note(show.printable(f"still differs: {judged.finding.summary}"))
