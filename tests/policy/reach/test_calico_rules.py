"""Calico, rule by rule: order, actions, tiers, scope, and names, seen through the engine."""

from typing import Any

import pytest

from driftd.policy.reach import Dialect, Edit, PortSet, Snapshot, apply, pod_from_body
from driftd.policy.reach.ports import ALL, NONE
from driftd.policy.reach.ports import ports as port_range
from driftd.values import Body, ObjectRef
from tests.support.objects import (
    calico_policy,
    endpoint_slice,
    global_policy,
    global_set,
    namespace,
    network_policy,
    network_set,
    pod,
    service_account,
    tier,
)
from tests.support.reach import agreed

STORED = "crd.projectcalico.org/v1"
WEB = pod("a/web", "10.244.0.1", ports=[{"name": "http", "containerPort": 8080}])
DB = pod("a/db", "10.244.0.2", account="data")
FAR = pod("b/far", "10.244.1.1")
HOST = pod("b/host", "192.168.0.1", host_network=True)
SPACES = [namespace("a", team="red"), namespace("b", team="blue")]
ANY: list[Body] = [{"action": "Allow"}]


def state(*objects: Body, dialect: Dialect = Dialect.CALICO) -> Snapshot:
    return agreed([*SPACES, WEB, DB, FAR, *objects], dialect)


def flow(found: Snapshot, source: Body | str, target: Body | str) -> PortSet:
    ends = [end if isinstance(end, str) else pod_from_body(end) for end in (source, target)]
    reach = found.reach(ends[0], ends[1])
    assert reach.certain, reach
    return reach.must


def both(found: Snapshot, source: Body | str, target: Body | str) -> tuple[PortSet, PortSet]:
    ends = [end if isinstance(end, str) else pod_from_body(end) for end in (source, target)]
    reach = found.reach(ends[0], ends[1])
    return reach.must, reach.may


def to_db(name: str = "p", *rules: Body, **spec: Any) -> Body:
    return calico_policy(f"a/{name}", selector="app == 'db'", types=["Ingress"], ingress=list(rules), **spec)


DENY: Body = {"action": "Deny"}
ALLOW: Body = {"action": "Allow"}
PASS: Body = {"action": "Pass"}
LOG: Body = {"action": "Log"}


def test_tiers_go_by_order_and_then_by_name_and_no_order_is_last() -> None:
    """Checklist 1.3: tiers by order (nil = +inf) then name"""
    early, late = to_db("e", DENY, tier="early"), to_db("l", ALLOW, tier="late")
    assert flow(state(tier("early", 1), tier("late", 2), early, late), WEB, DB) == NONE
    assert flow(state(tier("early", 2), tier("late", 1), early, late), WEB, DB) == ALL
    assert flow(state(tier("early", None), tier("late", 5), early, late), WEB, DB) == ALL
    assert flow(state(tier("early", 5), tier("late", 5), early, late), WEB, DB) == NONE


def test_policies_of_a_tier_go_by_order_and_no_order_is_last() -> None:
    """Checklist 1.3: policies in a tier by order (nil = +inf)"""
    assert flow(state(to_db("x", DENY, order=1), to_db("y", ALLOW, order=2)), WEB, DB) == NONE
    assert flow(state(to_db("x", DENY), to_db("y", ALLOW, order=2)), WEB, DB) == ALL


def test_equal_orders_are_decided_by_the_name_so_a_rename_changes_the_meaning() -> None:
    """Checklist 1.3: then name/namespace/kind: renaming can change semantics"""
    assert flow(state(to_db("a-deny", DENY, order=1), to_db("b-allow", ALLOW, order=1)), WEB, DB) == NONE
    assert flow(state(to_db("z-deny", DENY, order=1), to_db("b-allow", ALLOW, order=1)), WEB, DB) == ALL


def test_the_first_rule_that_matches_wins_and_log_only_logs() -> None:
    """Checklist 1.3: Rules in list order, first match wins, Log falls through"""
    tcp = {"action": "Deny", "protocol": "TCP"}
    assert "TCP" not in str(flow(state(to_db("p", LOG, tcp, ALLOW)), WEB, DB))
    assert flow(state(to_db("p", ALLOW, tcp)), WEB, DB) == ALL


