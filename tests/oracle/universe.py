"""Which connections are worth asking about: one pod for each way selectors can tell pods apart, and every edge value.

Policies only tell connections apart at the labels their selectors read, at the ports and addresses they mention. So a
small probe universe shows (nearly) every difference that two sets of policies can have.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from itertools import product
from typing import NamedTuple, TypeAlias

from tests.oracle.bodies import (
    Address,
    Body,
    Cluster,
    Endpoint,
    addresses_of,
    container_ports,
    labels_of,
    listed,
    name_of,
    namespace_of,
    resolved,
)
from tests.oracle.networkpolicy import COVERED_PROTOCOLS, between, is_network_policy, selects
from tests.oracle.selectors import matches
from tests.oracle.worlds import DIALECTS, World

UNMENTIONED_PORT = 40404
OUTSIDE = ("93.184.216.34", "2606:2800:220:1::1")
POD_RANGES = ("10.244.0.0/16", "fd00:10:244::/64")


class Flow(NamedTuple):
    """One connection: who (namespace/name of a pod, or an address), to whom, over what."""

    source: str
    target: str
    protocol: str
    port: int

    def __str__(self) -> str:
        return f"{self.source} -> {self.target} {self.protocol}/{self.port}"


@dataclass(frozen=True)
class Flows:
    """`must`: allowed in every world of the dialect; `may`: in at least one."""

    must: frozenset[Flow]
    may: frozenset[Flow]


@dataclass(frozen=True)
class Universe:
    """The questions: every ordered pair of endpoints (but two addresses) over every (protocol, port)."""

    endpoints: tuple[Endpoint, ...]
    ports: tuple[tuple[str, int], ...]


def flows(
    cluster: Cluster,
    endpoints: Sequence[Endpoint],
    ports: Iterable[tuple[str, int]],
    dialect: str = "kubernetes",
) -> Flows:
    """Every allowed connection of the universe, with certainty (`must`) and at all (`may`)."""
    universe = Universe(tuple(endpoints), tuple(ports))
    by_world = [flows_in(world, cluster, universe) for world in DIALECTS[dialect]]
    return Flows(frozenset.intersection(*by_world), frozenset.union(*by_world))


Ports: TypeAlias = frozenset[tuple[str, int]]
Pairs: TypeAlias = Mapping[tuple[str, str], Ports]
"""Open ports by source and target, as `identity` names them; a pair without any is left out."""
Memo: TypeAlias = dict[tuple[object, ...], Ports]
"""Answers by all they depend on but the pods: for whoever asks about many states that are mostly alike."""


class Judge(NamedTuple):
    """An oracle to ask: which policies can have a say about somebody at all, and whether a connection is allowed."""

    concerns: Callable[[Cluster, Body, Body | Address], bool]
    between: Callable[[Cluster, Body | Address, Body | Address, tuple[str, int]], bool]


def flows_in(world: World, cluster: Cluster, universe: Universe) -> frozenset[Flow]:
    """What NetworkPolicy allows in one world."""
    found = pairs_by(Judge(_concerns, partial(between, world)), cluster, universe)
    return frozenset(Flow(*pair, *port) for pair, ports in found.items() for port in ports)


def pairs_by(
    judge: Judge,
    cluster: Cluster,
    universe: Universe,
    touching: frozenset[str] | None = None,
    memo: Memo | None = None,
) -> Pairs:
    """The same under whatever an oracle judges, port by port; with `touching`, only of pairs with a pod in these."""
    found = {}
    memo = {} if memo is None else memo
    # An address that is a pod's is that pod, asked about once and under its name.
    known = {identity(who): who for one in universe.endpoints for who in [resolved(cluster, one)]}
    # A policy that selects neither side has no say: leaving it out early is all the cleverness there is here.
    told = [
        (name, who, [body for body in cluster.policies if judge.concerns(cluster, body, who)])
        for name, who in known.items()
    ]
    texts = {
        id(body): repr((body.get("apiVersion"), body["metadata"]["name"], body["spec"])) for body in cluster.policies
    }
    surroundings = repr(cluster.others)
    for (source, one, source_policies), (target, other, target_policies) in product(told, repeat=2):
        spaces = {_where(one), _where(other)} - {""}
        if not spaces or (touching is not None and not spaces & touching):
            continue  # two addresses, in which no policy has a say; or nobody of interest
        concerning = replace(
            cluster,
            policies=list({id(body): body for body in (*source_policies, *target_policies)}.values()),
            namespaces=cluster.namespaces
            if cluster.others
            else [body for body in cluster.namespaces if name_of(body) in spaces],
        )
        labels = repr([(name_of(body), labels_of(body)) for body in concerning.namespaces])
        mine = tuple(texts[id(body)] for body in source_policies)
        its = tuple(texts[id(body)] for body in target_policies)
        key = (judge, repr(one), repr(other), labels, surroundings, mine, its)
        if key not in memo:
            memo[key] = frozenset(port for port in universe.ports if judge.between(concerning, one, other, port))
        if memo[key]:
            found[source, target] = memo[key]
    return found


def _concerns(cluster: Cluster, policy: Body, endpoint: Body | Address) -> bool:
    return isinstance(endpoint, dict) and is_network_policy(policy) and selects(policy, endpoint)


def identity(endpoint: Endpoint) -> str:
    return f"{namespace_of(endpoint)}/{name_of(endpoint)}" if isinstance(endpoint, dict) else str(endpoint)


def universe_of(
    cluster: Cluster,
    policies: Iterable[Body] = (),
    namespaces: Iterable[str] | None = None,
    per_namespace: int = 12,
) -> Universe:
    """The universe for a cluster's own pods and policies, plus further `policies` that are to be told apart as well.

    `namespaces` bounds where synthetic pods stand (default: every namespace and every policy's).
    """
    every = [body for body in [*cluster.policies, *policies] if is_network_policy(body)]
    where = list(namespaces) if namespaces is not None else namespaces_in(cluster, every)
    families = {address.version for address in _addresses(cluster)} or {4, 6}
    synthetic = representative_pods(every, where, per_namespace, families=sorted(families))
    pods = [*cluster.pods, *synthetic]
    return Universe((*pods, *boundary_addresses(every)), boundary_ports(every, pods))


def namespaces_in(cluster: Cluster, policies: Iterable[Body]) -> list[str]:
    names = {name_of(body) for body in cluster.namespaces}
    names |= {namespace_of(body) for body in [*cluster.pods, *policies]}
    return sorted(names)


def boundary_ports(policies: Iterable[Body], pods: Iterable[Body] = ()) -> tuple[tuple[str, int], ...]:
    """Each port that rules mention or names stand for, both neighbours, and one nobody mentions: in each protocol."""
    numbers = {UNMENTIONED_PORT}
    for policy in policies:
        for rule in _rules(policy):
            for entry in listed(rule.get("ports")):
                for edge in (entry.get("port"), entry.get("endPort")):
                    if isinstance(edge, int):
                        numbers |= {edge - 1, edge, edge + 1}
    for pod in pods:
        numbers |= {number for _, _, number in container_ports(pod)}
    kept = sorted(number for number in numbers if 1 <= number <= 65535)
    return tuple(product(COVERED_PROTOCOLS, kept))


def atomic_ports(policies: Iterable[Body], pods: Iterable[Body] = ()) -> tuple[tuple[str, int], ...]:
    """One port for each stretch that no rule and no name tells apart: exact, and fewer than the boundaries."""
    starts = {(protocol, 1) for protocol in COVERED_PROTOCOLS}
    for policy in policies:
        for rule in _rules(policy):
            for entry in listed(rule.get("ports")):
                if isinstance(entry.get("port"), int):
                    protocol = entry.get("protocol") or "TCP"
                    starts |= {(protocol, entry["port"]), (protocol, (entry.get("endPort") or entry["port"]) + 1)}
    for pod in pods:
        for _, protocol, number in container_ports(pod):
            starts |= {(protocol, number), (protocol, number + 1)}
    return tuple(sorted((protocol, number) for protocol, number in starts if 1 <= number <= 65535))


def boundary_addresses(policies: Iterable[Body]) -> tuple[Address, ...]:
    """The first and last address of each cidr and exception, those just outside, and one nobody mentions."""
    found: set[Address] = {ip_network(text).network_address for text in OUTSIDE}
    for policy in policies:
        for network in _networks(policy):
            found |= set(edges_of(network))
    return tuple(sorted(found, key=lambda address: (address.version, int(address))))


def atomic_addresses(policies: Iterable[Body]) -> tuple[Address, ...]:
    """One address for each stretch that no cidr tells apart (the first of each), none of a family nobody mentions."""
    starts: set[Address] = set()
    for policy in policies:
        for network in _networks(policy):
            starts |= {network[0], ip_address("0.0.0.0" if network.version == 4 else "::")}
            if int(network[-1]) < 2**network.max_prefixlen - 1:
                starts.add(network[-1] + 1)
    return tuple(sorted(starts or {ip_network(OUTSIDE[0])[0]}, key=lambda address: (address.version, int(address))))


def edges_of(network: IPv4Network | IPv6Network) -> Iterator[Address]:
    """First and last address of a network, and its neighbours where the family has any."""
    first, last = network.network_address, network.broadcast_address
    yield first
    yield last
    if int(first) > 0:
        yield first - 1
    if int(last) < 2**network.max_prefixlen - 1:
        yield last + 1


def representative_pods(
    policies: Iterable[Body], namespaces: Iterable[str], limit: int = 12, families: Sequence[int] = (4, 6)
) -> list[Body]:
    """In each namespace, pods that each selector matches and nearly matches, alone and in pairs; at most `limit`.

    Every pod owns the port names that the policies use, each with a number of its own, but the first one, which has
    neither labels nor names.
    """
    ranges = [network for text in POD_RANGES if (network := ip_network(text)).version in families]
    every = list(policies)
    named = _port_names(every)
    pods = []
    number = 10
    for namespace in sorted(set(namespaces)):
        own = [policy["spec"].get("podSelector") for policy in every if namespace_of(policy) == namespace]
        foreign = [
            peer.get("podSelector")
            for policy in every
            for rule in _rules(policy)
            for peer in [*listed(rule.get("from")), *listed(rule.get("to"))]
            if namespace_of(policy) == namespace or peer.get("namespaceSelector") is not None
        ]
        for index, labels in enumerate(label_sets([*own, *foreign], limit)):
            ips = [str(network[number]) for network in ranges]
            pods.append(_pod((namespace, f"probe-{index}"), labels, named if index else {}, ips))
            number += 1
    return pods


def label_sets(selectors: Iterable[Body | None], limit: int) -> list[dict[str, str]]:
    """Label sets that tell the selectors apart: none at all, each satisfied, each missed by one, pairs satisfied."""
    distinct: list[Body] = []
    for selector in selectors:
        if selector and selector not in distinct:
            distinct.append(selector)
    satisfying = [labels for selector in distinct if (labels := satisfying_labels(selector)) is not None]
    found: list[dict[str, str]] = [{}]
    candidates = [
        *satisfying,
        *(_merged(one, other) for one in satisfying for other in satisfying if one is not other),
        *(near for one in satisfying for near in _near_misses(one)),
    ]
    for candidate in candidates:
        if len(found) >= limit:
            break
        if candidate not in found:
            found.append(candidate)
    return found


def satisfying_labels(selector: Body) -> dict[str, str] | None:
    """A label set that a selector matches, None when it contradicts itself (or when trying does not find one)."""
    keys: dict[str, list[str | None]] = {}
    for key, value in (selector.get("matchLabels") or {}).items():
        keys.setdefault(key, []).append(value)
    for requirement in listed(selector.get("matchExpressions")):
        options = keys.setdefault(requirement["key"], [])
        if requirement["operator"] == "In":
            options.extend(requirement["values"])
        elif requirement["operator"] == "Exists":
            options.append("anything")
        else:
            options.append(None)
    for choice in product(*keys.values()):
        labels = {key: value for key, value in zip(keys, choice, strict=True) if value is not None}
        if matches(selector, labels):
            return labels
    return None


def _near_misses(labels: Mapping[str, str]) -> Iterator[dict[str, str]]:
    for key in labels:
        yield {other: value for other, value in labels.items() if other != key}
        yield {**labels, key: "other"}


def _merged(one: Mapping[str, str], other: Mapping[str, str]) -> dict[str, str]:
    return {**one, **other}


def _pod(place: tuple[str, str], labels: dict[str, str], named: Mapping[tuple[str, str], int], ips: list[str]) -> Body:
    ports = [{"name": key[0], "protocol": key[1], "containerPort": value} for key, value in named.items()]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": place[1], "namespace": place[0], "labels": labels},
        "spec": {"containers": [{"name": "main", "ports": ports}]},
        "status": {"phase": "Running", "podIPs": [{"ip": ip} for ip in ips]},
    }


def _port_names(policies: Iterable[Body]) -> dict[tuple[str, str], int]:
    """A number for each (name, protocol) that rules use."""
    found: dict[tuple[str, str], int] = {}
    for policy in policies:
        for rule in _rules(policy):
            for entry in listed(rule.get("ports")):
                if isinstance(entry.get("port"), str):
                    found.setdefault((entry["port"], entry.get("protocol") or "TCP"), 20000 + len(found))
    return found


def _rules(policy: Body) -> list[Body]:
    return [*listed(policy["spec"].get("ingress")), *listed(policy["spec"].get("egress"))]


def _networks(policy: Body) -> list[IPv4Network | IPv6Network]:
    """Every cidr and exception of a policy."""
    blocks = [
        peer.get("ipBlock") or {}
        for rule in _rules(policy)
        for peer in [*listed(rule.get("from")), *listed(rule.get("to"))]
    ]
    texts = [text for block in blocks for text in [block.get("cidr"), *listed(block.get("except"))] if text]
    return [ip_network(text, strict=False) for text in texts]


def _addresses(cluster: Cluster) -> list[Address]:
    return [address for pod in cluster.pods for address in addresses_of(pod)]


def _where(endpoint: Endpoint) -> str:
    return namespace_of(endpoint) if isinstance(endpoint, dict) else ""
