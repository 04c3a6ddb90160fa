"""The comparison of a command: every governed namespace, by the very functions that the daemon judges with."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby

from driftd.cli.live import Gap, LiveState
from driftd.cli.meaning import meanings
from driftd.compile import Compiled, Exempt, GovernedNamespace
from driftd.drift import Comparison, Difference, Judgement, LiveScope, compare, report
from driftd.policy.kinds import KINDS, Coverage, MalformedObject, digest_of, kind_of
from driftd.values import PROVENANCE, TENANT, Finding, FindingType, Live, ObjectRef, Scope, kind_name, scope_of

_REPORTED = frozenset({FindingType.MISSING, FindingType.MODIFIED, FindingType.UNEXPECTED})


@dataclass(frozen=True, slots=True)
class Judged:
    """One finding with the two sides it lies between (None where it lies between no two) and its namespace."""

    finding: Finding
    difference: Difference | None
    governed: GovernedNamespace


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is known of all scopes that were asked for.

    `unmarked` are those of the findings' objects that lack nothing but driftd's own marks: driftd has not taken them
    over yet. They are drift like any other, since provenance is covered (D1) and the daemon calls them so.
    """

    namespaces: int
    compared: int
    findings: tuple[Judged, ...]
    gaps: tuple[Gap, ...]
    exempted: tuple[Exempt, ...]
    unmarked: tuple[ObjectRef, ...]

    @property
    def unknown(self) -> bool:
        return bool(self.gaps)

    @property
    def tolerated(self) -> int:
        """How many of the findings a plan lets stand: they are told, and are no drift."""
        return sum(one.finding.type is FindingType.TOLERATED for one in self.findings)

    @property
    def drift(self) -> bool:
        return len(self.findings) > self.tolerated


def judge(
    compiled: Compiled,
    live: LiveState,
    today: date,
    *,
    namespaces: Collection[str] | None = None,
    kinds: Collection[str] | None = None,
    step: Callable[[str], None] = lambda _namespace: None,
) -> Verdict:
    """Compare what the model governs with what was read.

    `namespaces` and `kinds` narrow the question; nothing is said of the rest. `step` is told what is done.
    """
    narrow = frozenset() if kinds is None else frozenset(kind_name(*key) for key in KINDS) - frozenset(kinds)
    scopes = _by_scope(live.objects.values())
    foreign = _by_scope(live.unknown if kinds is None else ())
    findings: list[Judged] = []
    gaps = list(live.gaps)
    exempted: list[Exempt] = []
    unmarked: list[ObjectRef] = []
    asked = [one for one in compiled.every_scope() if namespaces is None or one.name in namespaces]
    seen = [_seen(governed, scopes, foreign, live, narrow) for governed in asked]
    for (governed, _), comparison in zip(seen, _compared(compiled, seen, live, today, step), strict=True):
        exempted += comparison.exempted
        gaps += _unproved(governed.scope, comparison)
        for judged in _judged(comparison, governed, compiled.coverage):
            findings.append(judged)
            if is_only_unmarked(judged, compiled.coverage):
                unmarked.append(judged.finding.ref)
    gaps += [
        Gap(str(one.ref), f"of group {one.ref.group} holds for the whole cluster and cannot be judged")
        for one in foreign.get(Scope(""), ())
    ]
    return Verdict(
        namespaces=sum(bool(one.name) for one in asked),
        compared=sum(len(one.objects) for one in asked),
        findings=tuple(findings),
        gaps=tuple(gaps),
        exempted=tuple(exempted),
        unmarked=tuple(unmarked),
    )


def _seen(
    governed: GovernedNamespace,
    scopes: Mapping[Scope, list[Live]],
    foreign: Mapping[Scope, list[Live]],
    live: LiveState,
    narrow: frozenset[str],
) -> tuple[GovernedNamespace, LiveScope]:
    """A scope, and what was read of it."""
    scope = governed.scope
    objects = {one.ref: one for one in scopes.get(scope, ())}
    return governed, LiveScope(
        scope=scope,
        objects=objects,
        not_ready=tuple(sorted(live.blind | narrow)),
        evaluated=() if governed.name or narrow else live.evaluated,
        unknown=tuple(foreign.get(scope, ())) if governed.name else (),
        proved_absent=_absent(governed, objects, live, narrow),
    )