def test_pass_goes_on_to_the_next_tier_and_after_the_last_to_the_profiles() -> None:
    """Checklist 1.3: Pass = next tier; after the last tier = profiles
    Checklist 1.3: Reached only if no tier applied, or all passed
    """
    late = to_db("l", DENY, tier="late")
    assert flow(state(tier("late", 2_000_000), to_db("p", PASS), late), WEB, DB) == NONE
    assert flow(state(to_db("p", PASS)), WEB, DB) == ALL


def test_pods_that_no_tier_concerns_are_left_to_their_namespaces_profile_which_allows() -> None:
    """Checklist 1.3: every pod gets kns.<namespace> (allow all both ways)"""
    found = state()
    assert (flow(found, FAR, DB), flow(found, DB, FAR), flow(found, "8.8.8.8", DB)) == (ALL, ALL, ALL)


def test_a_profile_in_a_dump_is_named_as_not_evaluated() -> None:
    profile = {"apiVersion": "projectcalico.org/v3", "kind": "Profile", "metadata": {"name": "ksa.a.data"}, "spec": {}}
    found = state(profile)
    assert flow(found, WEB, DB) == ALL
    assert "Profile ksa.a.data" in found.notes()[0]


def host_endpoint(name: str, **spec: Any) -> Body:
    metadata = {"name": name, "labels": {"node": name}}
    return {"apiVersion": "projectcalico.org/v3", "kind": "HostEndpoint", "metadata": metadata, "spec": spec}


BY_HAND = host_endpoint("node-1", node="node-1", interfaceName="*", expectedIPs=["192.168.0.1"])
BY_CALICO = host_endpoint("node-1-auto-hep", node="node-1", interfaceName="*", profiles=["projectcalico-default-allow"])


def test_a_host_endpoint_may_close_any_way_to_or_from_a_node_and_none_between_pods() -> None:
    """Checklist 1.3: A hand-made HostEndpoint without policy or profile denies, except failsafe ports"""
    before, found = state(HOST), state(HOST, BY_HAND)
    for ends in ((WEB, HOST), (HOST, WEB), ("8.8.8.8", HOST), (HOST, "8.8.8.8")):
        assert flow(before, *ends) == ALL
        assert both(found, *ends) == (NONE, ALL)
    assert flow(found, WEB, DB) == flow(found, WEB, "8.8.8.8") == ALL
    assert "failsafe" in found.notes()[0]
    # A policy that denies still does: the interval has not become wider than the truth.
    assert both(state(HOST, BY_HAND, to_db("p")), HOST, DB)[0] == NONE
    assert flow(state(BY_HAND, to_db("p")), WEB, DB) == NONE


def test_a_host_endpoint_of_calicos_own_making_may_close_as_much_and_opens_nothing() -> None:
    """Checklist 1.3: auto-HostEndpoints carry an allow profile"""
    found = state(HOST, BY_CALICO)
    assert both(found, WEB, HOST) == (NONE, ALL)
    shut = calico_policy("a/out", selector="app == 'web'", types=["Egress"])
    assert flow(state(HOST, BY_CALICO, shut), WEB, HOST) == NONE


def test_nodes_are_as_they_were_once_the_last_host_endpoint_is_gone() -> None:
    found = state(HOST, BY_HAND, BY_CALICO)
    for name, expected in (("node-1", (NONE, ALL)), ("node-1-auto-hep", (ALL, ALL))):
        found = apply(found, Edit(remove=(ObjectRef("projectcalico.org", "HostEndpoint", "", name),)))
        assert both(found, WEB, HOST) == expected


def test_a_global_policy_for_all_binds_nodes_with_host_endpoints_and_a_kubernetes_policy_never_does() -> None:
    """Checklist 1.3: GNP selector: all() also covers HostEndpoints; K8s-derived policies exclude them"""
    everybody = global_policy("g", selector="all()", types=["Ingress"], ingress=[DENY])
    assert both(state(HOST, BY_HAND, everybody), "8.8.8.8", HOST) == (NONE, ALL)
    assert flow(state(HOST, everybody), "8.8.8.8", HOST) == ALL
    assert flow(state(HOST, network_policy("b/shut", podSelector={})), "8.8.8.8", HOST) == ALL


