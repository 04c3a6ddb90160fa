"""`driftd lint`: everything that is wrong or doubtful in a model, with its place and its fix."""

from typing import TYPE_CHECKING

import typer

from driftd.cli.options import DEFAULT_MODELS, ModelsOption, Output, OutputOption

if TYPE_CHECKING:
    from driftd.cli.sources import ReadModel


def lint(
    models: ModelsOption = DEFAULT_MODELS,
    output: OutputOption = Output.TABLE,
) -> None:
    """Tell what is wrong with the model.

    Everything wrong or doubtful, with file, line, column, and how to put it right.

    Exit code 0: no errors (warnings never change it). 1: errors. 2: wrong usage. 3: the model cannot be read.
    """
    from driftd.cli.clock import today
    from driftd.cli.exits import Exit
    from driftd.cli.failures import failures_told
    from driftd.cli.sources import read_model

    with failures_told("lint"):
        read = read_model(models, today())
    _print(read, output)
    raise typer.Exit(Exit.DRIFT if read.errors else Exit.CLEAN)


def _print(read: "ReadModel", output: Output) -> None:
    from driftd.cli import show
    from driftd.cli.documents import LintReport, ModelName
    from driftd.cli.entries import problem_entry
    from driftd.cli.sources import located

    errors, warnings = len(read.errors), len(read.problems) - len(read.errors)
    if output is not Output.TABLE:
        report = LintReport(
            model=ModelName(directory=str(read.directory), commit=read.commit),
            valid=not errors,
            errors=errors,
            warnings=warnings,
            problems=tuple(map(problem_entry, read.problems)),
        )
        show.emit(report, output)
        return
    show.lines([(located(one, read.directory), "red" if one.is_error else "yellow") for one in read.problems])
    show.note(f"{len(read.files)} files: {errors} errors, {warnings} warnings")
