"""Findings about Services and EndpointSlices that let somebody in, or lead somewhere, beside the model's exposure.

The model has one way in, the gateway. A node port lets the world in at every node, and comes to the pod from its
node, which NetworkPolicy cannot keep out (the API's text: traffic of the local node is always allowed). An external IP
takes over an address for the whole cluster (CVE-2020-8554). An EndpointSlice may name any address, and whoever forwards
to the Service reaches it with the forwarder's own permissions (CVE-2021-25740).
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from heapq import nsmallest

from driftd.compile import Compiled
from driftd.drift.findings import NOBODY, finding_id
from driftd.drift.foreign import MOST_TOLD
from driftd.drift.live import MOST_ADDRESSES, LiveService, LiveSlice, plain
from driftd.drift.meaning import severity
from driftd.drift.modelled import tenancy_of
from driftd.drift.served import slice_ref
from driftd.drift.words import roughly, shown
from driftd.policy.reach import Pod, Tenancy
from driftd.values import CLUSTER, Direction, Finding, FindingType, ObjectRef, Severity, Witness, scope_of

_NAMED = 3
_ANYBODY = "anybody"
"""Whom a slice leads to of which that is not known."""
_Rank = tuple[int, bool]


def exposed(
    compiled: Compiled,
    services: Iterable[LiveService],
    pods: Mapping[tuple[str, str], Pod],
    open_: Collection[str] = (),
) -> Iterator[Finding]:
    """A finding for each Service with a way in that the model does not have, as many of each namespace as are told.

    `open_` has the ids of findings that are open: these are told for as long as they stand, whatever else there is.
    """
    yield from _told(compiled, _exposed(compiled, services, pods), open_, "Service", FindingType.EXPOSED)


def misdirected(
    compiled: Compiled,
    slices: Iterable[LiveSlice],
    pods: Mapping[tuple[str, str], Pod],
    open_: Collection[str] = (),
) -> Iterator[Finding]:
    """A finding for each EndpointSlice that leads to pods of another namespace that the model knows.

    So does one of which nobody knows where it leads. How many are told, and `open_`, are as with `exposed`.
    """
    yield from _told(compiled, _misdirected(compiled, slices, pods), open_, "EndpointSlice", FindingType.MISDIRECTED)


@dataclass(slots=True)
class _Kept:
    """Findings of one namespace and rank."""

    standing: int = 0
    fresh: list[Finding] = field(default_factory=list)
    total: int = 0


def _told(
    compiled: Compiled, findings: Iterable[Finding], open_: Collection[str], kind: str, type_: FindingType
) -> Iterator[Finding]:
    """As many of each namespace and rank as anybody reads, and one that says how many more there are.

    Ranks are apart, so that nobody hides the worst behind what only looks as bad; what is open stays, so that nobody
    ends it with others. What the model spares is extra.
    """
    spared = {one.ref for one in compiled.exemptions}
    kept: dict[tuple[str, _Rank], _Kept] = {}
    for one in findings:
        if one.ref in spared:
            yield one
            continue
        here = kept.setdefault((one.ref.namespace, _rank(one)), _Kept())
        here.total += 1
        if one.id in open_:
            here.standing += 1
            yield one
            continue
        here.fresh.append(one)
        if len(here.fresh) > 2 * MOST_TOLD:
            here.fresh[:] = _first(here.fresh, MOST_TOLD)
    left_out: dict[str, Counter[Severity]] = {}
    for (namespace, _), here in kept.items():
        told = _first(here.fresh, max(0, MOST_TOLD - here.standing))
        yield from told
        if more := here.total - here.standing - len(told):
            left_out.setdefault(namespace, Counter())[here.fresh[0].severity] += more
    for namespace, counts in left_out.items():
        yield _more(compiled, namespace, kind, type_, counts)


def _first(findings: Iterable[Finding], count: int) -> list[Finding]:
    return nsmallest(count, findings, key=lambda one: one.ref)


def _rank(finding: Finding) -> _Rank:
    """Of equal severity what is known to lead somewhere comes apart from what may lead anywhere."""
    return finding.severity.rank, finding.witness is not None and finding.witness.target == _ANYBODY


def _more(compiled: Compiled, namespace: str, kind: str, type_: FindingType, counts: Mapping[Severity, int]) -> Finding:
    ref = ObjectRef("", "Namespace", "", namespace)
    worst = min(counts, key=lambda one: one.rank)
    summary = (
        f"{ref} holds {roughly(sum(counts.values()))} {kind}s of this sort besides those that are told one by one, "
        f"{roughly(counts[worst])} of them {worst}: see who makes so many; as those that are told go, others are told"
    )
    return _finding(compiled, type_, ref, summary, None, crosses=worst is Severity.CRITICAL)


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
        apart = [pod for pod in strangers if tenancy.apart(one.namespace, pod.namespace)]
        if one.more and not apart:
            yield _overgrown(compiled, one)
        elif strangers:
            yield _misdirection(compiled, tenancy, one, min(apart or strangers, key=str), crosses=bool(apart))


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


def concealed(beyond: Iterable[tuple[str, str]]) -> frozenset[tuple[FindingType, str]]:
    """Types of findings, by namespace, that are not over because nothing gives rise to them any more.

    `beyond` as for `unkept`: whatever gave rise to them may be among what is not kept.
    """
    return frozenset((_UNKEPT[kind][0], namespace) for kind, namespace in beyond)


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


def _misdirection(compiled: Compiled, tenancy: Tenancy, one: LiveSlice, pod: Pod, *, crosses: bool) -> Finding:
    protocol, number = one.ports[0] if one.ports else ("TCP", 0)
    service = shown(one.service, 80) or "(no Service)"
    witness = Witness(
        f"callers of Service {one.namespace}/{service}",
        f"{pod.namespace}/{pod.workload}",
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
    return _finding(compiled, FindingType.MISDIRECTED, ref, summary, witness, crosses=crosses)


def _overgrown(compiled: Compiled, one: LiveSlice) -> Finding:
    ref = slice_ref(one)
    summary = (
        f"{ref} has more than {MOST_ADDRESSES} addresses, hundreds of ports, or an address that cannot be read, "
        "which no controller writes: where all of them lead is not known. driftd writes no EndpointSlices: delete it"
    )
    witness = Witness(f"callers of Service {one.namespace}/{shown(one.service, 80)}", _ANYBODY, "TCP", "any")
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
