"""Calico NetworkPolicy and GlobalNetworkPolicy read into the one policy form.

Source: Calico's API (`api/pkg/apis/projectcalico/v3`), its defaults (`api/pkg/defaults`), and the conversion of rules
(`libcalico-go/lib/backend/syncersv1/updateprocessors/rules.go`).
"""

from math import inf
from typing import Final

from driftd.policy.reach.calico_entity import Entity, Grounds, by_name
from driftd.policy.reach.calico_objects import calico_ref, plain_name
from driftd.policy.reach.calico_ports import entity_ports, rule_traffic
from driftd.policy.reach.calico_selectors import endpoint_selector
from driftd.policy.reach.policies import (
    ANYONE,
    NOBODY,
    Action,
    Flow,
    Peer,
    Perhaps,
    Pods,
    Policy,
    PortMatch,
    Rule,
    both,
)
from driftd.policy.reach.selectors import ALWAYS, MalformedSelector, Selector
from driftd.values import Body

_SPEC: Final = {
    "tier",
    "order",
    "selector",
    "namespaceSelector",
    "serviceAccountSelector",
    "types",
    "ingress",
    "egress",
    "preDNAT",
    "doNotTrack",
    "applyOnForward",
    "performanceHints",
}
_RULE: Final = {
    "action",
    "protocol",
    "notProtocol",
    "icmp",
    "notICMP",
    "ipVersion",
    "source",
    "destination",
    "http",
    "metadata",
}
_ACTIONS: Final = {"Allow": Action.ALLOW, "Deny": Action.DENY, "Pass": Action.PASS}


def read_calico_policy(body: Body, grounds: Grounds, *, certain: bool) -> Policy:
    """The policy's meaning on the given grounds (network sets, services); `certain` False: perhaps not enforced.

    Never raises on a strange spec: it widens the answer and says so in `notes`.
    """
    return _Reader(body, grounds).policy(certain=certain)


def policy_types(spec: Body, *, stored: bool) -> tuple[str, ...]:
    """The directions of a policy. Unlike Kubernetes, rules for egress only mean egress only.

    `stored`: written straight to the storage group, past the API's defaulting, where Felix reads absence as both.
    """
    if spec.get("types"):
        return tuple(str(kind) for kind in spec["types"])
    if stored:
        return ("Ingress", "Egress")
    if not spec.get("egress"):
        return ("Ingress",)
    return ("Ingress", "Egress") if spec.get("ingress") else ("Egress",)