def test_a_tier_where_no_rule_decides_does_its_default_action() -> None:
    """Checklist 1.3: No rule matched: tier defaultAction (Deny, or Pass)"""
    nothing = to_db("p", tier="t")
    assert flow(state(tier("t", 5), nothing), WEB, DB) == NONE
    assert flow(state(tier("t", 5, "Pass"), nothing), WEB, DB) == ALL


def test_a_tier_without_a_policy_for_the_pod_and_direction_is_skipped() -> None:
    """Checklist 1.3: A tier with no applicable policy in that direction is skipped entirely"""
    other = calico_policy("a/p", tier="t", selector="app == 'web'", types=["Ingress"])
    found = state(tier("t", 5), other)
    assert (flow(found, FAR, DB), flow(found, FAR, WEB), flow(found, WEB, FAR)) == (ALL, NONE, ALL)


@pytest.mark.parametrize("kind", ["StagedNetworkPolicy", "StagedKubernetesNetworkPolicy", "StagedGlobalNetworkPolicy"])
def test_staged_policies_contribute_nothing_not_even_the_end_of_their_tier(kind: str) -> None:
    """Checklist 1.3: A tier with only Staged* policies contributes nothing, including end-of-tier"""
    staged = {**to_db("p", DENY), "kind": kind}
    assert flow(state(staged), WEB, DB) == ALL


def test_a_staged_deletion_leaves_what_it_would_delete_in_force() -> None:
    """Checklist 1.3: StagedAction: Delete previews removal"""
    enforced = to_db("p", DENY)
    staged = {**to_db("p"), "kind": "StagedNetworkPolicy", "spec": {"stagedAction": "Delete"}}
    assert flow(state(enforced, staged), WEB, DB) == NONE
    assert flow(state(staged), WEB, DB) == ALL


def test_kubernetes_policies_stand_at_order_1000_of_the_default_tier() -> None:
    """Checklist 1.3: K8s NetworkPolicy sits in default at order 1000"""
    plain = network_policy("a/open", podSelector={}, ingress=[{}])
    assert flow(state(plain, to_db("p", DENY, order=999)), WEB, DB) == NONE
    assert flow(state(plain, to_db("p", DENY, order=1001)), WEB, DB) == ALL


def test_the_built_in_tiers_stand_before_and_behind_the_default_one() -> None:
    """Checklist 1.3: Built-in tiers: kube-admin, default, kube-baseline"""
    plain = network_policy("a/shut", podSelector={})
    assert flow(state(plain, to_db("p", ALLOW, tier="kube-admin")), WEB, DB) == ALL
    assert flow(state(plain, to_db("p", ALLOW, tier="kube-baseline")), WEB, DB) == NONE
    assert flow(state(to_db("p", tier="kube-baseline")), WEB, DB) == ALL


def test_without_types_rules_for_egress_only_mean_egress_only() -> None:
    """Checklist 1.3: no egress rules -> [Ingress]; egress only -> [Egress]; both -> both"""
    out = calico_policy("a/p", selector="app == 'db'", egress=[DENY])
    assert (flow(state(out), WEB, DB), flow(state(out), DB, WEB)) == (ALL, NONE)
    neither = calico_policy("a/p", selector="app == 'db'")
    assert (flow(state(neither), WEB, DB), flow(state(neither), DB, WEB)) == (NONE, ALL)


def test_a_stored_object_without_types_is_for_both_directions() -> None:
    """Checklist 1.3: written straight to crd.projectcalico.org/v1 without types: both"""
    found = state(calico_policy("a/p", api=STORED, selector="app == 'db'", egress=ANY))
    assert (flow(found, WEB, DB), flow(found, DB, WEB)) == (NONE, ALL)


def test_a_namespaced_policy_is_for_pods_of_its_own_namespace() -> None:
    """Checklist 1.3: namespaced policy: (selector) && projectcalico.org/namespace == ns"""
    found = state(calico_policy("a/p", selector="has(app)", types=["Ingress"]))
    assert (flow(found, FAR, WEB), flow(found, FAR, DB), flow(found, WEB, FAR)) == (NONE, NONE, ALL)


