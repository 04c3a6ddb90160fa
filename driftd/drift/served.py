"""Who stands behind the Services that policies go by: whom the model entitles to, and whom slices list beyond that.

A rule of Calico's that names a Service means the addresses of its EndpointSlices. The model has no slices; what it says
with such a rule is: whoever the Service selects. So in a tenant's namespace a slice is entitled to the pods that its
Service selects there, at the ports that the Service leads to. Whatever else it lists (a pod of somebody else, another
port, an address outside, anything where the Service selects nobody) its author chose. Slices of the platform's own
namespaces, and those of the API server's Service, which it keeps itself, are as they should be.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

from driftd.compile import Compiled
from driftd.drift.entitled import Input
from driftd.drift.live import LiveService, LiveSlice, plain
from driftd.policy.reach import Pod, Ranges, block
from driftd.values import Body, ObjectRef

Name: TypeAlias = tuple[str, str]
"""Namespace and name."""

MOST_LISTED = 1000
"""Addresses beyond what a Service selects that are judged. With more it is not known who stands behind it."""
_API_SERVER: Name = ("default", "kubernetes")


@dataclass(frozen=True, slots=True)
class Backed:
    """Named Services as the judged world takes them in.

    `known` are those of which it is known who stands behind them; `overgrown` are slices of tenants that list too much
    for that.
    """

    inputs: Mapping[ObjectRef, Input]
    known: frozenset[Name]
    overgrown: tuple[ObjectRef, ...] = ()


@dataclass(frozen=True, slots=True)
class Backings:
    """Live Services and slices, and the pods that may stand behind them: a copy that does not change.

    `unsettled` are addresses that are left out: slices and pods are told apart from each other, and a pod that comes or
    goes is for a moment known to one of them only.
    """

    services: Mapping[Name, LiveService]
    slices: Mapping[Name, tuple[LiveSlice, ...]]
    pods: Mapping[Name, Pod]
    unsettled: frozenset[str] = frozenset()

    @classmethod
    def of(cls, services: Iterable[LiveService], slices: Iterable[LiveSlice], pods: Mapping[Name, Pod]) -> "Backings":
        """`slices` in any order; they are put together by the Service that their label names."""
        by_service: dict[Name, list[LiveSlice]] = {}
        for one in slices:
            by_service.setdefault((one.namespace, one.service), []).append(one)
        ordered = {name: tuple(sorted(found, key=lambda one: one.name)) for name, found in by_service.items()}
        return cls({(one.namespace, one.name): one for one in services}, ordered, pods)

    def settled(self, unsettled: frozenset[str]) -> "Backings":
        """The same without some addresses."""
        return replace(self, unsettled=unsettled)

    def unheld(self, model: Compiled, named: frozenset[Name]) -> frozenset[str]:
        """Addresses in the range of pods that slices of these Services list and no known pod has."""
        listed = {address for name in named for one in self.slices.get(name, ()) for address in one.addresses}
        if not listed:
            return frozenset()
        ranges = [block(cidr) for cidr in model.pod_ranges]
        held = self._holders(listed).keys()
        return frozenset(one for one in listed if plain(one) not in held and _within(one, ranges))

    def backed(self, model: Compiled, named: frozenset[Name]) -> Backed:
        """What the judged world takes in of these Services."""
        inputs: dict[ObjectRef, Input] = {}
        known: set[Name] = set()
        overgrown: list[ObjectRef] = []
        listed = {address for name in named for one in self.slices.get(name, ()) for address in one.addresses}
        holders = self._holders(listed)
        for name in sorted(named):
            service, slices = self.services.get(name), self.slices.get(name, ())
            own = _is_the_platforms(model, name)
            beyond = list(slices) if own else list(self._beyond(service, slices, holders))
            too_many = any(one.more for one in slices) or sum(len(one.addresses) for one in beyond) > MOST_LISTED
            if too_many and not own:
                overgrown.append(slice_ref(slices[0]))
            if too_many or (service is None and not slices):
                continue
            known.add(name)
            if service is not None:
                body = _service_body(service)
                ref = ObjectRef("", "Service", *name)
                inputs[ref] = Input(ref, body, body)
            for one in beyond:
                body = _slice_body(one, holders)
                inputs[slice_ref(one)] = Input(slice_ref(one), body if own else None, body)
        return Backed(inputs, frozenset(known), tuple(overgrown))

    def _holders(self, addresses: Iterable[str]) -> Mapping[str, list[Pod]]:
        """The pods that have these addresses; in the network of a node there may be several."""
        wanted = {plain(one) for one in addresses}
        found: dict[str, list[Pod]] = {}
        if wanted:
            for pod in self.pods.values():
                if not pod.finished:
                    for address in map(plain, pod.ips):
                        if address in wanted:
                            found.setdefault(address, []).append(pod)
        return found

    def _beyond(
        self, service: LiveService | None, slices: Iterable[LiveSlice], holders: Mapping[str, list[Pod]]
    ) -> Iterator[LiveSlice]:
        """The slices with what their Service does not select; nothing of those that list no more than that."""
        for one in slices:
            rest = tuple(
                address
                for address in one.addresses
                if address not in self.unsettled
                and not any(_is_meant(service, one, pod) for pod in holders.get(plain(address), ()))
            )
            if rest:
                yield replace(one, addresses=rest)


def _is_the_platforms(model: Compiled, name: Name) -> bool:
    """Whether nobody but the platform writes the slices of a Service."""
    governed = model.governed.get(name[0])
    if name == _API_SERVER or (governed is not None and not governed.closed):
        return True
    return governed is None and (name[0] in model.platform or name[0] in model.peers)


def _is_meant(service: LiveService | None, one: LiveSlice, pod: Pod) -> bool:
    """Whether the Service selects this pod and leads to these ports of it."""
    if service is None or not service.selector or service.type == "ExternalName" or pod.namespace != one.namespace:
        return False
    if any(pod.labels.get(key) != value for key, value in service.selector.items()):
        return False
    return all(_leads_to(service, pod, protocol, number) for protocol, number in one.ports)


def _leads_to(service: LiveService, pod: Pod, protocol: str, number: int) -> bool:
    named = {name: numbers for (spoken, name), numbers in pod.ports if spoken == protocol}
    return any(
        port.protocol == protocol and (port.target == str(number) or number in named.get(port.target, ()))
        for port in service.ports
    )


def slice_ref(one: LiveSlice) -> ObjectRef:
    """Identity of an EndpointSlice."""
    return ObjectRef("discovery.k8s.io", "EndpointSlice", one.namespace, one.name)


def _slice_body(one: LiveSlice, holders: Mapping[str, list[Pod]]) -> Body:
    """The slice as far as it is judged. What it says itself of whose addresses these are counts for nothing."""
    labels = {"kubernetes.io/service-name": one.service}
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"namespace": one.namespace, "name": one.name, "labels": labels},
        "endpoints": [_endpoint(address, holders.get(plain(address), ())) for address in one.addresses],
        "ports": [{"protocol": protocol, "port": number or None} for protocol, number in one.ports],
    }


def _endpoint(address: str, holders: Iterable[Pod]) -> Body:
    is_a_pods = any(not pod.host_network for pod in holders)
    return {"addresses": [address], **({"targetRef": {"kind": "Pod"}} if is_a_pods else {})}


def _service_body(one: LiveService) -> Body:
    selects = {} if one.type == "ExternalName" else dict(one.selector)
    ports = [{"protocol": port.protocol, "port": port.number, "targetPort": port.target} for port in one.ports]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"namespace": one.namespace, "name": one.name},
        "spec": {"selector": selects, "ports": ports},
    }


def _within(address: str, ranges: Iterable[Ranges]) -> bool:
    try:
        (point, _), *_ = block(address).spans
    except ValueError:
        return False
    return any(point in one for one in ranges)
