"""Kubernetes NetworkPolicy (networking.k8s.io/v1) read into the one policy form.

Defaults of the API are applied here, since a manifest has not been through the server. What is unknown or malformed
is never dropped: it becomes a condition that may or may not hold, and a note. Source: kubernetes/api
`networking/v1/types.go`.
"""

import sys
from functools import lru_cache, reduce
from operator import sub
from typing import Final

from driftd.policy.kinds import NAMESPACE_NAME
from driftd.policy.reach.addresses import Ranges, block, has_host_bits
from driftd.policy.reach.policies import (
    ANY_PORT,
    ANYONE,
    NOBODY,
    Action,
    Block,
    Peer,
    Perhaps,
    Pods,
    Policy,
    PortMatch,
    Rule,
    either,
)
from driftd.policy.reach.ports import NONE, of_spans, ports, protocol
from driftd.policy.reach.selectors import ALWAYS, MalformedSelector, Selector, has_label, is_little, kubernetes_selector
from driftd.values import Body, ObjectRef

GROUP: Final = "networking.k8s.io"
TIER: Final = "default"
_SPEC: Final = frozenset(("podSelector", "ingress", "egress", "policyTypes"))
_PEER: Final = frozenset(("ipBlock", "podSelector", "namespaceSelector"))
_BLOCK: Final = frozenset(("cidr", "except"))
_PORT: Final = frozenset(("protocol", "port", "endPort"))
_FEW: Final = 32
_RULE: Final = {"from": frozenset(("from", "ports")), "to": frozenset(("to", "ports"))}
RANK: Final = 1000.0
"""Where Calico places NetworkPolicy within its default tier (`conversion.go`)."""


def read_network_policy(body: Body) -> Policy:
    """The policy's meaning. Never raises on a strange spec: it widens the answer and says so in `notes`."""
    metadata, spec = body.get("metadata") or {}, body.get("spec") or {}
    namespace = sys.intern(str(metadata.get("namespace") or "default"))
    name = sys.intern(str(metadata.get("name") or ""))
    reader = _Reader()
    subject = reader.pods(namespace, spec.get("podSelector"), "spec")
    surely = reader.known(spec, _SPEC, "spec")
    kinds = spec.get("policyTypes") or (["Ingress", "Egress"] if spec.get("egress") else ["Ingress"])
    for kind in kinds:
        if kind not in ("Ingress", "Egress"):
            surely = False
            reader.notes.append(f"spec.policyTypes: {kind!r} is neither Ingress nor Egress")
    ingress = reader.rules(spec, "ingress", "from", namespace, surely=surely) if "Ingress" in kinds else None
    egress = reader.rules(spec, "egress", "to", namespace, surely=surely) if "Egress" in kinds else None
    return Policy(
        ref=ObjectRef(GROUP, "NetworkPolicy", namespace, name),
        tier=TIER,
        rank=(RANK, f"{name}/{namespace}/KubernetesNetworkPolicy"),
        subject=subject,
        ingress=ingress,
        egress=egress,
        namespace=namespace,
        notes=tuple(reader.notes),
    )


