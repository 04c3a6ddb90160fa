"""What a snapshot knows besides rules: namespaces with their pods, and the cluster's tiers, sets and services."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import reduce
from operator import or_

from driftd.policy.reach.addresses import NOWHERE, Ranges
from driftd.policy.reach.endpoints import Labels, labels_of
from driftd.policy.reach.pods import Pod
from driftd.policy.reach.policies import Policy, PortMatch, Tier
from driftd.policy.reach.ports import ALL, NONE, PortSet
from driftd.policy.reach.selectors import Selector
from driftd.policy.reach.walk import Plan
from driftd.values import Body, ObjectRef

Plans = tuple[Plan | None, Plan | None]
"""(ingress, egress) of a class; None where nothing applies."""

NAME_LABEL = "kubernetes.io/metadata.name"


def effective_labels(namespace: str, labels: Mapping[str, str]) -> Labels:
    """A namespace's labels as the API server guarantees them: the name label is always there, and true."""
    return labels_of({**labels, NAME_LABEL: namespace})


@dataclass(frozen=True, slots=True, eq=False)
class NamespaceView:
    """One namespace of a snapshot. Shared between snapshots for as long as nothing in it changes.

    `classes` places every pod that is an endpoint; `counts` says how many pods a class has; `live` is its bitset.
    `groups` has the classes of equal plans.
    """

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    declared: bool = False
    accounts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    pods: Mapping[str, Pod] = field(default_factory=dict)
    policies: Mapping[ObjectRef, Policy] = field(default_factory=dict)
    classes: Mapping[str, int] = field(default_factory=dict)
    counts: Mapping[int, int] = field(default_factory=dict)
    plans: Mapping[int, Plans] = field(default_factory=dict)
    live: int = 0
    groups: Mapping[Plans, tuple[int, ...]] = field(default_factory=dict)
    _left_open: dict[tuple[int, bool], PortSet] = field(default_factory=dict, init=False)

    @property
    def empty(self) -> bool:
        return not (self.declared or self.accounts or self.pods or self.policies)

    def left_open(self, side: int, *, surely: bool) -> PortSet:
        """Traffic that any class of it may exchange with whom no rule names, incoming (0) or outgoing (1)."""
        found = self._left_open.get((side, surely))
        if found is None:
            plans = {pair[side] for pair in self.groups}
            parts = [ALL if plan is None else plan.left_open(surely=surely) for plan in plans]
            found = self._left_open[side, surely] = reduce(or_, parts, NONE)
        return found


@dataclass(frozen=True, slots=True)
class NetworkSet:
    """Labelled addresses (Calico NetworkSet, or GlobalNetworkSet with no namespace)."""

    namespace: str
    labels: Labels
    ranges: Ranges


@dataclass(frozen=True, slots=True)
class Slice:
    """Addresses behind a service and the traffic they serve, as one EndpointSlice lists them.

    `pods` are those that are said to be pods'.
    """

    service: str
    namespace: str
    ranges: Ranges
    ports: PortSet
    pods: Ranges = NOWHERE


@dataclass(frozen=True, slots=True)
class Service:
    """A service by its selector (None: it has none) and the ports of the pods behind it."""

    namespace: str
    selector: Selector | None
    ports: PortMatch


@dataclass(frozen=True, slots=True)
class ClusterView:
    """What belongs to no namespace, or is looked up across them.

    `bodies` keeps the objects of policies whose meaning depends on network sets or services, to read them again.
    """

    tiers: Mapping[str, Tier] = field(default_factory=dict)
    policies: Mapping[ObjectRef, Policy] = field(default_factory=dict)
    network_sets: Mapping[ObjectRef, NetworkSet] = field(default_factory=dict)
    slices: Mapping[ObjectRef, Slice] = field(default_factory=dict)
    services: Mapping[ObjectRef, Service] = field(default_factory=dict)
    bodies: Mapping[ObjectRef, Body] = field(default_factory=dict)
    host_endpoints: frozenset[ObjectRef] = frozenset()
    unread: Mapping[ObjectRef, str] = field(default_factory=dict)
