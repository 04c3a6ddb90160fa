"""Calico's objects besides policies: tiers, network sets, and the endpoints behind services."""

from collections.abc import Iterable
from math import inf
from typing import Final

from driftd.policy.reach.addresses import NOWHERE, block, of_ranges
from driftd.policy.reach.endpoints import labels_of
from driftd.policy.reach.inventory import NetworkSet, Service, Slice
from driftd.policy.reach.policies import Action, PortMatch, Tier
from driftd.policy.reach.ports import NONE, PortSet, ports, protocol
from driftd.policy.reach.selectors import In, every
from driftd.policy.reach.spans import Span
from driftd.values import Body, ObjectRef

GROUP: Final = "projectcalico.org"


class UnreadableObject(ValueError):
    """An object without what its kind must have; the message says what was expected."""


def calico_ref(kind: str, namespace: str, name: str) -> ObjectRef:
    """Identity of a Calico object, whichever API group it was read through.

    Policies in tier `default` are stored as `default.<name>` or as `<name>`, depending on the version, and while a new
    version renames them as both. Two names are two policies, and both are enforced: see `plain_name` for their order.
    """
    return ObjectRef(GROUP, kind, namespace, name)


def plain_name(name: str, tier: str) -> str:
    """The name that decides among policies of one order, without the prefix that some versions store before it."""
    return name.removeprefix("default.") or name if tier == "default" else name


def read_tier(body: Body) -> Tier:
    """A Tier; without an order it stands last."""
    spec = body.get("spec") or {}
    order = spec.get("order")
    default = Action.PASS if spec.get("defaultAction") == "Pass" else Action.DENY
    return Tier(inf if order is None else float(order), str((body.get("metadata") or {}).get("name") or ""), default)


def read_network_set(body: Body) -> NetworkSet:
    """A NetworkSet or GlobalNetworkSet. Raises UnreadableObject on an entry that is no CIDR."""
    metadata, spec = body.get("metadata") or {}, body.get("spec") or {}
    ranges = NOWHERE
    for index, text in enumerate(spec.get("nets") or ()):
        try:
            ranges = ranges | block(str(text))
        except ValueError:
            raise UnreadableObject(f"spec.nets[{index}]: {text!r} is no CIDR block") from None
    return NetworkSet(str(metadata.get("namespace") or ""), labels_of(metadata.get("labels") or {}), ranges)


def read_slice(body: Body) -> Slice:
    """An EndpointSlice of discovery.k8s.io. Raises UnreadableObject on an address or port that is none."""
    metadata = body.get("metadata") or {}
    labels = metadata.get("labels") or {}
    try:
        endpoints = body.get("endpoints") or ()
        spans, of_pods = _spans(body, endpoints), _spans(body, filter(_is_a_pod, endpoints))
        served: PortSet = NONE
        for port in body.get("ports") or ():
            name, number = str(port.get("protocol") or "TCP"), port.get("port")
            served = served | (protocol(name) if number is None else ports(name, int(number)))
    except ValueError as problem:
        raise UnreadableObject(str(problem)) from None
    return Slice(
        str(labels.get("kubernetes.io/service-name") or ""),
        str(metadata.get("namespace") or "default"),
        of_ranges(spans),
        served,
        of_ranges(of_pods),
    )


def _spans(body: Body, endpoints: Iterable[Body]) -> list[Span]:
    if body.get("addressType") == "FQDN":
        return []
    return [span for one in endpoints for text in one.get("addresses") or () for span in block(str(text)).spans]


def _is_a_pod(endpoint: Body) -> bool:
    return bool((endpoint.get("targetRef") or {}).get("kind") == "Pod")


def read_service(body: Body) -> Service:
    """A Service, to stand in where no EndpointSlice of it is known (manifests): its selector and target ports."""
    metadata, spec = body.get("metadata") or {}, body.get("spec") or {}
    selector = spec.get("selector") or {}
    numbers: PortSet = NONE
    names: list[tuple[str, str]] = []
    try:
        for port in spec.get("ports") or ():
            name = str(port.get("protocol") or "TCP")
            target = port.get("targetPort", port.get("port"))
            if isinstance(target, str) and not target.isdigit():
                names.append((name, target))
            else:
                numbers = numbers | ports(name, int(target))
    except (TypeError, ValueError) as problem:
        raise UnreadableObject(f"spec.ports: {problem}") from None
    return Service(
        str(metadata.get("namespace") or "default"),
        every(*(In(key, (str(value),)) for key, value in sorted(selector.items()))) if selector else None,
        PortMatch(numbers, tuple(sorted(names))),
    )
