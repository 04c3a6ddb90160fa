"""Peer expressions evaluated over endpoint classes: bitsets of those surely matched and of those perhaps matched."""

from collections.abc import Iterator, Mapping
from functools import reduce
from operator import and_, or_
from typing import Final, TypeAlias, assert_never

from driftd.policy.reach.addresses import of_ranges
from driftd.policy.reach.dialects import Answer, Reading
from driftd.policy.reach.endpoints import Endpoints
from driftd.policy.reach.policies import (
    Action,
    Anyone,
    Block,
    Both,
    Either,
    Hosts,
    Leaf,
    Nobody,
    Peer,
    Perhaps,
    Pods,
    Unless,
)
from driftd.policy.reach.selectors import Always, LabelIndex, Selector

_KEPT: Final = 4096
"""Conditions of which the answers are kept; what is made of them is put together anew. A world of 10,000 policies asks
for three times as many once, in the order of its namespaces, and for a few dozen again and again."""
Bits: TypeAlias = tuple[int, int]
"""(must, may): the first is within the second; both may be without an end (negative)."""


class Matcher:
    """Evaluates expressions: each distinct condition once, for as long as no class is added that it could match."""

    def __init__(self, endpoints: Endpoints, reading: Reading, governed: frozenset[str] = frozenset()) -> None:
        self._endpoints = endpoints
        self._reading = reading
        self._governed = governed
        self._governed_at, self._in_governed = -1, 0
        self._calico = _CalicoLabels(endpoints)
        self._cache: dict[Leaf, tuple[int, Bits]] = {}

    def bits(self, peer: Peer, within: int = -1) -> Bits:
        """(must, may) over all classes; with `within`, right at least for classes below that position."""
        match peer:
            case Pods() | Block() | Hosts():
                return self._kept(peer, within)
            case Anyone():
                return -1, -1
            case Nobody():
                return 0, 0
            case Either(parts):
                found = [self.bits(part, within) for part in (*parts, *_together(parts))]
                may = reduce(or_, [may for _, may in found], 0)
                return may if all(must is may for must, may in found) else reduce(or_, [must for must, _ in found]), may
            case Both(parts):
                found = [self.bits(part, within) for part in parts]
                return reduce(and_, [must for must, _ in found], -1), reduce(and_, [may for _, may in found], -1)
            case Unless(part):
                must, may = self.bits(part, within)
                return ~may, ~must
            case Perhaps(part, _):
                return 0, self.bits(part, within)[1]
            case _:
                assert_never(peer)

    def _kept(self, leaf: Leaf, within: int) -> Bits:
        size = self._endpoints.size
        found = self._cache.get(leaf)
        if found is not None and (found[0] == size or 0 <= within <= found[0]):
            return found[1]
        bits = self._evaluate(leaf)
        if len(self._cache) >= _KEPT:
            self._cache.clear()
        self._cache[leaf] = (size, bits)
        return bits

    def forget(self) -> None:
        """Evaluate everything anew when asked again: something about the endpoints that there were has changed."""
        self._cache.clear()

    def _evaluate(self, leaf: Leaf) -> Bits:
        match leaf:
            case Pods():
                return self._pods(leaf)
            case Block():
                return self._block(leaf)
            case Hosts():
                hosts = self._endpoints.host | self._endpoints.outside_in(self._endpoints.nodes)
                return hosts, hosts

    def _pods(self, peer: Pods) -> Bits:
        endpoints = self._endpoints
        found = endpoints.by_namespace.get(peer.namespace, 0) if peer.namespace else endpoints.labels.everything
        if found and not isinstance(peer.namespaces, Always):
            found &= endpoints.in_namespaces(endpoints.namespaces.match(peer.namespaces))
        if found and peer.accounts:
            found &= reduce(or_, (endpoints.by_account.get(account, 0) for account in peer.accounts))
        if found and not isinstance(peer.account_labels, Always):
            found &= endpoints.in_accounts(endpoints.accounts.match(peer.account_labels))
        must = may = found
        if found and not isinstance(peer.labels, Always):
            labelled = (self._calico if peer.calico else endpoints.labels).match(peer.labels)
            must = may = found & labelled
            if peer.serving is Action.ALLOW:
                must = may = may | (found & ~self._governed_bits())
            elif peer.serving is not None:
                must &= self._governed_bits()
        host = endpoints.host
        if not may & host:
            return must, may
        answer = self._reading.host_pod_selected if peer.host_pods else Answer.NO
        return must & ~host, may if answer is not Answer.NO else may & ~host

    def _governed_bits(self) -> int:
        endpoints = self._endpoints
        if self._governed_at != endpoints.size:
            found = (endpoints.by_namespace.get(name, 0) for name in self._governed)
            self._governed_at, self._in_governed = endpoints.size, reduce(or_, found, 0)
        return self._in_governed

    def _block(self, peer: Block) -> Bits:
        endpoints, reading = self._endpoints, self._reading
        wholly, somewhere = endpoints.pods_in(peer.ranges, listed=peer.listed)
        must = may = endpoints.outside_in(peer.ranges)
        if reading.node_in_block is not Answer.YES and endpoints.nodes:
            must &= ~endpoints.outside_in(endpoints.nodes)
        if endpoints.surroundings.services and not peer.pods and reading.virtual_in_block is not Answer.YES:
            virtual = endpoints.outside_in(endpoints.surroundings.services)
            must &= ~virtual
            may &= ~virtual if reading.virtual_in_block is Answer.NO else -1
        host, on_host = endpoints.host, reading.host_pod_in_block
        for mask, answer in (
            (~host, Answer.YES if peer.pods else reading.pod_in_block),
            (host, max(on_host, Answer.MAYBE) if peer.pods else on_host),
        ):
            if answer is Answer.YES:
                must |= wholly & mask
            if answer is not Answer.NO:
                may |= somewhere & mask
        return must, may


