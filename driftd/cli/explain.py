"""`driftd explain`: whether one connection passes, which rule decides, and what would be without it."""

from enum import StrEnum
from typing import Annotated

import typer

from driftd.cli.flows.options import (
    DialectOption,
    WorldKubeconfigOption,
    WorldManifestsOption,
    WorldModelsOption,
    names_the_model,
)
from driftd.cli.options import ContextOption


class ExplainOutput(StrEnum):
    """How the answer is written."""

    TEXT = "text"
    JSON = "json"
    YAML = "yaml"
    MERMAID = "mermaid"
    SVG = "svg"


SourceArgument = Annotated[
    str, typer.Argument(help="Who opens the connection: namespace/pod, namespace/workload, namespace/service, or IP.")
]
TargetArgument = Annotated[str, typer.Argument(help="To whom: namespace/name:port[/protocol], or IP:port[/protocol].")]
ExplainOutputOption = Annotated[ExplainOutput, typer.Option("--output", "-o", help="How to print the answer.")]


def explain(
    command: typer.Context,
    source: SourceArgument,
    target: TargetArgument,
    *,
    models: WorldModelsOption = None,
    manifests: WorldManifestsOption = None,
    kubeconfig: WorldKubeconfigOption = None,
    context: ContextOption = None,
    dialect: DialectOption = None,
    output: ExplainOutputOption = ExplainOutput.TEXT,
) -> None:
    """Tell whether a connection passes, and why.

    For each direction: the rules in the order in which they are looked at, which one decides, why earlier ones miss,
    and what would be without it. Ports are those of the pods.

    Asked are the files of --manifests, the cluster of --kubeconfig or --context, or the model of --models. Where none
    of these is given: in a pod its cluster, elsewhere the model in ./models. The line `source` on stderr says which.

    Exit code 0: answered. 2: wrong usage. 3: something could not be read, so that the answer may not be whole.
    """
    from driftd.cli import show
    from driftd.cli.comparing import quiet_logs
    from driftd.cli.exits import Exit
    from driftd.cli.failures import failures_told
    from driftd.cli.flows.explained import explanation_document, text_lines
    from driftd.cli.flows.remedies import remedies
    from driftd.cli.options import Output
    from driftd.cli.worlds.asking import runs_in_a_pod, tell, wanted, world_of
    from driftd.cli.worlds.ends import asked

    quiet_logs()
    with failures_told("explain"):
        subject = wanted(
            models=models,
            manifests=manifests,
            kubeconfig=kubeconfig,
            context=context,
            dialect=dialect,
            only_models=names_the_model(command),
            in_pod=runs_in_a_pod(),
        )
        world = world_of(subject)
        question = asked(world, source, target)
        document = explanation_document(world, question)
        hints = () if subject.live else remedies(world, question, document)
        document = document.model_copy(update={"notes": (*hints, *document.notes)})
    match output:
        case ExplainOutput.TEXT:
            show.lines([(show.printable(text), style) for text, style in text_lines(document)])
        case ExplainOutput.MERMAID:
            from driftd.cli.flows.walk_graph import mermaid

            typer.echo(mermaid(document), nl=False)
        case ExplainOutput.SVG:
            from driftd.cli.flows.walk_drawing import drawing

            typer.echo(drawing(document))
        case ExplainOutput.JSON | ExplainOutput.YAML:
            show.emit(document, Output(output.value))
    for remark in (*hints, *question.remarks):
        show.note(show.printable(remark))
    tell(world, "explain")
    raise typer.Exit(Exit.UNKNOWN if world.unread else Exit.CLEAN)
