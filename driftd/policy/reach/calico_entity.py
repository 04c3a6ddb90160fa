"""One end of a Calico rule: the conjunction of everything it says about who stands there."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import reduce
from operator import or_
from typing import Final

from driftd.policy.reach.addresses import IPV4, IPV6, NOWHERE, Ranges, block, of_ranges
from driftd.policy.reach.calico_selectors import calico_selector, endpoint_selector
from driftd.policy.reach.endpoints import Labels
from driftd.policy.reach.inventory import NAME_LABEL, NetworkSet, Service, Slice
from driftd.policy.reach.policies import NOBODY, Block, Peer, Perhaps, Pods, PortMatch, Unless, both, either
from driftd.policy.reach.relation import positions
from driftd.policy.reach.selectors import (
    ALWAYS,
    Always,
    And,
    Global,
    Has,
    In,
    LabelIndex,
    MalformedSelector,
    Not,
    Or,
    Selector,
    Text,
    every,
)
from driftd.policy.reach.spans import Spans
from driftd.values import Body

_NAMESPACE: Final = "projectcalico.org/namespace"
_FIELDS: Final = {
    "nets",
    "notNets",
    "selector",
    "notSelector",
    "namespaceSelector",
    "ports",
    "notPorts",
    "serviceAccounts",
    "services",
}


@dataclass(frozen=True, slots=True)
class Grounds:
    """What rules refer to besides pods: network sets, and what stands behind services.

    Where slices of a service are known they alone say who that is. With `selecting` whoever it selects stands behind it
    as well, listed yet or not, and an address that is said to be a pod's is nobody else's: so findings are judged.
    """

    sets: tuple[NetworkSet, ...] = ()
    slices: tuple[Slice, ...] = ()
    services: Mapping[tuple[str, str], Service] | None = None
    namespaces: Mapping[str, Labels] | None = None
    selecting: bool = False
    _index: LabelIndex = field(default_factory=LabelIndex, init=False, compare=False)

    def __post_init__(self) -> None:
        for one in self.sets:
            self._index.add(self._set_labels(one))

    def addresses(self, selector: Selector) -> Ranges:
        """Addresses of the network sets that a selector over Calico's labels matches."""
        if not self.sets:
            return NOWHERE
        return of_ranges(span for position in positions(self._index.match(selector)) for span in self._spans(position))

    def _spans(self, position: int) -> Spans:
        return self.sets[position].ranges.spans

    def listed(self, one: Slice) -> Peer:
        """Whoever has an address that a slice lists."""
        if not self.selecting:
            return Block(one.ranges, pods=True)
        pods = both((Block(one.pods, pods=True, listed=True), Pods()))
        return either((Block(one.ranges - one.pods, pods=True, listed=True), pods))

    def _labels(self, namespace: str) -> dict[str, str]:
        labels = dict((self.namespaces or {}).get(namespace, ()))
        return {**labels, NAME_LABEL: namespace, "projectcalico.org/name": namespace}

    def _set_labels(self, one: NetworkSet) -> dict[str, str]:
        found = dict(one.labels)
        if one.namespace:
            found[_NAMESPACE] = one.namespace
            found |= {f"pcns.{key}": value for key, value in self._labels(one.namespace).items()}
        return found

    @staticmethod
    def family(version: int) -> Peer:
        """Endpoints by the family of their addresses."""
        return Block(IPV4 if version == 4 else IPV6, pods=True, text=f"IPv{version}")


