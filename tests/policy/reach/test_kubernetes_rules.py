"""NetworkPolicy v1, rule by rule: what the API text says, seen through the engine."""

from typing import Any

import pytest

from driftd.policy.reach import Dialect, Pod, PortSet, Snapshot, pod_from_body
from driftd.policy.reach.network_policy import _plain, _Reader
from driftd.policy.reach.ports import ALL, NONE, of_spans
from driftd.policy.reach.ports import ports as port_range
from driftd.values import Body
from tests.support.objects import namespace, network_policy, pod
from tests.support.reach import agreed

WEB = pod("a/web", "10.244.0.1", ports=[{"name": "http", "containerPort": 8080}])
DB = pod("a/db", "10.244.0.2", ports=[{"name": "http", "containerPort": 9090}, {"name": "dns", "containerPort": 53}])
FAR = pod("b/far", "10.244.1.1", labels={"app": "far", "tier": "x"})
SPACES = [namespace("a", team="red"), namespace("b", team="blue")]


def state(*policies: Body, dialect: Dialect = Dialect.CALICO, more: tuple[Body, ...] = ()) -> Snapshot:
    return agreed([*SPACES, WEB, DB, FAR, *more, *policies], dialect)


def flow(found: Snapshot, source: Body | str, target: Body | str) -> PortSet:
    ends = [end if isinstance(end, str) else pod_from_body(end) for end in (source, target)]
    reach = found.reach(ends[0], ends[1])
    assert reach.certain
    return reach.must


def into_db(rule: Any = None, **spec: Any) -> Body:
    spec.setdefault("podSelector", {"matchLabels": {"app": "db"}})
    if rule is not None:
        spec["ingress"] = [rule]
    return network_policy("a/p", **spec)


def test_without_policy_types_a_policy_is_for_ingress_and_for_egress_only_if_it_has_egress_rules() -> None:
    """Checklist 1.1: policyTypes absent/empty: always Ingress; Egress only if there is an egress rule"""
    only_in = state(network_policy("a/p", podSelector={}))
    assert (flow(only_in, FAR, DB), flow(only_in, DB, FAR)) == (NONE, ALL)
    both = state(network_policy("a/p", podSelector={}, egress=[{"to": [{"podSelector": {}}]}]))
    assert (flow(both, FAR, DB), flow(both, DB, FAR)) == (NONE, NONE)


def test_an_empty_list_of_policy_types_means_the_same_as_none() -> None:
    """Checklist 1.1: policyTypes absent/empty: always Ingress; Egress only if there is an egress rule"""
    found = state(network_policy("a/p", podSelector={}, policyTypes=[]))
    assert (flow(found, FAR, DB), flow(found, DB, FAR)) == (NONE, ALL)


def test_policy_type_egress_without_rules_denies_all_egress_and_leaves_ingress_alone() -> None:
    """Checklist 1.1: policyTypes:[Egress], no rules = deny all egress"""
    found = state(network_policy("a/p", podSelector={}, policyTypes=["Egress"]))
    assert (flow(found, FAR, DB), flow(found, DB, FAR)) == (ALL, NONE)


def test_an_egress_section_has_no_effect_when_only_ingress_is_a_policy_type() -> None:
    """Checklist 1.1: [Ingress] with an egress: section: egress section has no effect"""
    found = state(
        network_policy("a/p", podSelector={}, policyTypes=["Ingress"], egress=[{"to": [{"podSelector": {}}]}])
    )
    assert flow(found, DB, FAR) == ALL


@pytest.mark.parametrize("selector", [{}, None])
def test_a_missing_or_empty_pod_selector_is_every_pod_of_the_namespace(selector: Body | None) -> None:
    """Checklist 1.1: podSelector missing or {} = all pods of the namespace"""
    found = state(network_policy("a/p", podSelector=selector))
    assert (flow(found, FAR, WEB), flow(found, FAR, DB), flow(found, DB, FAR)) == (NONE, NONE, ALL)


