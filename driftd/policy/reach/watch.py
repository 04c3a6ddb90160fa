"""Who looks at whom: from a peer expression to the policies that use it, to find what tells two classes apart."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

from driftd.policy.reach.addresses import Ranges
from driftd.policy.reach.endpoints import EndpointClass, Endpoints, PodClass
from driftd.policy.reach.matching import Matcher
from driftd.policy.reach.policies import (
    ANYONE,
    Block,
    Flow,
    Leaf,
    Pods,
    Policy,
    leaves,
    open_ended,
    peers_of,
)
from driftd.policy.reach.relation import of_positions
from driftd.policy.reach.selectors import In, keys_of

Use: TypeAlias = tuple[Policy, Flow]
"""The rules of a policy in one direction."""


class _Shelf:
    """Peers with the policies that use them; those with one plain label condition also by that label."""

    __slots__ = ("bare", "blocks", "by_label", "every", "intricate")

    def __init__(self) -> None:
        self.every: dict[Leaf, list[Use]] = {}
        self.by_label: dict[tuple[str, str], list[Leaf]] = {}
        self.intricate: list[tuple[Leaf, frozenset[str]]] = []
        self.blocks: list[Block] = []
        self.bare: list[Leaf] = []

    def add(self, peer: Leaf, use: Use) -> None:
        users = self.every.get(peer)
        if users is not None:
            users.append(use)
            return
        self.every[peer] = [use]
        if isinstance(peer, Pods) and isinstance(peer.labels, In) and not peer.calico:
            for value in peer.labels.values:
                self.by_label.setdefault((peer.labels.key, value), []).append(peer)
            if peer.serving is not None:
                self.bare.append(peer)  # in a stranger's namespace it may match whatever the labels
        elif isinstance(peer, Pods) and (keys := keys_of(peer.labels)):
            self.intricate.append((peer, keys))
        elif isinstance(peer, Block):
            self.blocks.append(peer)
        else:
            self.bare.append(peer)

    def meeting(self, labels: Iterable[tuple[str, str]], points: Sequence[int] | None) -> Iterator[Leaf]:
        """Peers that may match a class with some of these labels and addresses; None: they are not known."""
        yield from self.bare
        for peer, _ in self.intricate:
            yield peer
        for label in labels:
            yield from self.by_label.get(label, ())
        for block in self.blocks:
            if points is None or _holds_any(block.ranges, points):
                yield block

    def telling(self, differing: set[tuple[str, str]]) -> set[Leaf]:
        """Peers that can tell apart two pods with these labels on one of them only."""
        found: set[Leaf] = set()
        for label in differing:
            found.update(self.by_label.get(label, ()))
        keys = {key for key, _ in differing}
        found.update(peer for peer, mentioned in self.intricate if not keys.isdisjoint(mentioned))
        return found


class Watch:
    """An index of every policy a lineage has seen by the peers of its rules. Grows only."""

    def __init__(self) -> None:
        self._taken: set[Policy] = set()
        self._local: dict[str, _Shelf] = {}
        self._wide = _Shelf()
        self._naming: list[Use] = []
        self._naming_of_anyone: list[Use] = []

    def add(self, policy: Policy) -> set[Leaf]:
        """Take in a policy, and tell what conditions it is made of; one that was taken in before is known."""
        if policy in self._taken:
            return {leaf for peer in peers_of(policy) for leaf in leaves(peer)}
        self._taken.add(policy)
        found = set(leaves(policy.subject))
        for flow, rules in ((Flow.INGRESS, policy.ingress), (Flow.EGRESS, policy.egress)):
            use, seen = (policy, flow), set[Leaf]()
            named = of_anyone = False
            for rule in rules or ():
                if flow is Flow.EGRESS and (rule.ports.names or rule.ports.not_names):
                    named, of_anyone = True, of_anyone or open_ended(rule.far)
                seen.update(leaves(rule.far))
                if rule.near is not ANYONE:
                    found.update(leaves(rule.near))
            for peer in seen:
                self._shelf_of(peer).add(peer, use)
            if named:
                self._naming.append(use)
            if of_anyone:
                self._naming_of_anyone.append(use)
            found |= seen
        return found

    def wide(self) -> Mapping[Leaf, Sequence[Use]]:
        """Conditions that rules have asked of pods in no namespace by name, and the rules that did."""
        return self._wide.every

    def _shelf_of(self, peer: Leaf) -> _Shelf:
        if not isinstance(peer, Pods) or not peer.namespace:
            return self._wide
        found = self._local.get(peer.namespace)
        if found is None:
            found = self._local[peer.namespace] = _Shelf()
        return found

    def concerned(self, matcher: Matcher, endpoints: Endpoints, places: Sequence[int]) -> set[Use]:
        """Uses of rules that may match one of some classes, or that name ports of whomever they are for."""
        classes = [endpoints.classes[place] for place in places]
        at, points = of_positions(places), endpoints.points(places)
        found: set[Use] = set()
        worn: dict[str, set[tuple[str, str]]] = {}
        for one in classes:
            if isinstance(one, PodClass):
                worn.setdefault(one.namespace, set()).update(one.labels)
        met = [(self._wide, set().union(*worn.values()))]
        met += [(self._local[home], worn[home]) for home in sorted(worn.keys() & self._local.keys())]
        for shelf, labels in met:
            for peer in shelf.meeting(labels, points):
                if matcher.bits(peer)[1] & at:
                    found.update(shelf.every[peer])
        if any(isinstance(one, PodClass) and one.ports for one in classes):
            found.update(self._naming_of_anyone)
        return found

    def telling_apart(
        self,
        matcher: Matcher,
        left: int,
        right: int,
        classes: tuple[EndpointClass, EndpointClass],
        *,
        placed_alike: bool,
    ) -> set[Use]:
        """Uses of rules for whose far end it could matter which of two classes stands there.

        `placed_alike`: no range of addresses in use tells them apart.
        """
        one, other = classes
        found: set[Use] = set()
        shelves = [self._wide]
        shelves += [
            self._local[home]
            for home in sorted({end.namespace for end in classes if isinstance(end, PodClass)} & self._local.keys())
        ]
        pods = isinstance(one, PodClass) and isinstance(other, PodClass)
        differing: set[tuple[str, str]] | None = None
        if (
            isinstance(one, PodClass)
            and isinstance(other, PodClass)
            and placed_alike
            and one.but_for_labels == other.but_for_labels
        ):
            differing = set(one.labels) ^ set(other.labels)
        for shelf in shelves:
            peers: Iterable[Leaf] = shelf.every if differing is None else shelf.telling(differing)
            for peer in peers:
                must, may = matcher.bits(peer, max(left, right) + 1)
                if (must >> left ^ must >> right) & 1 or (may >> left ^ may >> right) & 1:
                    found.update(shelf.every[peer])
        if not pods or getattr(one, "ports", ()) != getattr(other, "ports", ()):
            found.update(self._naming)
        return found


def _holds_any(ranges: Ranges, points: Sequence[int]) -> bool:
    """Whether any of the points, which ascend, is in the ranges."""
    for low, high in ranges.spans:
        first = bisect_left(points, low)
        if first < len(points) and points[first] <= high:
            return True
    return False