class Entity:
    """The source or destination of a rule. `certain` is False when a part was not understood."""

    def __init__(self, body: Body, where: str, namespace: str, grounds: Grounds, notes: list[str]) -> None:
        self._body = body
        self._where = where
        self._namespace = namespace
        self._grounds = grounds
        self._notes = notes
        self.certain = True
        for name in sorted(body.keys() - _FIELDS):
            self._doubt(f"{where}.{name}: unknown field")
        beside = sorted(name for name in _FIELDS - {"services"} if body.get(name)) if body.get("services") else []
        if beside:
            self._doubt(f"{where}.services: not valid beside {', '.join(beside)}: Calico's API refuses it")

    def _doubt(self, note: str) -> None:
        self.certain = False
        self._notes.append(note)

    def served(self, *, as_destination: bool) -> list[tuple[Peer, PortMatch | None]]:
        """Who may stand there, and where a service is named and this is the destination, with which ports."""
        peer = self.peer()
        wanted = self._body.get("services")
        if not wanted:
            return [(peer, None)]
        name, namespace = str(wanted.get("name") or ""), str(wanted.get("namespace") or self._namespace or "default")
        grounds = self._grounds
        found: list[tuple[Peer, PortMatch | None]] = [
            (both((peer, grounds.listed(one))), PortMatch(one.ports) if as_destination else None)
            for one in grounds.slices
            if (one.namespace, one.service) == (namespace, name)
        ]
        service = (grounds.services or {}).get((namespace, name))
        if (grounds.selecting or not found) and service is not None and service.selector is not None:
            pods = Pods(namespace=namespace, labels=service.selector)
            found.append((both((peer, pods)), service.ports if as_destination else None))
        if not found:
            self._notes.append(
                f"{self._where}.services: no endpoints of {namespace}/{name} are known, so it matches nothing"
            )
        return found or [(NOBODY, None)]

    def peer(self) -> Peer:
        """Everything but services and ports, as one expression."""
        body = self._body
        parts: list[Peer] = []
        if body.get("selector") or body.get("namespaceSelector") or body.get("serviceAccounts"):
            parts.append(self._selected())
        if body.get("notSelector"):
            unwanted = self._selector("notSelector")
            parts.append(Unless(self._known(Pods(labels=unwanted, calico=True), unwanted)))
            if self._namespace and not parts[:-1]:
                parts.append(self._known(Pods(namespace=self._namespace, calico=True), _home(self._namespace)))
        if body.get("nets"):
            parts.append(Block(self._nets("nets")))
        if body.get("notNets"):
            parts.append(Unless(Block(self._nets("notNets"))))
        return both(tuple(parts))

    def _known(self, pods: Pods, selector: Selector) -> Peer:
        """Pods together with the addresses of network sets that the same condition, as one selector, matches."""
        ranges = self._grounds.addresses(selector)
        return either((pods, Block(ranges, pods=True))) if ranges else pods

    def _selected(self) -> Peer:
        """Whom the positive selectors pick; in a namespaced policy that does not say where, within its namespace."""
        labels, namespaces = self._selector("selector"), self._selector("namespaceSelector")
        somewhere = bool(self._body.get("namespaceSelector"))
        home = "" if somewhere else self._namespace
        accounts = self._body.get("serviceAccounts") or {}
        names = tuple(sorted(str(name) for name in accounts.get("names") or ()))
        account_labels = self._account_selector(accounts)
        pods = Pods(
            namespace=home,
            namespaces=by_name(namespaces),
            labels=labels,
            accounts=names,
            account_labels=account_labels,
            calico=True,
        )
        selector = every(
            labels,
            _home(home) if home else ALWAYS,
            _prefixed(namespaces, "pcns.") if somewhere else ALWAYS,
            In("projectcalico.org/serviceaccount", names) if names else ALWAYS,
            _prefixed(account_labels, "pcsa.") if accounts.get("selector") else ALWAYS,
        )
        found = self._known(pods, selector)
        return found if self.certain else Perhaps(found, f"{self._where}: not wholly understood")

    def _account_selector(self, accounts: Body) -> Selector:
        try:
            return endpoint_selector(str(accounts.get("selector") or ""))
        except MalformedSelector as problem:
            self._doubt(f"{self._where}.serviceAccounts.selector: {problem}")
            return ALWAYS

    def _selector(self, field: str) -> Selector:
        read = calico_selector if field == "namespaceSelector" else endpoint_selector
        try:
            return read(str(self._body.get(field) or ""))
        except MalformedSelector as problem:
            self._doubt(f"{self._where}.{field}: {problem}")
            return ALWAYS

    def _nets(self, field: str) -> Ranges:
        found: list[Ranges] = []
        for index, text in enumerate(self._body[field]):
            try:
                found.append(block(str(text)))
            except ValueError:
                self._doubt(f"{self._where}.{field}[{index}]: {text!r} is no CIDR block")
        return reduce(or_, found, NOWHERE)


def _home(namespace: str) -> Selector:
    return In(_NAMESPACE, (namespace,))


def _prefixed(selector: Selector, prefix: str) -> Selector:
    """A selector over what is handed down, as one over Calico's labels: there `all()` means in any namespace at all."""
    match selector:
        case Has(key) | In(key, _) | Text(key, _, _):
            return replace(selector, key=prefix + key)
        case Not(inner):
            return Not(_prefixed(inner, prefix))
        case And(parts):
            return And(tuple(_prefixed(part, prefix) for part in parts))
        case Or(parts):
            return Or(tuple(_prefixed(part, prefix) for part in parts))
        case Always():
            return Has(_NAMESPACE) if prefix == "pcns." else ALWAYS
        case Global():
            return Not(Has(_NAMESPACE))


def by_name(selector: Selector) -> Selector:
    """A selector over namespaces: Calico knows a namespace's name under a label of its own."""
    match selector:
        case Has(key) | In(key, _) | Text(key, _, _):
            return replace(selector, key=NAME_LABEL) if key == "projectcalico.org/name" else selector
        case Not(inner):
            return Not(by_name(inner))
        case And(parts):
            return And(tuple(by_name(part) for part in parts))
        case Or(parts):
            return Or(tuple(by_name(part) for part in parts))
        case Always() | Global():
            return selector
