"""How documents reach a person or a pipe: JSON, YAML, plain columns; colour, boxes and progress on a terminal only."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import typer
from pydantic import BaseModel

from driftd.cli.options import Output


def emit(document: BaseModel, output: Output) -> None:
    """A document as JSON or YAML on stdout, and nothing else there."""
    import orjson

    value = document.model_dump(mode="json", by_alias=True)
    value = {"apiVersion": value["apiVersion"], "kind": value["kind"], **value}
    if output is Output.JSON:
        typer.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())
        return
    from driftd.cli.plain_yaml import dumped

    typer.echo(dumped(value), nl=False)


def printable(text: str) -> str:
    """One line without anything that a terminal would act upon: names come from whoever may write to the cluster."""
    return text if text.isprintable() else "".join(one if one.isprintable() else f"\\x{ord(one):02x}" for one in text)


def table(headers: Sequence[str], rows: Sequence[Sequence[str]], styles: Sequence[str] = ()) -> None:
    """Rows on stdout: a table on a terminal, else columns parted by two spaces. `styles` are of the first cells."""
    cells = [[printable(cell) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        widths = [max(len(row[index]) for row in (headers, *cells)) for index in range(len(headers))]
        for row in (headers, *cells):
            line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            typer.echo(line.rstrip())
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = Table(*headers, box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for index, row in enumerate(cells):
        shown.add_row(Text(row[0], style=styles[index] if styles else ""), *map(Text, row[1:]))
    Console(highlight=False).print(shown)


def lines(told: Sequence[tuple[str, str]]) -> None:
    """Lines with a style each on stdout; styles show on a terminal only, and not under NO_COLOR."""
    if not sys.stdout.isatty():
        for text, _ in told:
            typer.echo(text)
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True)
    for text, style in told:
        console.print(Text(text, style=style))


def note(text: str) -> None:
    """A remark for whoever watches: on stderr."""
    typer.echo(text, err=True)


@contextmanager
def progress(first: str) -> Iterator[Callable[[str], None]]:
    """A line on stderr that renews itself; on no terminal, nothing at all."""
    if not sys.stderr.isatty():
        yield lambda _text: None
        return
    from rich.console import Console

    with Console(stderr=True).status(printable(first)) as shown:
        yield lambda text: shown.update(printable(text))


SEVERITY_STYLES = {"critical": "bold red", "high": "red", "low": "yellow", "info": "dim"}