@pytest.mark.parametrize("ingress", [None, []])
def test_no_ingress_rules_isolate_and_allow_nothing(ingress: list[Body] | None) -> None:
    """Checklist 1.1: ingress: []/absent = isolate, allow nothing"""
    assert flow(state(into_db(ingress=ingress)), WEB, DB) == NONE


def test_one_empty_rule_allows_everything() -> None:
    """Checklist 1.1: ingress: [{}] = allow all"""
    assert flow(state(into_db({})), FAR, DB) == ALL


@pytest.mark.parametrize("rule", [{}, {"from": None}, {"from": []}])
def test_an_absent_null_or_empty_list_of_peers_is_everybody(rule: Body) -> None:
    """Checklist 1.1: from/to: absent, null or [] = all peers (not none)"""
    assert flow(state(into_db({**rule, "ports": [{"port": 53}]})), FAR, DB) == ports("TCP", 53)


@pytest.mark.parametrize("listed", [None, []])
def test_an_absent_or_empty_list_of_ports_is_every_protocol_and_port(listed: list[Body] | None) -> None:
    """Checklist 1.1: ports: absent/[] = all protocols and ports"""
    assert flow(state(into_db({"from": [{"namespaceSelector": {}}], "ports": listed})), FAR, DB) == ALL


def test_an_empty_peer_is_invalid_and_matches_nobody_and_is_named() -> None:
    """Checklist 1.1: Peer {} is invalid"""
    found = state(into_db({"from": [{}]}))
    assert flow(found, WEB, DB) == NONE
    assert "empty peer" in found.notes()[0]


def test_a_block_beside_a_selector_is_invalid_and_matches_nobody_and_is_named() -> None:
    """Checklist 1.1: ipBlock + selector is invalid"""
    found = state(into_db({"from": [{"ipBlock": {"cidr": "0.0.0.0/0"}, "podSelector": {}}]}))
    assert flow(found, WEB, DB) == NONE
    assert "ipBlock" in found.notes()[0]


def test_a_pod_selector_alone_looks_into_its_own_namespace_only() -> None:
    """Checklist 1.1: podSelector alone = own namespace
    Checklist 1.1: namespaceSelector: {} = all namespaces, nil = own
    """
    found = state(into_db({"from": [{"podSelector": {}}]}))
    assert (flow(found, WEB, DB), flow(found, FAR, DB)) == (ALL, NONE)


def test_a_namespace_selector_alone_takes_every_pod_there() -> None:
    """Checklist 1.1: namespaceSelector alone = all pods there"""
    found = state(into_db({"from": [{"namespaceSelector": {"matchLabels": {"team": "blue"}}}]}))
    assert (flow(found, WEB, DB), flow(found, FAR, DB)) == (NONE, ALL)


def test_a_namespace_of_no_name_is_none_and_not_every_one() -> None:
    """What a peer names is read the short way where it is one label; "" there would mean any namespace."""
    nameless = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": ""}}}
    web = {"podSelector": {"matchLabels": {"app": "web"}}}
    for peer in (nameless, nameless | web):
        found = state(into_db({"from": [peer]}))
        assert (flow(found, WEB, DB), flow(found, FAR, DB)) == (NONE, NONE)


NAMED: Body = {"matchLabels": {"kubernetes.io/metadata.name": "b"}}


@pytest.mark.parametrize(
    "peer",
    [
        {"podSelector": {"matchLabels": {"app": "web"}}},
        {"namespaceSelector": NAMED},
        {"namespaceSelector": NAMED, "podSelector": {"matchLabels": {"app": "web"}}},
        {"ipBlock": {"cidr": "203.0.113.0/24"}},
    ],
)
def test_what_nearly_all_peers_are_is_read_the_short_way_as_the_long_way_reads_it(peer: Body) -> None:
    assert _plain(peer, "a") == _Reader().peer(peer, "here", "a") is not None


