"""Small clusters for property tests: few names, few labels, few ports, so that things collide and examples shrink.

Everything is a plain, valid Kubernetes object, as a manifest might have it: defaults left out, lists missing, null or
empty. The first choice of every strategy is the plainest, because hypothesis shrinks towards it.
"""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from tests.oracle.bodies import Body, Cluster

NAMESPACES = ("a", "b", "c")
CROWDED = ("a", "a", "a", "b", "b", "c")  # where pods and policies stand: together, or nothing meets
KEYS = ("app", "tier")
VALUES = ("x", "y")
PORT_NAMES = ("http", "dns")
NUMBERS = (80, 81, 82, 8080)
PROTOCOLS = ("TCP", "UDP", "SCTP")
V4_BLOCKS: tuple[str, ...] = (
    "10.244.0.0/16",
    "10.244.1.0/24",
    "10.244.1.2/31",
    "203.0.113.0/24",
    "192.168.0.0/24",
    "0.0.0.0/0",
)
V4_CUTS: dict[str, tuple[str, ...]] = {
    "10.244.0.0/16": ("10.244.1.0/24", "10.244.1.2/31"),
    "10.244.1.0/24": ("10.244.1.2/31", "10.244.1.0/25"),
    "203.0.113.0/24": ("203.0.113.128/25",),
    "0.0.0.0/0": ("10.0.0.0/8", "10.244.1.2/31", "203.0.113.0/24", "192.168.0.1/32"),
}
HOST_BITS = {"203.0.113.0/24": "203.0.113.77/24", "10.244.1.0/24": "10.244.1.2/24", "0.0.0.0/0": "10.0.0.0/0"}
V6_BLOCKS: tuple[str, ...] = ("fd00::/64", "fd00::1:0/112", "2001:db8::/32", "::/0")
V6_CUTS: dict[str, tuple[str, ...]] = {"fd00::/64": ("fd00::1:0/112",), "::/0": ("fd00::/64", "2001:db8::/33")}
NODES = {"one": ("192.168.0.1", "fd00:192::1"), "two": ("192.168.0.2", "fd00:192::2")}
SERVICE_ACCOUNTS = ("default", "api")


def labels(most: int = 2) -> st.SearchStrategy[dict[str, str]]:
    return st.dictionaries(st.sampled_from(KEYS), st.sampled_from(VALUES), max_size=most)


@st.composite
def selectors(draw: st.DrawFn) -> Body:
    """A LabelSelector: empty, by labels, by expressions of every operator, or both; lists also null."""
    found: Body = {}
    form = draw(st.sampled_from(("empty", "labels", "labels", "expressions", "expressions", "both")))
    if form in ("labels", "both"):
        found["matchLabels"] = draw(st.one_of(labels(most=1), labels(), st.none()))
    if form in ("expressions", "both"):
        found["matchExpressions"] = draw(st.one_of(st.lists(_requirements(), min_size=1, max_size=2), st.none()))
    return found


@st.composite
def _requirements(draw: st.DrawFn) -> Body:
    operator = draw(st.sampled_from(("In", "NotIn", "Exists", "DoesNotExist", "DoesNotExist")))
    found: Body = {"key": draw(st.sampled_from(KEYS)), "operator": operator}
    if operator in ("In", "NotIn"):
        found["values"] = draw(st.lists(st.sampled_from(VALUES), min_size=1, max_size=2, unique=True))
    elif draw(st.booleans()):
        found["values"] = draw(st.sampled_from(([], None)))
    return found


@st.composite
def namespace_selectors(draw: st.DrawFn) -> Body:
    """As `selectors`, but often by the name every namespace carries."""
    if draw(st.booleans()):
        return {"matchLabels": {"kubernetes.io/metadata.name": draw(st.sampled_from(NAMESPACES))}}
    return draw(selectors())


@st.composite
def ip_blocks(draw: st.DrawFn, families: tuple[int, ...] = (4,)) -> Body:
    """A block with exceptions strictly inside of it, now and then with host bits set."""
    if draw(st.sampled_from(families)) == 4:
        blocks, cuts = V4_BLOCKS, V4_CUTS
    else:
        blocks, cuts = V6_BLOCKS, V6_CUTS
    cidr = draw(st.sampled_from(blocks))
    found: Body = {"cidr": cidr}
    if cidr in HOST_BITS and draw(st.booleans()):
        found["cidr"] = HOST_BITS[cidr]
    if draw(st.booleans()):
        options = cuts.get(cidr)
        taken = st.lists(st.sampled_from(options), max_size=2, unique=True) if options else st.just([])
        found["except"] = draw(st.one_of(taken, st.none()))
    return found


@st.composite
def peers(draw: st.DrawFn, families: tuple[int, ...] = (4,)) -> Body:
    """One item of from/to."""
    match draw(st.sampled_from(("pod", "namespace", "both", "both", "block", "block"))):
        case "pod":
            return {"podSelector": draw(selectors())}
        case "namespace":
            return {"namespaceSelector": draw(namespace_selectors())}
        case "both":
            return {"podSelector": draw(selectors()), "namespaceSelector": draw(namespace_selectors())}
        case _:
            return {"ipBlock": draw(ip_blocks(families))}


