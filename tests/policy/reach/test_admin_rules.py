"""ClusterNetworkPolicy, AdminNetworkPolicy and its Baseline, rule by rule, seen through the engine."""

from functools import partial

import pytest

from driftd.policy.reach import Answer, Connection, Dialect, PortSet, Snapshot, explain, pod_from_body
from driftd.policy.reach.ports import ALL, NONE, PORTED
from driftd.policy.reach.ports import ports as port_range
from driftd.values import Body
from tests.oracle import admin_policies, calico
from tests.oracle.worlds import Allowed
from tests.support.objects import cluster_policy, namespace, network_policy, pod
from tests.support.reach import agreed, cluster_of

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
    return agreed([namespace("a"), namespace("b"), WEB, DB, FAR, *objects], dialect)


def both(found: Snapshot, source: Body | str, target: Body | str) -> tuple[PortSet, PortSet]:
    """(must, may) of what NetworkPolicy defines; what becomes of ICMP there is another test."""
    ends = [end if isinstance(end, str) else pod_from_body(end) for end in (source, target)]
    reach = found.reach(ends[0], ends[1])
    return reach.must & PORTED, reach.may & PORTED


OPEN, CLOSED, UNKNOWN = (PORTED, PORTED), (NONE, NONE), (NONE, PORTED)


def admin(name: str = "p", priority: int = 10, tier: str = "Admin", *, ingress: list[Body]) -> Body:
    return cluster_policy(name, tier, priority, ingress=ingress)


def test_admin_stands_before_network_policy_and_baseline_behind_it() -> None:
    """Checklist 1.4: Admin tier -> NetworkPolicy -> Baseline -> allow"""
    assert both(state(SHUT, admin(ingress=[ACCEPT])), FAR, DB) == OPEN
    assert both(state(admin(tier="Baseline", ingress=[DENY])), FAR, DB) == CLOSED
    opened = network_policy("a/open", podSelector={}, ingress=[{}])
    assert both(state(opened, admin(tier="Baseline", ingress=[DENY])), FAR, DB) == OPEN


def test_who_is_decided_by_nobody_is_allowed() -> None:
    """Checklist 1.4: Admin tier -> NetworkPolicy -> Baseline -> allow"""
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
    """Checklist 1.4: Priority 0..1000, lower first"""
    assert both(state(admin("x", 5, ingress=[DENY]), admin("y", 6, ingress=[ACCEPT])), FAR, DB) == CLOSED
    assert both(state(admin("x", 7, ingress=[DENY]), admin("y", 6, ingress=[ACCEPT])), FAR, DB) == OPEN


@pytest.mark.parametrize(("priority", "named"), [(0, 0), (1000, 0), (-1, 1), (1001, 1)])
def test_a_priority_beyond_its_bounds_is_named(priority: int, named: int) -> None:
    """Checklist 1.4: Priority 0..1000, lower first"""
    assert len(state(admin(priority=priority, ingress=[DENY])).notes()) == named


@pytest.mark.parametrize("count", [25, 26])
def test_a_list_longer_than_the_api_takes_is_named_and_read_all_the_same(count: int) -> None:
    """Checklist 1.4: Max 25 rules/peers"""
    nobody: list[Body] = [{"namespaces": {"matchLabels": {"no": str(number)}}} for number in range(count - 1)]
    peers = admin(ingress=[{"action": "Deny", "from": [*nobody, *EVERYWHERE]}])
    rules = admin(ingress=[*({"action": "Accept", "from": [peer]} for peer in nobody), DENY])
    for policy, where in ((peers, "spec.ingress[0].from"), (rules, "spec.ingress")):
        found = state(policy)
        assert both(found, FAR, DB) == CLOSED
        told = [f"{where}: more than 25 entries" in note for note in found.notes()]
        assert told == ([True] if count > 25 else [])


@pytest.mark.parametrize("peers", [{}, {"from": []}, {"from": None}])
def test_a_rule_that_names_nobody_matches_nobody_and_is_named(peers: Body) -> None:
    """Checklist 1.4: from/to required non-empty (unlike NPv1)"""
    found = state(admin(ingress=[{"action": "Deny", **peers}]))
    assert both(found, FAR, DB) == OPEN
    assert "at least one peer is required" in found.notes()[0]


def test_the_order_of_equal_priorities_is_undefined_so_both_are_tried() -> None:
    """Checklist 1.4: equal priority in one tier = undefined order -> evaluate both orders"""
    assert both(state(admin("x", 5, ingress=[DENY]), admin("y", 5, ingress=[ACCEPT])), FAR, DB) == UNKNOWN
    agreeing = state(admin("x", 5, ingress=[DENY]), admin("y", 5, ingress=[DENY]))
    assert both(agreeing, FAR, DB) == CLOSED


def test_calico_decides_equal_priorities_by_name() -> None:
    found = state(admin("x", 5, ingress=[DENY]), admin("y", 5, ingress=[ACCEPT]), dialect=Dialect.CALICO)
    assert both(found, FAR, DB) == CLOSED


def test_being_selected_isolates_nobody() -> None:
    """Checklist 1.4: No implicit isolation; a policy with no ingress rules does not affect ingress"""
    found = state(cluster_policy("p", "Admin", 1))
    assert (both(found, FAR, DB), both(found, DB, FAR)) == (OPEN, OPEN)


def test_pass_in_admin_skips_the_rest_of_admin_and_in_baseline_means_allow() -> None:
    """Checklist 1.4: Pass in Admin skips rest of Admin; Pass in Baseline = default allow"""
    found = state(SHUT, admin("x", 1, ingress=[PASS]), admin("y", 2, ingress=[ACCEPT]))
    assert both(found, FAR, DB) == CLOSED
    assert both(state(admin(tier="Baseline", ingress=[PASS, DENY])), FAR, DB) == OPEN


