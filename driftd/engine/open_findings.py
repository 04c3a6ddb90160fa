"""What is open in each scope, what was just opened and what is gone: the difference between two looks."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from driftd.telemetry import Metrics
from driftd.values import Finding, ObjectRef, Scope, Seen, kind_name


@dataclass(slots=True)
class Sift:
    """One look held against what was open before."""

    opened: list[Finding] = field(default_factory=list)
    still: list[Finding] = field(default_factory=list)
    gone: list[Finding] = field(default_factory=list)


class OpenFindings:
    """The open findings of every scope, as the store has them."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._by_scope: dict[Scope, dict[str, Finding]] = {}
        self._by_tenant: Counter[tuple[str, str]] = Counter()
        self._shown = True

    def load(self, seen: Iterable[Seen]) -> None:
        """Take over what the store holds open, at the start of a term."""
        self._by_scope.clear()
        self.join(seen)

    def join(self, seen: Iterable[Seen]) -> bool:
        """The same during a term: what is known already is newer. What is over ends with its scope's next look.

        Returns whether any was not known.
        """
        added = False
        for one in seen:
            here = self._by_scope.setdefault(one.finding.scope, {})
            if one.finding.id not in here:
                here[one.finding.id] = one.finding
                added = True
        self._count()
        return added

    def forget(self) -> None:
        """Another has led since: it may have closed what was open here, and what differs now is news."""
        self.load(())

    def hide(self) -> None:
        """The term is over: what is open now is the next leader's to say, which may be this replica again."""
        self._shown = False
        self._metrics.findings.clear()
        self._metrics.tenant_findings.clear()

    def show(self) -> None:
        """A term begins: what is open, as far as it is known by now, is told again."""
        self._shown = True
        self._count()

    def of(self, scope: Scope) -> Mapping[str, Finding]:
        return self._by_scope.get(scope, {})

    def scopes(self) -> tuple[Scope, ...]:
        """Scopes with an open finding, those with the worst first."""
        return tuple(
            sorted(self._by_scope, key=lambda scope: min(one.severity.rank for one in self.of(scope).values()))
        )

    def all(self) -> Iterator[Finding]:
        """Every open finding."""
        for found in self._by_scope.values():
            yield from found.values()

    def sift(
        self, scope: Scope, findings: Iterable[Finding], unknown: Iterable[str], unproved: Iterable[ObjectRef] = ()
    ) -> Sift:
        """Sort a look's findings. What is not known just now (a kind, an absence) is never called gone."""
        before = self._by_scope.get(scope, {})
        blind, unsure = frozenset(unknown), frozenset(unproved)
        result = Sift()
        now = {finding.id: finding for finding in findings}
        for id, finding in now.items():
            (result.still if id in before else result.opened).append(finding)
        for id, finding in before.items():
            if id in now:
                continue
            hidden = kind_name(finding.ref.group, finding.ref.kind) in blind or finding.ref in unsure
            (result.still if hidden else result.gone).append(finding)
        return result

    def take(self, scope: Scope, sift: Sift) -> None:
        """Make a sift the new truth, once the store has it."""
        for finding in self._by_scope.pop(scope, {}).values():
            self._gauge(finding, -1)
        held = {finding.id: finding for finding in (*sift.still, *sift.opened)}
        if held:
            self._by_scope[scope] = held
        for finding in held.values():
            self._gauge(finding, 1)

    def judged(self, finding: Finding) -> None:
        """Its direction has become known; a finding that is closed by now is left as it is."""
        held = self._by_scope.get(finding.scope, {})
        before = held.get(finding.id)
        if before is not None:
            self._gauge(before, -1)
            held[finding.id] = finding
            self._gauge(finding, 1)

    def _gauge(self, finding: Finding, step: int) -> None:
        if not self._shown:
            return
        labels = (finding.ref.kind, finding.type.value, finding.direction.value, finding.severity.value)
        self._metrics.findings.labels(*labels).inc(step)
        key = (finding.tenant, finding.severity.value)
        self._by_tenant[key] += step
        if self._by_tenant[key] > 0:
            self._metrics.tenant_findings.labels(*key).set(self._by_tenant[key])
        elif self._by_tenant.pop(key, None) is not None:
            self._metrics.tenant_findings.remove(*key)  # tenants come and go: only what is open is told

    def _count(self) -> None:
        self._metrics.findings.clear()
        self._metrics.tenant_findings.clear()
        self._by_tenant.clear()
        for found in self._by_scope.values():
            for finding in found.values():
                self._gauge(finding, 1)
