"""NetworkPolicy asked about every port of a universe at once, for whoever compares many states that are mostly alike.

A connection is allowed where the egress side of its source and the ingress side of its target agree (networkpolicy.py
asks them one connection at a time, and is what this is checked against). What one policy permits on one side depends on
its spec, on who the other side is and on the names of the target's ports: that alone is remembered between states.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
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
    """An endpoint within one state: what isolates it, and all of it that policies of others can read."""

    name: str
    who: Body | Address
    space: str  # empty for an address
    egress: tuple[Body, ...]
    ingress: tuple[Body, ...]
    egress_id: int  # 0: not isolated
    ingress_id: int
    seen: int
    port_names: int


class _Pair(NamedTuple):
    """What holds of two endpoints in every state."""

    decided: Ports | None
    own_node_of_source: bool
    own_node_of_target: bool
    addresses: list[tuple[int, Address | None, int, Address | None]]


class PortSets:
    """One world's answers for one universe; the pods of every state it is asked about are the same."""

    def __init__(self, world: World, universe: Universe) -> None:
        self._world = world
        self._universe = universe
        self._all: Ports = frozenset(universe.ports)
        self._permitted: dict[tuple[int, int, int, int], Ports] = {}
        self._pairs: dict[tuple[str, str], _Pair] = {}
        self._numbers: dict[object, int] = {NOT_ISOLATED: 0}
        self._texts: dict[int, tuple[Body, str]] = {}  # holds the bodies, so that no id is given twice
        self._known: dict[str, Body | Address] | None = None

    def open_in(self, cluster: Cluster, touching: frozenset[str] | None = None) -> Pairs:
        """The open ports of each pair; with `touching`, only of pairs with a pod in one of these namespaces."""
        sides = list(self._sides(cluster))
        found = {}
        for source in sides:
            for target in sides if touching is None or source.space in touching else self._touched(sides, touching):
                if not (source.space or target.space):
                    continue  # two addresses, in which no policy has a say
                ports = self._between(cluster, source, target)
                if ports:
                    found[source.name, target.name] = ports
        return found

    @staticmethod
    def _touched(sides: list[_Side], touching: frozenset[str]) -> Iterator[_Side]:
        return (side for side in sides if side.space in touching)

    def _sides(self, cluster: Cluster) -> Iterator[_Side]:
        if self._known is None:
            self._known = {identity(who): who for one in self._universe.endpoints for who in [resolved(cluster, one)]}
        local: dict[str, list[Body]] = defaultdict(list)
        for policy in cluster.policies:
            local[namespace_of(policy)].append(policy)
        spoken = {
            name_of(body): sorted(namespace_labels(cluster, name_of(body)).items()) for body in cluster.namespaces
        }
        for name, who in self._known.items():
            if not isinstance(who, dict):
                yield _Side(name, who, "", (), (), 0, 0, self._number(("seen", name)), 0)
                continue
            space = namespace_of(who)
            near = replace(cluster, policies=local[space])
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
                self._number(("seen", name, repr(spoken.get(space)))),
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
                    other = Party(target.who, to_address)
                    known = self._permitted[key] = self._permits(cluster, source.egress, "egress", other, target.who)
                ports = known
            if ports and not enters:
                key = (target.ingress_id, source.seen, from_number, target.port_names)
                known = self._permitted.get(key)
                if known is None:
                    other = Party(source.who, from_address)
                    known = self._permitted[key] = self._permits(cluster, target.ingress, "ingress", other, target.who)
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
        self, cluster: Cluster, policies: tuple[Body, ...], direction: str, other: Party, target: Body | Address
    ) -> Ports:
        """The ports that some rule of some of the policies covers: only the target's port names are read of it."""
        found: set[tuple[str, int]] = set()
        for policy in policies:
            for rule in listed(policy["spec"].get(direction)):
                peers = rule.get("from" if direction == "ingress" else "to")
                if not peers_match(self._world, cluster, policy, peers, other):
                    continue
                for protocol, port in self._all - found:
                    if ports_match(
                        self._world, rule.get("ports"), Connection(other, Party(target, None), protocol, port)
                    ):
                        found.add((protocol, port))
        return frozenset(found)

    def _number(self, value: object) -> int:
        return self._numbers.setdefault(value, len(self._numbers))

    def _text(self, policy: Body) -> str:
        known = self._texts.get(id(policy))
        if known is None:
            known = self._texts[id(policy)] = (policy, repr((namespace_of(policy), policy["spec"])))
        return known[1]
