"""ClusterNetworkPolicy, AdminNetworkPolicy and its Baseline, rule by rule, seen through the engine."""

import pytest

from driftd.policy.reach import Dialect, PortSet, Snapshot, pod_from_body, snapshot_of
from driftd.policy.reach.ports import ALL, NONE, PORTED
from driftd.policy.reach.ports import ports as port_range
from driftd.values import Body
from tests.support.objects import cluster_policy, namespace, network_policy, pod

WEB = pod("a/web", "10.244.0.1", ports=[{"name": "http", "containerPort": 8080}])
DB = pod("a/db", "10.244.0.2")
FAR = pod("b/far", "10.244.1.1")
HOST = pod("b/host", "192.168.0.1", host_network=True)
EVERYWHERE: list[Body] = [{"namespaces": {}}]
ACCEPT: Body = {"action": "Accept", "from": EVERYWHERE}
DENY: Body = {"action": "Deny", "from": EVERYWHERE}
PASS: Body = {"action": "Pass", "from": EVERYWHERE}
SHUT = network_policy("a/shut", podSelector={})


def state(*objects: Body, dialect: Dialect = Dialect.KUBERNETES) -> Snapshot:
    return snapshot_of([namespace("a"), namespace("b"), WEB, DB, FAR, *objects], dialect)


def both(found: Snapshot, source: Body | str, target: Body | str) -> tuple[PortSet, PortSet]:
    """(must, may) of what NetworkPolicy defines; what becomes of ICMP there is another test."""
    ends = [end if isinstance(end, str) else pod_from_body(end) for end in (source, target)]
    reach = found.reach(ends[0], ends[1])
    return reach.must & PORTED, reach.may & PORTED


OPEN, CLOSED, UNKNOWN = (PORTED, PORTED), (NONE, NONE), (NONE, PORTED)


def admin(name: str = "p", priority: int = 10, tier: str = "Admin", *, ingress: list[Body]) -> Body:
    return cluster_policy(name, tier, priority, ingress=ingress)


def test_admin_stands_before_network_policy_and_baseline_behind_it() -> None:
    assert both(state(SHUT, admin(ingress=[ACCEPT])), FAR, DB) == OPEN
    assert both(state(admin(tier="Baseline", ingress=[DENY])), FAR, DB) == CLOSED
    opened = network_policy("a/open", podSelector={}, ingress=[{}])
    assert both(state(opened, admin(tier="Baseline", ingress=[DENY])), FAR, DB) == OPEN


def test_who_is_decided_by_nobody_is_allowed() -> None:
    assert (
        both(
            state(
                admin(ingress=[{"action": "Deny", "from": [{"pods": {"podSelector": {"matchLabels": {"x": "y"}}}}]}])
            ),
            FAR,
            DB,
        )
        == OPEN
    )


def test_lower_priorities_go_first() -> None:
    assert both(state(admin("x", 5, ingress=[DENY]), admin("y", 6, ingress=[ACCEPT])), FAR, DB) == CLOSED
    assert both(state(admin("x", 7, ingress=[DENY]), admin("y", 6, ingress=[ACCEPT])), FAR, DB) == OPEN


def test_the_order_of_equal_priorities_is_undefined_so_both_are_tried() -> None:
    assert both(state(admin("x", 5, ingress=[DENY]), admin("y", 5, ingress=[ACCEPT])), FAR, DB) == UNKNOWN
    agreeing = state(admin("x", 5, ingress=[DENY]), admin("y", 5, ingress=[DENY]))
    assert both(agreeing, FAR, DB) == CLOSED


def test_calico_decides_equal_priorities_by_name() -> None:
    found = state(admin("x", 5, ingress=[DENY]), admin("y", 5, ingress=[ACCEPT]), dialect=Dialect.CALICO)
    assert both(found, FAR, DB) == CLOSED


def test_being_selected_isolates_nobody() -> None:
    found = state(cluster_policy("p", "Admin", 1))
    assert (both(found, FAR, DB), both(found, DB, FAR)) == (OPEN, OPEN)


def test_pass_in_admin_skips_the_rest_of_admin_and_in_baseline_means_allow() -> None:
    found = state(SHUT, admin("x", 1, ingress=[PASS]), admin("y", 2, ingress=[ACCEPT]))
    assert both(found, FAR, DB) == CLOSED
    assert both(state(admin(tier="Baseline", ingress=[PASS, DENY])), FAR, DB) == OPEN


def test_network_policy_is_final_for_the_pods_it_selects_in_that_direction() -> None:
    found = state(SHUT, admin(tier="Baseline", ingress=[ACCEPT]))
    assert both(found, FAR, DB) == CLOSED


