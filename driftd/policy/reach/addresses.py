"""Addresses as sets of ranges on one integer line: IPv4 first, IPv6 behind a gap, so that the two never touch."""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network, summarize_address_range
from typing import Final

from driftd.policy.reach.spans import Span, Spans, common, less, merged

V4_LAST: Final = (1 << 32) - 1
V6_BASE: Final = 1 << 33
V6_LAST: Final = V6_BASE + (1 << 128) - 1


@dataclass(frozen=True, slots=True)
class Ranges:
    """A canonical set of addresses: ascending, disjoint, not adjacent closed ranges on the line."""

    spans: Spans

    def __bool__(self) -> bool:
        return bool(self.spans)

    def __contains__(self, point: int) -> bool:
        index = bisect_right(self.spans, (point, V6_LAST)) - 1
        return index >= 0 and self.spans[index][1] >= point

    def covers(self, other: "Ranges") -> bool:
        return not (other - self)

    def meets(self, other: "Ranges") -> bool:
        return bool(common(self.spans, other.spans))

    def __or__(self, other: "Ranges") -> "Ranges":
        return of_ranges(self.spans + other.spans)

    def __sub__(self, other: "Ranges") -> "Ranges":
        return Ranges(less(self.spans, other.spans))

    def __and__(self, other: "Ranges") -> "Ranges":
        return Ranges(common(self.spans, other.spans))

    def edges(self) -> tuple[int, ...]:
        """Every point at which membership changes, the borders of IPv4 and IPv6 left out."""
        cuts: list[int] = []
        for low, high in self.spans:
            cuts.extend((low, high + 1))
        return tuple(cut for cut in cuts if cut not in (0, V4_LAST + 1, V6_BASE, V6_LAST + 1))

    def __str__(self) -> str:
        return ", ".join(blocks(self))


def of_ranges(spans: Iterable[Span]) -> Ranges:
    """The set of addresses in any of the spans, which may overlap and come in any order."""
    return Ranges(merged(spans))


NOWHERE: Final = Ranges(())
IPV4: Final = Ranges(((0, V4_LAST),))
IPV6: Final = Ranges(((V6_BASE, V6_LAST),))


@lru_cache(maxsize=65_536)
def block(cidr: str) -> Ranges:
    """The addresses of a CIDR block or a single address; host bits are cleared, as every implementation does.

    Raises ValueError when the text is neither.
    """
    if "%" in cidr:  # a zone, which no policy has, may be as long as an object, and is remembered here
        raise ValueError("an address with a zone")
    network = ip_network(cidr, strict=False)
    base = V6_BASE if network.version == 6 else 0
    return Ranges(((base + int(network.network_address), base + int(network.broadcast_address)),))


def has_host_bits(cidr: str) -> bool:
    """Whether bits outside the prefix are set: legal to most servers, and rarely what its author meant."""
    return "/" in cidr and str(ip_network(cidr, strict=False).network_address) != str(
        ip_address(cidr.partition("/")[0])
    )


_OCTETS: Final = {str(number): number for number in range(256)}


@lru_cache(maxsize=65_536)
def address(text: str) -> int:
    """The point of one address. Raises ValueError when the text is none."""
    octets = text.split(".")
    if len(octets) == 4:  # a tenth of what the parser of all spellings takes
        numbers = [_OCTETS.get(octet, -1) for octet in octets]
        if -1 not in numbers:
            return int.from_bytes(numbers)
    if "%" in text:
        raise ValueError("an address with a zone")
    parsed = ip_address(text)
    return int(parsed) + (V6_BASE if parsed.version == 6 else 0)


def blocks(ranges: Ranges) -> tuple[str, ...]:
    """The fewest CIDR blocks that make up the set, ascending, IPv4 before IPv6."""
    found: list[str] = []
    for low, high in ranges.spans:
        if low < V6_BASE:
            found.extend(str(net) for net in summarize_address_range(IPv4Address(low), IPv4Address(high)))
        else:
            first, last = IPv6Address(low - V6_BASE), IPv6Address(high - V6_BASE)
            found.extend(str(net) for net in summarize_address_range(first, last))
    return tuple(found)


PRIVATE: Final = of_ranges(
    span
    for cidr in (
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
    for span in block(cidr).spans
)
"""IPv4 that is not the public internet (RFC 1918, 6598, 3927, 2544, multicast and reserved)."""
PUBLIC: Final = (IPV4 - PRIVATE) | (block("2000::/3") - block("2002::/16"))
"""What "the internet" means in a verdict."""
