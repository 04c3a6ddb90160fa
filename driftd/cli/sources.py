"""The model of a command: a directory read once, judged, and compiled if nothing is wrong with it."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from driftd.cli.exits import Exit
from driftd.cli.failures import CommandError
from driftd.compile import Compiled, CompileError, compile_model
from driftd.model import Model, Problem, SourceFile, lint, load
from driftd.source import DirectorySource, Revision, SourceError


@dataclass(frozen=True, slots=True)
class ReadModel:
    """A model directory as it stands. `compiled` is None exactly when one of `problems` is an error."""

    directory: Path
    commit: str
    files: tuple[SourceFile, ...]
    problems: tuple[Problem, ...]
    model: Model | None
    compiled: Compiled | None

    @property
    def errors(self) -> tuple[Problem, ...]:
        return tuple(problem for problem in self.problems if problem.is_error)


@dataclass(frozen=True, slots=True)
class ValidModel:
    """A model without errors; `problems` are its warnings."""

    directory: Path
    commit: str
    files: tuple[SourceFile, ...]
    problems: tuple[Problem, ...]
    model: Model
    compiled: Compiled


def read_revision(directory: Path) -> Revision:
    """All files of the model at one moment.

    Raises:
        CommandError: the directory cannot be read whole (exit code 3: what it says is not known).
    """
    try:
        return asyncio.run(DirectorySource(directory).read())
    except SourceError as error:
        raise CommandError(f"the model in {directory}: {error}", Exit.UNKNOWN) from error


def judge_model(directory: Path, commit: str, files: Sequence[SourceFile], today: date) -> ReadModel:
    """Load, lint and compile files: every problem of all three, by place."""
    loaded = load(files)
    if loaded.model is None:
        return ReadModel(directory, commit, tuple(files), loaded.problems, None, None)
    problems = (*loaded.problems, *lint(loaded.model, today))
    if any(problem.is_error for problem in problems):
        return ReadModel(directory, commit, tuple(files), problems, loaded.model, None)
    try:
        compiled = compile_model(loaded.model)
    except CompileError as error:
        return ReadModel(directory, commit, tuple(files), (*problems, *error.problems), loaded.model, None)
    return ReadModel(directory, commit, tuple(files), problems, loaded.model, compiled)


def read_model(directory: Path, today: date) -> ReadModel:
    """Read a directory and judge it. Raises `CommandError` when it cannot be read."""
    revision = read_revision(directory)
    return judge_model(directory, revision.commit, revision.files, today)


def valid_model(directory: Path, today: date) -> ValidModel:
    """Read a directory that must hold a model without errors.

    Raises:
        CommandError: it does not; every error is in the text (exit code 2: nothing can be compared with it).
    """
    read = read_model(directory, today)
    if read.model is None or read.compiled is None:
        told = "\n".join(f"  {located(problem, directory)}" for problem in read.errors)
        raise CommandError(f"the model in {directory} is not valid:\n{told}", Exit.USAGE)
    return ValidModel(directory, read.commit, read.files, read.problems, read.model, read.compiled)


def located(problem: Problem, directory: Path) -> str:
    """One line that editors and CI can jump to: the file as it is reached from here."""
    return f"{directory / problem.file}{str(problem)[len(problem.file) :]}" if problem.file else str(problem)
