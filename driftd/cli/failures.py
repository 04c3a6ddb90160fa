"""What ends a command early: said on stderr, with the exit code that scripts go by; stdout stays empty."""

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from driftd.cli.exits import Exit
from driftd.cli.show import printable


class CommandError(Exception):
    """A command cannot go on. `code` is its exit code, the text says what, where and what to do next."""

    def __init__(self, message: str, code: Exit) -> None:
        super().__init__(message)
        self.code = code


@contextmanager
def failures_told(command: str) -> Iterator[None]:
    """Tell what went wrong, and end: what could not be read or asked is exit code 3, never 1 and never 0."""
    try:
        yield
    except CommandError as error:
        told = "\n".join(map(printable, str(error).splitlines()))
        typer.echo(f"driftd {command}: {told}", err=True)
        raise typer.Exit(error.code) from None
    except KeyboardInterrupt:
        typer.echo(f"driftd {command}: interrupted", err=True)
        raise typer.Exit(Exit.UNKNOWN) from None
