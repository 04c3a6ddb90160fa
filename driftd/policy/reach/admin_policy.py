"""Admin policies read into the one policy form: ClusterNetworkPolicy, AdminNetworkPolicy, BaselineAdminNetworkPolicy.

Read and evaluated, never written. Source: network-policy-api `apis/v1alpha1`, `apis/v1alpha2` and its overview.
"""

from math import inf
from typing import Final

from driftd.policy.reach.addresses import NOWHERE, block
from driftd.policy.reach.policies import (
    ANY_PORT,
    ANYONE,
    Action,
    Block,
    Flow,
    Peer,
    Perhaps,
    Pods,
    Policy,
    PortMatch,
    Rule,
    Unless,
    either,
    leaves,
    peers_of,
)
from driftd.policy.reach.ports import NONE, PortSet, ports, protocol
from driftd.policy.reach.selectors import MalformedSelector, keys_of, kubernetes_selector
from driftd.policy.reach.tiers import ADMIN, BASELINE
from driftd.values import Body, ObjectRef

GROUP: Final = "policy.networking.k8s.io"
KINDS: Final = ("ClusterNetworkPolicy", "AdminNetworkPolicy", "BaselineAdminNetworkPolicy")
_ACTIONS: Final = {"Accept": Action.ALLOW, "Allow": Action.ALLOW, "Deny": Action.DENY, "Pass": Action.PASS}
_NOT_A_POD: Final = Unless(Pods(host_pods=False))
"""Nodes and everything outside: whom pod selectors never name."""
_PROTOCOLS: Final = ("TCP", "UDP", "SCTP")
_MOST: Final = 25
"""Rules of a direction, peers of a rule, and so on: longer lists no API server takes (v1alpha2)."""
_LAST: Final = 1_000
"""The highest priority."""


def read_admin_policy(body: Body, *, certain: bool, ordered: bool) -> Policy:
    """The policy's meaning. `certain` False: perhaps not enforced; `ordered`: equal priorities are decided by name.

    Never raises: what is unknown widens the answer and is noted.
    """
    return _Reader(body).policy(certain=certain, ordered=ordered)


def namespace_keys(body: Body) -> frozenset[str]:
    """The keys of labels by which an admin policy selects namespaces."""
    policy = read_admin_policy(body, certain=True, ordered=True)
    read = [keys_of(leaf.namespaces) for peer in peers_of(policy) for leaf in leaves(peer) if isinstance(leaf, Pods)]
    return frozenset().union(*read)


