"""The engine and the naive oracle agree on every cell, every delta and every direction."""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import product

import pytest
from hypothesis import given

from driftd.policy.reach import Pod, Snapshot, pod_from_body
from tests.oracle import admin_policies, calico
from tests.oracle.bodies import Body, Cluster
from tests.oracle.networkpolicy import allowed
from tests.oracle.universe import Flow, boundary_addresses, boundary_ports
from tests.oracle.worlds import Allowed
from tests.support.clusters import clusters
from tests.support.reach import RELAXED, point, snapshot
from tests.support.tiered_clusters import admin_clusters, calico_clusters

DIALECTS = ("kubernetes", "calico", "cilium")


def answers(cluster: Cluster, state: Snapshot, dialect: str) -> list[tuple[Flow, Allowed, bool, bool]]:
    """Every cell with the oracle's answer and the engine's (must, may)."""
    outside = [str(address) for address in boundary_addresses(cluster.policies)]
    taken = {pod["status"]["podIP"] for pod in cluster.pods if "podIP" in pod["status"]}
    ends: list[tuple[Body | str, Pod | str]] = [(body, pod_from_body(body)) for body in cluster.pods]
    ends = [(body, pod) for body, pod in ends if isinstance(pod, Pod) and not pod.finished]
    ends += [(text, text) for text in outside if text not in taken]
    found = []
    for one, source in ends:
        for other, target in ends:
            if isinstance(source, str) and isinstance(target, str):
                continue
            reach = state.reach(source, target)
            for protocol, port in boundary_ports(cluster.policies, cluster.pods):
                expected = allowed(cluster, one, other, protocol, port, dialect=dialect)
                spot = point(protocol, port)
                cell = Flow(str(source), str(target), protocol, port)
                found.append((cell, expected, spot <= reach.must, spot <= reach.may))
    return found


@pytest.mark.parametrize("dialect", DIALECTS)
@RELAXED
@given(cluster=clusters(host_network=False, odd_pods=False, speaking=(4,), max_pods=4))
def test_without_host_pods_and_second_families_both_say_the_same_of_every_cell(dialect: str, cluster: Cluster) -> None:
    repeated = any_repeated_name(cluster)
    for cell, expected, must, may in answers(cluster, snapshot(cluster, dialect), dialect):
        if "192.168" in cell.source or "192.168" in cell.target:
            continue  # node addresses: the engine says MAY for any node, the oracle knows whose node it is
        if dialect != "calico" and repeated:
            assert not must or expected is Allowed.YES, cell
            assert may or expected is Allowed.NO, cell
        else:
            assert (must, may) == (expected is Allowed.YES, expected is not Allowed.NO), cell


@pytest.mark.parametrize("dialect", DIALECTS)
@RELAXED
@given(cluster=clusters(max_pods=4))
def test_the_interval_of_the_engine_always_contains_what_the_oracle_says(dialect: str, cluster: Cluster) -> None:
    for cell, expected, must, may in answers(cluster, snapshot(cluster, dialect), dialect):
        assert not must or expected is Allowed.YES, cell
        assert may or expected is Allowed.NO, cell


def any_repeated_name(cluster: Cluster) -> bool:
    return any(len(numbers) > 1 for body in cluster.pods for _, numbers in pod_from_body(body).ports)


@RELAXED
@given(cluster=calico_clusters(max_pods=4, host_network=False, odd_pods=False, odd=False))
def test_under_calico_tiers_both_say_the_same_of_every_cell(cluster: Cluster) -> None:
    state = snapshot(cluster, "calico")
    for cell, expected, must, may in tiered_answers(cluster, state, calico.allowed):
        if "192.168" in cell.source or "192.168" in cell.target or missing_tier(cluster):
            assert not must or expected is Allowed.YES, cell
            assert may or expected is Allowed.NO, cell
        else:
            assert (must, may) == (expected is Allowed.YES, expected is not Allowed.NO), cell


@RELAXED
@given(cluster=calico_clusters(max_pods=4))
def test_the_interval_contains_what_the_oracle_says_of_calico_with_everything_odd(cluster: Cluster) -> None:
    state = snapshot(cluster, "calico")
    for cell, expected, must, may in tiered_answers(cluster, state, calico.allowed):
        assert not must or expected is Allowed.YES, cell
        assert may or expected is Allowed.NO, cell


@pytest.mark.parametrize("dialect", ["kubernetes", "cilium"])
@RELAXED
@given(cluster=admin_clusters(max_pods=4))
def test_the_interval_contains_what_the_oracle_says_of_admin_policies(dialect: str, cluster: Cluster) -> None:
    state = snapshot(cluster, dialect)
    for cell, expected, must, may in tiered_answers(cluster, state, partial(admin_policies.allowed, dialect=dialect)):
        assert not must or expected is Allowed.YES, cell
        assert may or expected is Allowed.NO, cell


@RELAXED
@given(cluster=admin_clusters(max_pods=4, host_network=False, odd_pods=False, odd=False, speaking=(4,)))
def test_without_odd_parts_both_say_the_same_of_admin_policies(cluster: Cluster) -> None:
    state = snapshot(cluster, "kubernetes")
    repeated = any_repeated_name(cluster)
    for cell, expected, must, may in tiered_answers(cluster, state, admin_policies.allowed):
        if "192.168" not in cell.source and "192.168" not in cell.target and not repeated:
            assert (must, may) == (expected is Allowed.YES, expected is not Allowed.NO), cell


def missing_tier(cluster: Cluster) -> bool:
    known = {body["metadata"]["name"] for body in cluster.others if body["kind"] == "Tier"}
    known |= {"default", "kube-admin", "kube-baseline", "Admin", "Baseline"}
    return any(body["spec"].get("tier", "default") not in known for body in cluster.policies)


def tiered_answers(
    cluster: Cluster, state: Snapshot, oracle: Callable[..., Allowed]
) -> Iterator[tuple[Flow, Allowed, bool, bool]]:
    """Every cell of a cluster with tiers: the oracle's answer and the engine's (must, may)."""
    addresses = {*mentioned_addresses(cluster)}
    taken = {pod["status"]["podIP"] for pod in cluster.pods if "podIP" in pod["status"]}
    ends: list[tuple[Body | str, Pod | str]] = [
        (body, pod) for body in cluster.pods if not (pod := pod_from_body(body)).finished
    ]
    ends += [(text, text) for text in sorted(addresses - taken)]
    for one, source in ends:
        for other, target in ends:
            if isinstance(source, str) and isinstance(target, str):
                continue
            reach = state.reach(source, target)
            for protocol, port in product(("TCP", "UDP"), (79, 80, 81, 82, 83, 8080, 9000, 9001)):
                spot = point(protocol, port)
                cell = Flow(str(source), str(target), protocol, port)
                yield cell, oracle(cluster, one, other, protocol, port), spot <= reach.must, spot <= reach.may


def mentioned_addresses(cluster: Cluster) -> Iterator[str]:
    yield from (
        "93.184.216.34",
        "10.244.0.77",
        "10.244.1.2",
        "10.244.1.200",
        "203.0.113.7",
        "203.0.113.200",
        "10.1.1.1",
    )
