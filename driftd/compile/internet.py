"""What "the public internet" is: everything but the special ranges, the cluster's own and those that it denies.

Source of the special ranges: RFC 6890 and its registry (private use, shared address space, link-local with the cloud's
metadata service, loopback, this network, benchmarking), RFC 5771 (multicast), RFC 1112 (reserved); for IPv6 RFC 4291
(global unicast is 2000::/3) and RFC 3056 (2002::/16 wraps any IPv4 address, private ones too).
"""

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network
from typing import TypeVar

from driftd.model import Cluster, network
from driftd.values import Body

Network = TypeVar("Network", IPv4Network, IPv6Network)

IPV4 = IPv4Network("0.0.0.0/0")
IPV6 = IPv6Network("2000::/3")
SPECIAL_IPV4 = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
)
SPECIAL_IPV6 = (IPv6Network("2002::/16"),)


def public_internet(cluster: Cluster) -> tuple[Body, ...]:
    """The peers (`ipBlock` with `except`) that mean the public internet in this cluster; none if nothing is left of it.

    One for each address family that pods have: a cluster without IPv6 pods gets no IPv6 peer, so a family that is
    switched on later stays closed until the model says so. Excepts are sorted and none lies within another; those
    outside the block are left out, because the API server refuses them.
    """
    closed = [network(text) for text in (*cluster.spec.ranges.all, *cluster.spec.deny_cidrs)]
    families = {network(text).version for text in cluster.spec.ranges.pods}
    peers = []
    if 4 in families:
        own4 = [one for one in closed if isinstance(one, IPv4Network)]
        peers += _block(IPV4, _outermost((*SPECIAL_IPV4, *own4)))
    if 6 in families:
        own6 = [one for one in closed if isinstance(one, IPv6Network)]
        peers += _block(IPV6, _outermost((*SPECIAL_IPV6, *own6)))
    return tuple(peers)


def _block(whole: IPv4Network | IPv6Network, closed: list[IPv4Network] | list[IPv6Network]) -> list[Body]:
    first, last = int(whole.network_address), int(whole.broadcast_address)
    inside = [one for one in closed if first <= int(one.broadcast_address) and int(one.network_address) <= last]
    if any(int(one.network_address) <= first and last <= int(one.broadcast_address) for one in inside):
        return []
    return [{"ipBlock": {"cidr": str(whole), "except": [str(one) for one in inside]}}]


def _outermost(networks: Iterable[Network]) -> list[Network]:
    """The networks in order of address, without those that lie within another."""
    kept: list[Network] = []
    for one in sorted(set(networks), key=lambda found: (int(found.network_address), found.prefixlen)):
        if not kept or int(one.broadcast_address) > int(kept[-1].broadcast_address):
            kept.append(one)
    return kept
