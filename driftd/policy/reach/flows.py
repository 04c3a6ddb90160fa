"""Sets of flows: rectangles of sources, targets and traffic, named in the snapshot in which they exist."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from driftd.policy.reach.addresses import PUBLIC, Ranges
from driftd.policy.reach.endpoints import Outside, PodClass
from driftd.policy.reach.ports import NONE, PortSet
from driftd.policy.reach.relation import positions
from driftd.policy.reach.snapshot import Snapshot
from driftd.policy.reach.spans import Span
from driftd.values import Witness

_COMPARED: Final = 32
"""Rectangles of which the names are compared for a witness, and namespaces that are put in order for it."""
_ACROSS: Final = 0
"""The rank of what crosses a tenant's border."""
_INTERNET: Final = 1
"""The rank of what leads to or from the internet: after that, before the rest."""


@dataclass(frozen=True, slots=True)
class Rectangle:
    """Every flow from a source class to a target class over this traffic.

    `source` or `target` names the endpoint meant where it is one that moved into a class among others.
    """

    sources: int
    targets: int
    traffic: PortSet
    source: str = ""
    target: str = ""


@dataclass(frozen=True, slots=True)
class Flows:
    """A set of flows between classes of `snapshot`. Rectangles may overlap; their union is the set."""

    snapshot: Snapshot
    rectangles: tuple[Rectangle, ...]

    def __bool__(self) -> bool:
        return bool(self.rectangles)

    def between(self, source: int, target: int) -> PortSet:
        """The traffic of one ordered pair of classes."""
        found = NONE
        for part in self.rectangles:
            if part.sources >> source & 1 and part.targets >> target & 1:
                found = found | part.traffic
        return found

    def pairs(self) -> dict[tuple[int, int], PortSet]:
        """Every ordered pair of classes with its traffic: the set in canonical, and possibly large, form."""
        found: dict[tuple[int, int], PortSet] = {}
        for part in self.rectangles:
            for source in positions(part.sources):
                for target in positions(part.targets):
                    found[source, target] = found.get((source, target), NONE) | part.traffic
        return found

    def witnesses(self, tenants: "Tenancy", limit: int = 3, *, plain: bool = False) -> tuple[Witness, ...]:
        """The most telling flows: across tenants first, then to or from outside, then the rest; one a rectangle.

        Of equal ones those of the narrowest traffic come first; `plain`: those of the fewest labels, for imagined pods
        may carry labels that have no part in it. Then names decide, so that the order in which pods came does not
        count; where very many tell as much, it is the first names of some of them.
        """
        ranked = sorted(self._samples(tenants, plain=plain), key=lambda sample: sample[0])[:_COMPARED]
        found: dict[Witness, None] = {}
        for _, alike in groupby(ranked, key=lambda sample: sample[0][:3]):
            named = [(self._named(part, rank[0], tenants, plain=plain), rank[3]) for rank, part in alike]
            named.sort(key=lambda one: (one[0].source, one[0].target, one[1]))
            found |= dict.fromkeys(witness for witness, _ in named)
            if len(found) >= limit:
                break
        return tuple(found)[:limit]

    def crossing(self, tenants: "Tenancy") -> Iterator[tuple[int, int] | None]:
        """For each rectangle a pair of its pod classes with a tenant border between them, if there is one."""
        known: dict[int, dict[str, int]] = {}  # rectangles have their sides in common
        for part in self.rectangles:
            for side in (part.sources, part.targets):
                if side not in known:
                    known[side] = tenants.among(self.snapshot, side)
            yield _crossing(known[part.sources], known[part.targets])

    def _samples(
        self, tenants: "Tenancy", *, plain: bool
    ) -> Iterator[tuple[tuple[int, int, int, tuple[Span, ...]], Rectangle]]:
        for part, crossing in zip(self.rectangles, self.crossing(tenants), strict=True):
            rank = _ACROSS if crossing else _INTERNET if self.touches_internet(part) else 2
            pair = crossing or (_first(part.sources), _first(part.targets))
            width = sum(high - low for low, high in part.traffic.spans)
            labels = 0
            if plain:
                pair = self._plainest(pair[0], part.sources), self._plainest(pair[1], part.targets)
                labels = sum(map(self._labels, pair))
            yield (rank, labels, width, part.traffic.spans), part

    def _named(self, part: Rectangle, rank: int, tenants: "Tenancy", *, plain: bool) -> Witness:
        """The flow of a rectangle between the first names that show what gives it its rank."""
        protocol, ports = part.traffic.pieces()[0]
        home, there = self._pair(part, rank, tenants)
        source = part.source or self._first_name(part.sources, home, plain=plain)
        target = part.target or self._first_name(part.targets, there, plain=plain, other_than=source)
        return Witness(source, target, protocol, ports)

    def _pair(self, part: Rectangle, rank: int, tenants: "Tenancy") -> tuple[str, str]:
        """The first namespaces that show what gives a rectangle its rank; empty for addresses."""
        if rank == _ACROSS:
            sources, targets = self._owned(part.sources, tenants), self._owned(part.targets, tenants)
            return next((one, two) for one in sources for two in targets if tenants.apart(one, two))
        home, there = (
            "" if rank == _INTERNET and _public(self.snapshot, bits) else next(self._homes(bits), "")
            for bits in (part.sources, part.targets)
        )
        return home, there

    def _owned(self, bits: int, tenants: "Tenancy") -> list[str]:
        """The first namespace of each of the first two tenants: from anybody, one of the two is apart if any is."""
        found: dict[str, str] = {}
        for home in self._homes(bits):
            tenant = tenants.tenant(home)
            if tenant:
                found.setdefault(tenant, home)
            if len(found) > 1:
                break
        return list(found.values())

    def _homes(self, bits: int) -> Iterator[str]:
        """The namespaces of some endpoints, by name."""
        endpoints = self.snapshot.core.endpoints
        few: list[str] = []
        left = bits & endpoints.labels.everything
        while left and len(few) < _COMPARED:
            endpoint = endpoints.classes[_first(left)]
            if not isinstance(endpoint, PodClass):
                break
            few.append(endpoint.namespace)
            left &= ~endpoints.by_namespace[endpoint.namespace]
        if not left:
            yield from sorted(few)
            return
        for name in sorted(endpoints.by_namespace):
            if bits & endpoints.by_namespace[name]:
                yield name

    def _first_name(self, bits: int, home: str, *, plain: bool, other_than: str = "") -> str:
        """The first name among some endpoints: of pods of a namespace, another one if it can be, or of addresses."""
        view = self.snapshot.namespaces.get(home)
        labels: dict[str, int] = {}
        for name, at in view.classes.items() if view is not None else ():
            if view is not None and bits >> at & 1:
                one = view.pods[name]
                labels[f"{home}/{one.workload}"] = self._labels(at) + 1 if plain and one.imagined else 0
        if labels:
            return min(labels, key=lambda name: (labels[name], name == other_than, name))
        outside = sorted(positions(bits & ~self.snapshot.core.endpoints.labels.everything), key=self._low)
        public = (position for position in outside if _public(self.snapshot, 1 << position))
        return self.snapshot.describe(next(public, outside[0] if outside else _first(bits)))

    def _low(self, position: int) -> int:
        endpoint = self.snapshot.core.endpoints.classes[position]
        return endpoint.low if isinstance(endpoint, Outside) else 0

    def _plainest(self, position: int, bits: int) -> int:
        """The class of fewest labels among those of the same namespace."""
        endpoints = self.snapshot.core.endpoints
        endpoint = endpoints.classes[position]
        if not isinstance(endpoint, PodClass):
            return position
        return min(positions(bits & endpoints.by_namespace[endpoint.namespace]), key=self._labels)

    def _labels(self, position: int) -> int:
        endpoint = self.snapshot.core.endpoints.classes[position]
        return len(endpoint.labels) if isinstance(endpoint, PodClass) else 0

    def touches_internet(self, part: Rectangle) -> bool:
        return bool(_public(self.snapshot, part.sources) or _public(self.snapshot, part.targets))

    def home(self) -> str:
        """The one namespace between whose pods all flows lie; empty when a flow begins or ends elsewhere."""
        endpoints = self.snapshot.core.endpoints
        ends = 0
        for part in self.rectangles:
            ends |= part.sources | part.targets
        if not ends:
            return ""
        first = endpoints.classes[_first(ends)]
        if not isinstance(first, PodClass) or ends & ~endpoints.by_namespace[first.namespace]:
            return ""
        return first.namespace


