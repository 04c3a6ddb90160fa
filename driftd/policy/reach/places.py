"""Namespaces in which pods could be made: those that there are, and those that could come."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from driftd.policy.reach.inventory import NamespaceView, effective_labels
from driftd.policy.reach.policies import Pods, Policy, leaves, peers_of
from driftd.policy.reach.relation import positions
from driftd.policy.reach.selectors import ALWAYS, LabelIndex, Selector
from driftd.policy.reach.snapshot import Snapshot

NAME: Final = "kubernetes.io/metadata.name"
FEW: Final = 8


@dataclass(frozen=True, slots=True)
class Place:
    """A namespace in which pods are imagined. One to come has no `view`, and of that name it is one `variant`."""

    name: str
    view: NamespaceView | None
    labels: Mapping[str, str]
    variant: int = 0
    _index: LabelIndex = field(default_factory=LabelIndex, init=False, compare=False)

    def __post_init__(self) -> None:
        self._index.add({**self.labels, NAME: self.name})

    def may_hold(self, peer: Pods) -> bool:
        """Whether pods that a condition matches may be there."""
        return peer.namespace == self.name if peer.namespace else bool(self._index.match(peer.namespaces))

    def meets(self, selector: Selector) -> bool:
        return bool(self._index.match(selector))

    def selected_by(self, policy: Policy) -> bool:
        """Whether a policy may select pods there."""
        conditions = leaves(policy.subject)
        return not conditions or any(not isinstance(one, Pods) or self.may_hold(one) for one in conditions)


class Spaces:
    """The namespaces of a snapshot, by what they are asked."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.names = list(snapshot.namespaces)
        self._places: dict[str, Place] = {}
        self._labels: LabelIndex | None = None

    def place(self, name: str) -> Place:
        if name not in self._places:
            view = self.snapshot.namespaces[name]
            self._places[name] = Place(name, view, view.labels)
        return self._places[name]

    def selects_in(self, policy: Policy, name: str) -> bool:
        """Whether a policy may select pods of a namespace."""
        return self.place(name).selected_by(policy)

    def few(self, peer: Pods) -> list[str]:
        """Namespaces in which there may be pods that a condition matches, up to a few."""
        if peer.namespace:
            return [peer.namespace] if peer.namespace in self.snapshot.namespaces else []
        return self.chosen(peer.namespaces)[:FEW]

    def chosen(self, selector: Selector) -> list[str]:
        """The namespaces that a selector matches."""
        if selector == ALWAYS:
            return self.names
        return [self.names[position] for position in positions(self.index().match(selector))]

    def index(self) -> LabelIndex:
        """Each namespace by its labels, at its place among the names."""
        if self._labels is None:
            self._labels = LabelIndex()
            for name in self.names:
                self._labels.add(dict(effective_labels(name, self.snapshot.namespaces[name].labels)))
        return self._labels


def conditions(policy: Policy) -> Iterator[Pods]:
    """Whom its subject and its rules ask for among pods."""
    return (leaf for peer in peers_of(policy) for leaf in leaves(peer) if isinstance(leaf, Pods))
