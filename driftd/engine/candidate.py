"""A revision as far as it can be judged without the cluster: admitted, and compiled. Too slow for the event loop."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import TypeAlias

from driftd.compile import Compiled, CompileError, compile_model
from driftd.model import Admitted, Model, Parser, Problem, SourceFile, admit
from driftd.source import Revision


@dataclass(frozen=True, slots=True)
class Candidate:
    """What might come into force; without `compiled` it cannot.

    `admitted` comes without its model: nobody needs more of it than `platform`, its platform namespaces.
    """

    revision: Revision
    admitted: Admitted
    compiled: Compiled | None
    platform: frozenset[str] = frozenset()

    @property
    def why(self) -> str:
        """Why it cannot come into force, where it cannot."""
        return self.admitted.held or (str(self.admitted.problems[0]) if self.admitted.problems else "no model")


ReadModel: TypeAlias = Callable[[Revision, tuple[SourceFile, ...] | None, date], Awaitable[Candidate]]
"""Who makes the candidate of a revision beside the last good files, on a given day."""


async def read_here(revision: Revision, last_good: tuple[SourceFile, ...] | None, today: date) -> Candidate:
    """The candidate of a revision, made in a thread."""
    return await asyncio.to_thread(candidate_of, revision, last_good, today)


class Trials:
    """Compiles the models that admission tries, and keeps the last of them, which is most often the one admitted.

    A revision with many broken tenants is tried many times, and what a large model compiles to is tens of megabytes.
    """

    def __init__(self) -> None:
        self._last: tuple[Model, Compiled] | None = None

    def faults(self, model: Model) -> Sequence[Problem]:
        """What the compiler has against a model: blamed on a tenant like any other error."""
        self._last = None
        try:
            self._last = model, compile_model(model)
        except CompileError as error:
            return error.problems
        return ()

    def compiled(self, model: Model) -> Compiled:
        """The model, compiled; raises `CompileError`."""
        if self._last is not None and self._last[0] is model:
            return self._last[1]
        return compile_model(model)


def candidate_of(revision: Revision, last_good: tuple[SourceFile, ...] | None, today: date) -> Candidate:
    """Admit a revision beside the last good files, and compile what is admitted."""
    trials = Trials()
    # A parser that remembers 1,000 environments holds 15 MB for good; reading them anew takes this thread 0.7 s.
    admitted = admit(revision.files, last_good, parser=Parser(), today=today, further=trials.faults)
    model, rest = admitted.model, replace(admitted, model=None)
    if admitted.held or model is None:
        return Candidate(revision, rest, None)
    platform = frozenset(model.cluster.spec.platform_namespaces)
    return Candidate(revision, rest, trials.compiled(model), platform)
