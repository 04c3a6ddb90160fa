"""Traffic without its ends: sets of protocols with their ports, types and codes, as one line of integers.

Each of TCP, UDP and SCTP owns 65,536 points (ports), ICMP and ICMPv6 as many (256 * type + code), and every other
IP protocol one point. A `PortSet` is a canonical tuple of closed spans on that line, so that union, intersection
and difference are exact and equal sets are equal values.
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from driftd.policy.reach.spans import Span, Spans, common, less, merged

WIDTH: Final = 65_536
NAMES: Final = ("TCP", "UDP", "SCTP", "ICMP", "ICMPv6", "other")
_OTHER: Final = NAMES.index("other")
LAST: Final = _OTHER * WIDTH + 255
"""The end of the line."""
_NUMBERS: Final = {6: "TCP", 17: "UDP", 132: "SCTP", 1: "ICMP", 58: "ICMPv6"}
_PORTED: Final = frozenset(("TCP", "UDP", "SCTP"))
UDP_LITE: Final = 136
_FEW: Final = 16
"""Spans of a set that is remembered: a tenant's may have thousands, and would outlive its policy."""


class PortSet:
    """An immutable set of traffic points. Construct through the functions below, combine with `&`, `|`, `-`."""

    __slots__ = ("_hash", "few", "spans")

    def __init__(self, spans: Spans) -> None:
        self.spans = spans
        self.few = len(spans) <= _FEW
        self._hash = hash(spans)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, PortSet) and self.spans == other.spans)

    def __bool__(self) -> bool:
        return bool(self.spans)

    def __and__(self, other: "PortSet") -> "PortSet":
        return _intersection(self, other) if self.few and other.few else _intersection.__wrapped__(self, other)

    def __or__(self, other: "PortSet") -> "PortSet":
        return _union(self, other) if self.few and other.few else _union.__wrapped__(self, other)

    def __sub__(self, other: "PortSet") -> "PortSet":
        if not other.spans:
            return self
        return _difference(self, other) if self.few and other.few else _difference.__wrapped__(self, other)

    def __contains__(self, point: int) -> bool:
        return any(low <= point <= high for low, high in self.spans)

    def __le__(self, other: "PortSet") -> bool:
        return not (self - other)

    def __lt__(self, other: "PortSet") -> bool:
        """Proper subset."""
        return self != other and self <= other

    def __repr__(self) -> str:
        return f"PortSet({self})"

    def __str__(self) -> str:
        if self == ALL:
            return "all"
        return ", ".join(f"{protocol}/{ports}" for protocol, ports in self.pieces()) or "none"

    def pieces(self) -> tuple[tuple[str, str], ...]:
        """One (protocol, ports) a protocol in this set: `("TCP", "80,443,8000-8099")`, `("UDP", "all")`.

        ICMP ports read `type` or `type:code`; other protocols read as their number.
        """
        found: list[tuple[str, str]] = []
        for index, name in enumerate(NAMES[:_OTHER]):
            whole = _region(index)
            mine = self & whole
            if mine == whole:
                found.append((name, "all"))
            elif mine:
                offset = index * WIDTH
                spans = [(low - offset, high - offset) for low, high in mine.spans]
                found.append((name, _ports(spans) if name in _PORTED else _icmp(spans)))
        rest = self & _region(_OTHER)
        if rest == _region(_OTHER):
            found.append(("other", "all"))
        elif rest:
            offset = _OTHER * WIDTH
            found.append(("other", _ports([(low - offset, high - offset) for low, high in rest.spans])))
        return tuple(found)


def _ports(spans: list[Span]) -> str:
    return ",".join(str(low) if low == high else f"{low}-{high}" for low, high in spans)