def test_a_selector_in_a_namespaced_policy_looks_into_its_own_namespace() -> None:
    """Checklist 1.3: selector, notSelector, serviceAccounts restrict the peer to the policy's namespace"""
    found = state(to_db("p", {"action": "Allow", "source": {"selector": "all()"}}))
    assert (flow(found, WEB, DB), flow(found, FAR, DB)) == (ALL, NONE)


def test_a_namespace_selector_takes_the_place_of_the_own_namespace() -> None:
    """Checklist 1.3: unless namespaceSelector is given"""
    everywhere = {"action": "Allow", "source": {"namespaceSelector": "all()"}}
    assert flow(state(to_db("p", everywhere)), FAR, DB) == ALL
    blue = {"action": "Allow", "source": {"selector": "has(app)", "namespaceSelector": "team == 'blue'"}}
    found = state(to_db("p", blue))
    assert (flow(found, WEB, DB), flow(found, FAR, DB)) == (NONE, ALL)


@pytest.mark.parametrize("source", [{}, {"nets": ["0.0.0.0/0"]}])
def test_a_rule_that_selects_nobody_by_label_is_not_kept_to_a_namespace(source: Body) -> None:
    """Checklist 1.3: with only nets/ports there is no restriction; source/destination omitted = anything"""
    found = state(to_db("p", {"action": "Allow", "source": source}))
    assert (flow(found, FAR, DB), flow(found, "8.8.8.8", DB)) == (ALL, ALL)


def test_not_selector_covers_the_internet_where_a_negated_selector_does_not() -> None:
    """Checklist 1.3: notSelector X is not selector !X"""
    everywhere = global_policy(
        "g",
        selector="app == 'db'",
        types=["Ingress"],
        ingress=[{"action": "Allow", "source": {"notSelector": "app == 'web'"}}],
    )
    found = state(everywhere)
    assert (flow(found, WEB, DB), flow(found, FAR, DB), flow(found, "8.8.8.8", DB)) == (NONE, ALL, ALL)
    negated = global_policy(
        "g",
        selector="app == 'db'",
        types=["Ingress"],
        ingress=[{"action": "Allow", "source": {"selector": "app != 'web'"}}],
    )
    assert (flow(state(negated), FAR, DB), flow(state(negated), "8.8.8.8", DB)) == (ALL, NONE)


def test_not_selector_alone_keeps_a_namespaced_rule_to_its_namespace() -> None:
    """Checklist 1.3: selector, notSelector, serviceAccounts restrict the peer to the policy's namespace"""
    found = state(to_db("p", {"action": "Allow", "source": {"notSelector": "app == 'x'"}}))
    assert (flow(found, WEB, DB), flow(found, FAR, DB), flow(found, "8.8.8.8", DB)) == (ALL, NONE, NONE)


def test_all_fields_of_an_end_must_match_nets_beside_selectors_too() -> None:
    """Checklist 1.3: All match fields AND, incl. positive+negative of the same field; nets AND selector is legal"""
    source = {"selector": "app == 'web'", "nets": ["10.244.0.0/24"], "notNets": ["10.244.0.1/32"]}
    assert flow(state(to_db("p", {"action": "Allow", "source": source})), WEB, DB) == NONE
    source.pop("notNets")
    assert flow(state(to_db("p", {"action": "Allow", "source": source})), WEB, DB) == ALL


def test_network_sets_make_addresses_selectable_by_label() -> None:
    """Checklist 1.3: NetworkSet/GlobalNetworkSet labels make CIDRs selector-matchable"""
    rule = {"action": "Allow", "source": {"selector": "kind == 'partner'"}}
    policy = global_policy("g", selector="app == 'db'", types=["Ingress"], ingress=[rule])
    found = state(policy, global_set("s", "203.0.113.0/24", kind="partner"), network_set("a/t", "8.8.4.0/24", kind="x"))
    assert (flow(found, "203.0.113.9", DB), flow(found, "8.8.4.4", DB), flow(found, WEB, DB)) == (ALL, NONE, NONE)