def _together(parts: tuple[Peer, ...]) -> Iterator[Block]:
    """Blocks that stand side by side as one: it may hold every address of a pod where none of them does alone."""
    blocks = [part for part in parts if isinstance(part, Block)]
    for pods in (False, True) if len(blocks) > 1 else ():
        ranges = [one.ranges for one in blocks if one.pods is pods]
        if len(ranges) > 1:
            yield Block(of_ranges(span for one in ranges for span in one.spans), pods)


class _CalicoLabels(LabelIndex):
    """Pod labels as Calico sees them: with those of namespace and service account under their prefixes."""

    __slots__ = ("_endpoints",)

    def __init__(self, endpoints: Endpoints) -> None:
        super().__init__()
        self._endpoints = endpoints

    def match(self, selector: Selector) -> int:
        self.everything = self._endpoints.labels.everything
        return super().match(selector)

    def by_value(self, key: str) -> Mapping[str, int]:
        endpoints = self._endpoints
        if key == "pcns.projectcalico.org/name":
            return endpoints.by_namespace
        if key.startswith("pcns."):
            by_value = endpoints.namespaces.by_value(key.removeprefix("pcns."))
            return {value: endpoints.in_namespaces(bits) for value, bits in by_value.items()}
        if key.startswith("pcsa."):
            by_value = endpoints.accounts.by_value(key.removeprefix("pcsa."))
            return {value: endpoints.in_accounts(bits) for value, bits in by_value.items()}
        if key == "projectcalico.org/namespace":
            return endpoints.by_namespace
        if key == "projectcalico.org/serviceaccount":
            return endpoints.by_account
        if key == "projectcalico.org/orchestrator":
            return {"k8s": endpoints.labels.everything}
        return endpoints.labels.by_value(key)

    def having(self, key: str) -> int:
        found = 0
        for bits in self.by_value(key).values():
            found |= bits
        return found
