"""Who reaches whom, as a table: one cell an ordered pair of groups, with exact connections, and what lies outside.

Pairs are found from whichever side names few peers, so the work follows the flows that exist and not the square of
the cluster.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from driftd.policy.reach.addresses import Ranges, blocks, of_ranges
from driftd.policy.reach.dialects import Dialect
from driftd.policy.reach.endpoints import Outside
from driftd.policy.reach.flows import Tenancy
from driftd.policy.reach.inventory import NamespaceView
from driftd.policy.reach.policies import Flow
from driftd.policy.reach.ports import ALL, NONE, PortSet
from driftd.policy.reach.relation import FULL, Relation, at, meet, of_pairs, of_positions, positions
from driftd.policy.reach.snapshot import Snapshot

_NARROW: Final = 256


class Grouping(StrEnum):
    """What a row or column of the matrix stands for."""

    WORKLOAD = "workload"
    ENVIRONMENT = "environment"
    TENANT = "tenant"


@dataclass(frozen=True, slots=True)
class Cell:
    """Connections that some member of `source` can open to some member of `target`."""

    source: str
    target: str
    must: PortSet
    may: PortSet


@dataclass(frozen=True, slots=True)
class External:
    """Connections between members of a group and outside addresses that policies treat alike."""

    group: str
    flow: Flow
    blocks: tuple[str, ...]
    must: PortSet
    may: PortSet


@dataclass(frozen=True, slots=True)
class Matrix:
    """Cells with any connection, in order of their names; an absent pair has none."""

    by: Grouping
    groups: tuple[str, ...]
    cells: tuple[Cell, ...]
    external: tuple[External, ...]
    dialect: Dialect

    def cell(self, source: str, target: str) -> Cell:
        """The cell of a pair, empty if nothing passes."""
        found = (cell for cell in self.cells if (cell.source, cell.target) == (source, target))
        return next(found, Cell(source, target, NONE, NONE))


def matrix(snapshot: Snapshot, by: Grouping, tenants: Tenancy | None = None, traffic: PortSet = ALL) -> Matrix:
    """The matrix of a snapshot. Connections outside of `traffic` are left out.

    `tenants` is needed for `Grouping.TENANT`; namespaces of the platform ("") stand as a group "(platform)".
    """
    groups = _Groups(snapshot, by, tenants or Tenancy({}))
    may = _Bound(snapshot, groups, traffic, must=False)
    must = may if may.certain else _Bound(snapshot, groups, traffic, must=True)
    cells = tuple(
        Cell(source, target, must.cells.get((source, target), NONE), traffic)
        for (source, target), traffic in sorted(may.cells.items())
    )
    external = tuple(_externals(snapshot, must, may))
    return Matrix(by, groups.names(), cells, external, snapshot.dialect)


class _Groups:
    """The names of the groups that each class belongs to."""

    def __init__(self, snapshot: Snapshot, by: Grouping, tenants: Tenancy) -> None:
        self._of: dict[int, tuple[str, ...]] = {}
        self._lonely: set[tuple[str, int]] = set()
        for view in snapshot.namespaces.values():
            if by is Grouping.WORKLOAD:
                members: dict[int, Counter[str]] = {}
                for name, position in view.classes.items():
                    members.setdefault(position, Counter())[f"{view.name}/{view.pods[name].workload}"] += 1
            else:
                name = view.name if by is Grouping.ENVIRONMENT else tenants.tenant(view.name) or "(platform)"
                members = {position: Counter({name: count}) for position, count in view.counts.items()}
            for position, counts in members.items():
                self._of[position] = tuple(sorted(counts))
                self._lonely.update((name, position) for name, count in counts.items() if count == 1)
        self._bits: dict[str, int] = {}
        for position, names in self._of.items():
            for name in names:
                self._bits[name] = self._bits.get(name, 0) | (1 << position)

    def only_itself(self, name: str, sources: int, targets: int) -> bool:
        """Whether all that a group's part of two sets has in common is one pod with itself."""
        mine = sources & self._bits[name]
        if mine != targets & self._bits[name] or mine & (mine - 1):
            return False
        return (name, mine.bit_length() - 1) in self._lonely

    def of(self, position: int) -> tuple[str, ...]:
        return self._of.get(position, ())

    def of_bits(self, bits: int) -> set[str]:
        return {name for position in positions(bits) for name in self.of(position)}

    def names(self) -> tuple[str, ...]:
        return tuple(sorted({name for names in self._of.values() for name in names}))


@dataclass(frozen=True, slots=True)
class _Party:
    """Classes that share plans, with what their policies let them exchange."""

    bits: int
    relation: Relation


