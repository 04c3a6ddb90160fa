"""Endpoint classes: pods that no policy in use can tell apart, and ranges of outside addresses, one bit each.

An `Endpoints` only ever grows: a class, once made, means the same for ever, so that bitsets and everything computed
from them stay true for older snapshots. A pod whose labels change moves to another class; a new label key or a new
CIDR edge moves the pods it tells apart.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, TypeVar

from driftd.policy.reach.addresses import IPV4, IPV6, NOWHERE, V6_BASE, Ranges, address
from driftd.policy.reach.pods import NamedPorts, Pod
from driftd.policy.reach.relation import of_positions
from driftd.policy.reach.selectors import LabelIndex
from driftd.policy.reach.spans import Span

Labels = tuple[tuple[str, str], ...]
IN_NAMESPACE: Final = "pcns."
"""Before the key of a namespace's label among those of pods, as Calico writes it."""
_Key = TypeVar("_Key")


@dataclass(frozen=True, slots=True)
class PodClass:
    """What the members share: `home` is their namespace's record, `labels` holds only keys that a selector mentions."""

    namespace: str
    home: int
    account: str
    account_labels: Labels
    labels: Labels
    host_network: bool
    ports: NamedPorts

    @property
    def but_for_labels(self) -> tuple[object, ...]:
        """All but the labels."""
        place = (self.namespace, self.home, self.account, self.account_labels)
        return (*place, self.host_network, self.ports)

    def __str__(self) -> str:
        labels = ",".join(f"{key}={value}" for key, value in self.labels)
        return f"{self.namespace}/[{labels}]"


@dataclass(frozen=True, slots=True)
class Outside:
    """A range of addresses that all CIDRs in use treat alike, as far as no pod holds them."""

    low: int
    high: int

    def __str__(self) -> str:
        return str(Ranges(((self.low, self.high),)))