class _Reader:
    """Reads one policy and gathers what it did not understand."""

    def __init__(self, body: Body) -> None:
        self._kind = str(body.get("kind") or "")
        self._name = str((body.get("metadata") or {}).get("name") or "")
        self._spec: Body = body.get("spec") or {}
        self.notes: list[str] = []

    def policy(self, *, certain: bool, ordered: bool) -> Policy:
        spec = self._spec
        surely = self._known(spec, {"tier", "priority", "subject", "ingress", "egress"}, "spec")
        baseline = self._kind == "BaselineAdminNetworkPolicy" or spec.get("tier") == "Baseline"
        if self._kind == "ClusterNetworkPolicy" and spec.get("tier") not in ("Admin", "Baseline"):
            certain = False
            self.notes.append(f"spec.tier: {spec.get('tier')!r} is neither Admin nor Baseline")
        priority = spec.get("priority")
        if isinstance(priority, int) and not 0 <= priority <= _LAST:
            self.notes.append(f"spec.priority: {priority} is not within 0..{_LAST}; the API server refuses it")
        rank = float(priority) if isinstance(priority, int) else (0.0 if baseline else inf)
        tier = BASELINE if baseline else ADMIN
        before = len(self.notes)
        subject = self._selection(spec.get("subject") or {}, "spec.subject")
        if subject is None:
            subject = Perhaps(Pods(host_pods=False), "; ".join(self.notes[before:]))
        return Policy(
            ref=ObjectRef(GROUP, self._kind, "", self._name),
            tier=tier,
            rank=(rank, f"{self._name}//Kubernetes{self._kind}"),
            subject=subject,
            ingress=self._rules(Flow.INGRESS, "from", surely=surely),
            egress=self._rules(Flow.EGRESS, "to", surely=surely),
            certain=certain,
            notes=tuple(self.notes),
            ambiguous="" if ordered else f"{tier}/{rank}",
        )

    def _known(self, body: Body, fields: set[str], where: str) -> bool:
        unknown = sorted(body.keys() - fields)
        self.notes.extend(f"{where}.{name}: unknown field" for name in unknown)
        return not unknown

    def _bounded(self, items: list[Body] | None, where: str) -> None:
        """Note a list that is too long to be stored; it is read all the same."""
        if self._kind == "ClusterNetworkPolicy" and len(items or ()) > _MOST:
            self.notes.append(f"{where}: more than {_MOST} entries; the API server refuses it")

    def _rules(self, flow: Flow, ends: str, *, surely: bool) -> tuple[Rule, ...] | None:
        """The rules of a direction; None without any: these policies isolate nobody."""
        found: list[Rule] = []
        self._bounded(self._spec.get(str(flow)), f"spec.{flow}")
        for index, item in enumerate(self._spec.get(str(flow)) or ()):
            found.extend(self._rule(item, f"spec.{flow}[{index}]", ends, surely=surely))
        if not surely:
            why = "the policy has a part that driftd does not know"
            found.extend(
                Rule(action, Perhaps(ANYONE, why), f"spec.{flow}", certain=False, note=why)
                for action in (Action.ALLOW, Action.DENY)
            )
        return tuple(found) or None

    def _rule(self, item: Body, where: str, ends: str, *, surely: bool) -> list[Rule]:
        """One rule; more than one here where an implementation may fail closed over a part of it.

        Who cannot read a part treats an Accept rule as matching nothing, and any other as denying everything.
        """
        before = len(self.notes)
        certain = self._known(item, {"name", "action", ends, "ports", "protocols"}, where) and surely
        match, ports_known = self._traffic(item, where)
        if not item.get(ends):
            # Unlike NetworkPolicy, where nobody named is everybody.
            self.notes.append(f"{where}.{ends}: at least one peer is required; the API server refuses a rule without")
        self._bounded(item.get(ends), f"{where}.{ends}")
        peers = [self._peer(peer, f"{where}.{ends}[{index}]") for index, peer in enumerate(item.get(ends) or ())]
        action = _ACTIONS.get(str(item.get("action")))
        if action is None:
            self.notes.append(f"{where}.action: {item.get('action')!r} is none of Accept, Deny, Pass")
        elif action is not Action.ALLOW and any("domainNames" in peer for peer in item.get(ends) or ()):
            self.notes.append(f"{where}.{ends}: domainNames belong into Accept rules; the API server refuses them here")
        note = "; ".join(self.notes[before:])
        far = either(tuple(peer for peer in peers if peer is not None))
        known = certain and ports_known and action is not None
        closing = bool(match.names) or any(peer is None or isinstance(peer, Perhaps) for peer in peers)
        unread = Perhaps(ANYONE, note or f"{where} uses an experimental field")
        if action is Action.ALLOW:
            found = [Rule(action, far, where, match, certain=known and not closing, note=note)]
            if None in peers:
                found.append(Rule(action, unread, where, match, certain=False, note=note))
            return found
        found = [Rule(Action.DENY, unread, where, certain=False, note=note)] if closing or action is None else []
        found += [
            Rule(one, far, where, match, certain=known, note=note)
            for one in ([action] if action else [Action.ALLOW, Action.DENY])
        ]
        if None in peers and action is not None:
            found.append(Rule(action, unread, where, match, certain=False, note=note))
        return found

    def _selection(self, body: Body, where: str) -> Peer | None:
        """Pods by namespace, or by namespace and labels; None when it is not understood."""
        unknown = not self._known(body, {"namespaces", "pods"}, where)
        pods = body.get("pods")
        try:
            if body.get("namespaces") is not None and pods is None and not unknown:
                return Pods(namespaces=kubernetes_selector(body["namespaces"]), host_pods=False)
            if (
                isinstance(pods, dict)
                and not unknown
                and self._known(pods, {"namespaceSelector", "podSelector"}, f"{where}.pods")
            ):
                return Pods(
                    namespaces=kubernetes_selector(pods.get("namespaceSelector")),
                    labels=kubernetes_selector(pods.get("podSelector")),
                    host_pods=False,
                )
        except MalformedSelector as problem:
            self.notes.append(f"{where}: {problem}")
            return None
        self.notes.append(f"{where}: expected exactly one of the known selections")
        return None

    def _peer(self, body: Body, where: str) -> Peer | None:
        """A peer; None when it is not understood."""
        if body.keys() == {"networks"}:
            ranges = NOWHERE
            for index, text in enumerate(body["networks"] or ()):
                try:
                    ranges = ranges | block(str(text))
                except ValueError:
                    self.notes.append(f"{where}.networks[{index}]: {text!r} is no CIDR block")
                    return None
            return Block(ranges, pods=True)
        if body.keys() == {"nodes"}:
            self.notes.append(f"{where}.nodes: node labels are not known here, so any node may be meant")
            return Perhaps(_NOT_A_POD, f"{where}.nodes")
        if body.keys() == {"domainNames"}:
            self.notes.append(f"{where}.domainNames: what a name resolves to is not known here")
            return Perhaps(_NOT_A_POD, f"{where}.domainNames")
        return self._selection(body, where)

    def _traffic(self, item: Body, where: str) -> tuple[PortMatch, bool]:
        if not item.get("ports") and not item.get("protocols"):
            return ANY_PORT, True
        numbers: PortSet = NONE
        names: set[tuple[str, str]] = set()
        known = True
        for field, read in (("ports", _port), ("protocols", _protocol)):
            for index, entry in enumerate(item.get(field) or ()):
                try:
                    found, name = read(entry)
                except ValueError as problem:
                    self.notes.append(f"{where}.{field}[{index}]: {problem}")
                    known = False
                    continue
                numbers = numbers | found
                if name:
                    names.update((one, name) for one in _PROTOCOLS)
        return PortMatch(numbers, tuple(sorted(names))), known