class _Reader:
    """Reads one policy and gathers what it did not understand."""

    def __init__(self, body: Body, grounds: Grounds) -> None:
        metadata = body.get("metadata") or {}
        self._spec: Body = body.get("spec") or {}
        self._kind = str(body.get("kind") or "NetworkPolicy")
        self._stored = str(body.get("apiVersion") or "").startswith("crd.")
        self._namespace = str(metadata.get("namespace") or "default") if self._kind == "NetworkPolicy" else ""
        self._ref = calico_ref(self._kind, self._namespace, str(metadata.get("name") or ""))
        self._grounds = grounds
        self.notes: list[str] = []

    def policy(self, *, certain: bool) -> Policy:
        spec = self._spec
        surely = self._known(spec, _SPEC, "spec")
        kinds = policy_types(spec, stored=self._stored)
        subject = self._subject()
        if spec.get("preDNAT") or spec.get("doNotTrack"):
            self.notes.append("spec: preDNAT and doNotTrack policies guard host endpoints only, not pods")
            subject = NOBODY
        order, tier = spec.get("order"), str(spec.get("tier") or "default")
        rank = inf if order is None else float(order)
        return Policy(
            ref=self._ref,
            tier=tier,
            rank=(rank, f"{plain_name(self._ref.name, tier)}/{self._namespace}/{self._kind}/{self._ref.name}"),
            subject=subject,
            ingress=self._rules(Flow.INGRESS, surely=surely) if "Ingress" in kinds else None,
            egress=self._rules(Flow.EGRESS, surely=surely) if "Egress" in kinds else None,
            namespace=self._namespace,
            certain=certain,
            notes=tuple(self.notes),
        )

    def _known(self, body: Body, fields: set[str], where: str) -> bool:
        unknown = sorted(body.keys() - fields)
        self.notes.extend(f"{where}.{name}: unknown field" for name in unknown)
        return not unknown

    def _selector(self, text: object, where: str) -> Selector | None:
        try:
            return endpoint_selector(str(text or ""))
        except MalformedSelector as problem:
            self.notes.append(f"{where}: {problem}")
            return None

    def _subject(self) -> Peer:
        spec = self._spec
        labels = self._selector(spec.get("selector"), "spec.selector")
        namespaces: Selector | None = ALWAYS
        if not self._namespace:
            namespaces = self._selector(spec.get("namespaceSelector"), "spec.namespaceSelector")
        accounts = self._selector(spec.get("serviceAccountSelector"), "spec.serviceAccountSelector")
        pods = Pods(
            namespace=self._namespace,
            namespaces=by_name(namespaces or ALWAYS),
            labels=labels or ALWAYS,
            account_labels=accounts or ALWAYS,
            calico=True,
        )
        if labels is None or namespaces is None or accounts is None:
            return Perhaps(pods, "malformed selector")
        return pods

    def _rules(self, flow: Flow, *, surely: bool) -> tuple[Rule, ...]:
        found: list[Rule] = []
        for index, item in enumerate(self._spec.get(str(flow)) or ()):
            found.extend(self._rule(item, f"spec.{flow}[{index}]", flow, surely=surely))
        if not surely:
            why = "the policy has a part that driftd does not know"
            found.extend(
                Rule(action, Perhaps(ANYONE, why), f"spec.{flow}", certain=False, note=why)
                for action in (Action.ALLOW, Action.DENY)
            )
        return tuple(found)

    def _rule(self, item: Body, where: str, flow: Flow, *, surely: bool) -> list[Rule]:
        """One rule of the object: several here when a service serves different ports on different addresses."""
        before = len(self.notes)
        certain = self._known(item, _RULE, where) and surely
        if item.get("http"):
            certain = False
            self.notes.append(f"{where}.http: decided by a proxy above layer 4, which driftd does not see")
        action = str(item.get("action") or "")
        if action == "Log":
            return []
        ends = {Flow.INGRESS: ("source", "destination"), Flow.EGRESS: ("destination", "source")}
        far_name, near_name = ends[flow]
        far = Entity(item.get(far_name) or {}, f"{where}.{far_name}", self._namespace, self._grounds, self.notes)
        near = Entity(item.get(near_name) or {}, f"{where}.{near_name}", self._namespace, self._grounds, self.notes)
        near_peer, served_peers = near.peer(), far.served(as_destination=flow is Flow.EGRESS)
        if (item.get(near_name) or {}).get("services"):
            certain = False
            self.notes.append(f"{where}.{near_name}.services: only the far end of a rule may name a service")
        traffic, known = rule_traffic(item, where, self.notes)
        match, ports_known = entity_ports(
            item, item.get("destination") or {}, traffic, f"{where}.destination", self.notes
        )
        source = item.get("source") or {}
        if source.get("ports") or source.get("notPorts"):
            ports_known = False
            self.notes.append(f"{where}.source: source ports are chosen by the client, so the rule matches perhaps")
        version = self._version(item, where)
        certain = certain and known and ports_known and far.certain and near.certain
        actions = (_ACTIONS[action],) if action in _ACTIONS else (Action.ALLOW, Action.DENY)
        if action not in _ACTIONS:
            certain = False
            self.notes.append(f"{where}.action: {action!r} is none of Allow, Deny, Pass, Log")
        note = "; ".join(self.notes[before:])
        return [
            Rule(one, both((peer, version)), where, _narrowed(match, served), near_peer, certain=certain, note=note)
            for one in actions
            for peer, served in served_peers
        ]

    def _version(self, item: Body, where: str) -> Peer:
        version = item.get("ipVersion")
        if version is None:
            return ANYONE
        if version not in (4, 6):
            self.notes.append(f"{where}.ipVersion: {version!r} is neither 4 nor 6")
            return Perhaps(ANYONE, f"{where}.ipVersion")
        return self._grounds.family(version)


def _narrowed(match: PortMatch, served: PortMatch | None) -> PortMatch:
    """The ports of the rule, or of the service it names (both together are not valid)."""
    if served is None:
        return match
    return PortMatch(match.numbers & served.numbers, served.names, match.not_numbers, match.not_names)