def _compared(
    compiled: Compiled,
    seen: Sequence[tuple[GovernedNamespace, LiveScope]],
    state: LiveState,
    today: date,
    step: Callable[[str], None],
) -> Iterator[Comparison]:
    """Each scope, first by digests alone; what differs anywhere is then judged together, since a hole may need two."""
    found: list[Comparison] = []
    for governed, live in seen:
        step(f"comparing {governed.name or 'what has no namespace'}")
        found.append(compare(compiled, governed, live, today))
    differences = [one for comparison in found for one in comparison.differences.values()]
    if not differences:
        return iter(found)
    step(f"judging what {len(differences)} differences do")
    known = meanings(compiled, differences, state)

    def recall(_governed: GovernedNamespace, _live: LiveScope, _asked: object) -> Mapping[ObjectRef, Judgement]:
        return known

    return (
        compare(compiled, governed, live, today, judge=recall) if comparison.differences else comparison
        for (governed, live), comparison in zip(seen, found, strict=True)
    )


def is_only_unmarked(judged: Judged, coverage: Coverage) -> bool:
    """Whether an object would equal its desired one, had driftd ever written its marks there (see `Verdict`).

    One that carries another provenance, or has lost its tenant while it keeps its provenance, was taken over and
    changed since: drift.
    """
    difference = judged.difference
    if judged.finding.type is not FindingType.MODIFIED or difference is None:
        return False
    if difference.desired is None or difference.live is None:
        return False
    wanted, found = difference.desired.body()["metadata"], difference.live.body()
    metadata = found.get("metadata") or {}
    annotations = metadata.get("annotations") or {}
    if PROVENANCE in annotations:
        return False
    metadata["annotations"] = {**annotations, PROVENANCE: wanted["annotations"][PROVENANCE]}
    labels, tenant = metadata.get("labels") or {}, (wanted.get("labels") or {}).get(TENANT)
    if tenant is not None and TENANT not in labels:
        metadata["labels"] = {**labels, TENANT: tenant}
    try:
        return digest_of(kind_of(difference.ref), found, coverage) == difference.desired.digest
    except MalformedObject:
        return False


def _by_scope(lives: Sequence[Live] | Collection[Live]) -> Mapping[Scope, list[Live]]:
    def scope(live: Live) -> Scope:
        return scope_of(live.ref)

    return {
        name: list(members) for name, members in groupby(sorted(lives, key=lambda one: (scope(one), one.ref)), scope)
    }


def _absent(
    governed: GovernedNamespace, objects: Mapping[ObjectRef, Live], live: LiveState, narrow: frozenset[str]
) -> frozenset[ObjectRef]:
    """What is proved not to be there: it stands in no complete list of its kind."""
    if not live.absence_proved:
        return frozenset()
    wanted = {*governed.objects, ObjectRef("", "Namespace", "", governed.name)}
    unseen = live.blind | narrow
    return frozenset(ref for ref in wanted - objects.keys() if kind_name(ref.group, ref.kind) not in unseen)


def _unproved(scope: Scope, comparison: Comparison) -> Iterator[Gap]:
    if comparison.to_prove:
        named = ", ".join(map(str, comparison.to_prove[:3]))
        more = f" and {len(comparison.to_prove) - 3} more" if len(comparison.to_prove) > 3 else ""
        yield Gap(str(scope), f"nothing proves that these are missing, since not all could be read: {named}{more}")


def _judged(comparison: Comparison, governed: GovernedNamespace, coverage: Coverage) -> Iterator[Judged]:
    for finding in comparison.findings:
        difference = comparison.differences.get(finding.id)
        told = finding
        if finding.type in _REPORTED and difference is not None:
            told = report(finding, difference.desired, difference.live, coverage)
        yield Judged(told, difference, governed)
