"""What the model entitles a live pod to: the labels of the one workload it belongs to, or nothing."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from driftd.compile import GovernedNamespace, Workload
from driftd.policy.reach import Pod
from driftd.policy.reach.pods import NamedPorts, named_ports
from driftd.values import Body, ObjectRef


@dataclass(frozen=True, slots=True)
class Input:
    """An object besides policies that decides flows: as the model has it, and as it lives; None where it is not.

    `unknown`: how it lives is not known, and `live` is as the model has it.
    """

    ref: ObjectRef
    wanted: Body | Pod | None
    live: Body | Pod | None
    unknown: bool = False


def pod_ref(namespace: str, name: str) -> ObjectRef:
    """Identity of a Pod."""
    return ObjectRef("", "Pod", namespace, name)


def workload_of(pod: Pod, workloads: Iterable[Workload]) -> Workload | None:
    """The workload a pod belongs to: it carries all its labels and runs as its service account.

    One that could belong to two belongs to the one that asks for more labels: what it carries beyond that, it chose
    itself. A pod in the host's network belongs to none, since no policy governs it.
    """
    if pod.host_network:
        return None
    claiming = [one for one in workloads if one.claims(pod.labels, pod.service_account)]
    return min(claiming, key=lambda one: (-len(one.labels), one.name), default=None)


def entitled(pod: Pod, governed: GovernedNamespace) -> Pod:
    """The same pod with exactly what the model says of it.

    A port that the model names has the model's number; other names are the pod's own affair. Of a namespace that is
    kept in plain manifests the model knows policies only: there a pod is entitled to be what it is.
    """
    if not governed.environment:
        return pod
    found = workload_of(pod, governed.workloads)
    if found is None:
        addresses = () if pod.host_network else pod.ips  # the node's address is not this pod's own
        return replace(pod, labels={}, service_account="", host_network=False, ips=addresses)
    return replace(pod, labels=found.labels, ports=_ports(pod.ports, found))


def _ports(live: NamedPorts, workload: Workload) -> NamedPorts:
    if not workload.ports:
        return live
    return named_ports({**dict(live), **{(protocol, name): (port,) for protocol, name, port in workload.ports}}.items())
