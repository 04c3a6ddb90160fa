"""Admission of a revision (D8): a broken tenant keeps its last good files, a broken platform holds everything."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from driftd.model.lint import lint
from driftd.model.loader import load, order
from driftd.model.model import Model
from driftd.model.ownership import Owner, Owners, owners_of
from driftd.model.problems import Problem, SourceFile
from driftd.model.reading import Parser

_MAX_TRIALS = 16


@dataclass(frozen=True, slots=True)
class Admitted:
    """What holds from now on.

    `files` and `model` are what is in force: the new revision, with the last good files of every quarantined tenant in
    the place of its new ones. With `held` set the revision is refused as a whole, `held` says why, and `files` and
    `model` are those of the last good revision (empty and None when there is none). `problems` are those of the new
    revision, errors included, and the warnings of what is in force. `quarantined` gives each tenant's reasons.
    """

    model: Model | None
    files: tuple[SourceFile, ...]
    problems: tuple[Problem, ...]
    quarantined: Mapping[str, tuple[Problem, ...]] = field(default_factory=dict)
    held: str = ""


def admit(
    new: Sequence[SourceFile],
    last_good: Sequence[SourceFile] | None,
    *,
    parser: Parser | None = None,
    today: date | None = None,
    further: Callable[[Model], Sequence[Problem]] | None = None,
) -> Admitted:
    """Decide which files of a new revision are in force.

    All files of a tenant go back together, so that no tenant runs on a mixture. A tenant without a last good version is
    left out until it is mended. A tenant whose files are gone is not quarantined: that is a removal, and other guards
    judge it. Whoever's *changed* file takes part in a contradiction is to blame for it; what nobody's quarantine heals
    holds the revision.

    `further` judges a model that the linter lets pass, such as the compiler: its errors count like the linter's, so
    that a tenant whose manifest cannot be compiled is quarantined and does not hold up the others.
    """
    return _Admission(new, last_good, parser or Parser(), today, further).decide()


class _Held(Exception):  # not a fault of the program: the verdict of an admission
    """The revision is refused as a whole."""


class _Admission:
    """One decision: quarantines grow until what is left is clean, or cannot become clean."""

    def __init__(
        self,
        new: Sequence[SourceFile],
        last_good: Sequence[SourceFile] | None,
        parser: Parser,
        today: date | None,
        further: Callable[[Model], Sequence[Problem]] | None,
    ) -> None:
        self.further = further
        self.parser = parser
        self.today = today
        self.new = {file.path: file for file in new}
        self.old = {file.path: file for file in last_good or ()}
        self.old_owners = owners_of(tuple(self.old.values()), parser)
        self.new_owners = owners_of(tuple(self.new.values()), parser, self.old_owners)
        self.reasons: dict[str, list[Problem]] = {}
        self.seen: dict[Problem, None] = {}

    def decide(self) -> Admitted:
        try:
            while True:
                files = self.in_force(self.reasons)
                model, problems = self.judge(files)
                self.seen.update(dict.fromkeys(problems))
                errors = [problem for problem in problems if problem.is_error]
                if not errors:
                    break
                self.quarantine(errors)
        except _Held as held:
            return self.refuse(str(held))
        quarantined = {tenant: tuple(sorted(why, key=order)) for tenant, why in sorted(self.reasons.items())}
        return Admitted(model, files, self.problems(problems), quarantined)

    def refuse(self, why: str) -> Admitted:
        files = tuple(self.old[path] for path in sorted(self.old))
        model, _ = self.judge(files) if files else (None, ())
        return Admitted(model, files, self.problems(self.seen), held=why)

    def problems(self, last: Iterable[Problem]) -> tuple[Problem, ...]:
        """All errors that were met, and the warnings of the last look."""
        errors = {problem for problem in self.seen if problem.is_error}
        return tuple(sorted(errors | set(last), key=order))

    def judge(self, files: Sequence[SourceFile]) -> tuple[Model | None, tuple[Problem, ...]]:
        loaded = load(files, self.parser)
        if loaded.model is None:
            return None, loaded.problems
        problems = lint(loaded.model, self.today)
        if self.further is not None and not any(problem.is_error for problem in problems):
            problems = (*problems, *self.further(loaded.model))
        broken = any(problem.is_error for problem in problems)
        return (None if broken else loaded.model), problems

    def in_force(self, quarantined: Iterable[str]) -> tuple[SourceFile, ...]:
        """The new files, with the last good ones of these tenants in the place of their new ones."""
        back = frozenset(quarantined)
        files = {path: file for path, file in self.new.items() if not self.new_owners.of(path).tenants & back}
        files.update({path: file for path, file in self.old.items() if self.old_owners.of(path).tenants & back})
        return tuple(files[path] for path in sorted(files))

    def quarantine(self, errors: Sequence[Problem]) -> None:
        """Put the tenants who are to blame into quarantine. _Held when nobody's quarantine can heal an error."""
        verdicts: dict[frozenset[str], list[Problem]] = {}
        unexplained: list[Problem] = []
        for error in errors:
            suspects = self.suspects(error)
            if suspects:
                verdicts.setdefault(suspects, []).append(error)
            else:
                unexplained.append(error)
        if not verdicts:
            raise _Held(
                f"no tenant's last good files would mend this, so the platform's files have to: {unexplained[0]}"
            )
        for trials, (suspects, problems) in enumerate(verdicts.items()):
            if len(suspects) > 1 and suspects & self.reasons.keys():
                continue  # what this round has sent back already may explain it: the next look tells
            guilty = self.guilty(suspects, problems) if len(suspects) > 1 and trials < _MAX_TRIALS else suspects
            for tenant in self.bound(guilty):
                known = self.reasons.setdefault(tenant, [])
                known.extend(problem for problem in problems if problem not in known)

    def suspects(self, error: Problem) -> frozenset[str]:
        """Tenants who can have brought an error in: those with a changed file that takes part in it.

        _Held when the error is in a changed file of the platform, or in none at all.
        """
        if not error.file:
            raise _Held(f"the model as a whole is not valid: {error}")
        owner = self.owner(error.file)
        if not owner.is_tenants and self.changed(error.file):
            whose = "the platform" if owner.platform else "nobody that can be told"
            raise _Held(f"{error.file} belongs to {whose} and is not valid: {error}")
        involved = [path for path in (error.file, *error.others) if self.changed(path) and self.owner(path).is_tenants]
        return frozenset(tenant for path in involved for tenant in self.owner(path).tenants).difference(self.reasons)

    def owner(self, path: str) -> Owner:
        """Owner of a file in force."""
        owners: Owners = self.new_owners if path in self.new else self.old_owners
        return owners.of(path)

    def changed(self, path: str) -> bool:
        """Whether the new revision says something else here than the last good one."""
        before, after = self.old.get(path), self.new.get(path)
        return before is None or after is None or before.data != after.data

    def guilty(self, suspects: frozenset[str], problems: Sequence[Problem]) -> frozenset[str]:
        """Of several suspects those whose return alone makes the error go; all of them when that singles out nobody."""
        wanted = {(frozenset((problem.file, *problem.others)), problem.field) for problem in problems}
        healing = set()
        for tenant in sorted(suspects):
            _, left = self.judge(self.in_force({*self.reasons, *self.bound({tenant})}))
            if not any((frozenset((one.file, *one.others)), one.field) in wanted for one in left if one.is_error):
                healing.add(tenant)
        return frozenset(healing) or suspects

    def bound(self, tenants: Iterable[str]) -> frozenset[str]:
        """These tenants and all who share a file with them: such files can only go back together.

        _Held when a file that has to go back is the platform's as well.
        """
        group = frozenset(tenants)
        while True:
            touched = [
                owners.of(path)
                for owners, files in ((self.new_owners, self.new), (self.old_owners, self.old))
                for path in files
                if self.new_owners.of(path).tenants & group or self.old_owners.of(path).tenants & group
            ]
            if any(owner.platform for owner in touched):
                names = ", ".join(sorted(group))
                raise _Held(f"{names} cannot be quarantined: a file of theirs holds documents of the platform too")
            wider = group.union(*(owner.tenants for owner in touched))
            if wider == group:
                return group
            group = wider
