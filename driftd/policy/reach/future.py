"""Pods that could exist tomorrow: one for every way of labelling a pod that a change can touch, within a bound.

A change that concerns nobody today may open a door for the next pod. So both snapshots get the same imagined pods,
and the ordinary delta is taken between the two.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

from driftd.policy.reach.dreamer import Dreamer
from driftd.policy.reach.places import Spaces, conditions
from driftd.policy.reach.pods import NamedPorts, Pod, named_ports
from driftd.policy.reach.policies import Block, Pods, Policy, leaves, open_ended, peers_of
from driftd.policy.reach.selectors import keys_of
from driftd.policy.reach.snapshot import Snapshot
from driftd.policy.reach.steps import changed_policies, relabelled_namespaces
from driftd.values import Body

_FIRST_PORT: Final = 40_000
_MOST_ASKING: Final = 16
"""Policies that ask for a label of a namespace and whose own pods are imagined too, when it changes. Beyond them the
pods count that there are, and those that the model names."""


@dataclass(frozen=True, slots=True)
class Imagined:
    """Objects to put into both snapshots, one round after the other: a namespace to come has one set of labels in each.

    `complete` False: there were more ways than the bound allowed to try.
    """

    rounds: tuple[tuple[Body | Pod, ...], ...]
    complete: bool


def imagine(before: Snapshot, after: Snapshot, bound: int = 256) -> Imagined:
    """The pods to imagine for what differs between two snapshots of one lineage."""
    policies = changed_policies(before, after)
    relabelled = relabelled_namespaces(before, after)
    if not policies and not relabelled:
        return Imagined(((),), complete=True)
    blocks = [
        leaf for policy in policies for peer in peers_of(policy) for leaf in leaves(peer) if isinstance(leaf, Block)
    ]
    said = dict.fromkeys(leaf for policy in policies for leaf in conditions(policy))
    telling = _telling(before, after, relabelled)
    asking = list(islice(dict.fromkeys(one for found in telling.values() for one in found), _MOST_ASKING))
    spaces = Spaces(after)
    near = [leaf for one in (Spaces(before), spaces) for leaf in _near(one, (*policies, *asking))]
    dreamer = Dreamer(spaces, list(dict.fromkeys((*said, *telling, *near))), bound)
    ports = _port_names(policies)
    if policies and (after.core.endpoints.surroundings.pods or all(block.listed for block in blocks)):
        dreamer.dream_of_strangers(ports)
    if any(open_ended(rule.far) for policy in policies for rule in (*(policy.ingress or ()), *(policy.egress or ()))):
        dreamer.dream(Pods(), ports)
    for leaf in said:
        dreamer.dream(leaf, ports)
    for name in relabelled:
        dreamer.dream(Pods(namespace=name), ports)
    for subject in dict.fromkeys(one for policy in asking for one in leaves(policy.subject)):
        if isinstance(subject, Pods):
            dreamer.dream(subject, ports)
    return Imagined(tuple(dreamer.rounds()), complete=dreamer.complete)


def _near(spaces: Spaces, policies: Iterable[Policy]) -> Iterator[Pods]:
    """What else decides about flows that changed policies speak of: the policies at either end."""
    homes = dict.fromkeys(
        name
        for policy in policies
        for leaf in (*([Pods(namespace=policy.namespace)] if policy.namespace else []), *conditions(policy))
        for name in spaces.few(leaf)
    )
    snapshot = spaces.snapshot
    for name in homes:
        for policy in snapshot.namespaces[name].policies.values():
            yield from conditions(policy)
    for policy in snapshot.cluster.policies.values():
        if any(spaces.selects_in(policy, name) for name in homes):
            yield from conditions(policy)


def _telling(before: Snapshot, after: Snapshot, relabelled: Iterable[str]) -> dict[Pods, list[Policy]]:
    """Conditions that namespaces meet otherwise than before their labels changed, and the policies that ask them."""
    keys = set[str]()
    for name in relabelled:
        was, now = before.namespaces.get(name), after.namespaces[name]
        keys |= {key for key, _ in set(now.labels.items()) ^ set((was.labels if was else {}).items())}
    return {
        leaf: [policy for policy, _ in uses if _stands(policy, after)]
        for leaf, uses in (after.core.watch.wide().items() if keys else ())
        if isinstance(leaf, Pods) and not keys.isdisjoint(keys_of(leaf.namespaces))
    }


def _stands(policy: Policy, snapshot: Snapshot) -> bool:
    view = snapshot.namespaces.get(policy.namespace)
    shelf = snapshot.cluster.policies if not policy.namespace else view.policies if view else {}
    return shelf.get(policy.ref) is policy


def _port_names(policies: Iterable[Policy]) -> NamedPorts:
    names = sorted(
        {
            name
            for policy in policies
            for rules in (policy.ingress, policy.egress)
            for rule in rules or ()
            for name in (*rule.ports.names, *rule.ports.not_names)
        }
    )
    return named_ports((name, (_FIRST_PORT + index,)) for index, name in enumerate(names))
