"""Open questions that come up on the way: every way of answering them is tried, and what comes out is collected.

Worlds answer the questions that every cluster raises. This is for the ones that only some policies raise: which of two
policies of equal priority goes first, whether a request has the method a rule wants.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, TypeVar

from tests.oracle.worlds import Allowed

T = TypeVar("T")


class _UndecidedError(Exception):
    def __init__(self, question: Hashable, options: Sequence[Any]) -> None:
        super().__init__(question)
        self.question = question
        self.options = options


class Choices:
    """The answers given so far. A question has the same answer wherever it comes up again."""

    def __init__(self, made: Mapping[Hashable, Any] | None = None) -> None:
        self.made = dict(made or {})

    def pick(self, question: Hashable, options: Sequence[T]) -> T:
        """The answer to `question`, one of `options`; when there is only one, it is no question."""
        if len(options) == 1:
            return options[0]
        if question not in self.made:
            raise _UndecidedError(question, options)
        answer: T = self.made[question]
        return answer


def outcomes(run: Callable[[Choices], bool]) -> set[bool]:
    """What `run` returns over all ways of answering the questions it asks."""
    found: set[bool] = set()
    open_ends: list[dict[Hashable, Any]] = [{}]
    while open_ends:
        made = open_ends.pop()
        try:
            found.add(run(Choices(made)))
        except _UndecidedError as undecided:
            open_ends.extend({**made, undecided.question: option} for option in undecided.options)
    return found


def verdict(answers: set[bool]) -> Allowed:
    """YES or NO when all agree, else OPEN."""
    if answers == {True}:
        return Allowed.YES
    return Allowed.NO if answers == {False} else Allowed.OPEN
