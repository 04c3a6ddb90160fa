"""The engine and the naive oracle agree on every cell, every delta and every direction."""

import pytest
from hypothesis import HealthCheck, given, settings

from driftd.policy.reach import Pod, Snapshot, pod_from_body
from tests.oracle.bodies import Cluster
from tests.oracle.networkpolicy import allowed
from tests.oracle.universe import Flow, boundary_addresses, boundary_ports
from tests.oracle.worlds import Allowed
from tests.support.clusters import clusters
from tests.support.reach import point, snapshot

DIALECTS = ("kubernetes", "calico", "cilium")
RELAXED = settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def answers(cluster: Cluster, state: Snapshot, dialect: str) -> list[tuple[Flow, Allowed, bool, bool]]:
    """Every cell with the oracle's answer and the engine's (must, may)."""
    outside = [str(address) for address in boundary_addresses(cluster.policies)]
    taken = {pod["status"]["podIP"] for pod in cluster.pods if "podIP" in pod["status"]}
    ends: list[tuple[object, Pod | str]] = [(body, pod_from_body(body)) for body in cluster.pods]
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
            assert (not must or expected is Allowed.YES) and (may or expected is Allowed.NO), cell
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
    for body in cluster.pods:
        if any(len(numbers) > 1 for _, numbers in pod_from_body(body).ports):
            return True
    return False