def test_networks_match_pods_by_their_address_in_every_dialect() -> None:
    rule = {"action": "Deny", "to": [{"networks": ["0.0.0.0/0"]}]}
    for dialect in (Dialect.KUBERNETES, Dialect.CALICO):
        found = state(cluster_policy("p", "Admin", 1, egress=[rule]), dialect=dialect)
        assert (both(found, FAR, DB), both(found, FAR, "8.8.8.8")) == (CLOSED, CLOSED)
        assert found.reach(pod_from_body(FAR), "8.8.8.8").may == NONE


def test_subjects_and_peers_leave_out_pods_in_the_hosts_network() -> None:
    found = state(admin(ingress=[DENY]), HOST, dialect=Dialect.CALICO)
    assert (both(found, FAR, HOST), both(found, HOST, DB)) == (OPEN, OPEN)


@pytest.mark.parametrize(("action", "expected"), [("Accept", UNKNOWN), ("Deny", UNKNOWN)])
def test_a_peer_of_an_unknown_form_fails_closed_and_leaves_the_rest_open(
    action: str, expected: tuple[PortSet, PortSet]
) -> None:
    before = [SHUT] if action == "Accept" else []
    found = state(*before, admin(ingress=[{"action": action, "from": [{"galaxies": {}}]}]))
    assert both(found, FAR, DB) == expected
    assert "galaxies" in found.notes()[0]


def test_a_pass_rule_with_a_peer_of_an_unknown_form_may_deny_everything() -> None:
    found = state(admin(ingress=[{"action": "Pass", "from": [{"galaxies": {}}]}]))
    assert both(found, FAR, DB) == UNKNOWN


def test_a_pod_reaches_its_own_address_whatever_is_denied() -> None:
    assert state(admin(ingress=[DENY])).reach(pod_from_body(DB), pod_from_body(DB)).must == ALL


def test_protocols_are_numbers_ranges_and_names() -> None:
    rules: list[Body] = [
        {
            "action": "Accept",
            "from": EVERYWHERE,
            "protocols": [
                {"tcp": {"destinationPort": {"number": 80}}},
                {"udp": {"destinationPort": {"range": {"start": 1, "end": 3}}}},
                {"sctp": {}},
            ],
        },
        DENY,
    ]
    assert str(both(state(admin(ingress=rules)), FAR, DB)[0]) == "TCP/80, UDP/1-3, SCTP/all"


def test_a_named_port_is_experimental_so_an_accept_of_it_is_only_possible() -> None:
    rules: list[Body] = [
        {"action": "Accept", "from": EVERYWHERE, "protocols": [{"destinationNamedPort": "http"}]},
        DENY,
    ]
    assert both(state(admin(ingress=rules)), FAR, WEB) == (NONE, port_range("TCP", 8080))


@pytest.mark.parametrize("peer", [{"nodes": {}}, {"domainNames": ["example.org"]}])
def test_nodes_and_domain_names_cannot_be_told_here_and_are_named(peer: Body) -> None:
    found = state(
        cluster_policy(
            "p",
            "Admin",
            1,
            egress=[{"action": "Accept", "to": [peer]}, {"action": "Deny", "to": [{"networks": ["0.0.0.0/0"]}]}],
        )
    )
    assert (both(found, FAR, "8.8.8.8"), both(found, FAR, DB)) == (UNKNOWN, CLOSED)
    assert found.notes()


def test_the_kinds_of_v1alpha1_stand_in_the_same_tiers() -> None:
    def alpha(kind: str, **spec: object) -> Body:
        return {
            "apiVersion": "policy.networking.k8s.io/v1alpha1",
            "kind": kind,
            "metadata": {"name": "default"},
            "spec": {"subject": {"namespaces": {}}, **spec},
        }

    allow = {
        "action": "Allow",
        "from": EVERYWHERE,
        "ports": [
            {"portNumber": {"protocol": "TCP", "port": 80}},
            {"portRange": {"protocol": "UDP", "start": 1, "end": 2}},
        ],
    }
    found = state(
        alpha("AdminNetworkPolicy", priority=3, ingress=[allow]), alpha("BaselineAdminNetworkPolicy", ingress=[DENY])
    )
    assert str(both(found, FAR, DB)[0]) == "TCP/80, UDP/1-2"


def test_under_cilium_the_admin_kinds_may_or_may_not_be_switched_on() -> None:
    assert both(state(admin(ingress=[DENY]), dialect=Dialect.CILIUM), FAR, DB) == UNKNOWN
