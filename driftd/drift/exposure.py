"""Findings about Services and EndpointSlices that let somebody in, or lead somewhere, beside the model's exposure.

The model has one way in, the gateway. A node port lets the world in at every node, and comes to the pod from its
node, which NetworkPolicy cannot keep out (the API's text: traffic of the local node is always allowed). An external IP
takes over an address for the whole cluster (CVE-2020-8554). An EndpointSlice may name any address, and whoever forwards
to the Service reaches it with the forwarder's own permissions (CVE-2021-25740).
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from heapq import nsmallest

from driftd.compile import Compiled
from driftd.drift.findings import NOBODY, finding_id
from driftd.drift.foreign import MOST_TOLD
from driftd.drift.live import MOST_ADDRESSES, LiveService, LiveSlice, plain
from driftd.drift.meaning import severity
from driftd.drift.modelled import tenancy_of
from driftd.drift.served import slice_ref
from driftd.drift.words import shown
from driftd.policy.reach import Pod, Tenancy
from driftd.values import CLUSTER, Direction, Finding, FindingType, ObjectRef, Witness, scope_of

_NAMED = 3


def exposed(
    compiled: Compiled, services: Iterable[LiveService], pods: Mapping[tuple[str, str], Pod]
) -> Iterator[Finding]:
    """A finding for each Service with a way in that the model does not have, the worst of each namespace."""
    yield from _worst(compiled, _exposed(compiled, services, pods))


def misdirected(
    compiled: Compiled, slices: Iterable[LiveSlice], pods: Mapping[tuple[str, str], Pod]
) -> Iterator[Finding]:
    """A finding for each EndpointSlice that leads to pods of another namespace that the model knows.

    So does one of which nobody knows where it leads. Of each namespace the worst are told.
    """
    yield from _worst(compiled, _misdirected(compiled, slices, pods))


def _worst(compiled: Compiled, findings: Iterable[Finding]) -> Iterator[Finding]:
    """As many of each namespace as anybody reads: who makes thousands is told of. What the model spares is extra."""
    spared = {one.ref for one in compiled.exemptions}
    kept: dict[str, list[Finding]] = {}
    for one in findings:
        if one.ref in spared:
            yield one
            continue
        here = kept.setdefault(one.ref.namespace, [])
        here.append(one)
        if len(here) > 2 * MOST_TOLD:
            here[:] = nsmallest(MOST_TOLD, here, key=_rank)
    for here in kept.values():
        yield from nsmallest(MOST_TOLD, here, key=_rank)


def _rank(finding: Finding) -> tuple[int, ObjectRef]:
    return finding.severity.rank, finding.ref


def _exposed(
    compiled: Compiled, services: Iterable[LiveService], pods: Mapping[tuple[str, str], Pod]
) -> Iterator[Finding]:
    by_namespace: dict[str, list[Pod]] | None = None
    for service in services:
        ways = _ways_in(service)
        if not ways or not _matters(compiled, service):
            continue
        if by_namespace is None:
            by_namespace = {}
            for pod in pods.values():
                by_namespace.setdefault(pod.namespace, []).append(pod)
        yield _exposure(compiled, service, ways, by_namespace.get(service.namespace, []))


def _misdirected(
    compiled: Compiled, slices: Iterable[LiveSlice], pods: Mapping[tuple[str, str], Pod]
) -> Iterator[Finding]:
    owners = {
        plain(address): pod for pod in pods.values() if not pod.host_network and not pod.finished for address in pod.ips
    }
    tenancy = tenancy_of(compiled)
    platform = frozenset(compiled.platform)
    for one in slices:
        if one.namespace in platform:
            continue
        found = [owners[address] for address in map(plain, one.addresses) if address in owners]
        strangers = [pod for pod in found if pod.namespace != one.namespace]
        if strangers:
            yield _misdirection(compiled, tenancy, one, strangers)
        elif one.more:
            yield _overgrown(compiled, one)


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
            yield _finding(compiled, type_, ref, summary, None, direction=Direction.UNKNOWN, crosses=None)


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


def _exposure(compiled: Compiled, service: LiveService, ways: list[str], pods: Iterable[Pod]) -> Finding:
    selected = sorted(pod.workload for pod in pods if _may_select(service, pod.labels))
    first = service.ports[0] if service.ports else None
    target = f"{service.namespace}/{selected[0] if selected else service.name}"
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
    return _finding(compiled, FindingType.EXPOSED, ref, summary, witness, crosses=bool(service.external_ips))


@dataclass(frozen=True, slots=True)
class _Led:
    """Where a slice leads."""

    pod: Pod
    apart: bool


def _misdirection(compiled: Compiled, tenancy: Tenancy, one: LiveSlice, strangers: Iterable[Pod]) -> Finding:
    led = [_Led(pod, tenancy.apart(one.namespace, pod.namespace)) for pod in strangers]
    worst = max(led, key=lambda each: each.apart)
    protocol, number = one.ports[0] if one.ports else ("TCP", 0)
    service = shown(one.service, 80) or "(no Service)"
    witness = Witness(
        f"callers of Service {one.namespace}/{service}",
        f"{worst.pod.namespace}/{worst.pod.workload}",
        protocol,
        str(number) if number else "any",
    )
    ref = slice_ref(one)
    whose = tenancy.tenant(worst.pod.namespace)
    of = f" of tenant {whose}" if worst.apart and whose else ""
    summary = (
        f"{ref} leads callers of Service {service} to pod {worst.pod}{of}, which is in another namespace; whatever "
        "forwards to that Service reaches it with its own permissions. driftd writes no EndpointSlices: delete it, or "
        "the addresses in it"
    )
    return _finding(compiled, FindingType.MISDIRECTED, ref, summary, witness, crosses=worst.apart)


def _overgrown(compiled: Compiled, one: LiveSlice) -> Finding:
    ref = slice_ref(one)
    summary = (
        f"{ref} has more than {MOST_ADDRESSES} addresses, hundreds of ports, or an address that cannot be read, "
        "which no controller writes: where all of them lead is not known. driftd writes no EndpointSlices: delete it"
    )
    witness = Witness(f"callers of Service {one.namespace}/{shown(one.service, 80)}", "anybody", "TCP", "any")
    return _finding(compiled, FindingType.MISDIRECTED, ref, summary, witness, crosses=True)


def _finding(
    compiled: Compiled,
    type_: FindingType,
    ref: ObjectRef,
    summary: str,
    witness: Witness | None,
    *,
    crosses: bool | None,
    direction: Direction = Direction.LOOSENS,
) -> Finding:
    scope = scope_of(ref)
    governed = compiled.governed.get(scope.namespace)
    return Finding(
        id=finding_id(compiled.cluster, type_, ref),
        type=type_,
        ref=ref,
        scope=scope if governed else CLUSTER,
        tenant=governed.tenant if governed else "",
        direction=direction,
        severity=severity(direction, crosses_tenant=crosses),
        summary=summary,
        origin=governed.origin if governed else None,
        witness=witness,
        claimed_by=NOBODY,
        dialect=compiled.dialect,
    )
