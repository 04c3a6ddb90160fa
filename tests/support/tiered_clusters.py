"""Small clusters with tiers: Calico's policies, sets and services, and the admin policy kinds, for property tests.

As in `clusters`: few words, so that they meet; the plainest choice first, so that examples shrink to it.
"""

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from tests.oracle.bodies import Body, Cluster
from tests.support.clusters import KEYS, NAMESPACES, NUMBERS, PORT_NAMES, SERVICE_ACCOUNTS, V4_BLOCKS, VALUES
from tests.support.clusters import clusters as kubernetes_clusters
from tests.support.clusters import edits as plain_edits
from tests.support.clusters import selectors as label_selectors

V3, STORED = "projectcalico.org/v3", "crd.projectcalico.org/v1"
TIERS = ("default", "platform", "kube-admin", "kube-baseline", "missing")
ORDERS = (None, 10, 10.5, 1000, 1000.0, 2000)
INHERITED = ("projectcalico.org/namespace", "projectcalico.org/serviceaccount", "projectcalico.org/orchestrator")


@st.composite
def calico_selectors(draw: st.DrawFn, keys: tuple[str, ...] = (*KEYS, "kind"), depth: int = 2) -> str:
    """A selector of every operator; quotes and spaces vary."""
    if depth and draw(st.integers(0, 3)) == 3:
        left, right = draw(calico_selectors(keys, depth - 1)), draw(calico_selectors(keys, depth - 1))
        joint = draw(st.sampled_from((" && ", "||", " || ")))
        return f"({left}){joint}({right})" if draw(st.booleans()) else f"({left}){joint}{right}"
    key = draw(st.sampled_from(keys))
    value = draw(st.sampled_from((*VALUES, "a")))
    return draw(
        st.sampled_from(
            (
                "all()",
                f"{key} == '{value}'",
                f"{key} != '{value}'",
                f'{key}=="{value}"',
                f"has({key})",
                f"!has({key})",
                f"!! has({key})",
                f"{key} in {{'x', '{value}'}}",
                f"{key} not in {{'{value}'}}",
                f"{key} contains '{value}'",
                f"{key} starts with '{value}'",
                f"{key} ends with ''",
                f"!({key} == '{value}')",
            )
        )
    )


def namespace_selectors(*, in_rules: bool) -> st.SearchStrategy[str]:
    plain = ["all()", "projectcalico.org/name == 'a'", "kubernetes.io/metadata.name in {'a', 'b'}", "tier != 'x'"]
    return st.one_of(st.sampled_from([*plain, "global()"] if in_rules else plain), calico_selectors(keys=KEYS, depth=0))


@st.composite
def entities(draw: st.DrawFn, *, ports: bool, services: bool) -> Body:
    """Source or destination of a rule, with none, one or several of its fields."""
    found: Body = {}
    if services and draw(st.integers(0, 7)) == 7:
        return {"services": {"name": "svc", "namespace": draw(st.sampled_from(NAMESPACES))}}
    for field in draw(st.lists(st.sampled_from(_ENTITY_FIELDS), max_size=3, unique=True)):
        found[field] = draw(_ENTITY[field])
    if ports:
        for field in draw(st.lists(st.sampled_from(("ports", "notPorts")), max_size=2, unique=True)):
            found[field] = draw(st.lists(_ports(), min_size=1, max_size=2))
    return found


def _ports() -> st.SearchStrategy[int | str]:
    return st.sampled_from((*NUMBERS, "80:82", "8080:9000", *PORT_NAMES))