@st.composite
def ports(draw: st.DrawFn) -> Body:
    """One item of ports: a number, a range, a name or a whole protocol; the protocol sometimes left to its default."""
    found: Body = {}
    match draw(st.sampled_from(("number", "name", "name", "range", "protocol"))):
        case "number":
            found["port"] = draw(st.sampled_from((*NUMBERS, 1, 65535)))
        case "name":
            found["port"] = draw(st.sampled_from(PORT_NAMES))
        case "range":
            found["port"] = draw(st.sampled_from(NUMBERS))
            found["endPort"] = found["port"] + draw(st.sampled_from((0, 1, 2, 10000)))
        case _:
            pass
    if draw(st.booleans()):
        found["protocol"] = draw(st.sampled_from(PROTOCOLS))
    return found


def _maybe_list(draw: st.DrawFn, body: Body, field: str, items: st.SearchStrategy[Any], most: int) -> None:
    """A list: mostly with something in it, else missing, null or empty."""
    form = draw(st.sampled_from(("missing", "null", "empty", "there", "there", "there", "there")))
    if form == "there":
        body[field] = draw(st.lists(items, min_size=1, max_size=most))
    elif form != "missing":
        body[field] = None if form == "null" else []


@st.composite
def rules(draw: st.DrawFn, side: str, families: tuple[int, ...] = (4,)) -> Body:
    """One rule; `side` is "from" or "to"."""
    found: Body = {}
    # One of the two lists alone shows more than both together.
    said = draw(st.sampled_from(("peers", "ports", "ports", "both", "neither")))
    if said in ("peers", "both"):
        _maybe_list(draw, found, side, peers(families), 2)
    if said in ("ports", "both"):
        _maybe_list(draw, found, "ports", ports(), 2)
    return found


@st.composite
def network_policies(
    draw: st.DrawFn, namespace: str | None = None, name: str | None = None, families: tuple[int, ...] = (4,)
) -> Body:
    """A valid NetworkPolicy v1."""
    spec: Body = {}
    form = draw(st.sampled_from(("empty", "missing", "null", "there", "there")))
    if form != "missing":
        spec["podSelector"] = {"there": draw(selectors()) if form == "there" else {}, "empty": {}, "null": None}[form]
    types = draw(st.sampled_from((None, ["Ingress"], ["Egress"], ["Ingress", "Egress"], ["Egress", "Ingress"], [])))
    if types is not None:
        spec["policyTypes"] = list(types)
    _maybe_list(draw, spec, "ingress", rules("from", families), 2)
    _maybe_list(draw, spec, "egress", rules("to", families), 2)
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {
            "name": name or draw(st.sampled_from(("p", "q", "r"))),
            "namespace": namespace or draw(st.sampled_from(CROWDED)),
        },
        "spec": spec,
    }


@st.composite
def pods(
    draw: st.DrawFn, index: int, families: tuple[int, ...] = (4,), *, host_network: bool = True, odd: bool = True
) -> Body:
    """A pod with addresses of its own (its node's on the host network); `odd` adds finished and pending ones."""
    on_host = host_network and draw(st.integers(0, 9)) == 9
    node = draw(st.sampled_from(sorted(NODES)))
    own = {4: f"10.244.{index % 2}.{index + 1}", 6: f"fd00::{index % 2}:{index + 1:x}"}
    hosts = {4: NODES[node][0], 6: NODES[node][1]}
    phase = draw(st.sampled_from(("Running",) * 14 + ("Succeeded", "Pending"))) if odd else "Running"
    ips = [] if phase == "Pending" else [(hosts if on_host else own)[family] for family in families]
    spec: Body = {"nodeName": node, "containers": draw(st.lists(_containers(), min_size=1, max_size=2))}
    if draw(st.booleans()):
        spec["initContainers"] = draw(st.lists(_containers(), max_size=1))
    if on_host:
        spec["hostNetwork"] = True
    account = draw(st.sampled_from(SERVICE_ACCOUNTS))
    if account != "default":
        spec["serviceAccountName"] = account
    status: Body = {"phase": phase, "hostIP": hosts[families[0]], "hostIPs": [{"ip": hosts[one]} for one in families]}
    if ips:
        status |= {"podIP": ips[0], "podIPs": [{"ip": ip} for ip in ips]}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"pod-{index}",
            "namespace": draw(st.sampled_from(CROWDED)),
            "labels": draw(st.one_of(labels(), labels(), st.none())),
        },
        "spec": spec,
        "status": status,
    }


@st.composite
def _containers(draw: st.DrawFn) -> Body:
    found: Body = {"name": "main"}
    _maybe_list(draw, found, "ports", _container_ports(), 2)
    return found


@st.composite
def _container_ports(draw: st.DrawFn) -> Body:
    found: Body = {"containerPort": draw(st.sampled_from(NUMBERS))}
    if draw(st.integers(0, 3)):
        found["name"] = draw(st.sampled_from(PORT_NAMES))
    if draw(st.booleans()):
        found["protocol"] = draw(st.sampled_from(PROTOCOLS))
    return found