@pytest.mark.parametrize(
    "peer", [{"ipBlock": {"cidr": "203.0.113.7/24"}}, {"ipBlock": {"cidr": "nowhere"}}, {}, {"x": {}}]
)
def test_what_is_to_be_named_is_not_read_the_short_way(peer: Body) -> None:
    assert _plain(peer, "a") is None


def test_both_selectors_in_one_peer_must_both_match_and_two_peers_are_alternatives() -> None:
    """Checklist 1.1: both in one element = AND; two elements = OR"""
    blue, web = {"matchLabels": {"team": "blue"}}, {"matchLabels": {"app": "web"}}
    together = state(into_db({"from": [{"namespaceSelector": blue, "podSelector": web}]}))
    assert (flow(together, WEB, DB), flow(together, FAR, DB)) == (NONE, NONE)
    apart = state(into_db({"from": [{"namespaceSelector": blue}, {"podSelector": web}]}))
    assert (flow(apart, WEB, DB), flow(apart, FAR, DB)) == (ALL, ALL)


def test_an_empty_namespace_selector_is_every_namespace_but_no_outside_address() -> None:
    """Checklist 1.1: namespaceSelector: {} = all namespaces, nil = own"""
    found = state(into_db({"from": [{"namespaceSelector": {}}]}))
    assert (flow(found, FAR, DB), flow(found, "8.8.8.8", DB)) == (ALL, NONE)


def test_the_protocol_of_a_port_is_tcp_unless_said() -> None:
    """Checklist 1.1: protocol default TCP"""
    assert flow(state(into_db({"ports": [{"port": 53}]})), WEB, DB) == ports("TCP", 53)


def test_a_protocol_without_a_port_is_every_port_of_that_protocol_and_of_no_other() -> None:
    """Checklist 1.1: port absent with a protocol = all ports of that protocol only"""
    assert str(flow(state(into_db({"ports": [{"protocol": "UDP"}]})), WEB, DB)) == "UDP/all"


def test_a_port_name_is_resolved_by_each_destination_for_itself() -> None:
    """Checklist 1.1: Named port resolves per destination pod, name and protocol
    Checklist 1.1: same name may mean different numbers in different pods
    """
    found = state(network_policy("a/p", podSelector={}, ingress=[{"ports": [{"port": "http"}]}]))
    assert (flow(found, FAR, WEB), flow(found, FAR, DB)) == (ports("TCP", 8080), ports("TCP", 9090))
    out = state(network_policy("b/p", podSelector={}, policyTypes=["Egress"], egress=[{"ports": [{"port": "http"}]}]))
    assert (flow(out, FAR, WEB), flow(out, FAR, DB)) == (ports("TCP", 8080), ports("TCP", 9090))


def test_a_port_name_counts_only_with_its_protocol() -> None:
    """Checklist 1.1: Named port resolves per destination pod, name and protocol"""
    assert flow(state(into_db({"ports": [{"port": "dns", "protocol": "UDP"}]})), WEB, DB) == NONE


def test_a_port_name_nobody_has_matches_nothing() -> None:
    """Checklist 1.1: unresolved = matches nothing"""
    assert flow(state(into_db({"ports": [{"port": "metrics"}]})), WEB, DB) == NONE


def test_a_port_name_never_matches_an_address() -> None:
    """Checklist 1.1: never matches an IP peer"""
    out = network_policy("a/p", podSelector={}, policyTypes=["Egress"], egress=[{"ports": [{"port": "http"}]}])
    assert flow(state(out), WEB, "8.8.8.8") == NONE


def test_ports_of_init_containers_and_names_repeated_by_several_containers_count() -> None:
    """Checklist 1.1: several containers may repeat a name; init/sidecar containers count"""
    body = pod("a/twice", "10.244.0.9", ports=[{"name": "m", "containerPort": 1}])
    body["spec"]["initContainers"] = [{"name": "side", "ports": [{"name": "m", "containerPort": 2}]}]
    policy = network_policy("a/p", podSelector={}, ingress=[{"ports": [{"port": "m"}]}])
    assert str(flow(state(policy, more=(body,)), FAR, body)) == "TCP/1-2"


