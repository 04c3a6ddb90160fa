"""Compare one scope: digests first, keyed set difference, closed and open worlds; what is not known stays unknown."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date

from driftd.compile import Compiled, Exempt, GovernedNamespace
from driftd.drift.findings import Teller
from driftd.drift.foreign import Bystanders
from driftd.drift.marks import foreign_finalizers, is_emptied
from driftd.drift.meaning import JUDGED, UNJUDGED, Difference, Judge
from driftd.drift.state import LiveScope
from driftd.drift.twin import SUFFIX, has_twin, twin_of, twin_ref
from driftd.policy.kinds import DEFAULT_TIER, EVALUATED_NAMES, KINDS, Coverage, Kind, World, kinds_under, other_spelling
from driftd.values import CLUSTER, Desired, Finding, FindingType, Live, ObjectRef, Scope, kind_name

_MAY_BE_EXEMPT = frozenset({FindingType.MODIFIED, FindingType.UNEXPECTED, FindingType.FOREIGN})


@dataclass(frozen=True, slots=True)
class Comparison:
    """What is known of one scope.

    `unknown` names the kinds that could not be judged: of these nothing is said, neither "missing" nor "clean".
    `to_prove` are canonical objects that the mirror does not hold and no GET has proved absent yet. `exempted` are the
    exemptions that hid something today. `findings` are in a stable order; `differences` has the two sides of those
    that lie between two objects, by finding id and in the order of findings: what `report` and `plan` need.
    """

    scope: Scope
    findings: tuple[Finding, ...] = ()
    differences: Mapping[str, Difference] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()
    to_prove: tuple[ObjectRef, ...] = ()
    exempted: tuple[Exempt, ...] = ()

    @property
    def leaving(self) -> bool:
        """The namespace is being deleted: that is the one finding, and nothing is known of what it still holds."""
        home = ObjectRef("", "Namespace", "", self.scope.namespace)
        return any(one.type is FindingType.TERMINATING and one.ref == home for one in self.findings)

    @property
    def clean(self) -> bool:
        """Everything is known and nothing differs."""
        return not (self.findings or self.unknown or self.to_prove)


def compare(
    compiled: Compiled,
    governed: GovernedNamespace,
    live: LiveScope,
    today: date,
    *,
    orphaned: bool = False,
    judge: Judge | None = None,
) -> Comparison:
    """Compare a governed namespace with what the mirrors hold of it (D2, D4, D6).

    Only digests are compared, so `governed` and `live` must have been made with the same `Coverage`. `orphaned` says
    that its environment is gone from the model and `governed` is its last canonical state. Exemptions count through
    the whole day (UTC) they name. A tenant's own policy that `tenant_policies` lets stand by its effect is tolerated;
    it is unexpected for as long as `judge` does not know what it does.
    """
    teller = Teller(compiled, governed, live.scope)
    kinds = kinds_under(compiled.dialect)
    blind = frozenset(live.not_ready) & EVALUATED_NAMES.union(kind_name(*key) for key in kinds)
    home = ObjectRef("", "Namespace", "", governed.name)
    found = live.objects.get(home)
    if found is not None and found.terminating:
        return Comparison(live.scope, (teller.leaving(found),), unknown=tuple(sorted(blind)))
    exempt = {one.ref: one for one in compiled.exemptions if today <= one.until}
    survey = _Survey(compiled, governed, live, home)
    differences: list[Difference] = []
    exempted: list[Exempt] = []
    judged_only = [Difference(FindingType.FOREIGN, one.ref, None, one) for one in live.evaluated]
    for one in (*survey.differences(), *judged_only):
        if _is_blind(one.ref, blind):
            continue
        if one.ref in exempt and one.type in _MAY_BE_EXEMPT:
            exempted.append(exempt[one.ref])
        else:
            differences.append(one)
    told = _told(teller, governed, live, differences, judge) if differences else {}
    findings = [finding for finding, _ in told.values()]
    findings.extend(_of_the_scope(teller, live, found, orphaned=orphaned))
    findings.extend(teller.unknown_kind(one) for ref, one in live.objects.items() if _is_of_another_layer(ref, kinds))
    findings.sort(key=lambda finding: (finding.ref, finding.type))
    return Comparison(
        scope=live.scope,
        findings=tuple(findings),
        differences={finding.id: told[finding.id][1] for finding in findings if finding.id in told},
        unknown=tuple(sorted(blind)),
        to_prove=tuple(ref for ref in survey.unproved if not _is_blind(ref, blind)),
        exempted=tuple(exempted),
    )


def _told(
    teller: Teller,
    governed: GovernedNamespace,
    live: LiveScope,
    differences: Sequence[Difference],
    judge: Judge | None,
) -> dict[str, tuple[Finding, Difference]]:
    judged = [one for one in differences if one.type in JUDGED]
    judgements = judge(governed, live, judged) if judge is not None and judged else {}
    told: dict[str, tuple[Finding, Difference]] = {}
    for one in differences:
        finding = teller.tell(one, judgements.get(one.ref, UNJUDGED))
        told[finding.id] = (finding, one if finding.type is one.type else replace(one, type=finding.type))
    return told


def _of_the_scope(teller: Teller, live: LiveScope, found: Live | None, *, orphaned: bool) -> Iterator[Finding]:
    """Findings that are about the namespace as a whole, or about kinds nobody here understands."""
    if orphaned:
        yield teller.orphaned()
    known = live.namespace_uid_known
    if found is not None and known is not None and known != found.uid:
        yield teller.recreated(found, known)
    for one in live.unknown:
        yield teller.unknown_kind(one)


def _is_blind(ref: ObjectRef, blind: frozenset[str]) -> bool:
    return bool(blind) and kind_name(ref.group, ref.kind) in blind


def _is_of_another_layer(ref: ObjectRef, kinds: Mapping[tuple[str, str], Kind]) -> bool:
    """Whether driftd knows the kind, but not as one of this cluster's network layer: it may not even be enforced."""
    key = ref.group, ref.kind
    return key in KINDS and key not in kinds