class _Bound:
    """The cells for one end of the interval."""

    def __init__(self, snapshot: Snapshot, groups: _Groups, traffic: PortSet, *, must: bool) -> None:
        self._snapshot = snapshot
        self._groups = groups
        self._must = must
        self._within = FULL if traffic is ALL else of_pairs(((traffic, -1),))
        self._pods = snapshot.live & snapshot.core.endpoints.labels.everything
        self._outside = snapshot.live & ~self._pods
        self.certain = True
        self.cells: dict[tuple[str, str], PortSet] = {}
        self.external: dict[tuple[str, Flow], list[tuple[PortSet, int]]] = {}
        self._senders: list[_Party] = []
        self._receivers: list[_Party] = []
        self._by_class: tuple[dict[int, Relation], dict[int, Relation]] = ({}, {})
        for view in snapshot.namespaces.values():
            self._take(view)
        self._outward(self._senders, Flow.EGRESS)
        self._outward(self._receivers, Flow.INGRESS)
        self._narrow_receivers()
        self._narrow_senders()
        self._wide()

    def _take(self, view: NamespaceView) -> None:
        for plans, places in view.groups.items():
            bits = of_positions(places)
            for side, parties in ((0, self._receivers), (1, self._senders)):
                verdict = self._snapshot.core.verdict(plans[side])
                self.certain = self.certain and verdict.must is verdict.may
                relation = meet(verdict.must if self._must else verdict.may, self._within)
                parties.append(_Party(bits, relation))
                self._by_class[side].update(dict.fromkeys(places, relation))

    def _outward(self, parties: list[_Party], flow: Flow) -> None:
        for party in parties:
            found = [(ports, bits & self._outside) for ports, bits in party.relation if bits & self._outside]
            if found:
                for name in self._groups.of_bits(party.bits):
                    self.external.setdefault((name, flow), []).extend(found)

    def _narrow(self, bits: int) -> bool:
        return (bits & self._pods).bit_count() <= _NARROW

    def _narrow_receivers(self) -> None:
        """Receivers that name few sources: look at each source."""
        for party in self._receivers:
            for into, sources in party.relation:
                if sources and self._narrow(sources):
                    for source in positions(sources & self._pods):
                        for out, targets in self._by_class[1][source]:
                            self._meet(1 << source, party.bits & targets, into, out)

    def _narrow_senders(self) -> None:
        """Senders that name few targets, of which these in turn are not particular about sources."""
        for party in self._senders:
            for out, targets in party.relation:
                if targets and self._narrow(targets):
                    for target in positions(targets & self._pods):
                        for into, sources in self._by_class[0][target]:
                            if not self._narrow(sources):
                                self._meet(party.bits & sources, 1 << target, into, out)

    def _wide(self) -> None:
        """Neither side is particular: whole sets against whole sets."""
        senders, receivers = self._wide_parts(self._senders), self._wide_parts(self._receivers)
        for (out, targets), sending in senders.items():
            for (into, sources), receiving in receivers.items():
                self._meet(sending & sources, receiving & targets, into, out)

    def _wide_parts(self, parties: list[_Party]) -> Mapping[tuple[PortSet, int], int]:
        found: dict[tuple[PortSet, int], int] = {}
        for party in parties:
            for part in party.relation:
                if not self._narrow(part[1]):
                    found[part] = found.get(part, 0) | party.bits
        return found

    def _meet(self, sources: int, targets: int, into: PortSet, out: PortSet) -> None:
        if not sources or not targets:
            return
        traffic = into & out
        if not traffic:
            return
        names = self._groups.of_bits(targets)
        for source in self._groups.of_bits(sources):
            for target in names:
                if source == target and self._groups.only_itself(source, sources, targets):
                    continue
                have = self.cells.get((source, target))
                self.cells[source, target] = traffic if have is None else have | traffic


def _externals(snapshot: Snapshot, must: _Bound, may: _Bound) -> Iterator[External]:
    """Per group and direction, addresses with equal traffic together: disjoint blocks."""
    for (group, flow), pairs in sorted(may.external.items()):
        together: dict[tuple[PortSet, PortSet], int] = {}
        possible, sure = of_pairs(pairs), of_pairs(must.external.get((group, flow), ()))
        everything = 0
        for _, bits in possible:
            everything |= bits
        for position in positions(everything):
            traffic = (at(sure, position), at(possible, position))
            together[traffic] = together.get(traffic, 0) | (1 << position)
        for (must_traffic, may_traffic), bits in together.items():
            yield External(group, flow, blocks(_ranges(snapshot, bits)), must_traffic, may_traffic)


def _ranges(snapshot: Snapshot, bits: int) -> Ranges:
    classes = snapshot.core.endpoints.classes
    return of_ranges(
        (endpoint.low, endpoint.high)
        for position in positions(bits)
        if isinstance(endpoint := classes[position], Outside)
    )
