"""Who stands behind the Services that policies go by: whom the model entitles to, and whom slices list beyond that.

A rule of Calico's that names a Service means the addresses of its EndpointSlices. The model has no slices; what it says
with such a rule is: whoever the Service selects. So in a tenant's namespace a slice is entitled to the pods that its
Service selects there, at the ports that the Service leads to. Whatever else it lists (a pod of somebody else, another
port, an address outside, anything where the Service selects nobody) its author chose. A pod that it selects and that no
slice lists escapes a rule that denies by the Service, and is not let in by one that allows: then both sides are put in
terms of slices, of all that are selected and of those that are listed. Slices of the platform's own namespaces, and
those of the API server's Service, which it keeps itself, are as they should be. Whom a Service selects is its author's
to say, so a selector that changes is no difference.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from driftd.compile import Compiled
from driftd.drift.entitled import Input, entitled
from driftd.drift.live import LiveService, LiveSlice, plain
from driftd.policy.reach import Pod, Ranges, block
from driftd.values import Body, ObjectRef

Name: TypeAlias = tuple[str, str]
"""Namespace and name."""

MOST_LISTED = 1000
"""Addresses beyond what the Services of a tenant's namespace select that are judged, and addresses of one of the
platform's. With more it is not known who stands behind it."""
_API_SERVER: Name = ("default", "kubernetes")


@dataclass(frozen=True, slots=True)
class Backed:
    """Named Services as the judged world takes them in.

    `known` are those of which it is known who stands behind them; `overgrown` are slices of tenants that list too much
    for that, and Services that leave too many out. `answering` has for inputs that stand for a Service's selection
    that Service.
    """

    inputs: Mapping[ObjectRef, Input]
    known: frozenset[Name]
    overgrown: tuple[ObjectRef, ...] = ()
    answering: Mapping[ObjectRef, ObjectRef] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Backings:
    """Live Services and slices, and the pods that may stand behind them: a copy that does not change.

    `unsettled` are addresses that are left out: slices and pods are told apart from each other, and a pod that comes or
    goes is for a moment known to one of them only. `unknown` are namespaces of which not all pods, Services and slices
    are here.
    """

    services: Mapping[Name, LiveService]
    slices: Mapping[Name, tuple[LiveSlice, ...]]
    pods: Mapping[Name, Pod]
    unsettled: frozenset[str] = frozenset()
    unknown: frozenset[str] = frozenset()

    @classmethod
    def of(
        cls,
        services: Iterable[LiveService],
        slices: Iterable[LiveSlice],
        pods: Mapping[Name, Pod],
        unknown: frozenset[str] = frozenset(),
    ) -> "Backings":
        """`slices` in any order; they are put together by the Service that their label names."""
        by_service: dict[Name, list[LiveSlice]] = {}
        for one in slices:
            by_service.setdefault((one.namespace, one.service), []).append(one)
        ordered = {name: tuple(sorted(found, key=lambda one: one.name)) for name, found in by_service.items()}
        return cls({(one.namespace, one.name): one for one in services}, ordered, pods, unknown=unknown)

    def settled(self, unsettled: frozenset[str]) -> "Backings":
        """The same without some addresses."""
        return replace(self, unsettled=unsettled)

    def in_doubt(self, model: Compiled, named: frozenset[Name]) -> frozenset[str]:
        """Addresses that slices and pods do not agree about, as far as these Services go.

        They are those in the range of pods that slices list and no known pod has, and those of pods that a Service
        selects and no slice lists.
        """
        listed = {address for name in named for one in self.slices.get(name, ()) for address in one.addresses}
        ranges = [block(cidr) for cidr in model.pod_ranges]
        held = self._holders(listed).keys()
        unheld = {one for one in listed if plain(one) not in held and _within(one, ranges)}
        selected = self._selected(model, named)
        unlisted = {ip for name, pods in selected.items() for pod in self._unlisted(name, pods) for ip in pod.ips}
        return frozenset(unheld | unlisted)

    def backed(self, model: Compiled, named: frozenset[Name]) -> Backed:
        """What the judged world takes in of these Services."""
        inputs: dict[ObjectRef, Input] = {}
        known: set[Name] = set()
        overgrown: list[ObjectRef] = []
        answering: dict[ObjectRef, ObjectRef] = {}
        taken: Counter[str] = Counter()
        listed = {address for name in named for one in self.slices.get(name, ()) for address in one.addresses}
        holders, selected = self._holders(listed), self._selected(model, named)
        for name in sorted(named):
            if name[0] in self.unknown:
                continue  # that the namespace is too large is told by itself
            service, slices = self.services.get(name), self.slices.get(name, ())
            own = _is_the_platforms(model, name)
            beyond = list(slices) if own else list(self._beyond(service, slices, holders))
            many = sum(len(one.addresses) for one in beyond)
            room = MOST_LISTED if own else MOST_LISTED - taken[name[0]]
            wordy = service is not None and service.more
            too_many = wordy or any(one.more for one in slices) or many > max(room, 0)
            if too_many and not own:
                told = None if wordy else next((one for one in slices if one.more), slices[0])
                overgrown.append(ObjectRef("", "Service", *name) if told is None else slice_ref(told))
            if too_many or (service is None and not slices):
                continue
            taken[name[0]] += many
            ref = ObjectRef("", "Service", *name)
            unlisted = self._unlisted(name, selected.get(name, ()))
            if unlisted and len(selected[name]) > MOST_LISTED:
                overgrown.append(ref)
                continue
            known.add(name)
            if unlisted and service is not None:
                meant = _meant(model, service, selected[name])
                standing = {one.ref: one for one in _by_listing(service, selected[name], meant, unlisted)}
                inputs |= standing
                answering |= dict.fromkeys(standing, ref)
            elif service is not None:
                body = _service_body(service)
                inputs[ref] = Input(ref, body, body)
            for one in beyond:
                body = _slice_body(one, holders)
                inputs[slice_ref(one)] = Input(slice_ref(one), body if own else None, body)
        return Backed(inputs, frozenset(known), tuple(overgrown), answering)

    def _selected(self, model: Compiled, named: frozenset[Name]) -> Mapping[Name, list[Pod]]:
        """The pods with addresses of their own that tenants' Services select."""
        homes: dict[str, list[LiveService]] = {}
        for name in named:
            service = self.services.get(name)
            if service is not None and not _is_the_platforms(model, name):
                homes.setdefault(name[0], []).append(service)
        found: dict[Name, list[Pod]] = {}
        for pod in self.pods.values() if homes else ():
            for service in homes.get(pod.namespace, ()):
                if pod.ips and not pod.finished and not pod.host_network and _is_selected(service, pod):
                    found.setdefault((service.namespace, service.name), []).append(pod)
        return found

    def _unlisted(self, name: Name, selected: Iterable[Pod]) -> list[Pod]:
        """Those of the selected pods that no slice of the Service lists, at whatever port; settled ones only."""
        listed = {plain(address) for one in self.slices.get(name, ()) for address in one.addresses} | self.unsettled
        return [pod for pod in selected if listed.isdisjoint(pod.ips) and listed.isdisjoint(map(plain, pod.ips))]

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
    if service is None or not _is_selected(service, pod):
        return False
    led_to = _ports_of(service, pod)
    return all(port in led_to for port in one.ports)