@st.composite
def namespaces(draw: st.DrawFn, name: str) -> Body:
    """A namespace; as in manifests, without the label that carries its name."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": draw(labels())}}


def families() -> st.SearchStrategy[tuple[int, ...]]:
    return st.sampled_from(((4,), (4, 6), (6,)))


@st.composite
def clusters(
    draw: st.DrawFn,
    *,
    max_pods: int = 5,
    max_policies: int = 4,
    host_network: bool = True,
    odd_pods: bool = True,
    speaking: tuple[int, ...] | None = None,
) -> Cluster:
    """A whole cluster: every namespace, some pods, some policies (never two of one name in one namespace)."""
    spoken = speaking or draw(families())
    number = draw(st.integers(min(2, max_pods), max_pods))
    drawn = [draw(pods(index, spoken, host_network=host_network, odd=odd_pods)) for index in range(number)]
    policies = draw(
        st.lists(
            network_policies(families=spoken),
            min_size=draw(st.sampled_from((0, 1, 2))) if max_policies > 1 else 0,
            max_size=max_policies,
            unique_by=lambda body: (body["metadata"]["namespace"], body["metadata"]["name"]),
        )
    )
    return Cluster(namespaces=[draw(namespaces(name)) for name in NAMESPACES], pods=drawn, policies=policies)


@st.composite
def edits(draw: st.DrawFn, cluster: Cluster) -> Cluster:
    """The cluster after one edit: a policy added, removed, replaced or touched; a pod or namespace relabelled."""
    spoken = tuple(sorted({6 if ":" in ip["ip"] else 4 for pod in cluster.pods for ip in _ips(pod)})) or (4,)
    options: list[Callable[[st.DrawFn, Cluster, tuple[int, ...]], Cluster]] = [_add_policy, _relabel_namespace]
    if cluster.policies:
        options.append(_remove_policy)
    if _ordinary(cluster):
        options += [_replace_policy, _touch_policy]
    if cluster.pods:
        options.append(_relabel_pod)
    return draw(st.sampled_from(options))(draw, cluster, spoken)


@st.composite
def edited_clusters(draw: st.DrawFn, /, most: int = 1, **options: Any) -> tuple[Cluster, Cluster]:
    """A cluster and what became of it after one to `most` edits."""
    before = draw(clusters(**options))
    after = before
    for _ in range(draw(st.integers(1, most))):
        after = draw(edits(after))
    return before, after


def _ordinary(cluster: Cluster) -> list[Body]:
    """The NetworkPolicies: a cluster may hold policies of Calico's and admins' too, which other edits change."""
    return [body for body in cluster.policies if body["apiVersion"] == "networking.k8s.io/v1"]


def _ips(pod: Body) -> list[Body]:
    found: list[Body] = pod["status"].get("podIPs") or []
    return found


def _add_policy(draw: st.DrawFn, cluster: Cluster, spoken: tuple[int, ...]) -> Cluster:
    fresh = draw(network_policies(name=f"added-{len(cluster.policies)}", families=spoken))
    return replace(cluster, policies=[*cluster.policies, fresh])


def _remove_policy(draw: st.DrawFn, cluster: Cluster, spoken: tuple[int, ...]) -> Cluster:
    gone = draw(st.integers(0, len(cluster.policies) - 1))
    return replace(cluster, policies=[body for index, body in enumerate(cluster.policies) if index != gone])


def _replace_policy(draw: st.DrawFn, cluster: Cluster, spoken: tuple[int, ...]) -> Cluster:
    old = draw(st.sampled_from(_ordinary(cluster)))
    where = old["metadata"]
    fresh = draw(network_policies(namespace=where["namespace"], name=where["name"], families=spoken))
    return replace(cluster, policies=[fresh if body is old else body for body in cluster.policies])


def _touch_policy(draw: st.DrawFn, cluster: Cluster, spoken: tuple[int, ...]) -> Cluster:
    """One field of a policy's spec from another policy: the small edits people make."""
    old = draw(st.sampled_from(_ordinary(cluster)))
    donor = draw(network_policies(families=spoken))["spec"]
    field = draw(st.sampled_from(("podSelector", "policyTypes", "ingress", "egress")))
    fresh = deepcopy(old)
    fresh["spec"].pop(field, None)
    if field in donor:
        fresh["spec"][field] = donor[field]
    return replace(cluster, policies=[fresh if body is old else body for body in cluster.policies])


def _relabel_pod(draw: st.DrawFn, cluster: Cluster, spoken: tuple[int, ...]) -> Cluster:
    old = draw(st.sampled_from(list(cluster.pods)))
    fresh = deepcopy(old)
    fresh["metadata"]["labels"] = draw(labels())
    return replace(cluster, pods=[fresh if body is old else body for body in cluster.pods])


def _relabel_namespace(draw: st.DrawFn, cluster: Cluster, spoken: tuple[int, ...]) -> Cluster:
    old = draw(st.sampled_from(list(cluster.namespaces)))
    fresh = deepcopy(old)
    fresh["metadata"]["labels"] = draw(labels())
    return replace(cluster, namespaces=[fresh if body is old else body for body in cluster.namespaces])
