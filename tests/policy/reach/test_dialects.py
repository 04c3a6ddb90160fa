"""The open questions of NetworkPolicy, each under each dialect; every answer names the dialect it holds for."""

import pytest

from driftd.policy.reach import (
    Connection,
    Dialect,
    Edit,
    Snapshot,
    Surroundings,
    apply,
    block,
    explain,
    pod_from_body,
    snapshot_of,
)
from driftd.policy.reach.ports import PORTED
from driftd.values import Body, ObjectRef
from tests.support.objects import network_policy, pod
from tests.support.reach import agreed

WEB = pod("a/web", "10.244.0.1", node="192.168.0.1")
FAR = pod("b/far", "10.244.1.1")
HOST = pod("b/host", "192.168.0.1", host_network=True, node="192.168.0.1")
YES, NO, MAYBE = (True, True), (False, False), (False, True)


def state(dialect: Dialect, *objects: Body, services: str = "") -> Snapshot:
    return agreed([WEB, FAR, HOST, *objects], dialect, services)


def answer(found: Snapshot, source: Body | str, target: Body | str) -> tuple[bool, bool]:
    ends = [end if isinstance(end, str) else pod_from_body(end) for end in (source, target)]
    reach = found.reach(ends[0], ends[1])
    assert str(found.dialect) in str(reach)
    return reach.must >= PORTED, reach.may >= PORTED


def ingress(*peers: Body) -> Body:
    return network_policy("a/p", podSelector={}, ingress=[{"from": list(peers)}] if peers else [])


TABLE = [("kubernetes", 0), ("calico", 1), ("cilium", 2)]


@pytest.mark.parametrize(("dialect", "column"), TABLE)
def test_whether_a_block_matches_pods_by_their_address(dialect: str, column: int) -> None:
    found = state(Dialect(dialect), ingress({"ipBlock": {"cidr": "10.244.0.0/16"}}))
    assert answer(found, FAR, WEB) == (MAYBE, YES, NO)[column]


@pytest.mark.parametrize(("dialect", "column"), TABLE)
def test_whether_a_pod_reaches_itself(dialect: str, column: int) -> None:
    assert answer(state(Dialect(dialect), ingress()), WEB, WEB) == (YES, YES, MAYBE)[column]


@pytest.mark.parametrize("dialect", ["kubernetes", "calico", "cilium"])
def test_a_pod_may_always_be_reached_from_what_could_be_its_own_node(dialect: str) -> None:
    found = state(Dialect(dialect), ingress())
    assert answer(found, HOST, WEB) == MAYBE
    assert answer(found, "192.168.0.1", WEB) == MAYBE
    assert answer(found, "192.168.0.9", WEB) == NO


@pytest.mark.parametrize(("dialect", "column"), TABLE)
def test_whether_a_pod_always_reaches_its_own_node(dialect: str, column: int) -> None:
    found = state(Dialect(dialect), network_policy("a/p", podSelector={}, policyTypes=["Egress"]))
    assert answer(found, WEB, HOST) == (MAYBE, NO, NO)[column]


@pytest.mark.parametrize(("dialect", "column"), TABLE)
def test_whether_policies_bind_pods_in_the_hosts_network(dialect: str, column: int) -> None:
    found = state(Dialect(dialect), network_policy("b/p", podSelector={}))
    assert answer(found, WEB, HOST) == (MAYBE, YES, YES)[column]
    assert answer(found, WEB, FAR) == NO


@pytest.mark.parametrize(("dialect", "column"), TABLE)
def test_whether_an_address_of_a_node_matches_a_block(dialect: str, column: int) -> None:
    out = network_policy(
        "b/p", podSelector={}, policyTypes=["Egress"], egress=[{"to": [{"ipBlock": {"cidr": "192.168.0.0/16"}}]}]
    )
    assert answer(state(Dialect(dialect), out), FAR, HOST) == (MAYBE, YES, NO)[column]


@pytest.mark.parametrize(("dialect", "column"), TABLE)
def test_a_block_never_surely_matches_an_address_where_nodes_are_under_cilium(dialect: str, column: int) -> None:
    out = network_policy(
        "b/p", podSelector={}, policyTypes=["Egress"], egress=[{"to": [{"ipBlock": {"cidr": "192.168.0.0/16"}}]}]
    )
    found = state(Dialect(dialect), out)
    assert answer(found, FAR, "192.168.0.1") == (YES, YES, MAYBE)[column]
    assert answer(found, FAR, "192.168.0.9") == YES


