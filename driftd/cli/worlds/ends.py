"""The two ends of a question: `namespace/name`, an address, and on the target's side `:port[/protocol]`."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

from driftd.cli.exits import Exit
from driftd.cli.failures import CommandError
from driftd.cli.show import printable
from driftd.cli.worlds.world import ServiceFace, World
from driftd.policy.reach import Connection, Pod, UnknownEndpoint

_PROTOCOLS: Final = ("TCP", "UDP", "SCTP")
_TARGET: Final = re.compile(
    r"(?P<end>\[[^\]]+\]|[^:\[\]]+)(?::(?P<port>[^:/]+)(?:/(?P<protocol>[A-Za-z]+))?)?", re.ASCII
)


@dataclass(frozen=True, slots=True)
class Pair:
    """One connection to explain, by pods or addresses that stand for all of their kind.

    `through_service`: it goes to the virtual address of a Service, and so a pod may meet itself as somebody else.
    """

    source: Pod | str
    target: Pod | str
    connection: Connection
    through_service: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """The connections that a question means: one for each kind of pod on either side."""

    pairs: tuple[Pair, ...]
    remarks: tuple[str, ...]


def asked(world: World, source: str, target: str) -> Asked:
    """Resolve a question.

    Raises:
        CommandError: an end or a port that the world does not have, with what it has (exit code 2).
    """
    found = _TARGET.fullmatch(target)
    if found is None:
        message = f"{target!r}: expected namespace/name:port[/protocol], IP:port[/protocol], or [IPv6]:port[/protocol]"
        raise CommandError(message, Exit.USAGE)
    senders, _ = _members(world, source.strip("[]"))
    name = found["end"].strip("[]")
    receivers, face = _members(world, name)
    port = _Port(world, name, face, found["port"], _protocol(found["protocol"]))
    pairs: dict[tuple[int, int, str], Pair] = {}
    for receiver in receivers:
        for connection in port.at(receiver):
            for sender in senders:
                key = (world.snapshot.class_of(sender), world.snapshot.class_of(receiver), str(connection))
                if key not in pairs or pairs[key].source == pairs[key].target:
                    pairs[key] = Pair(sender, receiver, connection, through_service=face is not None)
    if not pairs:
        known = _known_ports(receivers) or "their containers name none"
        raise CommandError(f"no pod of {name} has a port {found['port']!r}: {known}", Exit.USAGE)
    return Asked(tuple(pairs.values()), tuple(dict.fromkeys(port.remarks)))


def _members(world: World, text: str) -> tuple[tuple[Pod | str, ...], ServiceFace | None]:
    """Running pods, or the address, that a text means; and the Service it was found through, if it was."""
    text = _behind(world, text)
    namespace, slash, name = text.partition("/")
    try:
        found = world.snapshot.resolve(text) if _is_address(text) or (slash and not _is_address(namespace)) else ()
    except UnknownEndpoint:
        found = ()
    if found:
        running = tuple(one for one in found if not (isinstance(one, Pod) and one.finished))
        if not running:
            raise CommandError(f"{text}: its pods have finished, so that nothing reaches them", Exit.USAGE)
        return running, None
    view = world.snapshot.namespaces.get(namespace)
    pods = [pod for _, pod in sorted(view.pods.items()) if not pod.finished] if view else []
    service = world.services.get((namespace, name))
    if service is not None:
        chosen = [pod for pod in pods if pod.service_account == service.account and _carries(pod, service.labels)]
        if chosen:
            return tuple(chosen), None
    face = world.faces.get((namespace, name))
    if face is not None and face.selector:
        chosen = [pod for pod in pods if _carries(pod, face.selector)]
        if chosen:
            return tuple(chosen), face
        raise CommandError(f"Service {text} selects no pod that is known", Exit.USAGE)
    if service is not None:
        labels = ", ".join(f"{key}={value}" for key, value in sorted(service.labels.items()))
        wanted = f"labels {labels} and service account {service.account}"
        message = f"{text}: no known pod is of this service of the model ({wanted}); {_inhabitants(namespace, pods)}"
        raise CommandError(message, Exit.USAGE)
    raise CommandError(_unknown(world, text, pods), Exit.USAGE)


def _behind(world: World, text: str) -> str:
    """The Service whose virtual address a text is, by name: policies see its pods, not that address."""
    for (namespace, name), face in world.faces.items():
        if text in face.addresses and face.selector:
            return f"{namespace}/{name}"
    return text


def _inhabitants(namespace: str, pods: Iterable[Pod]) -> str:
    return f"{namespace} has {_some(sorted({pod.workload for pod in pods})) or 'no pods'}"


def _unknown(world: World, text: str, pods: list[Pod]) -> str:
    namespace, slash, name = text.partition("/")
    if not slash:
        return f"{text!r} is no IP address and names no namespace: expected namespace/name or an IP"
    if not namespace or not name:
        return f"{text!r}: expected namespace/name or an IP address"
    if _is_address(namespace):
        return f"{text} is a block of addresses: ask for one of them, such as {namespace}"
    if pods:
        return f"{text}: no pod, workload or service of that name; {_inhabitants(namespace, pods)}"
    known = sorted(name for name, view in world.snapshot.namespaces.items() if view.pods)
    return f"{text}: nothing is known to run in namespace {namespace}; pods are known in {_some(known) or 'none'}"


class _Port:
    """What the port of a question means at each receiver; `remarks` gathers what was translated on the way."""

    def __init__(self, world: World, name: str, face: ServiceFace | None, port: str | None, wanted: str | None) -> None:
        self._world = world
        self._name = name
        self._face = face
        self._port = port
        self._wanted = wanted
        self.remarks: list[str] = []

    def at(self, receiver: Pod | str) -> list[Connection]:
        """The connections that it means there: none where the receiver has no such port."""
        if self._port is None:
            return _only_port(self._name, receiver)
        number = int(self._port) if _is_number(self._port) else None
        if number is not None and not 0 < number < 65536:
            raise CommandError(f"port {self._port} is not within 1..65535", Exit.USAGE)
        if self._face is not None:
            return self._through_service(receiver, self._face, self._port)
        if number is not None:
            if isinstance(receiver, Pod):
                self._warn_of_service(receiver, number)
            return [Connection(self._wanted or "TCP", number)]
        return _named(receiver, self._port, self._wanted)

    def _through_service(self, receiver: Pod | str, face: ServiceFace, port: str) -> list[Connection]:
        for one in face.ports:
            if port in (one.name, str(one.port)) and self._wanted in (None, one.protocol):
                if isinstance(one.target, str):
                    return _named(receiver, one.target, one.protocol)
                if one.target != one.port or port == one.name:
                    leads = f"Service {self._name} leads port {port} to {one.protocol}/{one.target} of its pods"
                    self.remarks.append(leads)
                return [Connection(one.protocol, one.target)]
        if _is_number(port):
            ports = ", ".join(f"{one.protocol}/{one.port}" for one in face.ports) or "no ports"
            self.remarks.append(f"Service {self._name} has {ports}; {port} is taken for the pods' own port")
            return [Connection(self._wanted or "TCP", int(port))]
        return []

    def _warn_of_service(self, pod: Pod, number: int) -> None:
        """Policies see the pod's port: say so where the number looks like that of a Service before it."""
        face = self._world.faces.get((pod.namespace, pod.workload))
        if face is None or not face.selector or not _carries(pod, face.selector):
            return
        own = {port for _, numbers in pod.ports for port in numbers} | {one.target for one in face.ports}
        self.remarks += [
            f"Service {pod.namespace}/{pod.workload} leads {number} to {one.target}: policies see the pod's port, "
            f"so ask for :{one.target} to know about callers of the Service"
            for one in face.ports
            if one.port == number and number not in own and self._wanted in (None, one.protocol)
        ]


