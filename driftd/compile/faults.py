"""Why a model cannot be compiled: every reason at once, each with its place."""

from collections.abc import Sequence

from driftd.model import Problem
from driftd.values import Origin


class CompileError(ValueError):
    """The model passed its schema but yields no objects; `problems` says all that is wrong, never only the first."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        lines = "\n".join(str(problem) for problem in problems)
        super().__init__(f"the model cannot be compiled:\n{lines}")
        self.problems = tuple(problems)


def problem(origin: Origin, field: str, message: str, remedy: str, *others: str) -> Problem:
    """An error at a document; `others` are further files that take part in it."""
    return Problem("error", origin.file, origin.line, 1, field, message, remedy, tuple(others))
