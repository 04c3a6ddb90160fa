"""`driftd compile`: the objects that a model wants, as Kubernetes takes them."""

from typing import Annotated

import typer

from driftd.cli.options import DEFAULT_MODELS, ModelsOption, NamespacesOption, Output, OutputOption


def compile_(
    models: ModelsOption = DEFAULT_MODELS,
    namespace: NamespacesOption = None,
    tenant: Annotated[str | None, typer.Option("--tenant", help="Only the namespaces of this tenant.")] = None,
    output: OutputOption = Output.YAML,
) -> None:
    """Print the objects of the model.

    They are exactly what the cluster must hold, in the order in which they are created.
    `-o json` prints one Kubernetes `List`, `-o yaml` one document an object, `-o table` where each comes from.

    Exit code 0, 2 for wrong usage or a model with errors, 3 when the model cannot be read.
    """
    from driftd.cli import show
    from driftd.cli.clock import today
    from driftd.cli.exits import Exit
    from driftd.cli.failures import CommandError, failures_told
    from driftd.cli.sources import located, valid_model

    with failures_told("compile"):
        model = valid_model(models, today())
        governed = model.compiled.governed
        for name in namespace or ():
            if name not in governed:
                raise CommandError(f"--namespace {name}: the model does not govern it", Exit.USAGE)
    wanted = [
        one
        for one in model.compiled.every_scope()
        if (not namespace or one.name in namespace) and tenant in (None, one.tenant)
    ]
    objects = [(one, desired) for one in wanted for desired in one.objects.values()]
    for problem in model.problems:
        show.note(located(problem, models))
    if output is Output.JSON:
        import orjson

        body = {"apiVersion": "v1", "kind": "List", "items": [desired.body() for _, desired in objects]}
        typer.echo(orjson.dumps(body, option=orjson.OPT_INDENT_2).decode())
    elif output is Output.YAML:
        from driftd.cli.plain_yaml import dumped_all

        typer.echo(dumped_all(desired.body() for _, desired in objects), nl=False)
    else:
        show.table(
            ("NAMESPACE", "TENANT", "KIND", "NAME", "MODE", "MODEL"),
            [
                (
                    one.name,
                    one.tenant,
                    desired.ref.kind,
                    desired.ref.name,
                    one.mode_of(desired.ref.kind).value,
                    f"{desired.origin.file}:{desired.origin.line}",
                )
                for one, desired in objects
            ],
        )