def _named(receiver: Pod | str, name: str, wanted: str | None) -> list[Connection]:
    if not isinstance(receiver, Pod):
        raise CommandError(f"port {name!r}: an address has no named ports; give a number", Exit.USAGE)
    return [
        Connection(protocol, number)
        for (protocol, own), numbers in receiver.ports
        if own == name and wanted in (None, protocol)
        for number in numbers
    ]


def _only_port(name: str, receiver: Pod | str) -> list[Connection]:
    if isinstance(receiver, Pod):
        known = [Connection(protocol, number) for (protocol, _), numbers in receiver.ports for number in numbers]
        if len(known) == 1:
            return known
        if known:
            message = f"{name} has several ports, name one: {', '.join(f'{name}:{one.port}' for one in known)}"
            raise CommandError(message, Exit.USAGE)
    raise CommandError(f"which port of {name}? Give {name}:PORT", Exit.USAGE)


def _protocol(text: str | None) -> str | None:
    if text is None:
        return None
    if text.upper() not in _PROTOCOLS:
        raise CommandError(f"protocol {text}: expected TCP, UDP or SCTP", Exit.USAGE)
    return text.upper()


def _known_ports(receivers: Iterable[Pod | str]) -> str:
    names = {
        f"{name} ({protocol}/{number})"
        for one in receivers
        if isinstance(one, Pod)
        for (protocol, name), numbers in one.ports
        for number in numbers
    }
    return f"they have {_some(sorted(names))}" if names else ""


def _carries(pod: Pod, labels: Mapping[str, str]) -> bool:
    return all(pod.labels.get(key) == value for key, value in labels.items())


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal()


def _some(names: list[str]) -> str:
    return ", ".join(map(printable, names[:12])) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
