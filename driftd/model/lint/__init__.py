"""Rules that cross documents: what each document cannot know about the others."""

from collections.abc import Callable, Iterator, Sequence
from datetime import date
from itertools import islice

from driftd.model.lint import addresses, boundaries, graph, manifests, platform
from driftd.model.lint.finding import Linted
from driftd.model.loader import order
from driftd.model.model import Model
from driftd.model.problems import Problem

MAX_PER_RULE = 500

RULES: Sequence[Callable[[Linted], Iterator[Problem]]] = (
    *platform.RULES,
    *boundaries.RULES,
    *addresses.RULES,
    *graph.RULES,
    *manifests.RULES,
)


def lint(model: Model, today: date | None = None) -> tuple[Problem, ...]:
    """Everything that is wrong or doubtful between documents, by place. An error means: do not use this model.

    One rule tells at most MAX_PER_RULE problems. `today` lets expired exemptions be found; without it the model is
    judged for no day in particular.
    """
    linted = Linted(model, today)
    found = {problem for rule in RULES for problem in islice(rule(linted), MAX_PER_RULE)}
    return tuple(sorted(found, key=order))


__all__ = ["MAX_PER_RULE", "RULES", "lint"]
