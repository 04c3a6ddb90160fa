"""The traffic part of Calico rules: protocols, ICMP, numbered, ranged and named ports, and their negations."""

from collections.abc import Iterable
from typing import Final

from driftd.policy.reach.policies import PortMatch
from driftd.policy.reach.ports import ALL, NAMES, NONE, PORTED, PortSet, icmp, ports, protocol
from driftd.values import Body

_BY_LOWER: Final = {name.lower(): name for name in (*NAMES[:-1], "UDPLite")}
_PORTED_NAMES: Final = ("TCP", "UDP", "SCTP")


def rule_traffic(item: Body, where: str, notes: list[str]) -> tuple[PortSet, bool]:
    """The traffic that protocol and ICMP fields leave, and whether all of them were understood."""
    found, known = ALL, True
    for field, negated in (("protocol", False), ("notProtocol", True), ("icmp", False), ("notICMP", True)):
        value = item.get(field)
        if value is None or value == {}:
            continue
        try:
            part = _messages(item, value) if field in ("icmp", "notICMP") else protocol(_name(value))
        except ValueError as problem:
            notes.append(f"{where}.{field}: {problem}")
            known = False
            continue
        found = found - part if negated else found & part
    return found, known


def _name(value: object) -> str | int:
    if isinstance(value, str) and not value.isdigit():
        return _BY_LOWER.get(value.lower(), value)
    number = int(str(value))
    if not 1 <= number <= 255:
        raise ValueError(f"protocol {number} is not within 1..255")
    return number


def _messages(item: Body, value: Body) -> PortSet:
    kind, code = value.get("type"), value.get("code")
    if not item.get("protocol"):
        raise ValueError("a type needs protocol ICMP or ICMPv6 beside it")
    name = _name(item["protocol"])
    name = {1: "ICMP", 58: "ICMPv6"}.get(name, str(name)) if isinstance(name, int) else name
    if kind is None:
        raise ValueError("a code needs a type")
    return icmp(name, int(kind), None if code is None else int(code))


def entity_ports(item: Body, entity: Body, traffic: PortSet, where: str, notes: list[str]) -> tuple[PortMatch, bool]:
    """The rule's traffic with the ports of its destination, and whether those were understood."""
    if not entity.get("ports") and not entity.get("notPorts"):
        return PortMatch(traffic), True
    try:
        name = _name(item.get("protocol") or "")
        name = {6: "TCP", 17: "UDP", 132: "SCTP"}.get(name, str(name)) if isinstance(name, int) else name
    except ValueError:
        name = ""
    if name not in _PORTED_NAMES:
        notes.append(f"{where}: ports need protocol TCP, UDP or SCTP beside them")
        return PortMatch(traffic & PORTED), False
    wanted, names, known = _ports(name, entity.get("ports") or (), f"{where}.ports", notes)
    unwanted, not_names, also_known = _ports(name, entity.get("notPorts") or (), f"{where}.notPorts", notes)
    numbers = traffic & wanted if entity.get("ports") else traffic
    return PortMatch(numbers, names, unwanted, not_names), known and also_known


def _plain_name(text: str) -> str:
    if ":" in text or text in ("True", "False"):
        raise ValueError(f"{text!r} is neither a port, a range low:high, nor a port name")
    return text


def _ports(
    name: str, items: Iterable[object], where: str, notes: list[str]
) -> tuple[PortSet, tuple[tuple[str, str], ...], bool]:
    numbers, names, known = NONE, set(), True
    for index, item in enumerate(items):
        text = str(item)
        low, colon, high = text.partition(":")
        try:
            if text.isdigit():
                numbers = numbers | ports(name, int(text))
            elif colon and low.isdigit() and high.isdigit():
                numbers = numbers | ports(name, int(low), int(high))
            else:
                names.add((name, _plain_name(text)))
        except ValueError as problem:
            notes.append(f"{where}[{index}]: {problem}")
            known = False
    return numbers, tuple(sorted(names)), known