def test_a_repeated_port_name_is_an_open_question_where_the_api_alone_is_read() -> None:
    body = pod("a/twice", "10.244.0.9", ports=[{"name": "m", "containerPort": 1}, {"name": "m", "containerPort": 2}])
    policy = network_policy("a/p", podSelector={}, ingress=[{"ports": [{"port": "m"}]}])
    found = state(policy, more=(body,), dialect=Dialect.KUBERNETES)
    reach = found.reach(pod_from_body(FAR), pod_from_body(body))
    assert (reach.must, ports("TCP", 1, 2) <= reach.may) == (NONE, True)


def test_a_range_of_ports_includes_both_of_its_ends() -> None:
    """Checklist 1.1: endPort inclusive"""
    assert flow(state(into_db({"ports": [{"port": 80, "endPort": 90}]})), WEB, DB) == ports("TCP", 80, 90)


@pytest.mark.parametrize("port", [{"port": "http", "endPort": 9}, {"endPort": 9}, {"port": 9, "endPort": 8}])
def test_a_range_that_is_none_matches_nothing_and_is_named(port: Body) -> None:
    """Checklist 1.1: endPort needs numeric port, >= port"""
    found = state(into_db({"ports": [port]}))
    assert flow(found, WEB, DB) == NONE
    assert found.notes()


@pytest.mark.parametrize(("dialect", "last"), [("kubernetes", 80), ("calico", 90), ("cilium", 80)])
def test_whoever_ignores_the_end_of_a_range_allows_its_first_port_alone(dialect: str, last: int) -> None:
    """Checklist 1.1: Some CNIs ignored endPort"""
    rule = {"ports": [{"port": 80, "endPort": 90}, {"port": 85}]}
    reach = state(into_db(rule), dialect=Dialect(dialect)).reach(pod_from_body(WEB), pod_from_body(DB))
    assert reach.must == ports("TCP", 80, last) | ports("TCP", 85)
    assert ports("TCP", 79, 91) & reach.may == ports("TCP", 80, 90)


def test_a_port_said_beside_a_range_that_holds_it_is_sure_whatever_becomes_of_the_range() -> None:
    named = into_db({"ports": [{"port": 80, "endPort": 90}, {"port": "http"}]})
    reach = state(named, dialect=Dialect.CILIUM).reach(pod_from_body(WEB), pod_from_body(DB))
    assert reach.must == ports("TCP", 80) | ports("TCP", 9090)


def test_an_exception_cuts_its_own_block_only_and_another_block_may_allow_again() -> None:
    """Checklist 1.1: ipBlock.except subtracts only inside that element; another element may re-allow"""
    cut = {"ipBlock": {"cidr": "203.0.113.0/24", "except": ["203.0.113.0/25"]}}
    one = state(into_db({"from": [cut]}))
    assert (flow(one, "203.0.113.1", DB), flow(one, "203.0.113.200", DB)) == (NONE, ALL)
    two = state(into_db({"from": [cut, {"ipBlock": {"cidr": "203.0.113.0/30"}}]}))
    assert (flow(two, "203.0.113.1", DB), flow(two, "203.0.113.9", DB)) == (ALL, NONE)


def test_host_bits_of_a_block_are_cleared_and_named() -> None:
    """Checklist 1.1: CIDR with host bits set: normalise, warn"""
    found = state(into_db({"from": [{"ipBlock": {"cidr": "203.0.113.77/24"}}]}))
    assert flow(found, "203.0.113.1", DB) == ALL
    assert "host bits" in found.notes()[0]