def test_global_means_global_sets_only_and_all_leaves_them_out() -> None:
    """Checklist 1.3: namespaceSelector: all() = in any namespace; global() = HostEndpoint + GlobalNetworkSet only"""
    sets = (global_set("s", "203.0.113.0/24", kind="p"), network_set("b/t", "8.8.8.0/24", kind="p"))
    for where, expected in (("global()", (ALL, NONE)), ("all()", (NONE, ALL))):
        source = {"selector": "kind == 'p'", "namespaceSelector": where}
        found = state(to_db("p", {"action": "Allow", "source": source}), *sets)
        assert (flow(found, "203.0.113.9", DB), flow(found, "8.8.8.8", DB)) == expected


@pytest.mark.parametrize(
    "policy",
    [
        global_policy("g", selector="global()", types=["Ingress"]),
        global_policy("g", namespaceSelector="global()", types=["Ingress"]),
        to_db("p", {"action": "Allow", "source": {"selector": "global() || app == 'web'"}}),
        to_db("p", {"action": "Allow", "source": {"serviceAccounts": {"selector": "!global()"}}}),
    ],
)
def test_global_anywhere_else_is_refused_by_calico_so_the_answer_is_open(policy: Body) -> None:
    """Checklist 1.3: global() legal only in rule namespaceSelector"""
    found = state(policy)
    assert both(found, WEB, DB) == (NONE, ALL)
    assert "global() belongs" in found.notes()[0]


def test_an_edit_of_a_network_set_changes_reach_without_a_policy_edit() -> None:
    rule = {"action": "Allow", "source": {"selector": "kind == 'partner'"}}
    policy = global_policy("g", selector="app == 'db'", types=["Ingress"], ingress=[rule])
    before = state(policy, global_set("s", "203.0.113.0/24", kind="partner"))
    after = apply(before, Edit((global_set("s", "8.8.8.0/24", kind="partner"),)))
    assert [flow(found, "8.8.8.8", DB) for found in (before, after)] == [NONE, ALL]
    gone = apply(after, Edit(remove=(ObjectRef("projectcalico.org", "GlobalNetworkSet", "", "s"),)))
    assert flow(gone, "8.8.8.8", DB) == NONE


def test_service_accounts_by_name_and_by_label_restrict_a_rule() -> None:
    """Checklist 1.3: selector, notSelector, serviceAccounts restrict the peer to the policy's namespace"""
    named = to_db("p", {"action": "Allow", "source": {"serviceAccounts": {"names": ["default"]}}})
    assert (flow(state(named), WEB, DB), flow(state(named), FAR, DB)) == (ALL, NONE)
    out = calico_policy(
        "a/p",
        selector="app == 'web'",
        types=["Egress"],
        egress=[{"action": "Allow", "destination": {"serviceAccounts": {"selector": "role == 'store'"}}}],
    )
    found = state(out, service_account("a/data", role="store"))
    assert (flow(found, WEB, DB), flow(found, WEB, FAR)) == (ALL, NONE)


def test_a_service_account_selector_chooses_the_pods_of_a_policy() -> None:
    chosen = calico_policy("a/p", serviceAccountSelector="role == 'store'", types=["Ingress"])
    found = state(chosen, service_account("a/data", role="store"))
    assert (flow(found, FAR, DB), flow(found, FAR, WEB)) == (NONE, ALL)


def test_ports_are_numbers_ranges_and_names_of_the_destination() -> None:
    """Checklist 1.3: Ports: ints, a:b ranges, names"""
    ports = calico_policy(
        "a/p",
        types=["Ingress"],
        ingress=[{"action": "Allow", "protocol": "TCP", "destination": {"ports": [80, "90:99", "http"]}}],
    )
    found = state(ports)
    assert str(flow(found, FAR, WEB)) == "TCP/80,90-99,8080"
    assert str(flow(found, FAR, DB)) == "TCP/80,90-99"


@pytest.mark.parametrize("protocol", [None, "ICMP", 47])
def test_ports_without_a_protocol_that_has_ports_leave_the_rule_open(protocol: str | int | None) -> None:
    """Checklist 1.3: ports need protocol TCP/UDP/SCTP"""
    rule: Body = {"action": "Allow", "destination": {"ports": [80]}, **({"protocol": protocol} if protocol else {})}
    found = state(to_db("p", rule))
    assert both(found, WEB, DB)[0] == NONE
    assert "need protocol" in found.notes()[0]


