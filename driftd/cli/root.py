"""The command tree. Each command's module imports only typer; its work comes in when it runs."""

from typing import Annotated

import typer

from driftd import __version__
from driftd.cli import (
    adopt,
    approve,
    check,
    compile,  # noqa: A004 - named for its command
    demo,
    diff,
    doctor,
    explain,
    history,
    impact,
    lab,
    lint,
    matrix,
    page,
    pause,
    retire,
    run,
    schema,
)

app = typer.Typer(
    name="driftd",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # rich in the help alone costs 0.2 s
    help="What the model says can talk is all that can talk; when that ends, somebody knows in a second.",
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"driftd {__version__}")
        raise typer.Exit


@app.callback()
def root(
    _version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options of driftd itself."""


app.command()(run.run)
app.command()(check.check)
app.command()(diff.diff)
app.command("compile")(compile.compile_)
app.command()(lint.lint)
app.command()(adopt.adopt)
app.command()(explain.explain)
app.command()(matrix.matrix)
app.command()(impact.impact)
app.command()(history.history)
app.command()(page.page)
app.command()(doctor.doctor)
app.command()(approve.approve)
app.command()(pause.pause)
app.command()(retire.retire)
app.command()(schema.schema)
app.command(short_help="Watch tamperings being found and healed.")(demo.demo)
app.add_typer(lab.app, name="lab", short_help="Run a real control plane on this machine.")