def test_the_families_of_addresses_never_mix() -> None:
    """Checklist 1.1: IPv4 and IPv6 disjoint"""
    found = state(into_db({"from": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}))
    assert (flow(found, "8.8.8.8", DB), flow(found, "2001:db8::1", DB)) == (ALL, NONE)


def test_a_pod_of_two_addresses_is_surely_matched_only_if_both_are() -> None:
    """Checklist 1.1: dual-stack pods have two addresses"""
    four, six = ({"ipBlock": {"cidr": cidr}} for cidr in ("10.244.0.0/16", "fd00::/16"))
    both = [pod("a/one", "10.244.0.21", "fd00::21"), pod("a/other", "10.244.0.22", "fd00::22")]
    ends = [pod_from_body(body) for body in both]

    def reached(*peers: Body) -> tuple[PortSet, PortSet]:
        policy = network_policy("a/p", podSelector={"matchLabels": {"app": "other"}}, ingress=[{"from": list(peers)}])
        found = state(policy, more=tuple(both)).reach(*ends)
        return found.must, found.may

    assert reached(four) == reached(six) == (NONE, ALL)
    assert reached(four, six) == (ALL, ALL)
    assert reached({"ipBlock": {"cidr": "192.0.2.0/24"}}) == (NONE, NONE)


def test_isolation_is_of_one_direction_and_of_the_pods_that_a_policy_selects() -> None:
    """Checklist 1.1: Isolation is per direction and per pod"""
    found = state(into_db(ingress=[]))
    assert (flow(found, FAR, DB), flow(found, DB, FAR), flow(found, FAR, WEB)) == (NONE, ALL, ALL)


def test_a_connection_passes_only_if_egress_of_its_source_and_ingress_of_its_target_allow_it() -> None:
    """Checklist 1.1: connection allowed iff src egress AND dst ingress allow"""
    out = network_policy("a/out", podSelector={"matchLabels": {"app": "web"}}, policyTypes=["Egress"])
    assert flow(state(into_db({}), out), WEB, DB) == NONE
    assert flow(state(into_db({}), out), FAR, DB) == ALL


def test_answers_come_back_though_the_pod_may_open_nothing_itself() -> None:
    """Checklist 1.1: Replies implicit (stateful)"""
    found = state(into_db({}, policyTypes=["Ingress", "Egress"]))
    assert (flow(found, FAR, DB), flow(found, DB, FAR)) == (ALL, NONE)


def test_policies_add_up() -> None:
    """Checklist 1.1: allow = union over policies"""
    more = network_policy("a/q", podSelector={}, ingress=[{"ports": [{"port": 2}]}])
    found = state(into_db({"ports": [{"port": 1}]}), more)
    assert (flow(found, FAR, DB), flow(found, FAR, WEB), flow(found, DB, FAR)) == (
        ports("TCP", 1, 2),
        ports("TCP", 2),
        ALL,
    )


@pytest.mark.parametrize(
    ("operator", "values", "matched"),
    [
        ("NotIn", ["y"], True),
        ("DoesNotExist", None, True),
        ("In", ["y"], False),
        ("Exists", None, False),
    ],
)
def test_not_in_and_does_not_exist_match_pods_without_the_key(
    operator: str, values: list[str] | None, matched: bool
) -> None:
    """Checklist 1.1: NotIn and DoesNotExist match pods lacking the key"""
    expression: Body = {"key": "missing", "operator": operator}
    if values:
        expression["values"] = values
    found = state(into_db({"from": [{"podSelector": {"matchExpressions": [expression]}}]}))
    assert (flow(found, WEB, DB) == ALL) is matched


@pytest.mark.parametrize(
    "expression",
    [
        {"key": "k", "operator": "In"},
        {"key": "k", "operator": "Exists", "values": ["x"]},
        {"key": "k", "operator": "Near"},
    ],
)
def test_a_malformed_requirement_leaves_the_answer_open_and_is_named(expression: Body) -> None:
    """Checklist 1.1: In/NotIn need values; Exists/DoesNotExist none"""
    found = state(into_db({"from": [{"podSelector": {"matchExpressions": [expression]}}]}))
    reach = found.reach(pod_from_body(WEB), pod_from_body(DB))
    assert (reach.must, reach.may) == (NONE, ALL)
    assert found.notes()


