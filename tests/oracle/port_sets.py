"""NetworkPolicy asked about every port of a universe at once, for whoever compares many states that are mostly alike.

A connection is allowed where the egress side of its source and the ingress side of its target agree (networkpolicy.py
asks them one connection at a time, and is what this is checked against). What one policy permits on one side depends on
its spec, on who the other side is and on the names of the target's ports: that alone is remembered between states.
"""

from collections.abc import Iterator, Mapping
from itertools import product
from typing import NamedTuple

from tests.oracle.bodies import (
    Address,
    Body,
    Cluster,
    address_pairs,
    container_ports,
    finished,
    labels_of,
    listed,
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


class _Side(NamedTuple):
    """An endpoint within one state: what isolates it, and all of it that policies of others can read."""

    name: str
    who: Body | Address
    isolated: Mapping[str, list[Body]]  # by direction
    seen: tuple[object, ...]
    port_names: tuple[object, ...]
    space: str  # empty for an address


class PortSets:
    """One world's answers for one universe; the pods of every state it is asked about are the same."""

    def __init__(self, world: World, universe: Universe) -> None:
        self._world = world
        self._universe = universe
        self._all: Ports = frozenset(universe.ports)
        self._permitted: dict[tuple[object, ...], Ports] = {}
        self._address_pairs: dict[tuple[str, str], list[tuple[Address | None, Address | None]]] = {}
        self._texts: dict[int, tuple[Body, str]] = {}  # holds the bodies, so that no id is given twice

    def open_in(self, cluster: Cluster, touching: frozenset[str] | None = None) -> Pairs:
        """The open ports of each pair; with `touching`, only of pairs with a pod in one of these namespaces."""
        sides = list(self._sides(cluster))
        found = {}
        for source, target in product(sides, repeat=2):
            spaces = {source.space, target.space} - {""}
            if not spaces or (touching is not None and not spaces & touching):
                continue  # two addresses, in which no policy has a say; or nobody of interest
            ports = self._between(cluster, source, target)
            if ports:
                found[source.name, target.name] = ports
        return found

    def _sides(self, cluster: Cluster) -> Iterator[_Side]:
        known = {identity(who): who for one in self._universe.endpoints for who in [resolved(cluster, one)]}
        for name, who in known.items():
            isolated = {
                direction: isolating(self._world, cluster, who, direction) for direction in ("Egress", "Ingress")
            }
            if not isinstance(who, dict):
                yield _Side(name, who, isolated, (), (), "")
                continue
            space = namespace_of(who)
            labels = (sorted(labels_of(who).items()), sorted(namespace_labels(cluster, space).items()))
            yield _Side(name, who, isolated, (repr(labels),), (on_host_network(who), *container_ports(who)), space)

    def _between(self, cluster: Cluster, source: _Side, target: _Side) -> Ports:
        one, other = source.who, target.who
        if (isinstance(one, dict) and finished(one)) or (isinstance(other, dict) and finished(other)):
            return frozenset()
        if same_pod(one, other) and self._world.self_always:
            return self._all
        found: Ports = frozenset()
        for from_address, to_address in self._addresses(source, target):
            leaving = self._egress(cluster, source, target, to_address)
            if leaving:
                found |= leaving & self._ingress(cluster, source, target, from_address)
        return found

    def _egress(self, cluster: Cluster, source: _Side, target: _Side, address: Address | None) -> Ports:
        policies = source.isolated["Egress"]
        if not policies or (self._world.to_own_node_always and is_own_node(self._world, source.who, target.who)):
            return self._all
        return self._union(cluster, policies, "egress", (target, address), target)

    def _ingress(self, cluster: Cluster, source: _Side, target: _Side, address: Address | None) -> Ports:
        policies = target.isolated["Ingress"]
        if not policies or is_own_node(self._world, target.who, source.who):
            return self._all
        return self._union(cluster, policies, "ingress", (source, address), target)

    def _union(
        self,
        cluster: Cluster,
        policies: list[Body],
        direction: str,
        other: tuple[_Side, Address | None],
        target: _Side,
    ) -> Ports:
        side, address = other
        found: Ports = frozenset()
        for policy in policies:
            key = (self._text(policy), direction, side.name, side.seen, address, target.port_names)
            known = self._permitted.get(key)
            if known is None:
                known = self._permits(cluster, policy, direction, Party(side.who, address), target.who)
                self._permitted[key] = known
            found |= known
        return found

    def _permits(self, cluster: Cluster, policy: Body, direction: str, other: Party, target: Body | Address) -> Ports:
        found: set[tuple[str, int]] = set()
        for rule in listed(policy["spec"].get(direction)):
            peers = rule.get("from" if direction == "ingress" else "to")
            if not peers_match(self._world, cluster, policy, peers, other):
                continue
            for protocol, port in self._all - found:
                # Only the target's names are read here, never who calls.
                asked = Connection(other, Party(target, None), protocol, port)
                if ports_match(self._world, rule.get("ports"), asked):
                    found.add((protocol, port))
        return frozenset(found)

    def _addresses(self, source: _Side, target: _Side) -> list[tuple[Address | None, Address | None]]:
        pair = (source.name, target.name)
        if pair not in self._address_pairs:
            self._address_pairs[pair] = address_pairs(source.who, target.who)
        return self._address_pairs[pair]

    def _text(self, policy: Body) -> str:
        known = self._texts.get(id(policy))
        if known is None:
            known = self._texts[id(policy)] = (policy, repr((namespace_of(policy), policy["spec"])))
        return known[1]