SERVICE: Body = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "svc", "namespace": "a"},
    "spec": {"clusterIP": "10.96.0.10", "selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]},
}


@pytest.mark.parametrize(("dialect", "column"), TABLE)
def test_whether_a_block_matches_the_virtual_address_of_a_service(dialect: str, column: int) -> None:
    out = network_policy(
        "b/p", podSelector={}, policyTypes=["Egress"], egress=[{"to": [{"ipBlock": {"cidr": "10.96.0.0/12"}}]}]
    )
    found = state(Dialect(dialect), out, SERVICE, services="10.96.0.10/32")
    assert answer(found, FAR, "10.96.0.10") == (MAYBE, NO, MAYBE)[column]
    assert answer(found, FAR, "10.97.0.10") == YES
    assert answer(state(Dialect(dialect), SERVICE, services="10.96.0.10/32"), FAR, "10.96.0.10") == YES
    # Whoever judges findings does not say what is virtual, and so calls such a block an opening in every dialect.
    assert answer(snapshot_of([FAR, out], Dialect(dialect)), FAR, "10.96.0.10") == YES


def test_an_explanation_says_what_it_does_not_cover() -> None:
    shut = network_policy("a/p", podSelector={}, policyTypes=["Ingress", "Egress"])
    found = state(Dialect.CALICO, shut, services="10.96.0.10/32")
    web, far = pod_from_body(WEB), pod_from_body(FAR)
    blocked = explain(found, far, web, Connection("TCP", 80))
    assert "new connections" in blocked.caveats[0]
    assert blocked.lines()[-1] == blocked.caveats[-1]
    virtual = explain(found, web, "10.96.0.10", Connection("TCP", 80)).caveats
    assert ["new connections" in virtual[0], "what stands behind it" in virtual[1]] == [True, True]
    assert explain(found, far, far, Connection("TCP", 80)).caveats == ()


def test_networks_of_an_admin_policy_may_match_a_host_network_pod_under_every_dialect() -> None:
    out: Body = {
        "apiVersion": "policy.networking.k8s.io/v1alpha2",
        "kind": "ClusterNetworkPolicy",
        "metadata": {"name": "p"},
        "spec": {
            "tier": "Admin",
            "priority": 1,
            "subject": {"namespaces": {}},
            "egress": [{"action": "Deny", "to": [{"networks": ["192.168.0.0/16"]}]}],
        },
    }
    assert answer(state(Dialect.CILIUM, out), FAR, HOST) == MAYBE
    assert answer(state(Dialect.CALICO, out), FAR, HOST) == NO


def test_an_address_that_turns_out_to_be_a_node_is_one_at_once_though_a_policy_named_it_before() -> None:
    named = network_policy("b/p", podSelector={}, ingress=[{"from": [{"ipBlock": {"cidr": "192.168.7.7/32"}}]}])
    shut = network_policy("a/p", podSelector={})
    before = state(Dialect.CALICO, named, shut)
    assert answer(before, "192.168.7.7", WEB) == NO
    other = pod("a/other", "10.244.0.1", node="192.168.7.7")
    after = apply(before, Edit((other,), (ObjectRef("", "Pod", "a", "web"),)))
    assert answer(after, "192.168.7.7", other) == MAYBE


def test_a_pod_without_an_address_is_placed_by_the_pod_ranges_of_the_cluster() -> None:
    waiting = pod("b/soon")
    policy = ingress({"ipBlock": {"cidr": "10.0.0.0/8"}})
    unknown = snapshot_of([WEB, waiting, policy], Dialect.CALICO)
    assert answer(unknown, waiting, WEB) == MAYBE
    placed = snapshot_of([WEB, waiting, policy], Dialect.CALICO, Surroundings(pods=block("10.244.0.0/16")))
    assert answer(placed, waiting, WEB) == YES
    elsewhere = snapshot_of([WEB, waiting, policy], Dialect.CALICO, Surroundings(pods=block("172.16.0.0/12")))
    assert answer(elsewhere, waiting, WEB) == NO


@pytest.mark.parametrize(("dialect", "expected"), [("kubernetes", MAYBE), ("cilium", MAYBE), ("calico", YES)])
def test_a_kind_that_is_not_understood_leaves_its_pods_undecided(dialect: str, expected: tuple[bool, bool]) -> None:
    opaque: Body = {
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumNetworkPolicy",
        "metadata": {"namespace": "a", "name": "x"},
        "spec": {"endpointSelector": {}},
    }
    found = state(Dialect(dialect), opaque)
    assert answer(found, FAR, WEB) == expected
    assert found.notes()