def test_ports_that_are_excluded_are_taken_out_of_the_protocol() -> None:
    rule = {"action": "Allow", "protocol": "TCP", "destination": {"notPorts": [80]}}
    assert flow(state(to_db("p", rule)), WEB, DB) == port_range("TCP", 0, 79) | port_range("TCP", 81, 65_535)


def test_source_ports_are_the_clients_choice_so_such_a_rule_matches_perhaps() -> None:
    """Checklist 1.3: source ports too"""
    rule = {"action": "Allow", "protocol": "TCP", "source": {"ports": [1024]}, "destination": {"ports": [80]}}
    assert both(state(to_db("p", rule)), WEB, DB) == (NONE, port_range("TCP", 80))


def test_a_service_stands_for_its_endpoints_and_their_ports() -> None:
    """Checklist 1.3: services: matches endpoints and their ports"""
    out = calico_policy(
        "a/p",
        selector="app == 'web'",
        types=["Egress"],
        egress=[{"action": "Allow", "destination": {"services": {"name": "svc", "namespace": "b"}}}],
    )
    found = state(out, endpoint_slice("b/svc-1", "svc", ["10.244.1.1", "8.8.8.8"], ("TCP", 443)))
    assert flow(found, WEB, FAR) == flow(found, WEB, "8.8.8.8") == port_range("TCP", 443)
    assert flow(found, WEB, DB) == NONE
    moved = apply(found, Edit((endpoint_slice("b/svc-1", "svc", ["10.244.0.2"], ("TCP", 5432)),)))
    assert (flow(moved, WEB, FAR), flow(moved, WEB, DB)) == (NONE, port_range("TCP", 5432))


@pytest.mark.parametrize(
    "beside",
    [
        {"selector": "all()"},
        {"notSelector": "has(x)"},
        {"namespaceSelector": "all()"},
        {"nets": ["10.0.0.0/8"]},
        {"notNets": ["192.0.2.0/24"]},
        {"serviceAccounts": {"names": ["default"]}},
        {"ports": [443]},
    ],
)
def test_a_service_beside_any_other_field_is_refused_by_calico_so_the_rule_matches_perhaps(beside: Body) -> None:
    """Checklist 1.3: services forbidden with selectors/nets/serviceAccounts, and with ports on the same destination"""
    service: Body = {"services": {"name": "svc", "namespace": "b"}}
    served = endpoint_slice("b/svc-1", "svc", ["10.244.1.1"], ("TCP", 443))

    def found(**fields: Any) -> Snapshot:
        rule = {"action": "Allow", "protocol": "TCP", "destination": {**service, **fields}}
        return state(global_policy("g", selector="app == 'web'", types=["Egress"], egress=[rule]), served)

    assert flow(found(), WEB, FAR) == port_range("TCP", 443)
    assert both(found(**beside), WEB, FAR) == (NONE, port_range("TCP", 443))
    assert f"services: not valid beside {next(iter(beside))}" in found(**beside).notes()[0]


def test_a_service_without_known_endpoints_is_read_by_its_selector() -> None:
    service: Body = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "svc", "namespace": "b"},
        "spec": {"selector": {"app": "far"}, "ports": [{"port": 80, "targetPort": 8443}]},
    }
    out = calico_policy(
        "a/p",
        selector="app == 'web'",
        types=["Egress"],
        egress=[{"action": "Allow", "destination": {"services": {"name": "svc", "namespace": "b"}}}],
    )
    assert flow(state(out, service), WEB, FAR) == port_range("TCP", 8443)