class _Reader:
    """Reads one object and gathers what it did not understand."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def known(self, body: Body, fields: frozenset[str], where: str) -> bool:
        """Whether only these fields occur; notes the others."""
        if body.keys() <= fields:
            return True
        self.notes.extend(f"{where}.{name}: unknown field" for name in sorted(body.keys() - fields))
        return False

    def rules(self, spec: Body, section: str, ends: str, namespace: str, *, surely: bool) -> tuple[Rule, ...]:
        found = [
            self.rule(item, sys.intern(f"spec.{section}[{index}]"), ends, namespace, surely=surely)
            for index, item in enumerate(spec.get(section) or ())
        ]
        if not surely:
            why = "the policy has a part that driftd does not know"
            found.append(Rule(Action.ALLOW, Perhaps(ANYONE, why), f"spec.{section}", certain=False, note=why))
        return tuple(found)

    def rule(self, item: Body, where: str, ends: str, namespace: str, *, surely: bool) -> Rule:
        before = len(self.notes)
        certain = self.known(item, _RULE[ends], where) and surely
        peers = item.get(ends)
        far: Peer = ANYONE
        if peers:
            found = [
                _plain(peer, namespace) or self.peer(peer, f"{where}.{ends}[{i}]", namespace)
                for i, peer in enumerate(peers)
            ]
            far = either(tuple(found))
        match, known_ports = self.ports(item.get("ports"), where)
        note = "; ".join(self.notes[before:]) if len(self.notes) > before else ""
        return Rule(Action.ALLOW, far, where, match, certain=certain and known_ports, note=note)

    def peer(self, peer: Body, where: str, namespace: str) -> Peer:
        before = len(self.notes)
        known = self.known(peer, _PEER, where)
        found = self._peer(peer, where, namespace, bare=not known)
        return found if known else Perhaps(found, "; ".join(self.notes[before:]))

    def _peer(self, peer: Body, where: str, namespace: str, *, bare: bool) -> Peer:
        cidr, pods, namespaces = peer.get("ipBlock"), peer.get("podSelector"), peer.get("namespaceSelector")
        if cidr is not None:
            if pods is not None or namespaces is not None:
                self.notes.append(f"{where}: ipBlock beside a selector is invalid; the API server refuses it")
                return NOBODY
            return self.ip_block(cidr, where)
        if namespaces is None and pods is None:
            if bare:
                return ANYONE
            self.notes.append(f"{where}: an empty peer is invalid; the API server refuses it")
            return NOBODY
        if namespaces is None:
            return self.pods(namespace, pods, where)
        labels = self.selector(pods, where, "podSelector")
        where_from = self.selector(namespaces, where, "namespaceSelector")
        if labels is None or where_from is None:
            return Perhaps(
                Pods(namespaces=where_from or ALWAYS, labels=labels or ALWAYS), f"{where}: malformed selector"
            )
        name = _named_namespace(namespaces)
        return _pods_of(name, labels) if name else Pods(namespaces=where_from, labels=labels)

    def pods(self, namespace: str, selector: Body | None, where: str) -> Peer:
        label = _one_label(selector)
        if label is not None:
            return _pods_with(namespace, *label)
        labels = self.selector(selector, where, "podSelector")
        if labels is None:
            return Perhaps(Pods(namespace=namespace), f"{where}.podSelector: malformed selector")
        return _pods_of(namespace, labels)

    def selector(self, body: Body | None, where: str, name: str) -> Selector | None:
        try:
            return kubernetes_selector(body)
        except MalformedSelector as problem:
            self.notes.append(f"{where}.{name}: {problem}")
            return None

    def ip_block(self, body: Body, where: str) -> Peer:
        known = self.known(body, _BLOCK, f"{where}.ipBlock")
        cuts = body.get("except")
        read = _block if not cuts or len(cuts) <= _FEW else _block.__wrapped__
        found, notes = read(str(body.get("cidr")), tuple(str(cut) for cut in cuts) if cuts else ())
        self.notes.extend(f"{where}.ipBlock: {note}" for note in notes)
        return found if known else Perhaps(found, f"{where}: not wholly understood")

    def ports(self, items: list[Body] | None, where: str) -> tuple[PortMatch, bool]:
        """The traffic of a rule's `ports`, and whether all of it was understood."""
        if not items:
            return ANY_PORT, True
        found: list[PortMatch] = []
        certain = True
        for index, item in enumerate(items):
            if not item.keys() <= _PORT:
                certain = self.known(item, _PORT, f"{where}.ports[{index}]")
            try:
                found.append(_port(item.get("protocol"), item.get("port"), item.get("endPort")))
            except (ValueError, TypeError) as problem:
                self.notes.append(f"{where}.ports[{index}]: {problem}")
        if len(found) == 1:
            return found[0], certain
        # A stranger's thousand ports are not remembered.
        together = _any_of if len(found) <= _FEW else _any_of.__wrapped__
        return together(tuple(found)), certain


@lru_cache(maxsize=4_096, typed=True)
def _port(spoken: str | None, port: object, end: object) -> PortMatch:
    """What one entry of `ports` means. Raises ValueError, or TypeError for a list or object in it, if nothing."""
    protocol_name = spoken or "TCP"
    if protocol_name not in ("TCP", "UDP", "SCTP"):
        raise ValueError(f"protocol {protocol_name!r} is none of TCP, UDP, SCTP")
    if isinstance(port, str):
        if end is not None:
            raise ValueError("endPort beside a port name is invalid: a range needs a number to start from")
        return PortMatch(NONE, ((protocol_name, port),))
    if port is None:
        if end is not None:
            raise ValueError("endPort without port is invalid: a range needs a number to start from")
        return PortMatch(protocol(protocol_name))
    if isinstance(port, bool) or not isinstance(port, int) or not 1 <= port <= 65_535:
        raise ValueError(f"port {port!r} is neither a name nor a number within 1..65535")
    if end is not None and (isinstance(end, bool) or not isinstance(end, int)):
        raise ValueError(f"endPort {end!r} is not a number")
    numbers = ports(protocol_name, port, end)
    return PortMatch(numbers, ranged=numbers - ports(protocol_name, port))