def test_an_sctp_rule_isolates_and_is_not_read_as_tcp() -> None:
    """Checklist 1.1: SCTP rule must isolate and must not be read as TCP"""
    assert flow(state(into_db({"ports": [{"port": 80, "protocol": "SCTP"}]})), WEB, DB) == ports("SCTP", 80)


def test_what_becomes_of_icmp_is_open_in_the_api_and_closed_under_calico() -> None:
    """Checklist 1.1: Protocols other than TCP/UDP/SCTP (ICMP) are undefined in NPv1"""
    policy = into_db({"ports": [{"port": 80}]})
    open_reach = state(policy, dialect=Dialect.KUBERNETES).reach(pod_from_body(WEB), pod_from_body(DB))
    assert "ICMP" not in str(open_reach.must)
    assert "ICMP/all" in str(open_reach.may)
    assert "ICMP" not in str(flow(state(policy), WEB, DB))


def test_the_name_label_of_a_namespace_is_there_even_if_no_manifest_says_so() -> None:
    """Checklist 1.1: kubernetes.io/metadata.name label exists on every live namespace: synthesise"""
    by_name = {
        "namespaceSelector": {
            "matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["b"]}]
        }
    }
    assert flow(state(into_db({"from": [by_name]})), FAR, DB) == ALL


def test_finished_pods_are_no_endpoints_but_pods_that_wait_for_an_address_are() -> None:
    """Checklist 1.1: Pods Succeeded/Failed: no endpoint"""
    waiting = pod("a/soon")
    waiting["status"] = {"phase": "Pending"}
    over = pod("a/over", "10.244.0.8")
    over["status"]["phase"] = "Succeeded"
    found = state(more=(waiting, over))
    assert flow(found, waiting, DB) == ALL
    with pytest.raises(LookupError, match="not running"):
        found.class_of(pod_from_body(over))


def test_a_label_of_a_namespace_opens_without_any_policy_edit() -> None:
    """Checklist 1.1: Labels are inputs: can loosen with no policy edit at all"""
    policy = into_db({"from": [{"namespaceSelector": {"matchLabels": {"team": "green"}}}]})
    before = state(policy)
    after = state(policy, more=(namespace("b", team="green"),))
    assert (flow(before, FAR, DB), flow(after, FAR, DB)) == (NONE, ALL)


@pytest.mark.parametrize(
    "spoil",
    [
        {"spec": {"egressDeny": []}},
        {"rule": {"toFQDNs": []}},
        {"peer": {"serviceSelector": {}}},
    ],
)
def test_unknown_fields_leave_the_answer_open_and_are_named(spoil: dict[str, Body]) -> None:
    rule = {
        "from": [{"podSelector": {"matchLabels": {"app": "web"}}, **spoil.get("peer", {})}],
        **spoil.get("rule", {}),
    }
    found = state(into_db(rule, **spoil.get("spec", {})))
    reach = found.reach(pod_from_body(WEB), pod_from_body(DB))
    assert (reach.must, reach.may) == (NONE, ALL)
    assert "unknown field" in found.notes()[0]


def ports(protocol: str, low: int, high: int | None = None) -> PortSet:
    return port_range(protocol, low, high)


def test_a_pod_without_a_class_of_its_own_is_told_by_name() -> None:
    found = state()
    assert isinstance(found.pod("a", "web"), Pod)
    with pytest.raises(LookupError, match="a/nobody"):
        found.pod("a", "nobody")


def test_spans_in_any_order_are_one_set() -> None:
    assert of_spans([(5, 9), (1, 4)]) == of_spans([(1, 9)])