def test_icmp_types_and_codes_and_their_negation_need_the_protocol() -> None:
    """Checklist 1.3: ICMP type/code need protocol; notICMP"""
    ping = {"action": "Allow", "protocol": "ICMP", "icmp": {"type": 8}}
    assert str(flow(state(to_db("p", ping)), WEB, DB)) == "ICMP/8"
    rest = {"action": "Allow", "protocol": "ICMP", "notICMP": {"type": 8, "code": 0}}
    assert str(flow(state(to_db("p", rest)), WEB, DB)) == "ICMP/0-7,8:1-255,9-255"
    bare = state(to_db("p", {"action": "Allow", "icmp": {"type": 8}}))
    assert both(bare, WEB, DB)[0] == NONE
    assert "needs protocol" in bare.notes()[0]


@pytest.mark.parametrize(
    ("protocol", "text"), [("SCTP", "SCTP/all"), (17, "UDP/all"), (47, "other/47"), ("UDPLite", "other/136")]
)
def test_protocols_go_by_name_or_number(protocol: str | int, text: str) -> None:
    """Checklist 1.3: protocol 1-255 or UDPLite"""
    assert str(flow(state(to_db("p", {"action": "Allow", "protocol": protocol})), WEB, DB)) == text


@pytest.mark.parametrize("protocol", [0, 256, "XTP"])
def test_a_protocol_that_is_none_leaves_the_rule_open_and_is_named(protocol: str | int) -> None:
    """Checklist 1.3: protocol 1-255 or UDPLite"""
    found = state(to_db("p", {"action": "Allow", "protocol": protocol}))
    assert both(found, WEB, DB) == (NONE, ALL)
    assert "protocol" in found.notes()[0]


def test_an_ip_version_keeps_a_rule_to_one_family() -> None:
    """Checklist 1.3: ipVersion"""
    found = state(to_db("p", {"action": "Allow", "ipVersion": 6}))
    assert (flow(found, WEB, DB), flow(found, "2001:db8::1", DB), flow(found, "8.8.8.8", DB)) == (NONE, ALL, NONE)


def test_an_http_rule_is_decided_above_layer_four_and_so_matches_perhaps() -> None:
    """Checklist 1.3: http only on Allow (L7 proxy; else treat as unknown)"""
    found = state(to_db("p", {"action": "Allow", "protocol": "TCP", "http": {"methods": ["GET"]}}))
    assert str(both(found, WEB, DB)[0]) == "none"
    assert str(both(found, WEB, DB)[1]) == "TCP/all"


def test_an_http_condition_on_a_denial_is_no_rule_of_calicos_and_matches_perhaps() -> None:
    """Checklist 1.3: http only on Allow (L7 proxy; else treat as unknown)"""
    found = state(to_db("p", {"action": "Deny", "protocol": "TCP", "http": {"methods": ["GET"]}}, ALLOW))
    assert both(found, WEB, DB) == (ALL - port_range("TCP", 0, 65_535), ALL)


def test_a_policy_for_forwarded_traffic_of_nodes_is_for_pods_what_it_would_be_without() -> None:
    """Checklist 1.3: applyOnForward: HostEndpoint planes only"""
    for rules in ([DENY], [ALLOW], []):
        plain, forward = (
            global_policy("g", selector="app == 'db'", types=["Ingress"], ingress=rules, applyOnForward=said)
            for said in (False, True)
        )
        assert flow(state(plain), WEB, DB) == flow(state(forward), WEB, DB)


@pytest.mark.parametrize("plane", ["preDNAT", "doNotTrack"])
def test_policies_of_the_host_plane_do_not_touch_pods(plane: str) -> None:
    """Checklist 1.3: preDNAT/doNotTrack: HostEndpoint planes only, never mix into pod-to-pod"""
    policy = global_policy("g", types=["Ingress"], applyOnForward=True)
    policy["spec"][plane] = True
    found = state(policy)
    assert flow(found, WEB, DB) == ALL
    assert "host endpoints" in found.notes()[0]


def test_a_pod_in_the_hosts_network_is_no_workload_endpoint_but_its_address_counts() -> None:
    policy = global_policy(
        "g",
        selector="all()",
        types=["Egress"],
        egress=[{"action": "Allow", "destination": {"nets": ["192.168.0.0/24"]}}],
    )
    found = state(policy, HOST)
    assert (flow(found, HOST, FAR), flow(found, WEB, HOST)) == (ALL, ALL)


