"""The matrix: every cell is the union of the point queries of its members, and outside ranges are disjoint."""

from collections.abc import Callable
from ipaddress import ip_network
from itertools import combinations

import pytest
from hypothesis import given

from driftd.policy.reach import Dialect, Grouping, Pod, PortSet, Tenancy, matrix, snapshot_of
from driftd.policy.reach.ports import NONE
from driftd.values import Body
from tests.oracle.bodies import Cluster
from tests.support.clusters import clusters
from tests.support.objects import namespace, network_policy, pod
from tests.support.reach import RELAXED, live_pods, snapshot

TENANTS = Tenancy({"a": "red", "b": "blue", "c": "red"})
NAMES: dict[Grouping, Callable[[Pod], str]] = {
    Grouping.WORKLOAD: lambda end: f"{end.namespace}/{end.workload}",
    Grouping.ENVIRONMENT: lambda end: end.namespace,
    Grouping.TENANT: lambda end: TENANTS.tenant(end.namespace),
}


@pytest.mark.parametrize("by", list(Grouping))
@RELAXED
@given(cluster=clusters(max_pods=4))
def test_a_cell_holds_what_the_point_queries_of_its_members_say(by: Grouping, cluster: Cluster) -> None:
    state = snapshot(cluster, "kubernetes")
    wanted: dict[tuple[str, str], tuple[PortSet, PortSet]] = {}
    for source in live_pods(cluster):
        for target in live_pods(cluster):
            if str(source) != str(target):
                reach = state.reach(source, target)
                key = (NAMES[by](source), NAMES[by](target))
                must, may = wanted.get(key, (NONE, NONE))
                wanted[key] = (must | reach.must, may | reach.may)
    found = matrix(state, by, TENANTS)
    assert {(cell.source, cell.target): (cell.must, cell.may) for cell in found.cells} == {
        key: bounds for key, bounds in wanted.items() if bounds[1]
    }


@RELAXED
@given(cluster=clusters(max_pods=3))
def test_outside_ranges_of_a_group_are_disjoint_and_true(cluster: Cluster) -> None:
    state = snapshot(cluster, "calico")
    pods = live_pods(cluster)
    by_group: dict[tuple[str, str], list[tuple[str, PortSet]]] = {}
    for entry in matrix(state, Grouping.WORKLOAD).external:
        by_group.setdefault((entry.group, entry.flow), []).extend((text, entry.may) for text in entry.blocks)
    for (group, flow), entries in by_group.items():
        networks = [ip_network(text) for text, _ in entries]
        assert not any(one.version == other.version and one.overlaps(other) for one, other in combinations(networks, 2))
        members = [one for one in pods if NAMES[Grouping.WORKLOAD](one) == group]
        for text, traffic in entries:
            address = str(ip_network(text)[0])
            reaches = [state.reach(address, one) if flow == "ingress" else state.reach(one, address) for one in members]
            assert set().union(*(reach.may.spans for reach in reaches)) == set(traffic.spans)


def test_the_platform_and_blocks_that_policies_tell_apart_are_named() -> None:
    out: Body = {"to": [{"ipBlock": {"cidr": "8.0.0.0/8", "except": ["8.8.8.0/24"]}}], "ports": [{"port": 443}]}
    policy = network_policy("a/p", podSelector={}, policyTypes=["Egress"], egress=[out])
    state = snapshot_of([namespace("a"), pod("a/web", "10.0.0.1"), pod("sys/dns", "10.0.0.2"), policy], Dialect.CALICO)
    found = matrix(state, Grouping.TENANT, Tenancy({"a": "red", "sys": ""}))
    assert found.groups == ("(platform)", "red")
    assert str(found.cell("(platform)", "red").must) == "all"
    assert not found.cell("red", "(platform)").may
    egress = [entry for entry in found.external if (entry.group, entry.flow) == ("red", "egress")]
    assert [str(entry.must) for entry in egress] == ["TCP/443"]
    assert egress[0].blocks[0] == "8.0.0.0/13"
    assert not any(ip_network("8.8.8.0/24").overlaps(ip_network(text)) for text in egress[0].blocks)
