"""The ports and addresses that policies of any kind mention: where answers may change."""

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Network, IPv6Network, ip_address
from itertools import product
from typing import Any

from tests.oracle.bodies import Address, Body, container_ports, network_of

PORT_FIELDS = frozenset({"port", "endPort", "ports", "notPorts", "number", "start", "end"})
NET_FIELDS = frozenset({"cidr", "except", "networks", "nets", "notNets", "addresses"})
PROTOCOLS = ("TCP", "UDP", "SCTP")


def mentioned_ports(bodies: Iterable[Body]) -> set[tuple[int, int]]:
    """(first, last) of every port and range, in whatever field of whatever kind."""
    found: set[tuple[int, int]] = set()
    for body in bodies:
        for field, value, around in _leaves(body, ""):
            if field in PORT_FIELDS and isinstance(value, int):
                # A range in two fields: the one that ends it, or the one that stands alone.
                last = around.get("endPort") if field == "port" else around.get("end") if field == "start" else None
                found.add((value, max(value, int(last or value))))
            elif field in PORT_FIELDS and isinstance(value, str):
                first, _, last = value.partition(":")
                if first.isdigit() and (last or first).isdigit():
                    found.add((int(first), int(last or first)))
    return found


def mentioned_networks(bodies: Iterable[Body]) -> set[IPv4Network | IPv6Network]:
    """Every CIDR and address, in whatever field of whatever kind."""
    return {
        network_of(value)
        for body in bodies
        for field, value, _ in _leaves(body, "")
        if field in NET_FIELDS and isinstance(value, str)
    }


def port_atoms(bodies: Iterable[Body], pods: Iterable[Body] = ()) -> tuple[tuple[str, int], ...]:
    """One (protocol, port) for each stretch that nothing tells apart, in each protocol; of ICMP each message."""
    starts = {1}
    for first, last in mentioned_ports([*bodies, *pods]):
        starts |= {first, last + 1}
    for pod in pods:
        for _, _, number in container_ports(pod):
            starts |= {number, number + 1}
    kept = sorted(number for number in starts if 1 <= number <= 65535)
    return (*product(PROTOCOLS, kept), *(("ICMP", message) for message in sorted(_messages(bodies))))


def _messages(bodies: Iterable[Body]) -> set[int]:
    """The first message (256 * type + code) of each stretch of ICMP that nothing tells apart."""
    starts = {0}
    for body in bodies:
        for field, kind, around in _leaves(body, ""):
            if field == "type" and isinstance(kind, int):
                code = around.get("code")
                starts |= {256 * kind, 256 * kind + 256}
                starts |= {256 * kind + code, 256 * kind + code + 1} if isinstance(code, int) else set()
    return {message for message in starts if message < 65_536}


def address_atoms(bodies: Iterable[Body]) -> tuple[Address, ...]:
    """The first address of each stretch that no CIDR tells apart, in both families."""
    starts: set[Address] = {ip_address("0.0.0.0"), ip_address("::")}
    for network in mentioned_networks(bodies):
        starts.add(network[0])
        if int(network[-1]) < 2**network.max_prefixlen - 1:
            starts.add(network[-1] + 1)
    return tuple(sorted(starts, key=lambda address: (address.version, int(address))))


def _leaves(value: Any, field: str, around: Body | None = None) -> Iterator[tuple[str, Any, Body]]:
    """(field, value, object around it) of every value that is no object or list; items have their list's field."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, key, value)
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner, field, around)
    elif not isinstance(value, bool):
        yield field, value, around or {}
