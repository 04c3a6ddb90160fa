"""`driftd lab`: a real control plane on this machine, started, found again, ended."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from driftd.cli.options import Output, OutputOption

if TYPE_CHECKING:
    from driftd.documents import Document

app = typer.Typer(
    no_args_is_help=True, help="A real control plane on this machine, and nodes with real pods where it allows."
)


_Name = Annotated[str, typer.Option("--name", help="Which lab; several may run side by side.")]


@app.command()
def up(
    name: _Name = "default",
    kubeconfig: Annotated[
        Path | None, typer.Option("--kubeconfig", help="Write the administrator's kubeconfig here as well.")
    ] = None,
    nodes: Annotated[
        int,
        typer.Option(
            "--nodes", min=0, max=9, help="Nodes that run pods, with real packets between them; needs Linux and root."
        ),
    ] = 0,
    output: OutputOption = Output.TABLE,
) -> None:
    """Start a lab and leave it running; `driftd lab down` ends it. Starting a running lab again only prints it.

    The first time, the programs are built for some minutes; after that a lab is ready in seconds. Nodes need Debian
    packages too: `driftd lab packages`. Exit code 3 on a machine that cannot have nodes.
    """
    import asyncio
    import os
    from dataclasses import replace

    from driftd.cli import lab_documents as documents
    from driftd.lab import KnownLabs, state_folder
    from driftd.lab.authority import write_private

    labs = KnownLabs(state_folder(os.environ))
    with _failures_told(), _progress() as say:
        lab = asyncio.run(labs.up(name, os.environ, say, nodes=nodes))
        if kubeconfig is not None:
            write_private(kubeconfig, Path(lab.kubeconfig).read_bytes())
            lab = replace(lab, kubeconfig=str(kubeconfig.absolute()))
    _print(documents.Lab(**lab.as_dict()), output)


@app.command()
def down(
    name: _Name = "default",
    everything: Annotated[bool, typer.Option("--all", help="End every lab of this user.")] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """End a lab and remove its data."""
    import asyncio
    import os

    from driftd.cli.lab_documents import LabEnding
    from driftd.lab import KnownLabs, state_folder

    labs = KnownLabs(state_folder(os.environ))
    names = labs.names() if everything else (name,)
    with _failures_told(), _progress() as say:
        for each in names:
            say(f"ending lab {each}")
            asyncio.run(labs.down(each))
    _print(LabEnding(ended=names), output)


@app.command()
def status(
    name: Annotated[str | None, typer.Option("--name", help="Only this lab.")] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Every lab of this user and how it is: running, degraded (a part is not), or dead (only its data is left)."""
    import asyncio
    import os

    from driftd.cli.lab_documents import LabList, LabStateEntry
    from driftd.lab import KnownLabs, state_folder

    labs = KnownLabs(state_folder(os.environ))
    with _failures_told():
        states = [asyncio.run(labs.state(each)) for each in ((name,) if name is not None else labs.names())]
    if output is not Output.TABLE:
        _print(LabList(labs=tuple(LabStateEntry(**state.as_dict()) for state in states)), output)
        return
    for state in states:
        _print_values(state.as_dict())
    if not states:
        typer.echo("no lab is up; `driftd lab up` starts one", err=True)


@app.command()
def build(
    nodes: Annotated[bool, typer.Option("--nodes", help="The programs of nodes as well.")] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Make sure that the programs are there, so that the next `up` takes seconds."""
    import os

    from driftd.cli.lab_documents import LabPrograms
    from driftd.lab import ensure_node_programs, ensure_programs

    with _failures_told(), _progress() as say:
        programs = ensure_programs(os.environ, say)
        if nodes:
            ensure_node_programs(os.environ, say)
    _print(LabPrograms(version=programs.version, source=programs.source), output)


@app.command()
def packages(output: OutputOption = Output.TABLE) -> None:
    """Install the Debian packages that nodes need (containerd, runc, clang-14, ...), where they are not there yet.

    Needs root and apt-get. Prints what was installed; nothing if nothing was lacking.
    """
    import os

    from driftd.cli.lab_documents import LabPackages
    from driftd.lab import install_packages

    with _failures_told(), _progress() as say:
        installed = install_packages(os.environ, say)
    _print(LabPackages(installed=tuple(installed)), output)


@app.command()
def doctor(output: OutputOption = Output.TABLE) -> None:
    """What this machine allows a lab to do, and what each lack costs. A lack is no failure of this command."""
    import os

    from driftd.cli.lab_documents import LabCheckEntry, LabExamination
    from driftd.lab import examine

    with _failures_told():
        checks = examine(os.environ)
    if output is not Output.TABLE:
        _print(LabExamination(checks=tuple(LabCheckEntry(**check.as_dict()) for check in checks)), output)
        return
    for check in checks:
        typer.echo(f"{'yes' if check.present else 'NO ':<4} {check.capability:<14} {check.seen}")
        if not check.present:
            typer.echo(f"{'':<20}{check.costs}")


@contextmanager
def _failures_told() -> Iterator[None]:
    """What the lab could not do goes to stderr with exit code 3; stdout stays empty then."""
    from driftd.cli.exits import Exit
    from driftd.lab import LabError, LabNameError

    try:
        yield
    except LabNameError as error:
        raise typer.BadParameter(str(error), param_hint="--name") from error
    except (LabError, OSError) as error:
        typer.echo(f"driftd lab: {error}", err=True)
        raise typer.Exit(Exit.UNKNOWN) from error
    except KeyboardInterrupt:
        typer.echo("driftd lab: interrupted; what was started has been ended", err=True)
        raise typer.Exit(Exit.UNKNOWN) from None


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """What takes its time, on stderr: a line that renews itself on a terminal, one line a message elsewhere."""
    from functools import partial

    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield partial(typer.echo, err=True)
        return
    with console.status("looking for the programs") as shown:
        yield shown.update


def _print(document: "Document", output: Output) -> None:
    if output is not Output.TABLE:
        from driftd.cli import show

        show.emit(document, output)
        return
    _print_values(document.model_dump(mode="json", exclude={"api_version", "kind"}))


def _print_values(values: dict[str, Any]) -> None:
    """A line a field, for people."""
    for key, value in values.items():
        if isinstance(value, dict):
            shown = " ".join(f"{name}={item}" for name, item in value.items())
        else:
            shown = " ".join(map(str, value)) if isinstance(value, list) else str(value)
        typer.echo(f"{key}: {shown}")
