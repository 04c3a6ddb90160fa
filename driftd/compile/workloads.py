"""Whom the model knows: the pods that its services and attachments are, by labels and service account together."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from driftd.model import Environment, LocalAttachment, Model, PortSpec, WorkloadAttachment

Ports = tuple[tuple[str, str, int], ...]
"""(protocol, name, number) of each port, ascending."""


@dataclass(frozen=True, slots=True)
class Workload:
    """Pods of one kind. A pod belongs to it if it carries these labels *and* runs as this service account.

    `gateway` marks the one workload through which the model lets the world in. `tenant` is whose attachment it is.
    """

    name: str
    labels: Mapping[str, str]
    account: str
    ports: Ports = ()
    gateway: bool = False
    tenant: str = ""

    def claims(self, labels: Mapping[str, str], account: str) -> bool:
        """Whether a pod with these labels and this service account belongs here."""
        return account == self.account and self.selects(labels)

    def selects(self, labels: Mapping[str, str]) -> bool:
        """Whether a pod carries the labels, whoever it runs as."""
        return all(labels.get(key) == value for key, value in self.labels.items())


def workloads_of(environment: Environment) -> tuple[Workload, ...]:
    """The workloads of an environment's own namespace: its services, then the attachments that stand there."""
    found = [
        Workload(name, dict(environment.selector_labels(name)), environment.account(name), _ports(service.ports))
        for name, service in sorted(environment.services.items())
    ]
    for name, attachment in sorted(environment.attachments.items()):
        if isinstance(attachment, LocalAttachment):
            one = attachment.service
            found.append(Workload(name, dict(one.labels), one.service_account, _ports({name: attachment.port})))
    return tuple(found)


def peers_of(model: Model) -> dict[str, tuple[Workload, ...]]:
    """Workloads that the model names in other namespaces: DNS, the gateway, shared services, attachments."""
    found: dict[str, list[Workload]] = {}
    for namespace, workload in _peers(model):
        here = found.setdefault(namespace, [])
        if workload not in here:  # two environments may name one and the same workload
            here.append(workload)
    return {namespace: tuple(ones) for namespace, ones in sorted(found.items())}


def _peers(model: Model) -> Iterator[tuple[str, Workload]]:
    spec = model.cluster.spec
    yield spec.dns.namespace, Workload("dns", dict(spec.dns.labels), "")
    gateway = spec.gateway
    yield gateway.namespace, Workload("gateway", dict(gateway.labels), gateway.service_account, gateway=True)
    for name, shared in sorted(model.shared_services.items()):
        yield shared.spec.namespace, Workload(name, dict(shared.spec.labels), shared.spec.service_account)
    for environment in _sorted(model.environments.values()):
        for name, attachment in sorted(environment.attachments.items()):
            if isinstance(attachment, WorkloadAttachment):
                labels, account = dict(attachment.labels), attachment.service_account
                ports = _ports({name: attachment.port})
                yield attachment.namespace, Workload(name, labels, account, ports, tenant=environment.tenant)


def _sorted(environments: Iterable[Environment]) -> list[Environment]:
    return sorted(environments, key=lambda one: one.metadata.name)


def _ports(ports: Mapping[str, PortSpec]) -> Ports:
    return tuple(sorted((spec.protocol, name, spec.number) for name, spec in ports.items()))
