"""A revision as far as it can be judged without the cluster: admitted, and compiled. Too slow for the event loop."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from driftd.compile import Compiled, CompileError, compile_model
from driftd.model import Admitted, Model, Parser, Problem, SourceFile, admit
from driftd.source import Revision


@dataclass(frozen=True, slots=True)
class Candidate:
    """What might come into force; without `compiled` it cannot."""

    revision: Revision
    admitted: Admitted
    compiled: Compiled | None


def candidate_of(revision: Revision, last_good: tuple[SourceFile, ...] | None, today: date) -> Candidate:
    """Admit a revision beside the last good files, and compile what is admitted."""
    compiled: dict[int, Compiled] = {}

    def faults(model: Model) -> Sequence[Problem]:
        """What the compiler has against a model: blamed on a tenant like any other error."""
        try:
            compiled[id(model)] = compile_model(model)
        except CompileError as error:
            return error.problems
        return ()

    # A parser that remembers 1,000 environments holds 15 MB for good; reading them anew takes this thread 0.7 s.
    admitted = admit(revision.files, last_good, parser=Parser(), today=today, further=faults)
    if admitted.held or admitted.model is None:
        return Candidate(revision, admitted, None)
    known = compiled.get(id(admitted.model))
    return Candidate(revision, admitted, known or compile_model(admitted.model))
