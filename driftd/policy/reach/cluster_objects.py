"""Objects that rules refer to (tiers, network sets, slices, services): taken into a view of the cluster, and out."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import Final, TypeVar

from driftd.policy.reach.calico_entity import Grounds
from driftd.policy.reach.calico_objects import read_network_set, read_service, read_slice
from driftd.policy.reach.calico_scope import services_of
from driftd.policy.reach.endpoints import Labels
from driftd.policy.reach.inventory import ClusterView
from driftd.values import Body, ObjectRef

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")
_SETS: Final = frozenset(("NetworkSet", "GlobalNetworkSet"))
_SERVED: Final = frozenset(("EndpointSlice", "Service"))


def with_ground(cluster: ClusterView, ref: ObjectRef, body: Body) -> ClusterView:
    """The view with a network set, an endpoint slice or a service. Raises UnreadableObject."""
    match ref.kind:
        case "EndpointSlice":
            return replace(cluster, slices={**cluster.slices, ref: read_slice(body)})
        case "Service":
            return replace(cluster, services={**cluster.services, ref: read_service(body)})
        case _:
            return replace(cluster, network_sets={**cluster.network_sets, ref: read_network_set(body)})


def without_object(cluster: ClusterView, ref: ObjectRef) -> ClusterView | None:
    """The view without an object that is no policy; None if it is of no such kind."""
    match ref.kind:
        case "Tier":
            return replace(cluster, tiers=without(cluster.tiers, ref.name))
        case "EndpointSlice":
            return replace(cluster, slices=without(cluster.slices, ref))
        case "Service":
            return replace(cluster, services=without(cluster.services, ref))
        case "NetworkSet" | "GlobalNetworkSet":
            return replace(cluster, network_sets=without(cluster.network_sets, ref))
        case _:
            return None


def referring(cluster: ClusterView, touched: AbstractSet[str], *, relabelled: bool) -> list[ObjectRef]:
    """Policies that are to be read again: objects of the kinds `touched`, or the labels of namespaces, changed."""
    if touched & _SETS or (relabelled and cluster.network_sets):
        return list(cluster.bodies)
    if touched & _SERVED:
        return [ref for ref, body in cluster.bodies.items() if services_of(body)]
    return []


def grounds_of(cluster: ClusterView, labels: Mapping[str, Labels], *, selecting: bool) -> Grounds:
    """What rules refer to besides pods; `labels` are those of namespaces, needed where there are network sets."""
    return Grounds(
        tuple(cluster.network_sets.values()),
        tuple(cluster.slices.values()),
        {(one.namespace, ref.name): one for ref, one in cluster.services.items()},
        labels,
        selecting,
    )


def without(entries: Mapping[_Key, _Value], key: _Key) -> dict[_Key, _Value]:
    """The entries but one."""
    return {kept: value for kept, value in entries.items() if kept != key}