EndpointClass = PodClass | Outside


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Address ranges of the cluster, as far as known: they place pods and nodes whose addresses are not.

    `services` are virtual addresses, of which the dialect says whether a CIDR matches them. A judge of findings leaves
    them out: taken for plain addresses, they make a CIDR open at most too much.
    """

    pods: Ranges = NOWHERE
    nodes: Ranges = NOWHERE
    services: Ranges = NOWHERE


class Endpoints:
    """All classes so far, with the indexes that policies are evaluated on. Grows only; one thread at a time."""

    def __init__(self, surroundings: Surroundings) -> None:
        self.surroundings = surroundings
        self.classes: list[EndpointClass] = []
        self.size = 0
        self.labels = LabelIndex()
        self.namespaces = LabelIndex()
        self.accounts = LabelIndex()
        self.by_namespace: dict[str, int] = {}
        self.by_account: dict[str, int] = {}
        self.by_ports: dict[NamedPorts, int] = {}
        self.host = 0
        self.keys: set[str] = set()
        self.nodes = surroundings.nodes
        self.blurred: dict[str, set[str]] = {}
        """For each namespace, the keys of labels with which it was met in several ways and that nobody asks for yet."""
        self._homes: dict[str, list[tuple[int, Labels]]] = {}
        self._home_members: list[int] = []
        self._accounts: dict[Labels, int] = {}
        self._account_members: list[int] = []
        self._by_key: dict[tuple[object, ...], tuple[int, ...]] = {}
        self._addresses: dict[int, tuple[int, ...]] = {}
        self._hulls: dict[int, list[int]] = {}
        self._sorted: tuple[list[Span], list[Span]] = ([], [])
        self._having: list[int] = [0, 0]
        self._placeless = 0
        self._edges: list[int] = []
        self._starts: list[int] = []
        self._current: list[int] = []
        self._split: list[tuple[int, int, int]] = []
        for low, high in (IPV4.spans[0], IPV6.spans[0]):
            self._starts.append(low)
            self._current.append(self._append(Outside(low, high)))

    # -- growing ---------------------------------------------------------------------------------------------------

    def _append(self, endpoint: EndpointClass) -> int:
        self.classes.append(endpoint)
        self.size += 1
        return self.size - 1

    def meet_nodes(self, found: Ranges) -> bool:
        """Remember addresses of nodes; whether any is new."""
        if self.nodes.covers(found):
            return False
        self.nodes = self.nodes | found
        return True

    def home(self, namespace: str, labels: Labels) -> int:
        """The record of a namespace that has these labels: a new one only if a condition in use can tell.

        Owners relabel namespaces at will: were that to make new classes of all its pods each time, every bitset would
        grow with it.
        """
        known = self._homes.setdefault(namespace, [])
        for position, first in known:
            differing = {key for key, _ in set(first) ^ set(labels)}
            if not any(IN_NAMESPACE + key in self.keys for key in differing):
                if differing:
                    self.blurred.setdefault(namespace, set()).update(differing)
                return position
        position = self.namespaces.add(dict(labels))
        known.append((position, labels))
        self._home_members.append(0)
        return position

    def place(self, pod: Pod, home: int, account: Labels) -> int:
        """The class of a pod, made if there is none yet. `home`: the record of its namespace."""
        keys = self.keys
        key = (
            pod.namespace,
            home,
            pod.service_account,
            account,
            tuple(sorted([item for item in pod.labels.items() if item[0] in keys])),
            pod.host_network,
            pod.ports,
        )
        addresses = tuple(sorted([address(ip) for ip in pod.ips]))
        known = self._by_key.get(key, ())
        for found in known:
            if self._alike(self._addresses.get(found, ()), addresses):
                if addresses:
                    self._widen(found, addresses)
                return found
        found = self._new_class(PodClass(*key), addresses)
        self._by_key[key] = (*known, found)
        return found

    def _new_class(self, key: PodClass, addresses: tuple[int, ...]) -> int:
        found = self._append(key)
        bit = 1 << found
        self.labels.put(found, dict(key.labels))
        _mark(self.by_namespace, key.namespace, bit)
        _mark(self.by_account, key.account, bit)
        if key.ports:
            _mark(self.by_ports, key.ports, bit)
        if key.host_network:
            self.host |= bit
        self._home_members[key.home] |= bit
        self._account_member(key.account_labels, bit)
        if addresses:
            self._addresses[found] = addresses
            self._hulls[found] = [point for at in addresses for point in (at, at)]
        else:
            self._placeless |= bit
        for at in addresses:
            family = int(at >= V6_BASE)
            insort(self._sorted[family], (at, found))
            self._having[family] |= bit
        return found

    def _account_member(self, labels: Labels, bit: int) -> None:
        position = self._accounts.get(labels)
        if position is None:
            self._accounts[labels] = self.accounts.add(dict(labels))
            self._account_members.append(bit)
        else:
            self._account_members[position] |= bit

    def _alike(self, left: tuple[int, ...], right: tuple[int, ...]) -> bool:
        if len(left) != len(right):
            return False
        edges = self._edges
        return all(
            a == b or ((a < V6_BASE) == (b < V6_BASE) and bisect_right(edges, a) == bisect_right(edges, b))
            for a, b in zip(left, right, strict=True)
        )

    def _widen(self, found: int, addresses: tuple[int, ...]) -> None:
        hull = self._hulls[found]
        for index, at in enumerate(addresses):
            if at < hull[2 * index]:
                hull[2 * index] = at
            elif at > hull[2 * index + 1]:
                hull[2 * index + 1] = at

    def cut(self, edges: Iterable[int]) -> int:
        """Make edges count: outside classes are split there.

        Returns the pod classes with members that may be on different sides of one, which must be placed anew.
        """
        wanted = sorted(edges)
        new = sorted(set(wanted).difference(self._edges))
        if new:
            self._edges = sorted([*self._edges, *new])
            self._cut_outside(new)
        torn = 0
        if wanted:
            for found, hull in self._hulls.items():
                for index in range(0, len(hull), 2):
                    low, high = hull[index], hull[index + 1]
                    if low != high and bisect_right(wanted, low) != bisect_right(wanted, high):
                        torn |= 1 << found
        return torn

    def _cut_outside(self, new: list[int]) -> None:
        by_range: dict[int, list[int]] = {}
        for edge in new:
            by_range.setdefault(bisect_right(self._starts, edge) - 1, []).append(edge)
        starts: list[int] = []
        current: list[int] = []
        for index, old in enumerate(self._current):
            edges = by_range.get(index)
            endpoint = self.classes[old]
            if not edges or not isinstance(endpoint, Outside):
                starts.append(self._starts[index])
                current.append(old)
                continue
            insort(self._split, (endpoint.low, endpoint.high, old))
            bounds = [endpoint.low, *edges, endpoint.high + 1]
            for low, after in pairwise(bounds):
                starts.append(low)
                current.append(self._append(Outside(low, after - 1)))
        self._starts, self._current = starts, current

    def worn(self, places: Iterable[int]) -> set[tuple[str, str]]:
        """The labels that any of some pod classes carries, of those that count."""
        found: set[tuple[str, str]] = set()
        for place in places:
            found.update(getattr(self.classes[place], "labels", ()))
        return found

    def points(self, places: Iterable[int]) -> list[int] | None:
        """The addresses of some classes, ascending; None where one is a range, or none is known of one."""
        found: list[int] = []
        for place in places:
            addresses = self._addresses.get(place)
            if not addresses:
                return None
            found.extend(addresses)
        return sorted(found)

    def placed_alike(self, left: int, right: int) -> bool:
        """Whether no range in use tells the addresses of two pod classes apart."""
        return self._alike(self._addresses.get(left, ()), self._addresses.get(right, ()))

    # -- asking ----------------------------------------------------------------------------------------------------

    def outside(self) -> int:
        """The current outside classes."""
        return of_positions(self._current)

    def outside_at(self, point: int, live: int) -> int:
        """The outside class among `live` that holds an address."""
        current = self._current[bisect_right(self._starts, point) - 1]
        if live >> current & 1:
            return current
        for low, high, old in self._split:
            if live >> old & 1 and low <= point <= high:
                return old
        return current

    def in_namespaces(self, selected: int) -> int:
        """Classes of the namespace records in a bitset over `namespaces`."""
        return _spread(selected, self._home_members)

    def in_accounts(self, selected: int) -> int:
        """Classes of the service account label sets in a bitset over `accounts`."""
        return _spread(selected, self._account_members)

    def outside_in(self, ranges: Ranges) -> int:
        """Outside classes, older ones too, that lie wholly within the addresses."""
        found = 0
        others: list[int] = []
        for low, high in ranges.spans:
            first = bisect_left(self._starts, low)
            last = bisect_right(self._starts, high)
            members = self._current[first:last]
            if members and members[-1] - members[0] == len(members) - 1:
                found |= ((1 << len(members)) - 1) << members[0]
            else:
                others += members
            older = self._split[bisect_left(self._split, (low, 0, 0)) : bisect_left(self._split, (high + 1, 0, 0))]
            others += [position for _, end, position in older if end <= high]
        return found | of_positions(others) if others else found

    def pods_in(self, ranges: Ranges, *, listed: bool = False) -> tuple[int, int]:
        """Pod classes by address: those with every address within, and those with at least one, perhaps, within.

        A pod whose address is not known is perhaps within, unless they are `listed`.
        """
        inside = [0, 0]
        for low, high in ranges.spans:
            family = int(low >= V6_BASE)
            inside[family] |= self._between(family, low, high)
        four, six = self._having
        somewhere = inside[0] | inside[1]
        wholly = (four | six) & (inside[0] | ~four) & (inside[1] | ~six)
        if self._placeless and not listed:
            for bits, place in (
                (self._placeless & ~self.host, self.surroundings.pods),
                (self._placeless & self.host, self.surroundings.nodes),
            ):
                if bits and place and ranges.covers(place):
                    wholly |= bits
                if bits and (ranges.meets(place) if place else bool(ranges)):
                    somewhere |= bits
        return wholly, somewhere

    def _between(self, family: int, low: int, high: int) -> int:
        entries = self._sorted[family]
        first, last = bisect_left(entries, (low, 0)), bisect_right(entries, (high, self.size))
        if first == last:
            return 0
        if last - first == len(entries):
            return self._having[family]
        return of_positions([position for _, position in entries[first:last]])


def _mark(index: dict[_Key, int], key: _Key, bit: int) -> None:
    index[key] = index.get(key, 0) | bit


def _spread(selected: int, members: list[int]) -> int:
    found = 0
    while selected:
        low = selected & -selected
        found |= members[low.bit_length() - 1]
        selected ^= low
    return found


def labels_of(labels: Mapping[str, str]) -> Labels:
    """Labels as a key: sorted pairs."""
    return tuple(sorted(labels.items()))