_NETS = st.lists(st.sampled_from(V4_BLOCKS), min_size=1, max_size=2, unique=True)
_ENTITY: dict[str, st.SearchStrategy[Any]] = {
    "selector": st.one_of(calico_selectors(), calico_selectors(keys=INHERITED, depth=0)),
    "nets": _NETS,
    "namespaceSelector": namespace_selectors(in_rules=True),
    "notSelector": calico_selectors(),
    "notNets": _NETS,
    "serviceAccounts": st.one_of(
        st.lists(st.sampled_from(SERVICE_ACCOUNTS), min_size=1, max_size=2, unique=True).map(
            lambda names: {"names": names}
        ),
        calico_selectors(keys=KEYS, depth=0).map(lambda text: {"selector": text}),
        st.just({}),
    ),
}
_ENTITY_FIELDS = tuple(_ENTITY)


@st.composite
def calico_rules(draw: st.DrawFn, direction: str, *, odd: bool = True) -> Body:
    """One rule; `odd` adds what a connection does not tell (HTTP, source ports). Only its far end may be a service."""
    rule: Body = {"action": draw(st.sampled_from(("Allow", "Deny", "Pass", "Log")))}
    protocol = draw(st.sampled_from((None, "TCP", "UDP", "SCTP", 6, "ICMP", "notTCP")))
    if protocol == "notTCP":
        rule["notProtocol"] = "TCP"
    elif protocol is not None:
        rule["protocol"] = protocol
    with_ports = protocol in ("TCP", "UDP", "SCTP", 6)
    if draw(st.booleans()):
        rule["source"] = draw(
            entities(ports=odd and with_ports and draw(st.integers(0, 9)) == 9, services=direction == "ingress")
        )
    if draw(st.booleans()):
        rule["destination"] = draw(entities(ports=with_ports, services=direction == "egress"))
    if draw(st.integers(0, 9)) == 9:
        rule["ipVersion"] = draw(st.sampled_from((4, 6)))
    if odd and rule["action"] == "Allow" and protocol == "TCP" and draw(st.integers(0, 9)) == 9:
        rule["http"] = {"methods": ["GET"]}
    return rule


@st.composite
def calico_policies(draw: st.DrawFn, *, odd: bool = True) -> Body:
    """A NetworkPolicy or GlobalNetworkPolicy of Calico, as its API serves it or as it is stored; rarely staged."""
    kind = draw(st.sampled_from(("NetworkPolicy", "GlobalNetworkPolicy")))
    tier = draw(st.sampled_from(TIERS))
    spec: Body = {}
    if tier != "default" or draw(st.booleans()):
        spec["tier"] = tier
    order = draw(st.sampled_from(ORDERS))
    if order is not None:
        spec["order"] = order
    if draw(st.booleans()):
        spec["selector"] = draw(st.one_of(st.just(""), calico_selectors()))
    if kind == "GlobalNetworkPolicy" and draw(st.integers(0, 2)) == 2:
        spec["namespaceSelector"] = draw(namespace_selectors(in_rules=False))
    if draw(st.integers(0, 5)) == 5:
        spec["serviceAccountSelector"] = draw(calico_selectors(keys=KEYS, depth=0))
    types = draw(st.sampled_from((None, ["Ingress"], ["Egress"], ["Ingress", "Egress"])))
    if types:
        spec["types"] = list(types)
    for direction in ("ingress", "egress"):
        if draw(st.booleans()):
            spec[direction] = draw(st.lists(calico_rules(direction, odd=odd), max_size=3))
    name = draw(st.sampled_from(("p", "q", "p-q")))
    metadata = {"name": name}
    if kind == "NetworkPolicy":
        metadata["namespace"] = draw(st.sampled_from(NAMESPACES))
    staged = draw(st.integers(0, 15)) == 15
    return {
        "apiVersion": draw(st.sampled_from((V3, STORED))),
        "kind": f"Staged{kind}" if staged else kind,
        "metadata": metadata,
        "spec": spec,
    }