def _meant(model: Compiled, service: LiveService, selected: Iterable[Pod]) -> list[Pod]:
    """Those whom the Service selects by labels that the model knows of; the others chose themselves to be."""
    governed = model.governed.get(service.namespace)
    return [pod for pod in selected if governed is None or _is_selected(service, entitled(pod, governed))]


def _by_listing(
    service: LiveService, selected: Iterable[Pod], meant: Sequence[Pod], unlisted: Sequence[Pod]
) -> Iterator[Input]:
    """What stands for a Service of which a pod is not listed, one a set of ports: whom it means, and who is listed."""
    by_ports: dict[tuple[tuple[str, int], ...], list[Pod]] = {}
    for pod in selected:
        by_ports.setdefault(_ports_of(service, pod), []).append(pod)
    entitled_to, escaped = {pod.name for pod in meant}, {pod.name for pod in unlisted}
    for number, (ports, pods) in enumerate(sorted(by_ports.items())):
        stands = f"{service.name} selects {number}"  # no slice has a name with a space
        some_of = ([pod for pod in pods if pod.name in entitled_to], [pod for pod in pods if pod.name not in escaped])
        wanted, live = (
            LiveSlice(service.namespace, stands, service.name, tuple(ip for pod in some for ip in pod.ips), ports)
            for some in some_of
        )
        holders = {plain(ip): [pod] for pod in pods for ip in pod.ips}
        yield Input(slice_ref(wanted), _slice_body(wanted, holders), _slice_body(live, holders))


def _is_selected(service: LiveService, pod: Pod) -> bool:
    if not service.selector or service.type == "ExternalName" or pod.namespace != service.namespace:
        return False
    return all(pod.labels.get(key) == value for key, value in service.selector.items())


def _ports_of(service: LiveService, pod: Pod) -> tuple[tuple[str, int], ...]:
    """The ports of a pod that a Service leads to: protocols and numbers."""
    named, found = dict(pod.ports), set[tuple[str, int]]()
    for port in service.ports:
        numbers = (int(port.target),) if port.target.isdecimal() else named.get((port.protocol, port.target), ())
        found.update((port.protocol, number) for number in numbers)
    return tuple(sorted(found))


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