@lru_cache(maxsize=4_096)
def _any_of(matches: tuple[PortMatch, ...]) -> PortMatch:
    """What several entries of `ports` mean together; one value for all the rules that speak of this traffic."""
    numbers = of_spans(span for one in matches for span in one.numbers.spans)
    firsts = of_spans(span for one in matches for span in (one.numbers - one.ranged).spans)
    return PortMatch(numbers, tuple(sorted({name for one in matches for name in one.names})), ranged=numbers - firsts)


def _plain(peer: Body, namespace: str) -> Peer | None:
    """What nearly all peers are, read the short way.

    Pods with one label, here or in a namespace by its name, all the pods there, or a block of addresses without more.
    """
    if len(peer) == 1:
        for field, value in peer.items():
            if field == "podSelector":
                label = _one_label(value)
                return None if label is None else _pods_with(namespace, *label)
            if field == "namespaceSelector":
                home = _home(value)
                return _pods_of(home, ALWAYS) if home else None
            if field == "ipBlock" and value and len(value) == 1 and isinstance(value.get("cidr"), str):
                found, notes = _block(value["cidr"], ())
                return None if notes else found
    elif len(peer) == 2 and "namespaceSelector" in peer:
        home, label = _home(peer["namespaceSelector"]), _one_label(peer.get("podSelector"))
        return _pods_with(home, *label) if home and label is not None else None
    return None


def _home(selector: Body | None) -> str:
    """The namespace that a selector asks for by name and by nothing else; "" for any other selector."""
    label = _one_label(selector)
    return label[1] if label is not None and label[0] == NAMESPACE_NAME else ""


def _one_label(selector: Body | None) -> tuple[str, str] | None:
    """The label that a selector asks for, if it asks for one and nothing else."""
    if selector and len(selector) == 1:
        labels = selector.get("matchLabels")
        if labels and len(labels) == 1:
            [(key, value)] = labels.items()
            if isinstance(value, str):
                return key, value
    return None


@lru_cache(maxsize=8_192)
def _pods_with(namespace: str, key: str, value: str) -> Pods:
    """One object for one meaning: policies of a namespace name the same pods over and over."""
    return Pods(namespace=namespace, labels=has_label(key, value))


def _pods_of(namespace: str, labels: Selector) -> Pods:
    """The pods of a namespace with these labels."""
    named = _pods if is_little(labels) else _pods.__wrapped__
    return named(namespace, labels)


@lru_cache(maxsize=4_096)
def _pods(namespace: str, labels: Selector) -> Pods:
    """The same for whatever else they ask for."""
    return Pods(namespace=namespace, labels=labels)


@lru_cache(maxsize=4_096)
def _block(cidr: str, cuts: tuple[str, ...]) -> tuple[Peer, tuple[str, ...]]:
    """A block without its exceptions, and what is to be said of it."""
    notes: list[str] = []
    parts: list[Ranges] = []
    for text in (cidr, *cuts):
        try:
            parts.append(block(text))
        except ValueError:
            notes.append(f"{text!r} is no CIDR block")
            if not parts:
                return Perhaps(ANYONE, "malformed CIDR"), tuple(notes)
            continue
        if has_host_bits(text):
            notes.append(f"{text} has host bits; read as {parts[-1]}")
    ranges = reduce(sub, parts)
    found = Block(ranges, text=" except ".join((cidr, ", ".join(cuts))) if cuts else cidr)
    return (Perhaps(found, "malformed exception") if len(parts) <= len(cuts) else found), tuple(notes)


def _named_namespace(selector: Body) -> str:
    """The one namespace that a selector names through the label every live namespace carries."""
    labels = selector.get("matchLabels") or {}
    if labels.keys() == {NAMESPACE_NAME} and not selector.get("matchExpressions"):
        return str(labels[NAMESPACE_NAME])
    return ""