def _port(entry: Body) -> tuple[PortSet, str]:
    """An entry of v1alpha1 `ports`: portNumber, portRange or namedPort (of any protocol)."""
    if entry.keys() == {"namedPort"}:
        return NONE, str(entry["namedPort"])
    for field, first, last in (("portNumber", "port", "port"), ("portRange", "start", "end")):
        if entry.keys() == {field}:
            part = entry[field]
            return ports(str(part.get("protocol") or "TCP"), _number(part, first), _number(part, last)), ""
    raise ValueError("expected exactly one of portNumber, portRange, namedPort")


def _protocol(entry: Body) -> tuple[PortSet, str]:
    """An entry of v1alpha2 `protocols`: tcp, udp or sctp with a destinationPort, or destinationNamedPort."""
    if entry.keys() == {"destinationNamedPort"}:
        return NONE, str(entry["destinationNamedPort"])
    for field in ("tcp", "udp", "sctp"):
        if entry.keys() != {field}:
            continue
        part = entry[field] or {}
        if part.keys() - {"destinationPort"}:
            raise ValueError(f"{field}: unknown field {min(part.keys() - {'destinationPort'})!r}")
        port = part.get("destinationPort")
        if not port:
            return protocol(field.upper()), ""
        if port.get("range"):
            return ports(field.upper(), _number(port["range"], "start"), _number(port["range"], "end")), ""
        return ports(field.upper(), _number(port, "number")), ""
    raise ValueError("expected exactly one of tcp, udp, sctp, destinationNamedPort")


def _number(body: Body, field: str) -> int:
    value = body.get(field)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{field}: {value!r} is not a port number")  # noqa: TRY004 - one error for whatever is no port
    return value
