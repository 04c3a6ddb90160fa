"""How much is told of what somebody may make thousands of, and what stays told while it cannot be seen.

Whatever a tenant makes, as many findings of a namespace, type and sort of object are told as anybody reads, and one
more that counts the rest. What is open comes first and stays open for as long as it stands, or may stand: nobody ends
one finding with others, and since new ones are told only where there is room, no more are ever open.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from driftd.compile import Compiled
from driftd.drift.findings import NOBODY, finding_id
from driftd.drift.foreign import MOST_TOLD
from driftd.drift.meaning import severity
from driftd.drift.words import roughly
from driftd.policy.reach.pods import WORKLOADS
from driftd.values import CLUSTER, Direction, Finding, FindingType, ObjectRef, Severity, Witness, scope_of

MOST_OPEN: Final = 3 * MOST_TOLD
"""Findings of one namespace, type and sort of object. As long as no finding changes its rank there are twenty of each:
critical ones that are proved, critical ones that may lead anywhere, and high ones."""

ANYBODY: Final = "anybody"
"""Whom something leads to of which that is not known."""

_OWNERS: Final = frozenset(kind for _, kind in WORKLOADS)
_NOTHING_OPEN: Final[Mapping[str, Finding]] = MappingProxyType({})
_BOUNDED: Final = frozenset({FindingType.RELABELLED, FindingType.EXPOSED, FindingType.MISDIRECTED})
_OF_RANK: Final[Mapping[Severity, Direction]] = MappingProxyType(
    {Severity.LOW: Direction.TIGHTENS, Severity.INFO: Direction.NEUTRAL}
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A finding that may be told, and is made only then. `vague`: nobody knows whom it lets in or leads to."""

    id: str
    type: FindingType
    ref: ObjectRef
    severity: Severity
    vague: bool
    make: Callable[[], Finding]

    @classmethod
    def of(cls, finding: Finding) -> "Candidate":
        """One that is made already."""
        anybody = finding.witness is not None and finding.witness.target == ANYBODY
        vague = anybody or finding.direction is Direction.UNKNOWN
        return cls(finding.id, finding.type, finding.ref, finding.severity, vague, lambda: finding)

    @property
    def rank(self) -> tuple[int, bool]:
        """0 for the worst. Of equal severity what is proved comes before what is vague, so that nobody hides it."""
        return self.severity.rank, self.vague

    @property
    def bounded(self) -> bool:
        """Whether it is about something that a tenant may make as many of as nobody counts."""
        return self.type in _BOUNDED and bool(self.ref.namespace)


def sort_of(ref: ObjectRef) -> str:
    """The kind of the live objects that a finding about this one rests on: for a workload's its pods."""
    return "Pod" if ref.kind in _OWNERS else ref.kind


def told(
    compiled: Compiled,
    candidates: Iterable[Candidate],
    open_: Mapping[str, Finding] = _NOTHING_OPEN,
    may_stand: Callable[[Finding], bool] = lambda _finding: False,
) -> Iterator[Finding]:
    """What is told of these, and of what is open.

    `may_stand` says of an open finding whether what it rests on may be there and cannot be seen: then it is neither
    over nor milder. What the model spares is extra.
    """
    found = _found(candidates)
    for id, finding in open_.items():
        known = found.get(id)
        if (known is None or finding.severity.rank < known.severity.rank) and may_stand(finding):
            found[id] = Candidate.of(finding)
    spared = {one.ref for one in compiled.exemptions}
    groups: dict[tuple[FindingType, str, str], list[Candidate]] = {}
    for one in found.values():
        if one.ref in spared or not one.bounded:
            yield one.make()
        else:
            groups.setdefault((one.type, sort_of(one.ref), one.ref.namespace), []).append(one)
    for (type_, sort, namespace), group in groups.items():
        left_out: Counter[Severity] = Counter()
        for one, is_told in _chosen(group, open_):
            if is_told:
                yield one.make()
            left_out[one.severity] += not is_told
        if left_out.total():
            yield _more(compiled, namespace, sort, type_, +left_out)


def _found(candidates: Iterable[Candidate]) -> dict[str, Candidate]:
    """The worst of what is found of each object, by its id."""
    found: dict[str, Candidate] = {}
    for one in candidates:
        if one.id not in found or one.severity.rank < found[one.id].severity.rank:
            found[one.id] = one
    return found


def _chosen(group: list[Candidate], open_: Mapping[str, Finding]) -> Iterator[tuple[Candidate, bool]]:
    """Each with whether it is told: those that are open, then those of each rank, the worst first."""
    group.sort(key=lambda one: (one.id not in open_, one.rank, one.ref.kind, one.ref.name))
    all_, of_rank = 0, Counter[tuple[int, bool]]()
    for one in group:
        is_told = one.id in open_ or (all_ < MOST_OPEN and of_rank[one.rank] < MOST_TOLD)
        all_, of_rank[one.rank] = all_ + is_told, of_rank[one.rank] + is_told
        yield one, is_told


def _more(compiled: Compiled, namespace: str, sort: str, type_: FindingType, counts: Mapping[Severity, int]) -> Finding:
    ref = ObjectRef("", "Namespace", "", namespace)
    worst = min(counts, key=lambda one: one.rank)
    what = "pods and workloads" if sort == "Pod" else f"{sort}s"
    summary = (
        f"{ref} holds {roughly(sum(counts.values()))} {what} of this sort besides those that are told one by one, "
        f"{roughly(counts[worst])} of them {worst}: see who makes so many; as those that are told go, others are told"
    )
    direction = _OF_RANK.get(worst, Direction.LOOSENS)
    return shaped(compiled, type_, ref, summary, None, crosses=worst is Severity.CRITICAL, direction=direction)


def shaped(
    compiled: Compiled,
    type_: FindingType,
    ref: ObjectRef,
    summary: str,
    witness: Witness | None,
    *,
    crosses: bool | None,
    direction: Direction = Direction.LOOSENS,
) -> Finding:
    """A finding that nobody has to judge: how an object looks is enough."""
    scope = scope_of(ref)
    governed = compiled.governed.get(scope.namespace)
    return Finding(
        id=finding_id(compiled.cluster, type_, ref),
        type=type_,
        ref=ref,
        scope=scope if governed else CLUSTER,
        tenant=governed.tenant if governed else "",
        direction=direction,
        severity=severity(direction, crosses_tenant=crosses),
        summary=summary,
        origin=governed.origin if governed else None,
        witness=witness,
        claimed_by=NOBODY,
        dialect=compiled.dialect,
    )
