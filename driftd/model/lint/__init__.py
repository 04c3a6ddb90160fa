"""Rules that cross documents: what each document cannot know about the others."""

from collections.abc import Callable, Iterator, Sequence
from datetime import date

from driftd.model.lint import addresses, boundaries, graph, manifests, platform
from driftd.model.lint.finding import Linted
from driftd.model.loader import order
from driftd.model.model import Model
from driftd.model.problems import Problem

RULES: Sequence[Callable[[Linted], Iterator[Problem]]] = (
    *platform.RULES,
    *boundaries.RULES,
    *addresses.RULES,
    *graph.RULES,
    *manifests.RULES,
)


def lint(model: Model, today: date | None = None) -> tuple[Problem, ...]:
    """Everything that is wrong or doubtful between documents, by place. An error means: do not use this model.

    `today` lets expired exemptions be found; without it the model is judged for no day in particular.
    """
    linted = Linted(model, today)
    return tuple(sorted({problem for rule in RULES for problem in rule(linted)}, key=order))


__all__ = ["RULES", "lint"]