@st.composite
def admin_policies(draw: st.DrawFn, *, odd: bool = True) -> Body:
    """A ClusterNetworkPolicy with up to three rules; `odd` adds experimental and unknown peers."""
    spec: Body = {
        "tier": draw(st.sampled_from(("Admin", "Baseline"))),
        "priority": draw(st.sampled_from((0, 5, 10, 1000))),
        "subject": draw(_admin_peers(odd=False)),
    }
    for direction, side in (("ingress", "from"), ("egress", "to")):
        if draw(st.booleans()):
            spec[direction] = draw(st.lists(_admin_rules(side, odd=odd), max_size=3))
    return {
        "apiVersion": "policy.networking.k8s.io/v1alpha2",
        "kind": "ClusterNetworkPolicy",
        "metadata": {"name": draw(st.sampled_from(("p", "q", "p-q")))},
        "spec": spec,
    }


@st.composite
def _admin_rules(draw: st.DrawFn, side: str, *, odd: bool) -> Body:
    rule: Body = {"action": draw(st.sampled_from(("Accept", "Deny", "Pass")))}
    choices = [_admin_peers(odd=odd)]
    if side == "to":
        choices.append(_NETS.map(lambda nets: {"networks": nets}))
    rule[side] = draw(st.lists(st.one_of(choices), min_size=1, max_size=2))
    if draw(st.booleans()):
        rule["protocols"] = draw(st.lists(_admin_protocols(), min_size=1, max_size=2))
    return rule


@st.composite
def _admin_peers(draw: st.DrawFn, *, odd: bool) -> Body:
    if odd and draw(st.integers(0, 15)) == 15:
        return {"galaxies": {}}
    if draw(st.booleans()):
        return {"namespaces": draw(label_selectors())}
    return {"pods": {"namespaceSelector": draw(label_selectors()), "podSelector": draw(label_selectors())}}


@st.composite
def _admin_protocols(draw: st.DrawFn) -> Body:
    first = draw(st.sampled_from(NUMBERS))
    port = draw(st.sampled_from(({"number": first}, {"range": {"start": first, "end": first + 2}})))
    return {draw(st.sampled_from(("tcp", "udp", "sctp"))): {"destinationPort": port}}


@st.composite
def surroundings(draw: st.DrawFn) -> list[Body]:
    """Tiers, network sets, service accounts and endpoint slices."""
    found: list[Body] = []
    if draw(st.booleans()):
        spec: Body = {"order": draw(st.sampled_from((100, None, 5_000_000)))}
        action = draw(st.sampled_from((None, "Deny", "Pass")))
        if action:
            spec["defaultAction"] = action
        found.append({"apiVersion": V3, "kind": "Tier", "metadata": {"name": "platform"}, "spec": spec})
    found.extend(draw(st.lists(_sets(), max_size=2, unique_by=lambda body: str(body["metadata"]["name"]))))
    for space in draw(st.lists(st.sampled_from(NAMESPACES), max_size=2, unique=True)):
        labels = draw(st.dictionaries(st.sampled_from(KEYS), st.sampled_from(VALUES), max_size=1))
        account = draw(st.sampled_from(SERVICE_ACCOUNTS))
        metadata = {"name": account, "namespace": space, "labels": labels}
        found.append({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})
    for space in draw(st.lists(st.sampled_from(NAMESPACES), max_size=1)):
        ips = draw(st.lists(st.sampled_from(("10.244.0.1", "10.244.1.2", "203.0.113.7")), max_size=2, unique=True))
        found.append(
            {
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "addressType": "IPv4",
                "metadata": {"name": "svc-1", "namespace": space, "labels": {"kubernetes.io/service-name": "svc"}},
                "endpoints": [{"addresses": [ip]} for ip in ips],
                "ports": [{"protocol": "TCP", "port": draw(st.sampled_from(NUMBERS))}],
            }
        )
    return found


