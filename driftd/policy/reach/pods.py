"""Pods as reachability sees them, and how they are read from Pod bodies and from workload templates."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from driftd.values import Body

WORKLOADS: Final = {
    ("apps", "Deployment"),
    ("apps", "StatefulSet"),
    ("apps", "DaemonSet"),
    ("apps", "ReplicaSet"),
    ("", "ReplicationController"),
    ("batch", "Job"),
    ("batch", "CronJob"),
}

_LONGEST_KIND: Final = 63
_LONGEST_NAME: Final = 253
"""Characters of what an owner reference names. The API server does not look: a megabyte would do as well."""

NamedPorts = tuple[tuple[tuple[str, str], tuple[int, ...]], ...]
"""By (protocol, name) the numbers that containers of the pod give it, all ascending."""


class MalformedPod(ValueError):
    """A Pod or template without what makes it one; the message says what is missing."""


IMAGINED: Final = "any pod"
"""How the name of a pod that is only imagined begins: no API server takes such a name."""


@dataclass(frozen=True, slots=True)
class Pod:
    """One pod: everything about it that a policy can tell apart, and nothing else.

    `ips` holds at most one address a family (dual stack); empty means not known yet. `finished` pods (Succeeded,
    Failed) are no endpoints. `owner` is `Kind/name` of the workload, empty for a bare pod. `node_ips` are addresses
    of the node it runs on.
    """

    namespace: str
    name: str
    labels: Mapping[str, str]
    service_account: str = "default"
    ips: tuple[str, ...] = ()
    host_network: bool = False
    ports: NamedPorts = ()
    finished: bool = False
    owner: str = ""
    node_ips: tuple[str, ...] = ()

    @property
    def workload(self) -> str:
        """What people call it: the owner's name, else the pod's own."""
        return self.owner.partition("/")[2] or self.name

    @property
    def imagined(self) -> bool:
        """Whether it stands for pods that could be made: nobody runs it."""
        return self.name.startswith(IMAGINED)

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


def pod_from_body(body: Body) -> Pod:
    """A Pod of the API. Raises MalformedPod when it has no name or no spec."""
    metadata = body.get("metadata") or {}
    name, spec = metadata.get("name"), body.get("spec")
    if not name or not isinstance(spec, dict):
        raise MalformedPod("Pod without metadata.name or spec: expected a complete Pod object")
    status = body.get("status") or {}
    ips = tuple(entry["ip"] for entry in status.get("podIPs") or () if entry.get("ip"))
    if not ips and status.get("podIP"):
        ips = (status["podIP"],)
    labels = metadata.get("labels") or {}
    hosts = tuple(entry["ip"] for entry in status.get("hostIPs") or () if entry.get("ip"))
    if not hosts and status.get("hostIP"):
        hosts = (status["hostIP"],)
    return Pod(
        namespace=metadata.get("namespace") or "default",
        name=name,
        labels=labels,
        service_account=_account(spec),
        ips=ips,
        host_network=bool(spec.get("hostNetwork")),
        ports=_named_ports(spec),
        finished=status.get("phase") in ("Succeeded", "Failed"),
        owner=_owner(metadata, labels),
        node_ips=hosts,
    )


def pods_from_workload(body: Body) -> tuple[Pod, ...]:
    """The pods a workload's template would make, without addresses: one, or two when it may run several.

    Two are enough to speak of traffic between its own replicas. A workload scaled to nothing still counts as one:
    it is what could run tomorrow. Raises MalformedPod when the template is missing.
    """
    kind = str(body.get("kind") or "")
    metadata, spec = body.get("metadata") or {}, body.get("spec") or {}
    job = (spec.get("jobTemplate") or {}).get("spec") or {} if kind == "CronJob" else spec
    template = job.get("template")
    name = metadata.get("name")
    if not name or not isinstance(template, dict):
        raise MalformedPod(f"{kind} {name or '?'}: no pod template found where this kind keeps it")
    pod_spec = template.get("spec") or {}
    labels = dict((template.get("metadata") or {}).get("labels") or {})
    names = _replica_names(kind, name, job)
    return tuple(
        Pod(
            namespace=metadata.get("namespace") or "default",
            name=replica,
            labels=labels | _generated_labels(kind, replica, index),
            service_account=_account(pod_spec),
            host_network=bool(pod_spec.get("hostNetwork")),
            ports=_named_ports(pod_spec),
            owner=f"{kind}/{name}",
        )
        for index, replica in enumerate(names)
    )


def _replica_names(kind: str, name: str, spec: Body) -> tuple[str, ...]:
    count = spec.get("parallelism") if kind in ("Job", "CronJob") else spec.get("replicas")
    several = kind == "DaemonSet" or (count if isinstance(count, int) else 1) > 1
    if kind == "StatefulSet":
        return (f"{name}-0", f"{name}-1") if several else (f"{name}-0",)
    return (f"{name}#1", f"{name}#2") if several else (name,)


def _generated_labels(kind: str, name: str, index: int) -> dict[str, str]:
    if kind != "StatefulSet":
        return {}
    return {"statefulset.kubernetes.io/pod-name": name, "apps.kubernetes.io/pod-index": str(index)}


def _account(spec: Body) -> str:
    return str(spec.get("serviceAccountName") or spec.get("serviceAccount") or "default")


def _named_ports(spec: Body) -> NamedPorts:
    """Names of every container, init and sidecar containers included (Calico reads them all)."""
    found: dict[tuple[str, str], set[int]] = {}
    for container in (*(spec.get("containers") or ()), *(spec.get("initContainers") or ())):
        for port in container.get("ports") or ():
            name, number = port.get("name"), port.get("containerPort")
            if name and isinstance(number, int):
                found.setdefault((str(port.get("protocol") or "TCP"), str(name)), set()).add(number)
    return named_ports((key, tuple(sorted(numbers))) for key, numbers in found.items()) if found else ()


def named_ports(entries: Iterable[tuple[tuple[str, str], tuple[int, ...]]]) -> NamedPorts:
    """The canonical order of a named-port map."""
    return tuple(sorted(entries))


def _owner(metadata: Body, labels: Mapping[str, str]) -> str:
    for reference in metadata.get("ownerReferences") or ():
        if not reference.get("controller"):
            continue
        kind, name = str(reference.get("kind") or ""), str(reference.get("name") or "")
        if len(kind) > _LONGEST_KIND or len(name) > _LONGEST_NAME:
            return ""  # no object is called that
        tail = labels.get("pod-template-hash")
        if kind == "ReplicaSet" and tail and name.endswith(f"-{tail}"):
            return f"Deployment/{name.removesuffix(f'-{tail}')}"
        return f"{kind}/{name}"
    return ""