def test_a_rule_may_narrow_the_protected_end_as_well() -> None:
    policy = calico_policy(
        "a/p", types=["Ingress"], ingress=[{"action": "Allow", "destination": {"selector": "app == 'db'"}}]
    )
    assert (flow(state(policy), FAR, DB), flow(state(policy), FAR, WEB)) == (ALL, NONE)


def test_a_policy_in_the_middle_of_its_renaming_says_what_it_said_under_either_name() -> None:
    """Checklist 1.3: a controller renames stored objects"""
    rules: list[Body] = [{"action": "Allow", "protocol": "TCP"}, DENY]
    old, new = (to_db(name, *rules, order=5) for name in ("default.p", "p"))
    later = to_db("q", ALLOW, order=6)
    tcp = port_range("TCP", 0, 65_535)
    assert {flow(state(*stored, later), WEB, DB) for stored in ((old,), (old, new), (new,))} == {tcp}
    between = state(old, new, later)
    for name in ("default.p", "p"):
        assert flow(apply(between, Edit(remove=(policy_ref(name),))), WEB, DB) == tcp
    gone = apply(between, Edit(remove=(policy_ref("p"), policy_ref("default.p"))))
    assert flow(gone, WEB, DB) == ALL


def test_two_policies_under_the_two_names_of_one_are_both_enforced() -> None:
    shown, stored = to_db("p", ALLOW, order=6), to_db("default.p", DENY, order=5)
    found = state(shown, stored)
    assert flow(found, WEB, DB) == NONE
    assert flow(apply(found, Edit(remove=(policy_ref("default.p"),))), WEB, DB) == ALL


def test_a_policy_goes_by_whichever_name_it_is_removed() -> None:
    found = state(to_db("default.p", DENY))
    assert flow(apply(found, Edit(remove=(policy_ref("p"),))), WEB, DB) == ALL


def policy_ref(name: str) -> ObjectRef:
    return ObjectRef("projectcalico.org", "NetworkPolicy", "a", name)


def test_the_copy_that_calico_shows_of_a_kubernetes_policy_changes_nothing_and_is_no_exemption() -> None:
    """Checklist 1.3: names still carry knp.default.<name> for K8s policies"""
    plain = network_policy("a/db", podSelector={"matchLabels": {"app": "db"}}, ingress=[{"ports": [{"port": 80}]}])
    copy = to_db("knp.default.db", {"action": "Allow", "protocol": "TCP", "destination": {"ports": [80]}}, order=1000)
    found = [flow(state(*both_), WEB, DB) for both_ in ((plain,), (plain, copy), (copy,))]
    assert found == [port_range("TCP", 80)] * 3


def test_what_is_malformed_leaves_the_answer_open_and_is_named() -> None:
    for rule in (
        {"action": "Maybe"},
        {"action": "Allow", "source": {"selector": "app = 'x'"}},
        {"action": "Allow", "where": 1},
    ):
        found = state(to_db("p", rule))
        assert both(found, WEB, DB) == (NONE, ALL)
        assert found.notes()


def test_where_calico_is_not_known_to_run_its_policies_are_an_open_question() -> None:
    policy = to_db("p", DENY)
    assert both(state(policy, dialect=Dialect.KUBERNETES), WEB, DB) == (NONE, ALL)
    found = state(policy, dialect=Dialect.CILIUM)
    assert flow(found, WEB, DB) == ALL
    assert "not enforced" in found.notes()[0]


def test_a_policy_in_a_tier_that_does_not_exist_decides_nothing_for_sure() -> None:
    assert both(state(to_db("p", DENY, tier="missing")), WEB, DB) == (NONE, ALL)


def test_inherited_labels_of_namespace_and_service_account_are_selectable() -> None:
    policy = global_policy("g", selector="pcns.team == 'red' && projectcalico.org/namespace == 'a'", types=["Ingress"])
    assert (flow(state(policy), FAR, WEB), flow(state(policy), WEB, FAR)) == (NONE, ALL)


def test_a_policy_with_an_unknown_part_is_undecided_for_the_pods_it_selects() -> None:
    found = state(to_db("p", ALLOW, future=True))
    assert both(found, WEB, DB) == (NONE, ALL)
    assert "spec.future" in found.notes()[0]
