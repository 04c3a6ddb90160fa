"""From what the engine answers to the entries of documents, and to the words people read."""

import re
from collections.abc import Sequence
from typing import Final

from driftd.cli.flows.documents import Interval, Ports, Traffic
from driftd.policy.reach import ALL, PORTED, PortSet, block, blocks
from driftd.policy.reach.addresses import IPV4, IPV6, NOWHERE, PRIVATE

UNDEFINED: Final = ALL - PORTED
"""Traffic that NetworkPolicy says nothing about: everything but TCP, UDP and SCTP."""
_PUBLIC4: Final = IPV4 - PRIVATE
_RULE: Final = re.compile(r"spec\.(ingress|egress)\[(\d+)\]")


def traffic(ports: PortSet) -> Traffic:
    """A set of connections."""
    pieces = tuple(Ports(protocol=protocol, ports=numbers) for protocol, numbers in ports.pieces())
    return Traffic(all=ports == ALL, text=str(ports), protocols=pieces)


def interval(must: PortSet, may: PortSet) -> Interval:
    """Both ends."""
    return Interval(must=traffic(must), may=traffic(may))


def rule_words(rule: str) -> str:
    """`spec.ingress[1]` as people count: `ingress rule 2`."""
    return _RULE.sub(lambda found: f"{found[1]} rule {int(found[2]) + 1}", rule)


def port_words(ports: PortSet) -> str:
    """A set of connections in its shorter form: what it holds, or all but what it lacks."""
    held, lacking = str(ports), ALL - ports
    return f"all but {lacking}" if lacking and len(held) > len(str(lacking)) + 8 and ports >= UNDEFINED else held


def shown(must: PortSet, may: PortSet, *, undefined: bool) -> str:
    """An interval in one line; empty where there is nothing to show.

    Without `undefined`, traffic that NetworkPolicy does not define and that only may pass is left out: under some
    dialects that is so between any two pods.
    """
    open_ends = may - must
    if not undefined:
        open_ends = open_ends - UNDEFINED
    if not open_ends:
        return port_words(must) if must else ""
    perhaps = f"perhaps {port_words(open_ends)}"
    return f"{port_words(must)}; {perhaps}" if must else perhaps


def hidden(must: PortSet, may: PortSet) -> bool:
    """Whether `shown` without `undefined` says nothing though something may pass."""
    return bool(may) and not shown(must, may, undefined=False)


def block_words(cidrs: Sequence[str], most: int = 6) -> str:
    """Addresses in the shorter of two forms: the blocks, or everything of a family except some."""
    ranges = NOWHERE
    for cidr in cidrs:
        ranges = ranges | block(cidr)
    parts: list[str] = []
    for family, name in ((IPV4, "0.0.0.0/0"), (IPV6, "::/0")):
        inside = blocks(ranges & family)
        outside = blocks(family - ranges)
        if not inside:
            continue
        missing = blocks(_PUBLIC4 - ranges)
        if not outside:
            parts.append(name)
        elif len(missing) < 4 and not (ranges & family) - _PUBLIC4:
            parts.append(f"the public internet{_but(missing)}")
        elif len(outside) < len(inside):
            parts.append(f"{name} except {_some(outside, 2 * most)}")
        else:
            parts.append(_some(inside, most))
    return ", ".join(parts)


def _but(missing: Sequence[str]) -> str:
    return f" except {', '.join(missing)}" if missing else ""


def _some(names: Sequence[str], most: int) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