def _icmp(spans: list[Span]) -> str:
    """Whole types as `type` or `type-type`, parts of a type as `type:code` or `type:code-code`."""
    words: list[str] = []
    for low, high in spans:
        first, last = -(-low // 256), (high + 1) // 256 - 1
        if first > last + 1 or low // 256 == high // 256:
            whole = low % 256 == 0 and high % 256 == 255
            words.append(str(low // 256) if whole else _codes(low, high))
            continue
        if low % 256:
            words.append(_codes(low, first * 256 - 1))
        if first <= last:
            words.append(str(first) if first == last else f"{first}-{last}")
        if (high + 1) % 256:
            words.append(_codes((last + 1) * 256, high))
    return ",".join(words)


def _codes(low: int, high: int) -> str:
    codes = str(low % 256) if low == high else f"{low % 256}-{high % 256}"
    return f"{low // 256}:{codes}"


def of_spans(spans: Iterable[Span]) -> PortSet:
    """The set of points in any of the spans, which may overlap and come in any order."""
    return spanned(merged(spans))


def spanned(spans: Spans) -> PortSet:
    """The set of these spans, which must be canonical; the same object for the same few spans, mostly."""
    return _spanned(spans) if len(spans) <= _FEW else PortSet(spans)


@lru_cache(maxsize=65_536)
def _spanned(spans: Spans) -> PortSet:
    return PortSet(spans)


@lru_cache(maxsize=65_536)
def _intersection(left: PortSet, right: PortSet) -> PortSet:
    if left is right or right is ALL:
        return left
    return right if left is ALL else spanned(common(left.spans, right.spans))


@lru_cache(maxsize=65_536)
def _union(left: PortSet, right: PortSet) -> PortSet:
    if not left.spans or left is right:
        return right
    return of_spans(left.spans + right.spans) if right.spans else left


@lru_cache(maxsize=65_536)
def _difference(left: PortSet, right: PortSet) -> PortSet:
    return spanned(less(left.spans, right.spans))


NONE: Final = spanned(())
ALL: Final = spanned(((0, LAST),))


@lru_cache(maxsize=16)
def _region(index: int) -> PortSet:
    start = index * WIDTH
    return PortSet(((start, LAST if index == _OTHER else start + WIDTH - 1),))


@lru_cache(maxsize=512)
def protocol(name: str | int) -> PortSet:
    """All traffic of one IP protocol, by name or number.

    Raises ValueError for a name that is no protocol known to a policy API, or a number outside 0..255.
    """
    if isinstance(name, int):
        if not 0 <= name <= 255:
            raise ValueError(f"protocol {name} is not in 0..255")
        if name in _NUMBERS:
            return protocol(_NUMBERS[name])
        return PortSet(((_OTHER * WIDTH + name, _OTHER * WIDTH + name),))
    if name == "UDPLite":
        return protocol(UDP_LITE)
    if name in NAMES[:_OTHER]:
        return _region(NAMES.index(name))
    raise ValueError(f"protocol {name!r} is none of TCP, UDP, SCTP, ICMP, ICMPv6, UDPLite")


@lru_cache(maxsize=16_384)
def ports(protocol_name: str, low: int, high: int | None = None) -> PortSet:
    """Ports `low..high` (inclusive; `high` None means `low`) of TCP, UDP or SCTP.

    Raises ValueError where the protocol has no ports or the range is not within 0..65535.
    """
    last = low if high is None else high
    if protocol_name not in _PORTED:
        raise ValueError(f"protocol {protocol_name!r} has no ports: expected TCP, UDP or SCTP")
    if not 0 <= low <= last < WIDTH:
        raise ValueError(f"ports {low}-{last} are not an ascending range within 0..65535")
    start = NAMES.index(protocol_name) * WIDTH
    return PortSet(((start + low, start + last),))


def icmp(protocol_name: str, kind: int, code: int | None = None) -> PortSet:
    """ICMP or ICMPv6 messages of one type, of one code or (None) of all codes."""
    if protocol_name not in ("ICMP", "ICMPv6") or not 0 <= kind <= 255 or not 0 <= (code or 0) <= 255:
        raise ValueError(
            f"{protocol_name!r} type {kind} code {code}: expected ICMP or ICMPv6 and numbers within 0..255"
        )
    start = NAMES.index(protocol_name) * WIDTH + kind * 256
    return PortSet(((start, start + 255) if code is None else (start + code, start + code),))


PORTED: Final = of_spans(protocol("TCP").spans + protocol("UDP").spans + protocol("SCTP").spans)
"""Traffic that Kubernetes NetworkPolicy defines; the rest of `ALL` is undefined there."""
