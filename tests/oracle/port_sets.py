"""NetworkPolicy asked about every port of a universe at once, for whoever compares many states that are mostly alike.

A connection is allowed where the egress side of its source and the ingress side of its target agree (networkpolicy.py
asks them one connection at a time, and is what this is checked against). Whom a rule covers depends on its peers and
its namespace, on which ports on those and on the names of the target's: that alone is remembered between states.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from tests.oracle.bodies import (
    Address,
    Body,
    Cluster,
    address_pairs,
    container_ports,
    finished,
    listed,
    name_of,
    namespace_labels,
    namespace_of,
    on_host_network,
    resolved,
    same_pod,
)
from tests.oracle.networkpolicy import (
    Connection,
    Party,
    is_own_node,
    isolating,
    peers_match,
    ports_match,
)
from tests.oracle.universe import Pairs, Ports, Universe, identity
from tests.oracle.worlds import World

NOT_ISOLATED = ()


@dataclass(frozen=True, slots=True)
class _Side:
    """An endpoint within one state: what isolates it, and all of it that policies of others can read.

    The numbers say all that an answer depends on: a side with equal ones is the same side.
    """

    name: str
    who: Body | Address = field(compare=False)
    space: str  # empty for an address
    egress: tuple[Body, ...] = field(compare=False)
    ingress: tuple[Body, ...] = field(compare=False)
    egress_id: int  # 0: not isolated
    ingress_id: int
    seen: int
    port_names: int


def _is_asked(source: _Side, target: _Side) -> bool:
    """Not two addresses, in which no policy has a say."""
    return bool(source.space or target.space)


class _Pair(NamedTuple):
    """What holds of two endpoints in every state."""

    decided: Ports | None
    own_node_of_source: bool
    own_node_of_target: bool
    addresses: list[tuple[int, Address | None, int, Address | None]]


class _Party(NamedTuple):
    """The other side of a connection, and the numbers of what policies can read of it."""

    party: Party
    seen: int
    number: int


class _Rule(NamedTuple):
    peers: list[Body] | None
    peers_id: int
    ports: list[Body] | None
    ports_id: int


class PortSets:
    """One world's answers for one universe; the pods of every state it is asked about are the same."""

    def __init__(self, world: World, universe: Universe) -> None:
        self._world = world
        self._all: Ports = frozenset(universe.ports)
        self._endpoints = universe.endpoints
        self._permitted: dict[tuple[int, int, int, int], Ports] = {}
        self._covered: dict[tuple[int, int], Ports] = {}
        self._matched: dict[tuple[int, int, int], bool] = {}
        self._rules: dict[tuple[str, str], list[_Rule]] = {}
        self._pairs: dict[tuple[str, str], _Pair] = {}
        self._numbers: dict[object, int] = {NOT_ISOLATED: 0}
        self._texts: dict[int, tuple[Body, str]] = {}  # holds the bodies, so that no id is given twice
        self._homes: dict[str, dict[str, Body | Address]] | None = None
        self._stood: dict[tuple[str, object], list[_Side]] = {}

    def open_in(self, cluster: Cluster) -> Pairs:
        """The open ports of each pair."""
        every = self._sides(cluster).values()
        asked = ((one, other) for one in every for other in every if _is_asked(one, other))
        return self._found((pair, self._between(cluster, *pair)) for pair in asked)

    def opened(self, now: Cluster, before: Cluster, canonical: Cluster) -> Pairs:
        """The ports of each pair that are open now, and are neither before nor in the canonical state.

        Only pairs are asked about of which a side is not as before and a side is not as in the canonical state: where
        both are, the answer is that of the other state.
        """
        here, there, right = self._sides(now), self._sides(before), self._sides(canonical)
        moved = {name for name, side in here.items() if side != there[name]}
        wrong = {name for name, side in here.items() if side != right[name]}
        asked = (
            (source, here[target])
            for name, source in here.items()
            for target in (here.keys() if name in moved else moved) & (here.keys() if name in wrong else wrong)
            if _is_asked(source, here[target])
        )
        return self._found((pair, self._more(pair, (now, before, canonical), there, right)) for pair in asked)

    def _more(
        self,
        pair: tuple[_Side, _Side],
        states: tuple[Cluster, Cluster, Cluster],
        before: Mapping[str, _Side],
        canonical: Mapping[str, _Side],
    ) -> Ports:
        source, target = pair
        ports = self._between(states[0], source, target)
        for state, sides in ((states[1], before), (states[2], canonical)):
            if ports:
                ports = ports - self._between(state, sides[source.name], sides[target.name])
        return ports

    @staticmethod
    def _found(answers: Iterable[tuple[tuple[_Side, _Side], Ports]]) -> Pairs:
        return {(source.name, target.name): ports for (source, target), ports in answers if ports}

    def _sides(self, cluster: Cluster) -> dict[str, _Side]:
        """Every endpoint within a state. One namespace looks the same in all states that have it alike."""
        if self._homes is None:
            self._homes = defaultdict(dict)
            for one in self._endpoints:
                who = resolved(cluster, one)
                self._homes[namespace_of(who) if isinstance(who, dict) else ""][identity(who)] = who
        local: dict[str, list[Body]] = defaultdict(list)
        for policy in cluster.policies:
            local[namespace_of(policy)].append(policy)
        spoken = {
            name_of(body): repr(sorted(namespace_labels(cluster, name_of(body)).items()))
            for body in cluster.namespaces
            if name_of(body) in self._homes
        }
        found: dict[str, _Side] = {}
        for space in self._homes:
            labels = spoken.get(space, "")
            key = (space, (labels, *(self._text(policy) for policy in local[space])))
            if key not in self._stood:
                self._stood[key] = list(self._sides_in(space, replace(cluster, policies=local[space]), labels))
            found.update((side.name, side) for side in self._stood[key])
        return found

    def _sides_in(self, space: str, near: Cluster, labels: str) -> Iterator[_Side]:
        assert self._homes is not None  # made by the caller
        for name, who in self._homes[space].items():
            if not isinstance(who, dict):
                yield _Side(name, who, "", (), (), 0, 0, self._number(("seen", name)), 0)
                continue
            egress = tuple(isolating(self._world, near, who, "Egress"))
            ingress = tuple(isolating(self._world, near, who, "Ingress"))
            yield _Side(
                name,
                who,
                space,
                egress,
                ingress,
                self._number(tuple(("egress", self._text(policy)) for policy in egress)),
                self._number(tuple(("ingress", self._text(policy)) for policy in ingress)),
                self._number(("seen", name, labels)),
                self._number(("ports", on_host_network(who), *container_ports(who))),
            )

    def _between(self, cluster: Cluster, source: _Side, target: _Side) -> Ports:
        pair = self._pairs.get((source.name, target.name)) or self._pair(source, target)
        if pair.decided is not None:
            return pair.decided
        leaves = not source.egress_id or pair.own_node_of_source
        enters = not target.ingress_id or pair.own_node_of_target
        found: Ports = frozenset()
        for from_number, from_address, to_number, to_address in pair.addresses:
            ports = self._all
            if not leaves:
                key = (source.egress_id, target.seen, to_number, target.port_names)
                known = self._permitted.get(key)
                if known is None:
                    other = _Party(Party(target.who, to_address), target.seen, to_number)
                    known = self._permitted[key] = self._permits(cluster, source.egress, "egress", other, target)
                ports = known
            if ports and not enters:
                key = (target.ingress_id, source.seen, from_number, target.port_names)
                known = self._permitted.get(key)
                if known is None:
                    other = _Party(Party(source.who, from_address), source.seen, from_number)
                    known = self._permitted[key] = self._permits(cluster, target.ingress, "ingress", other, target)
                ports = ports & known
            found |= ports
        return found

    def _pair(self, source: _Side, target: _Side) -> _Pair:
        one, other = source.who, target.who
        decided: Ports | None = None
        if (isinstance(one, dict) and finished(one)) or (isinstance(other, dict) and finished(other)):
            decided = frozenset()
        elif same_pod(one, other) and self._world.self_always:
            decided = self._all
        pair = _Pair(
            decided,
            self._world.to_own_node_always and is_own_node(self._world, one, other),
            is_own_node(self._world, other, one),
            [(self._number(mine), mine, self._number(its), its) for mine, its in address_pairs(one, other)],
        )
        self._pairs[source.name, target.name] = pair
        return pair

    def _permits(
        self, cluster: Cluster, policies: tuple[Body, ...], direction: str, other: _Party, target: _Side
    ) -> Ports:
        """The ports that some rule of some of the policies covers: only the target's port names are read of it."""
        found: Ports = frozenset()
        for policy in policies:
            for peers, peers_id, ports, ports_id in self._rules_of(policy, direction):
                covered = self._covered.get((ports_id, target.port_names))
                if covered is None:
                    covered = self._covered[ports_id, target.port_names] = self._ports(ports, other.party, target.who)
                if covered <= found:
                    continue
                match = self._matched.get((peers_id, other.seen, other.number))
                if match is None:
                    match = peers_match(self._world, cluster, policy, peers, other.party)
                    self._matched[peers_id, other.seen, other.number] = match
                if match:
                    found |= covered
        return found

    def _rules_of(self, policy: Body, direction: str) -> list[_Rule]:
        """A policy's rules, numbered by what they say of peers (the policy's namespace is part of it) and of ports."""
        key = (direction, self._text(policy))
        if key not in self._rules:
            side = "from" if direction == "ingress" else "to"
            self._rules[key] = [
                _Rule(
                    rule.get(side),
                    self._number(("peers", namespace_of(policy), repr(rule.get(side)))),
                    rule.get("ports"),
                    self._number(("covers", repr(rule.get("ports")))),
                )
                for rule in listed(policy["spec"].get(direction))
            ]
        return self._rules[key]

    def _ports(self, ports: list[Body] | None, other: Party, target: Body | Address) -> Ports:
        asked = (Connection(other, Party(target, None), *port) for port in self._all)
        return frozenset((one.protocol, one.port) for one in asked if ports_match(self._world, ports, one))

    def _number(self, value: object) -> int:
        return self._numbers.setdefault(value, len(self._numbers))

    def _text(self, policy: Body) -> str:
        known = self._texts.get(id(policy))
        if known is None:
            known = self._texts[id(policy)] = (policy, repr((namespace_of(policy), policy["spec"])))
        return known[1]
