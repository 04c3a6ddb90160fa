"""Rules about the graph of calls: every edge leads somewhere, and every pod is one service's."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations

from driftd.model.explanations import closest
from driftd.model.lint.finding import Linted
from driftd.model.places import Path
from driftd.model.problems import Problem
from driftd.model.schema import Call, Environment, PortSpec


def calls_lead_somewhere(linted: Linted) -> Iterator[Problem]:
    """A call names a service, an attachment or a SharedService, and one of its ports."""
    for environment in linted.environments():
        for name, service in environment.services.items():
            for index, call in enumerate(service.calls):
                at = ("spec", "services", name, "calls", index)
                if call.to == name:
                    message = f"{name!r} calls itself"
                    remedy = "delete the call, or split the service if its pods talk to one another"
                    yield linted.tell("error", environment, (*at, "to"), message, remedy)
                else:
                    yield from _target(linted, environment, at, call)


def _target(linted: Linted, environment: Environment, at: tuple[str | int, ...], call: Call) -> Iterator[Problem]:
    if call.shared is not None:
        yield from _shared(linted, environment, at, call, call.shared)
    elif call.to in environment.services:
        yield from _port(linted, environment, at, call, environment.services[call.to].ports)
    elif call.to in environment.attachments:
        yield from _single_port(linted, environment, at, call, environment.attachments[call.to].port)
    else:
        known = [
            *environment.services,
            *environment.attachments,
            *(f"shared/{name}" for name in linted.model.shared_services),
        ]
        message = f"{call.to[:80]!r} is no service, no attachment and no shared service"
        yield linted.tell("error", environment, (*at, "to"), message, closest(call.to, known))


def _shared(
    linted: Linted, environment: Environment, at: tuple[str | int, ...], call: Call, name: str
) -> Iterator[Problem]:
    shared = linted.model.shared_services.get(name)
    if shared is None:
        known = [f"shared/{known}" for known in linted.model.shared_services]
        message = f"there is no SharedService {name[:80]!r}"
        yield linted.tell("error", environment, (*at, "to"), message, closest(call.to, known))
        return
    if not shared.permits(environment.tenant):
        yield linted.tell(
            "error",
            environment,
            (*at, "to"),
            f"SharedService {name!r} does not permit the tenant {environment.tenant!r}",
            f"add the tenant to its `callers` ({linted.where(f'SharedService/{name}')})",
            against=(f"SharedService/{name}",),
        )
    yield from _single_port(linted, environment, at, call, shared.spec.port)


def _port(
    linted: Linted, environment: Environment, at: tuple[str | int, ...], call: Call, ports: Mapping[str, PortSpec]
) -> Iterator[Problem]:
    """The port of a call to a service."""
    if not ports:
        remedy = f"give {call.to!r} a port under `ports`"
        yield linted.tell("error", environment, (*at, "to"), f"the service {call.to!r} has no ports", remedy)
    elif call.port is None and len(ports) > 1:
        message = f"{call.to!r} has several ports and the call names none"
        yield linted.tell("error", environment, at, message, f"add `port:` with one of {', '.join(sorted(ports))}")
    elif call.port is not None and call.port not in ports:
        message = f"{call.to!r} has no port {call.port!r}"
        yield linted.tell("error", environment, (*at, "port"), message, closest(call.port, ports))
    else:
        port = ports[call.port] if call.port is not None else next(iter(ports.values()))
        yield from _requests(linted, environment, at, call, port)


def _single_port(
    linted: Linted, environment: Environment, at: tuple[str | int, ...], call: Call, port: PortSpec
) -> Iterator[Problem]:
    """Attachments and shared services have one port without a name."""
    if call.port is not None:
        message = f"{call.to!r} has one port, and it has no name"
        yield linted.tell("error", environment, (*at, "port"), message, "delete `port`")
    yield from _requests(linted, environment, at, call, port)


def _requests(
    linted: Linted, environment: Environment, at: tuple[str | int, ...], call: Call, port: PortSpec
) -> Iterator[Problem]:
    """Paths and methods stand in requests, and only some protocols have those."""
    for field in ("paths", "methods"):
        if getattr(call, field) and port.app == "tcp":
            message = f"`{field}` need a port that speaks http or grpc, and this one is {port.number}/{port.app}"
            remedy = f"delete `{field}`, or write the target's port as {{number: {port.number}, app: http}}"
            yield linted.tell("error", environment, (*at, field), message, remedy, key=True)


def exposed_ports_exist(linted: Linted) -> Iterator[Problem]:
    """What the gateway offers is a TCP port of the service, and a host belongs to one service."""
    hosts: dict[str, tuple[str, Environment]] = {}
    for environment in linted.environments():
        for name, service in environment.services.items():
            for index, exposure in enumerate(service.expose):
                at = ("spec", "services", name, "expose", index)
                port = service.ports.get(exposure.port)
                if port is None:
                    message = f"{name!r} has no port {exposure.port!r}"
                    yield linted.tell(
                        "error", environment, (*at, "port"), message, closest(exposure.port, service.ports)
                    )
                elif port.protocol != "TCP":
                    message = f"the gateway offers TCP, and {exposure.port!r} is {port.protocol}"
                    yield linted.tell("error", environment, (*at, "port"), message, "expose a TCP port")
                service_key = f"{environment.name}/{name}"
                taken, owner = hosts.setdefault(exposure.host, (service_key, environment))
                if owner.tenant != environment.tenant:
                    yield linted.tell(
                        "error",
                        environment,
                        (*at, "host"),
                        f"the host {exposure.host!r} is offered by {taken} of tenant {owner.tenant!r} already",
                        "choose another host",
                        against=(f"Environment/{owner.name}",),
                    )


def names_are_one_thing(linted: Linted) -> Iterator[Problem]:
    """A name is a service or an attachment, or nobody knows what a call to it means."""
    for environment in linted.environments():
        for name in environment.attachments:
            if name in environment.services:
                path = ("spec", "attachments", name)
                message = f"{name!r} is a service of this environment too"
                yield linted.tell("error", environment, path, message, "rename one of the two", key=True)


def every_pod_is_one_service(linted: Linted) -> Iterator[Problem]:
    """If one service's labels are among another's and the account is the same, each pod of the latter is both."""
    for environment in linted.environments():
        for left, right in combinations(environment.services, 2):
            ours, theirs = (dict(environment.selector_labels(name)).items() for name in (left, right))
            if environment.account(left) == environment.account(right) and (ours <= theirs or theirs <= ours):
                yield linted.tell(
                    "error",
                    environment,
                    ("spec", "services", right),
                    f"a pod can be {left!r} and {right!r} at once: same service account, and the labels of one are "
                    "among the other's",
                    "give each a service account of its own, or labels that exclude each other",
                    key=True,
                )


def ports_are_reached(linted: Linted) -> Iterator[Problem]:
    """A port that nothing reaches is either not needed or a call that somebody forgot."""
    for environment in linted.environments():
        called = {call.to for service in environment.services.values() for call in service.calls}
        for name, service in environment.services.items():
            if service.ports and not service.expose and name not in called:
                path: Path = ("spec", "services", name, "ports")
                message = f"{name!r} has ports, but nothing calls it and it is not exposed"
                remedy = "add the missing call or exposure, or delete the ports"
                yield linted.tell("warning", environment, path, message, remedy, key=True)


RULES: Sequence[Callable[[Linted], Iterator[Problem]]] = (
    calls_lead_somewhere,
    exposed_ports_exist,
    names_are_one_thing,
    every_pod_is_one_service,
    ports_are_reached,
)
