"""A world from the model alone: the objects it compiles to, and for each service pods as they would be.

Services stand for pods: two of each, for replicas talk to one another as well. What the model names outside its own
namespaces (DNS, the gateway, attachments, shared services) gets pods too; nothing else is known of those namespaces.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import reduce
from itertools import count
from operator import or_
from pathlib import Path

from driftd.cli.clock import today
from driftd.cli.exits import Exit
from driftd.cli.failures import CommandError
from driftd.cli.sources import ReadModel, ValidModel, judge_model, located, read_model
from driftd.cli.worlds.world import ModelService, World
from driftd.compile import Compiled
from driftd.model import LocalAttachment, Model, PortSpec, SourceFile, WorkloadAttachment
from driftd.policy.reach import Dialect, Pod, Surroundings, Tenancy, block, snapshot_of
from driftd.policy.reach.addresses import NOWHERE
from driftd.values import Body, ObjectRef

REPLICAS = ("", "#2")


def directory_model(directory: Path) -> ValidModel:
    """The model of a directory. Raises CommandError when it cannot be read or has errors."""
    return _valid(read_model(directory, today()))


def files_model(name: str, commit: str, files: tuple[SourceFile, ...]) -> ValidModel:
    """The model of files at hand. Raises CommandError when it has errors."""
    return _valid(judge_model(Path(name), commit, files, today()))


def _valid(read: ReadModel) -> ValidModel:
    if read.model is None or read.compiled is None:
        told = "\n".join(f"  {located(problem, read.directory)}" for problem in read.errors)
        raise CommandError(f"the model in {read.directory} is not valid:\n{told}", Exit.USAGE)
    return ValidModel(read.directory, read.commit, read.files, read.problems, read.model, read.compiled)


def world_of_model(valid: ValidModel, dialect: Dialect | None = None) -> World:
    """What the model says, with pods that stand for its services."""
    model, compiled = valid.model, valid.compiled
    reading = dialect or Dialect(compiled.dialect)
    pods = tuple(representatives(model))
    objects: list[Body | Pod] = [*platform_namespaces(model, pods), *desired_bodies(compiled), *pods]
    return World(
        source=f"model {valid.directory}",
        snapshot=snapshot_of(objects, reading, surroundings_of(model)),
        tenancy=tenancy_of(model, (pod.namespace for pod in pods)),
        remarks=tuple(located(problem, valid.directory) for problem in valid.problems),
        services=services_of(model),
        places=places_of(compiled, valid.directory),
    )


def desired_bodies(compiled: Compiled) -> Iterator[Body]:
    """Every object that the model compiles to."""
    for governed in compiled.every_scope():
        for desired in governed.objects.values():
            yield desired.body()


def places_of(compiled: Compiled, directory: Path) -> dict[ObjectRef, str]:
    """Where in the model each compiled object comes from."""
    return {
        ref: f"{directory / desired.origin.file}:{desired.origin.line}"
        for governed in compiled.every_scope()
        for ref, desired in governed.objects.items()
    }


def surroundings_of(model: Model) -> Surroundings:
    """The cluster's address ranges: they place pods whose addresses nobody knows."""
    ranges = model.cluster.spec.ranges
    pods, nodes, services = (
        reduce(or_, map(block, map(str, cidrs)), NOWHERE) for cidrs in (ranges.pods, ranges.nodes, ranges.services)
    )
    return Surroundings(pods, nodes, services)


def tenancy_of(model: Model, others: Iterable[str] = ()) -> Tenancy:
    """Tenants of the governed namespaces; the platform's own, and `others`, have none."""
    tenants = dict.fromkeys((*model.cluster.spec.platform_namespaces, *others), "")
    return Tenancy({**tenants, **model.tenants()})


def services_of(model: Model) -> dict[tuple[str, str], ModelService]:
    """Every service and local attachment of the model by namespace and name."""
    found: dict[tuple[str, str], ModelService] = {}
    for environment in model.environments.values():
        for name, attachment in environment.attachments.items():
            if isinstance(attachment, LocalAttachment):
                workload = attachment.service
                found[environment.namespace, name] = ModelService(dict(workload.labels), workload.service_account)
        for name in environment.services:
            labels = dict(environment.selector_labels(name))
            found[environment.namespace, name] = ModelService(labels, environment.account(name))
    return found


def platform_namespaces(model: Model, pods: Iterable[Pod]) -> Iterator[Body]:
    """Namespaces that pods stand in and that the model does not write: only their names are known."""
    for name in sorted({pod.namespace for pod in pods} - model.tenants().keys()):
        yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def representatives(model: Model) -> Iterator[Pod]:
    """Pods for everything that the model names."""
    taken: dict[tuple[str, str], Pod] = {}
    for namespace, name, labels, account, ports in _named(model):
        pod = Pod(namespace, name, labels, account, ports=_ports(ports), owner=f"Service/{name}")
        alike = [one for one in taken.values() if one.namespace == namespace and one.labels == labels]
        if any(one.service_account == account for one in alike):
            continue  # two environments may name one and the same workload
        free = next(one for one in _names(name) if (namespace, one) not in taken)
        taken[namespace, free] = pod
        for replica in REPLICAS:
            yield Pod(namespace, free + replica, labels, account, ports=pod.ports, owner=f"Service/{free}")


def _names(name: str) -> Iterator[str]:
    yield name
    yield from (f"{name}-{number}" for number in count(2))


_Named = tuple[str, str, dict[str, str], str, Mapping[str, PortSpec]]


def _named(model: Model) -> Iterator[_Named]:
    """(namespace, name, labels, account, ports) of services first, then of what they use."""
    environments = [one for _, one in sorted(model.environments.items())]
    for environment in environments:
        for name, service in sorted(environment.services.items()):
            labels = dict(environment.selector_labels(name))
            yield environment.namespace, name, labels, service.account, service.ports
    spec = model.cluster.spec
    dns, gateway = spec.dns, spec.gateway
    number = PortSpec(number=dns.port)
    both = {"dns": PortSpec(number=dns.port, protocol="UDP"), "dns-tcp": number}
    yield dns.namespace, "dns", dict(dns.labels), "default", both
    yield gateway.namespace, "gateway", dict(gateway.labels), gateway.service_account, {}
    for name, shared in sorted(model.shared_services.items()):
        one = shared.spec
        yield one.namespace, name, dict(one.labels), one.service_account, {name: one.port}
    for environment in environments:
        for name, attachment in sorted(environment.attachments.items()):
            match attachment:
                case LocalAttachment(service=workload, port=port):
                    labels, account = dict(workload.labels), workload.service_account
                    yield environment.namespace, name, labels, account, {name: port}
                case WorkloadAttachment(namespace=namespace, labels=chosen, service_account=account, port=port):
                    yield namespace, name, dict(chosen), account, {name: port}


def _ports(ports: Mapping[str, PortSpec]) -> tuple[tuple[tuple[str, str], tuple[int, ...]], ...]:
    return tuple(sorted(((spec.protocol, name), (spec.number,)) for name, spec in ports.items()))
