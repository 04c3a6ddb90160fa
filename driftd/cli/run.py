"""`driftd run`: the daemon."""

from pathlib import Path
from typing import Annotated, Any

import typer

_SECRET = frozenset({"git", "paging", "store"})


def run(
    models: Annotated[
        Path | None, typer.Option("--models", help="Directory of the canonical model.", show_default="models")
    ] = None,
    kubeconfig: Annotated[
        Path | None, typer.Option("--kubeconfig", help="Credentials; leave out in a cluster: the pod's own are used.")
    ] = None,
    namespace: Annotated[
        str | None, typer.Option("--namespace", help="driftd's own namespace.", show_default="driftd")
    ] = None,
    data_dir: Annotated[
        Path | None,
        typer.Option("--data-dir", help="Database, journal, last good model.", show_default="/var/lib/driftd"),
    ] = None,
) -> None:
    """Watch the cluster, compare it with the model, repair, record. Runs until SIGTERM.

    Every other setting is an environment variable (`DRIFTD_...`), listed in docs/settings.md.
    """
    import asyncio
    import gc

    from driftd.cli.unneeded import without

    gc.disable()  # what imports make stays: to look through it again and again is a sixth of their time
    with without("rich"):
        import structlog  # noqa: F401  it would colour tracebacks with it: 4 MB, and a daemon logs JSON

    from pydantic import ValidationError
    from pydantic_settings import SettingsError

    from driftd.app import first_reading
    from driftd.app import run as run_app
    from driftd.settings import ApiSettings, ModelSettings, Settings

    given: dict[str, Any] = {}
    if namespace is not None:
        given["namespace"] = namespace
    if data_dir is not None:
        given["data_dir"] = data_dir
    try:
        settings = Settings(**given)
        if kubeconfig is not None:
            api = ApiSettings.model_validate({**settings.api.model_dump(), "kubeconfig": kubeconfig})
            settings = settings.model_copy(update={"api": api})
        if models is not None:
            model = ModelSettings.model_validate({**settings.model.model_dump(), "path": models})
            settings = settings.model_copy(update={"model": model})
    except ValidationError as error:
        for problem in error.errors():
            where = "__".join(str(part) for part in problem["loc"]).upper()
            # What pages and records are reached with may hold a key or a password, whatever is wrong with it.
            given_value = "" if _SECRET.intersection(problem["loc"]) else f" (given: {problem['input']!r})"
            typer.echo(f"driftd run: setting DRIFTD_{where}: {problem['msg']}{given_value}", err=True)
        raise typer.Exit(2) from None
    except SettingsError as error:
        typer.echo(f"driftd run: {error}: lists and groups are written as JSON", err=True)
        raise typer.Exit(2) from None
    with first_reading(settings) as read_model:
        code = asyncio.run(run_app(settings, read_model=read_model))
    raise typer.Exit(code)