class _Survey:
    """One walk over both sides of a scope."""

    def __init__(self, compiled: Compiled, governed: GovernedNamespace, live: LiveScope, home: ObjectRef) -> None:
        self._compiled = compiled
        self._kinds = kinds_under(compiled.dialect)
        self._coverage: Coverage = compiled.coverage
        self._governed = governed
        self._live = live
        self._home = home
        self._bystanders = Bystanders(compiled)
        self._named_otherwise: set[ObjectRef] = set()
        self.unproved: list[ObjectRef] = []

    def differences(self) -> list[Difference]:
        wanted, found = self._governed.objects, self._live.objects
        differences: list[Difference] = []
        absent: list[Desired] = []
        going: list[ObjectRef] = []
        for ref, desired in wanted.items():  # hot: every object of the cluster passes here each cycle
            present = found.get(ref) or self._spelled_otherwise(desired)
            if present is None:
                absent.append(desired)
                continue
            if present.digest != desired.digest:
                differences.append(Difference(FindingType.MODIFIED, present.ref, desired, present))
            if present.terminating:
                differences.append(Difference(FindingType.TERMINATING, present.ref, desired, present))
                going.append(ref)
            elif present.finalized and foreign_finalizers(present):
                differences.append(Difference(FindingType.FINALIZER, present.ref, desired, present))
        if absent:
            differences.extend(self._missing(absent))
        if self._governed.closed and len(found) > len(wanted) - len(absent):
            differences.extend(self._extra(frozenset(going).union(one.ref for one in absent)))
        return differences

    def _spelled_otherwise(self, desired: Desired) -> Live | None:
        """A canonical policy of Calico's `default` tier under its other spelling, which is the same policy."""
        other = other_spelling(desired.ref)
        present = None if other is None or other in self._governed.objects else self._live.objects.get(other)
        if present is None or (desired.body()["spec"].get("tier") or DEFAULT_TIER) != DEFAULT_TIER:
            return None
        self._named_otherwise.add(present.ref)
        return present

    def _missing(self, absent: Iterable[Desired]) -> Iterator[Difference]:
        """Canonical objects that nobody has. A namespace proved absent proves it for all that it would hold."""
        proved = self._live.proved_absent
        homeless = self._home in proved and self._home not in self._live.objects
        if homeless and not self._may_create():
            yield Difference(FindingType.MISSING, self._home, self._governed.objects.get(self._home), None)
            return
        for desired in absent:
            if homeless or desired.ref in proved:
                yield Difference(FindingType.MISSING, desired.ref, desired, None)
            else:
                self.unproved.append(desired.ref)

    def _may_create(self) -> bool:
        return self._governed.lifecycle == "create" and self._home in self._governed.objects

    def _extra(self, needed: frozenset[ObjectRef]) -> Iterator[Difference]:
        """Objects of closed kinds that the model does not name, and twins; `needed` are those a twin stands in for."""
        wanted = self._governed.objects
        for ref, present in self._live.objects.items():
            if ref in wanted or ref in self._named_otherwise:
                continue
            kind = self._kinds.get((ref.group, ref.kind))
            if kind is None:
                continue
            if self._live.scope == CLUSTER and not self._twin_or_ours(ref, present):
                if self._bystanders.concerns_us(present):
                    yield Difference(FindingType.FOREIGN, ref, None, present)
            elif kind.world is World.CLOSED:
                yield from self._one_extra(ref, present, needed)

    def _twin_or_ours(self, ref: ObjectRef, present: Live) -> bool:
        return self._bystanders.is_ours(present) or (ref.name.endswith(SUFFIX) and ref in self._twins())

    def _one_extra(self, ref: ObjectRef, present: Live, needed: frozenset[ObjectRef]) -> Iterator[Difference]:
        if ref.name.endswith(SUFFIX) and (original := self._twins().get(ref)) is not None:
            twin = twin_of(original, self._coverage)
            same = present.digest == twin.digest
            if original.ref in needed:
                if not same:
                    yield Difference(FindingType.MODIFIED, ref, twin, present)
                return
            if same:
                yield Difference(FindingType.UNEXPECTED, ref, twin, present)
                return
        yield Difference(self._shape(present), ref, None, present)

    def _twins(self) -> Mapping[ObjectRef, Desired]:
        """Whose twin a name would be. Rarely asked: only when an object of such a name is there."""
        return {twin_ref(ref): desired for ref, desired in self._governed.objects.items() if has_twin(ref)}

    def _shape(self, present: Live) -> FindingType:
        if present.terminating and foreign_finalizers(present) and is_emptied(present, self._coverage):
            return FindingType.UNDELETABLE
        return FindingType.UNEXPECTED