@st.composite
def _sets(draw: st.DrawFn) -> Body:
    kind = draw(st.sampled_from(("GlobalNetworkSet", "NetworkSet")))
    metadata: Body = {"name": draw(st.sampled_from(("s", "t"))), "labels": {"kind": draw(st.sampled_from(VALUES))}}
    if kind == "NetworkSet":
        metadata["namespace"] = draw(st.sampled_from(NAMESPACES))
    nets = draw(st.lists(st.sampled_from((*V4_BLOCKS[:-1], "203.0.113.7")), max_size=2, unique=True))
    return {"apiVersion": V3, "kind": kind, "metadata": metadata, "spec": {"nets": nets}}


@st.composite
def admin_clusters(draw: st.DrawFn, /, *, odd: bool = True, **options: Any) -> Cluster:
    """A cluster with NetworkPolicies and ClusterNetworkPolicies."""
    base = draw(kubernetes_clusters(**options))
    more = draw(st.lists(admin_policies(odd=odd), max_size=3, unique_by=_identity))
    return replace(base, policies=[*base.policies, *more])


@st.composite
def calico_clusters(draw: st.DrawFn, /, *, odd: bool = True, **options: Any) -> Cluster:
    """A cluster with everything that Calico puts in order."""
    base = draw(kubernetes_clusters(speaking=(4,), **options))
    own = draw(st.lists(calico_policies(odd=odd), max_size=4, unique_by=_identity))
    admin = draw(st.lists(admin_policies(odd=odd), max_size=1))
    return replace(base, policies=[*base.policies, *own, *admin], others=draw(surroundings()))


@st.composite
def tiered_edits(draw: st.DrawFn, cluster: Cluster, *, odd: bool = True) -> Cluster:
    """The cluster after one edit of what only tiers know: a policy, or an object around it, added, gone or changed."""
    form = draw(st.sampled_from(("add", "remove", "field", "around", "labels")))
    tiered = [body for body in cluster.policies if body["apiVersion"] != "networking.k8s.io/v1"]
    if form == "add" or (form in ("remove", "field") and not tiered):
        fresh = draw(st.one_of(calico_policies(odd=odd), admin_policies(odd=odd)))
        fresh["metadata"]["name"] = f"added-{len(cluster.policies)}"
        return replace(cluster, policies=[*cluster.policies, fresh])
    if form == "remove":
        gone = draw(st.sampled_from(tiered))
        return replace(cluster, policies=[body for body in cluster.policies if body is not gone])
    if form == "field":
        old = draw(st.sampled_from(tiered))
        donor = draw(admin_policies(odd=odd) if old["kind"] == "ClusterNetworkPolicy" else calico_policies(odd=odd))
        field = draw(st.sampled_from(sorted({*old["spec"], *donor["spec"]})))
        spec = {key: value for key, value in old["spec"].items() if key != field}
        if field in donor["spec"]:
            spec[field] = donor["spec"][field]
        elif old["kind"] == "ClusterNetworkPolicy" and field in ("tier", "priority", "subject"):
            spec[field] = old["spec"][field]
        if old["kind"].endswith("NetworkPolicy") and not old["kind"].endswith("GlobalNetworkPolicy"):
            spec.pop("namespaceSelector", None)
        fresh = {**old, "spec": spec}
        return replace(cluster, policies=[fresh if body is old else body for body in cluster.policies])
    if form == "around":
        return replace(cluster, others=draw(surroundings()))
    return draw(plain_edits(cluster))


@st.composite
def edited_calico_clusters(
    draw: st.DrawFn, /, *, odd: bool = True, most: int = 1, **options: Any
) -> tuple[Cluster, Cluster]:
    """A cluster under Calico and what became of it after one to `most` edits of any sort."""
    before = draw(calico_clusters(odd=odd, **options))
    after = before
    for _ in range(draw(st.integers(1, most))):
        after = draw(st.one_of(tiered_edits(after, odd=odd), plain_edits(after)))
    return before, after


def _identity(body: Body) -> tuple[str, str, str]:
    return body["kind"], body["metadata"].get("namespace") or "", body["metadata"]["name"]