@dataclass(frozen=True, slots=True)
class Tenancy:
    """Which tenant owns a namespace: "" for the platform's; a namespace that is not listed is a stranger's own."""

    tenants: Mapping[str, str]

    def tenant(self, namespace: str) -> str:
        return self.tenants.get(namespace, f"?{namespace}")

    def apart(self, left: str, right: str) -> bool:
        """Whether a border between tenants lies between two namespaces."""
        one, other = self.tenant(left), self.tenant(right)
        return one != other and bool(one) and bool(other)

    def among(self, snapshot: Snapshot, bits: int) -> dict[str, int]:
        """One class a tenant; two tenants are as many as anybody needs."""
        found: dict[str, int] = {}
        endpoints = snapshot.core.endpoints
        bits &= endpoints.labels.everything
        while bits and len(found) < 3:
            position = (bits & -bits).bit_length() - 1
            endpoint = endpoints.classes[position]
            if not isinstance(endpoint, PodClass):
                break
            found.setdefault(self.tenant(endpoint.namespace), position)
            bits &= ~endpoints.by_namespace[endpoint.namespace]
        return found


def _crossing(sources: Mapping[str, int], targets: Mapping[str, int]) -> tuple[int, int] | None:
    for mine, source in sources.items():
        for other, target in targets.items():
            if mine and other and mine != other:
                return source, target
    return None


def _first(bits: int) -> int:
    return (bits & -bits).bit_length() - 1


def _public(snapshot: Snapshot, bits: int) -> bool:
    endpoints = snapshot.core.endpoints
    for position in positions(bits & ~endpoints.labels.everything):
        endpoint = endpoints.classes[position]
        if isinstance(endpoint, Outside) and PUBLIC.meets(Ranges(((endpoint.low, endpoint.high),))):
            return True
    return False
