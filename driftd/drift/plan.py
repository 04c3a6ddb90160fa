"""The plan of writes of one scope, what each finding asks for, and what stands against it (D7).

A plan can be made again from every state that it passes through, and a plan of the canonical state is empty.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from driftd.compile import GovernedNamespace, Mode
from driftd.drift.compare import Comparison
from driftd.drift.meaning import Difference
from driftd.drift.repair import Goal, Repair, Sides, Writer
from driftd.drift.stages import Stages
from driftd.drift.state import LiveScope
from driftd.drift.twin import has_twin, twin_of, twin_ref
from driftd.policy.kinds import Coverage
from driftd.values import Desired, FindingType, Live, ObjectRef, Plan

_NOTHING_TO_WRITE = frozenset(
    {
        FindingType.ORPHANED,
        FindingType.RECREATED,
        FindingType.FINALIZER,
        FindingType.BLOCKED,
        FindingType.DEFAULTED,
        FindingType.TOLERATED,
        FindingType.RELABELLED,
        FindingType.EXPOSED,
        FindingType.MISDIRECTED,
        FindingType.FOREIGN,
    }
)


def plan(
    comparison: Comparison,
    governed: GovernedNamespace,
    live: LiveScope,
    *,
    coverage: Coverage,
    epoch: int,
    waiting: Collection[ObjectRef] = frozenset(),
    blocked: Collection[ObjectRef] = frozenset(),
    passing: Collection[ObjectRef] = frozenset(),
) -> Plan:
    """The writes that bring a scope to its canonical state, and why what stays unrepaired does.

    `waiting` are objects that the fight breaker wants left alone for now: they are still cut where that is needed for
    the others, but not opened again. `blocked` are objects that cannot be written now (refused, or failed lately), and
    so is every difference whose finding the caller took out of the comparison: nothing opens while one of them allows
    more than it should, and what waits for it is in the plan's `waiting`, unless it is one of `passing`, is not proved,
    or has no finding yet. The writes are to be done in their order and none skipped: whoever cannot do one stops, looks
    and plans again.
    """
    home = ObjectRef("", "Namespace", "", governed.name)
    if comparison.leaving:
        return Plan(comparison.scope, held=(f"{home} is being deleted: nothing is written into it",))
    sorter = _Sorter(governed, live, coverage, home)
    repairs = list(sorter.repairs(comparison))
    ranks = {one.id: one.severity.rank for one in comparison.findings}
    stages = Stages(Writer(coverage, epoch), comparison.scope, frozenset(waiting), held=sorter.held, ranks=ranks)
    unreadable = list(stages.unreadable(repairs))
    unknown = [*comparison.to_prove, *unreadable]
    here = {finding.id for finding in comparison.findings}
    writable = [one for one in repairs if one.finding in here and one.ref not in blocked]
    chosen = {id(one) for one in writable}  # by identity: comparing thousands of repairs field by field takes seconds
    skipped = [one for one in repairs if id(one) not in chosen]
    homeless = any(one.type is FindingType.MISSING and one.ref == home for one in comparison.differences.values())
    if homeless and not any(one.ref == home for one in writable):
        return Plan(comparison.scope, held=(*sorter.held, f"{home} does not exist: nothing can be written into it"))
    left = [*sorter.left, *((None, live.objects[ref]) for ref in unreadable if ref in live.objects)]
    stable = _untouched(comparison, governed, live)
    unwritable = {*blocked, *(one.ref for one, _ in stable if governed.mode_of(one.ref.kind) is Mode.REPORT)}
    passing = {*passing, *comparison.to_prove, *(one.ref for one in skipped if one.ref not in blocked)}
    return stages.plan(
        writable, skipped, unknown=unknown, stable=stable, unwritable=unwritable, left=left, passing=passing
    )


def _untouched(
    comparison: Comparison, governed: GovernedNamespace, live: LiveScope
) -> tuple[tuple[Desired, Live], ...]:
    """Canonical objects that are there, equal and not on their way out: what may be relied upon meanwhile."""
    touched = {one.ref for one in comparison.differences.values() if one.type is not FindingType.FINALIZER}
    touched.update(one.ref for one in comparison.exempted)
    here = live.objects
    return tuple(
        (one, here[ref])
        for ref, one in governed.objects.items()
        if ref not in touched and ref in here and not here[ref].hollow
    )


@dataclass(slots=True)
class _Sorter:
    """Says of each finding what shall become of its object, or why nothing does."""

    governed: GovernedNamespace
    live: LiveScope
    coverage: Coverage
    home: ObjectRef
    held: list[str] = field(default_factory=list)
    left: list[Sides] = field(default_factory=list)
    """What differs, is known, and stays as it is."""

    def repairs(self, comparison: Comparison) -> Iterator[Repair]:
        for finding in comparison.findings:
            if finding.id not in comparison.differences and finding.type not in _NOTHING_TO_WRITE:
                self.held.append(f"{finding.ref} is left alone: driftd does not understand its kind")
        for id_, difference in comparison.differences.items():
            ref = difference.ref
            if difference.type in _NOTHING_TO_WRITE:
                continue
            if self.governed.mode_of(ref.kind) is Mode.REPORT:
                self.left.append((difference.desired, difference.live))
                self.held.append(f"{ref} stays as it is: {ref.kind} is in report mode in {self.home.name}")
                continue
            repair = self._repair(id_, difference)
            if repair is None:
                self.left.append((difference.desired, difference.live))
            else:
                yield repair

    def _repair(self, finding: str, difference: Difference) -> Repair | None:
        ref, desired, live = difference.ref, difference.desired, difference.live
        match difference.type:
            case FindingType.MISSING:
                if ref == self.home and (self.governed.lifecycle != "create" or desired is None):
                    self.held.append(f"{ref} is adopted, not made: whoever owns it has to create it")
                    return None
                return Repair(finding, ref, Goal.EXIST, desired, None)
            case FindingType.MODIFIED:
                return Repair(finding, ref, Goal.EQUAL, desired, live)
            case FindingType.UNEXPECTED:
                return Repair(finding, ref, Goal.BE_GONE, None, live)
            case FindingType.TERMINATING if desired is not None and has_twin(ref):
                if twin_ref(ref) in self.live.objects:
                    return None
                twin = twin_of(desired, self.coverage)
                return Repair(finding, twin.ref, Goal.EXIST, twin, None)
            case FindingType.UNDELETABLE:
                self.held.append(f"{ref} is empty and waits for the owners of its finalizers to let it go")
            case _:
                self.held.append(f"{ref} is being deleted and cannot be made again until it is gone")
        return None