def test_network_policy_is_final_for_the_pods_it_selects_in_that_direction() -> None:
    """Checklist 1.4: NPv1 is final for pods it selects in that direction; Baseline only for pods not selected"""
    found = state(SHUT, admin(tier="Baseline", ingress=[ACCEPT]))
    assert both(found, FAR, DB) == CLOSED


def test_networks_match_pods_by_their_address_in_every_dialect() -> None:
    """Checklist 1.4: networks: 0.0.0.0/0 does match pod traffic and ICMP"""
    rule = {"action": "Deny", "to": [{"networks": ["0.0.0.0/0"]}]}
    for dialect in (Dialect.KUBERNETES, Dialect.CALICO):
        found = state(cluster_policy("p", "Admin", 1, egress=[rule]), dialect=dialect)
        assert (both(found, FAR, DB), both(found, FAR, "8.8.8.8")) == (CLOSED, CLOSED)
        assert found.reach(pod_from_body(FAR), "8.8.8.8").may == NONE  # ICMP and all
        assert found.reach(pod_from_body(FAR), pod_from_body(DB)).may == NONE


def test_subjects_and_peers_leave_out_pods_in_the_hosts_network() -> None:
    """Checklist 1.4: Subjects/peers exclude hostNetwork pods"""
    found = state(admin(ingress=[DENY]), HOST, dialect=Dialect.CALICO)
    assert (both(found, FAR, HOST), both(found, HOST, DB)) == (OPEN, OPEN)


@pytest.mark.parametrize(("action", "expected"), [("Accept", UNKNOWN), ("Deny", UNKNOWN)])
def test_a_peer_of_an_unknown_form_fails_closed_and_leaves_the_rest_open(
    action: str, expected: tuple[PortSet, PortSet]
) -> None:
    """Checklist 1.4: Unknown peer field -> fail closed: Accept matches nothing, Deny/Pass become deny-all"""
    before = [SHUT] if action == "Accept" else []
    found = state(*before, admin(ingress=[{"action": action, "from": [{"galaxies": {}}]}]))
    assert both(found, FAR, DB) == expected
    assert "galaxies" in found.notes()[0]


def test_a_pass_rule_with_a_peer_of_an_unknown_form_may_deny_everything() -> None:
    """Checklist 1.4: Unknown peer field -> fail closed: Accept matches nothing, Deny/Pass become deny-all"""
    found = state(admin(ingress=[{"action": "Pass", "from": [{"galaxies": {}}]}]))
    assert both(found, FAR, DB) == UNKNOWN


def test_a_pod_reaches_its_own_address_whatever_is_denied() -> None:
    """Checklist 1.4: pod to own IP exempt"""
    assert state(admin(ingress=[DENY])).reach(pod_from_body(DB), pod_from_body(DB)).must == ALL


@pytest.mark.parametrize(("dialect", "own"), [("kubernetes", ALL), ("calico", ALL), ("cilium", NONE)])
def test_a_pod_that_meets_itself_through_a_service_is_subject_to_policies(dialect: str, own: PortSet) -> None:
    """Checklist 1.4: pod to itself through a Service VIP is subject"""
    found, db = state(admin(ingress=[DENY]), dialect=Dialect(dialect)), pod_from_body(DB)
    assert found.reach(db, db).must == own
    hairpin = found.reach(db, db, through_service=True)
    assert hairpin.must == NONE
    if dialect != "cilium":  # where the kind itself may be switched off
        assert hairpin.may & PORTED == NONE
    web = Connection("TCP", 80)
    assert explain(found, db, db, web, through_service=True).allowed is not Answer.YES
    assert explain(found, db, db, web).allowed is (Answer.YES if own == ALL else Answer.MAYBE)
    kind = calico.allowed if dialect == "calico" else partial(admin_policies.allowed, dialect=dialect)
    asked = partial(kind, cluster_of([namespace("a"), DB, admin(ingress=[DENY])]), DB, DB, "TCP", 80)
    assert (asked(through_service=True), asked()) == (Allowed.NO, Allowed.YES if own == ALL else Allowed.OPEN)


def test_an_explanation_calls_the_kind_as_it_is_called() -> None:
    """Checklist 1.3: CNP shows as kind ClusterNetworkPolicy"""
    found = state(admin(ingress=[DENY]), dialect=Dialect.CALICO)
    told = explain(found, pod_from_body(FAR), pod_from_body(DB), Connection("TCP", 80)).ingress
    assert told.decided_by is not None
    assert str(told.decided_by.policy) == "ClusterNetworkPolicy p"


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
    """Checklist 1.4: Peers: namespaces, pods, egress networks / nodes(exp.) / domainNames(exp., Accept only)"""
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


def test_domain_names_in_a_denial_are_refused_and_named_and_may_deny_everything() -> None:
    """Checklist 1.4: Peers: namespaces, pods, egress networks / nodes(exp.) / domainNames(exp., Accept only)"""
    found = state(
        cluster_policy("p", "Admin", 1, egress=[{"action": "Deny", "to": [{"domainNames": ["example.org"]}]}])
    )
    assert both(found, FAR, "8.8.8.8") == UNKNOWN
    assert any("domainNames belong into Accept rules" in note for note in found.notes())


def test_the_kinds_of_v1alpha1_stand_in_the_same_tiers() -> None:
    """Checklist 1.4: OVN-Kubernetes listed only for v1alpha1"""

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
    """Checklist 1.4: Cilium 1.20 behind a flag"""
    assert both(state(admin(ingress=[DENY]), dialect=Dialect.CILIUM), FAR, DB) == UNKNOWN
