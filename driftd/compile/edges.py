"""The graph of an environment: who calls what, with every name resolved.

All layers read these edges, so that NetworkPolicies, mesh policies and probes speak of the same graph.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from driftd.compile.faults import problem
from driftd.model import (
    Call,
    CidrAttachment,
    Environment,
    LocalAttachment,
    Model,
    PortSpec,
    Problem,
    SharedService,
    WorkloadAttachment,
)


@dataclass(frozen=True, slots=True)
class InService:
    """A service of the same environment."""

    name: str


@dataclass(frozen=True, slots=True)
class InNamespace:
    """An attached workload of the environment's own namespace that is no service of the model."""

    name: str
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """An attached workload in another namespace."""

    name: str
    namespace: str
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Outside:
    """An attached address outside the cluster."""

    name: str
    cidr: str


@dataclass(frozen=True, slots=True)
class Shared:
    """A platform service."""

    service: SharedService


Target: TypeAlias = InService | InNamespace | Elsewhere | Outside | Shared


@dataclass(frozen=True, slots=True)
class Edge:
    """One permitted connection: pods of `caller` may open it to `target` on `port`."""

    caller: str
    target: Target
    port: PortSpec
    call: Call


@dataclass(frozen=True, slots=True)
class Way:
    """One way in: the gateway may open connections to pods of `service` on `port`, for requests to `host`."""

    service: str
    port: PortSpec
    host: str


class _UnresolvedError(LookupError):
    """A call that leads nowhere; the message says why and `remedy` what to do."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


def edges_of(model: Model, environment: Environment) -> tuple[tuple[Edge, ...], tuple[Problem, ...]]:
    """The edges of an environment, sorted by caller and target, and what is wrong with calls that lead nowhere.

    A call that the linter refuses (unknown target, ambiguous port, a shared service that does not permit the
    tenant) yields a problem and no edge: nothing is opened on a guess.
    """
    edges: list[Edge] = []
    problems: list[Problem] = []
    for caller, service in sorted(environment.services.items()):
        for index, call in enumerate(service.calls):
            try:
                target, port = _resolve(model, environment, call)
            except _UnresolvedError as fault:
                origin = model.origin("Environment", environment.name)
                field = f"spec.services.{caller}.calls[{index}].to"
                problems.append(problem(origin, field, str(fault), fault.remedy))
            else:
                edges.append(Edge(caller, target, port, call))
    edges.sort(key=lambda edge: (edge.caller, edge.call.to, edge.port.number, edge.port.protocol))
    return tuple(edges), tuple(problems)


def ways_of(model: Model, environment: Environment) -> tuple[tuple[Way, ...], tuple[Problem, ...]]:
    """The ways into an environment, sorted by service and host, and what is wrong with those that lead nowhere."""
    ways: list[Way] = []
    problems: list[Problem] = []
    for name, service in sorted(environment.services.items()):
        for index, exposure in enumerate(service.expose):
            spec = service.ports.get(exposure.port)
            if spec is None:
                origin = model.origin("Environment", environment.name)
                message = f"service {name!r} has no port {exposure.port!r}"
                field = f"spec.services.{name}.expose[{index}].port"
                problems.append(problem(origin, field, message, "name one of its ports, or add it"))
            else:
                ways.append(Way(name, spec, exposure.host))
    ways.sort(key=lambda way: (way.service, way.host, way.port.number))
    return tuple(ways), tuple(problems)


def _resolve(model: Model, environment: Environment, call: Call) -> tuple[Target, PortSpec]:
    if call.shared is not None:
        return _shared(model, environment, call.shared)
    if call.to in environment.services:
        try:
            return InService(call.to), environment.called_port(call)[1]
        except KeyError:
            names = ", ".join(sorted(environment.services[call.to].ports)) or "none"
            raise _UnresolvedError(
                f"service {call.to!r} is called without naming one of its ports ({names})", "name a port of it"
            ) from None
    match environment.attachments.get(call.to):
        case LocalAttachment(service=workload, port=port):
            return InNamespace(call.to, workload.labels), port
        case WorkloadAttachment(namespace=namespace, labels=labels, port=port):
            return Elsewhere(call.to, namespace, labels), port
        case CidrAttachment(cidr=cidr, port=port):
            return Outside(call.to, cidr), port
        case None:
            raise _UnresolvedError(
                f"{call.to!r} is neither a service nor an attachment of this environment",
                "correct the name, or add the service or attachment",
            )


def _shared(model: Model, environment: Environment, name: str) -> tuple[Target, PortSpec]:
    service = model.shared_services.get(name)
    if service is None:
        raise _UnresolvedError(
            f"there is no SharedService {name!r}", "correct the name after shared/, or add the document"
        )
    if not service.permits(environment.tenant):
        raise _UnresolvedError(
            f"SharedService {name!r} does not permit tenant {environment.tenant!r}",
            f"add the tenant to spec.callers.tenants of SharedService/{name}, or drop the call",
        )
    return Shared(service), service.spec.port


def every_edge(sites: Mapping[str, tuple[Edge, ...]]) -> Iterator[tuple[str, Edge]]:
    """All edges of all environments with the environment's name, in the order of names."""
    for name in sorted(sites):
        for edge in sites[name]:
            yield name, edge
