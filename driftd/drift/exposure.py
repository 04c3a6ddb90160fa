"""Findings about Services and EndpointSlices that let somebody in, or lead somewhere, beside the model's exposure.

The model has one way in, the gateway. A node port lets the world in at every node, and comes to the pod from its
node, which NetworkPolicy cannot keep out (the API's text: traffic of the local node is always allowed). An external IP
takes over an address for the whole cluster (CVE-2020-8554). An EndpointSlice may name any address, and whoever forwards
to the Service reaches it with the forwarder's own permissions (CVE-2021-25740).
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property, partial

from driftd.compile import Compiled
from driftd.drift.findings import finding_id
from driftd.drift.live import MOST_ADDRESSES, LiveService, LiveSlice, plain
from driftd.drift.meaning import severity
from driftd.drift.modelled import tenancy_of
from driftd.drift.served import slice_ref
from driftd.drift.telling import ANYBODY, Candidate, shaped
from driftd.drift.words import shown
from driftd.policy.reach import Pod, Tenancy
from driftd.values import Direction, Finding, FindingType, ObjectRef, Witness

_NAMED = 3


def exposed(
    compiled: Compiled, services: Iterable[LiveService], pods: Mapping[tuple[str, str], Pod]
) -> Iterator[Candidate]:
    """A finding for each Service with a way in that the model does not have."""
    homes = _Homes(pods)
    for service in services:
        ways = _ways_in(service)
        if ways and _matters(compiled, service):
            ref = ObjectRef("", "Service", service.namespace, service.name)
            make = partial(_exposure, compiled, service, ways, homes)
            yield _candidate(compiled, FindingType.EXPOSED, ref, make, crosses=bool(service.external_ips))


def misdirected(
    compiled: Compiled, slices: Iterable[LiveSlice], pods: Mapping[tuple[str, str], Pod]
) -> Iterator[Candidate]:
    """A finding for each EndpointSlice that leads to pods of another namespace that the model knows.

    So does one of which nobody knows where it leads.
    """
    owners = owners_of(pods)
    tenancy = tenancy_of(compiled)
    platform = frozenset(compiled.platform)
    for one in slices:
        if one.namespace in platform:
            continue
        found = [owners[address] for address in one.addresses if address in owners]
        strangers = [pod for pod in found if pod.namespace != one.namespace]
        apart = [pod for pod in strangers if tenancy.apart(one.namespace, pod.namespace)]
        if one.more and not apart:
            make, crosses = partial(_overgrown, compiled, one), True
        elif strangers:
            crosses, pod = bool(apart), min(apart or strangers, key=str)
            make = partial(_misdirection, compiled, tenancy, one, pod, crosses=crosses)
        else:
            continue
        yield _candidate(
            compiled, FindingType.MISDIRECTED, slice_ref(one), make, crosses=crosses, vague=not apart and one.more
        )


def owners_of(pods: Mapping[tuple[str, str], Pod]) -> Mapping[str, Pod]:
    """Whose an address is, in its one spelling. A node's is nobody's."""
    living = (pod for pod in pods.values() if not pod.host_network and not pod.finished)
    return {plain(address): pod for pod in living for address in pod.ips}


def _candidate(
    compiled: Compiled,
    type_: FindingType,
    ref: ObjectRef,
    make: partial[Finding],
    *,
    crosses: bool,
    vague: bool = False,
) -> Candidate:
    how_bad = severity(Direction.LOOSENS, crosses_tenant=crosses)
    return Candidate(finding_id(compiled.cluster, type_, ref), type_, ref, how_bad, vague, make)


class _Homes:
    """Pods by namespace, put together when somebody asks."""

    def __init__(self, pods: Mapping[tuple[str, str], Pod]) -> None:
        self._pods = pods

    @cached_property
    def _by_namespace(self) -> dict[str, list[Pod]]:
        found: dict[str, list[Pod]] = {}
        for pod in self._pods.values():
            found.setdefault(pod.namespace, []).append(pod)
        return found

    def of(self, namespace: str) -> list[Pod]:
        return self._by_namespace.get(namespace, [])


def unkept(compiled: Compiled, beyond: Iterable[tuple[str, str]]) -> Iterator[Finding]:
    """A finding for each kind, and governed namespace, of which there are more objects than are kept.

    `beyond` has kinds and namespaces. What is not kept may be anything, carry any label, and lead anywhere.
    """
    for kind, namespace in sorted(beyond):
        if namespace in compiled.governed:
            type_, setting = _UNKEPT[kind]
            ref = ObjectRef("", "Namespace", "", namespace)
            summary = (
                f"{ref} holds more {kind}s than driftd keeps ({setting}): what the others are, and whom they let in or "
                "lead to, is not known. See who makes so many (a ResourceQuota counts them), or raise the bound, and "
                "the memory limit, if they are meant"
            )
            yield shaped(compiled, type_, ref, summary, None, direction=Direction.UNKNOWN, crosses=None)


_WORKLOADS = "watch.namespace_workload_bytes"
_UNKEPT: Mapping[str, tuple[FindingType, str]] = {
    "Pod": (FindingType.RELABELLED, _WORKLOADS),
    "Service": (FindingType.EXPOSED, _WORKLOADS),
    "EndpointSlice": (FindingType.MISDIRECTED, _WORKLOADS),
    "ServiceAccount": (FindingType.RELABELLED, "watch.namespace_bytes"),
}


def _ways_in(service: LiveService) -> list[str]:
    ways = []
    if service.type == "LoadBalancer":
        ways.append("a load balancer")
    nodes = sorted({port.node_port for port in service.ports if port.node_port})
    if nodes:
        ways.append(f"node port{'s' if len(nodes) > 1 else ''} {', '.join(map(str, nodes[:_NAMED]))}")
    elif service.type == "NodePort":
        ways.append("node ports")
    if service.external_ips:
        ways.append(f"external IP {', '.join(service.external_ips[:_NAMED])}")
    return ways


def _matters(compiled: Compiled, service: LiveService) -> bool:
    """In a tenant's namespace every such Service does; elsewhere those before pods that the model names.

    What stands before the gateway alone is the model's own exposure. An external IP is taken over in the whole cluster,
    so nobody but the platform has one.
    """
    governed = compiled.governed.get(service.namespace)
    if governed is not None and governed.closed:
        return True
    meant = [one for one in compiled.peers.get(service.namespace, ()) if _may_select(service, one.labels)]
    if meant:
        return not all(one.gateway for one in meant)
    return bool(service.external_ips) and service.namespace not in compiled.platform


def _may_select(service: LiveService, labels: Mapping[str, str]) -> bool:
    """Whether a Service selects such pods; one of which not all is known may select any."""
    if not service.selector:
        return service.more
    return all(labels.get(key) == value for key, value in service.selector.items())


def _exposure(compiled: Compiled, service: LiveService, ways: list[str], homes: _Homes) -> Finding:
    selected = (pod.workload for pod in homes.of(service.namespace) if _may_select(service, pod.labels))
    first = service.ports[0] if service.ports else None
    target = f"{service.namespace}/{shown(min(selected, default=service.name))}"
    through = f"through {' and '.join(ways)} of Service {service.name}"
    witness = Witness(
        "anybody who reaches a node" if not service.external_ips else f"anybody who calls {service.external_ips[0]}",
        target,
        first.protocol if first else "TCP",
        first.target if first else "any",
        through,
    )
    ref = ObjectRef("", "Service", service.namespace, service.name)
    summary = (
        f"{ref} has {' and '.join(ways)}, and the model lets the world in through the gateway only; "
        f"{'it takes over that address for every tenant; ' if service.external_ips else ''}driftd writes no Services: "
        "make it a ClusterIP Service without external IPs, and expose it in the model"
    )
    return shaped(compiled, FindingType.EXPOSED, ref, summary, witness, crosses=bool(service.external_ips))


def _misdirection(compiled: Compiled, tenancy: Tenancy, one: LiveSlice, pod: Pod, *, crosses: bool) -> Finding:
    protocol, number = one.ports[0] if one.ports else ("TCP", 0)
    service = shown(one.service, 80) or "(no Service)"
    witness = Witness(
        f"callers of Service {one.namespace}/{service}",
        f"{pod.namespace}/{shown(pod.workload)}",
        protocol,
        str(number) if number else "any",
    )
    ref = slice_ref(one)
    whose = tenancy.tenant(pod.namespace)
    of = f" of tenant {whose}" if crosses and whose else ""
    summary = (
        f"{ref} leads callers of Service {service} to pod {pod}{of}, which is in another namespace; whatever "
        "forwards to that Service reaches it with its own permissions. driftd writes no EndpointSlices: delete it, or "
        "the addresses in it"
    )
    return shaped(compiled, FindingType.MISDIRECTED, ref, summary, witness, crosses=crosses)


def _overgrown(compiled: Compiled, one: LiveSlice) -> Finding:
    ref = slice_ref(one)
    summary = (
        f"{ref} has more than {MOST_ADDRESSES} addresses, hundreds of ports, or an address that cannot be read, "
        "which no controller writes: where all of them lead is not known. driftd writes no EndpointSlices: delete it"
    )
    witness = Witness(f"callers of Service {one.namespace}/{shown(one.service, 80)}", ANYBODY, "TCP", "any")
    return shaped(compiled, FindingType.MISDIRECTED, ref, summary, witness, crosses=True)
