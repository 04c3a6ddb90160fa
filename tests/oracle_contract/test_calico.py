"""Truth tables for the Calico oracle: one rule a test, in our own words."""

from typing import ClassVar

import pytest

from tests.oracle.bodies import Body, Cluster, Endpoint
from tests.oracle.calico import allowed
from tests.oracle.selectors import NotAcceptedError
from tests.oracle.worlds import Allowed
from tests.support.objects import (
    calico_policy,
    cluster_policy,
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

YES, NO, OPEN = Allowed.YES, Allowed.NO, Allowed.OPEN
INTERNET = "93.184.216.34"
A, B = namespace("a", team="red"), namespace("b", team="blue")
WEB = pod("a/web", "10.244.1.1", account="web")
API = pod("a/api", "10.244.1.2", ports=[{"name": "http", "containerPort": 8080}])
FAR = pod("b/far", "10.244.2.1", account="web")
HOST = pod("b/host", "192.168.0.9", node="192.168.0.9", host_network=True)
ALLOW, DENY, PASS, LOG = ({"action": action} for action in ("Allow", "Deny", "Pass", "Log"))


def ask(
    policies: list[Body],
    source: Endpoint,
    target: Endpoint,
    protocol: str = "TCP",
    port: int = 8080,
    *,
    others: list[Body] | None = None,
) -> Allowed:
    return allowed(Cluster([A, B], [WEB, API, FAR, HOST], policies, others or []), source, target, protocol, port)


def into(*rules: Body, order: float | None = 10, name: str = "p", where: str = "default") -> Body:
    """A global policy on ingress of every pod."""
    return global_policy(name, tier=where, order=order, types=["Ingress"], ingress=list(rules))


class TestTiers:
    FIRST, SECOND = tier("first", 1), tier("second", 2)

    def test_nothing_applies_and_the_profile_allows(self) -> None:
        assert ask([], FAR, API) == YES

    def test_an_applicable_policy_without_a_matching_rule_brings_the_tiers_default_action_on(self) -> None:
        assert ask([into()], FAR, API) == NO
        assert ask([into()], API, FAR) == NO  # every pod is subject
        assert ask([into(where="kube-admin")], FAR, API) == YES  # its default is Pass
        passing = tier("mine", 5, "Pass")
        assert ask([into(where="mine")], FAR, API, others=[passing]) == YES

    def test_a_tier_of_which_nobody_applies_in_the_direction_is_skipped(self) -> None:
        only_web = global_policy("p", selector="app == 'web'", types=["Ingress"])
        assert (ask([only_web], FAR, WEB), ask([only_web], FAR, API)) == (NO, YES)
        egress_only = global_policy("p", types=["Egress"], egress=[ALLOW])
        assert ask([egress_only], FAR, API) == YES

    def test_allow_and_deny_are_final_and_pass_goes_to_the_next_tier(self) -> None:
        both = [self.FIRST, self.SECOND]
        assert ask([into(ALLOW, where="first"), into(DENY, where="second")], FAR, API, others=both) == YES
        assert ask([into(DENY, where="first"), into(ALLOW, where="second")], FAR, API, others=both) == NO
        assert ask([into(PASS, where="first"), into(DENY, where="second")], FAR, API, others=both) == NO
        assert ask([into(PASS, where="first"), into(ALLOW, where="second")], FAR, API, others=both) == YES
        assert ask([into(PASS, where="first")], FAR, API, others=both) == YES  # and then the profile

    def test_pass_skips_the_rest_of_its_own_tier(self) -> None:
        assert ask([into(PASS, order=1, name="x"), into(DENY, order=2, name="y")], FAR, API) == YES

    def test_tiers_go_by_order_then_name_and_without_order_last(self) -> None:
        allow, deny = into(ALLOW, where="x"), into(DENY, where="y")
        assert ask([allow, deny], FAR, API, others=[tier("x", 1), tier("y", 2)]) == YES
        assert ask([allow, deny], FAR, API, others=[tier("x", 2), tier("y", 1)]) == NO
        assert ask([allow, deny], FAR, API, others=[tier("x", 1), tier("y", 1)]) == YES
        assert ask([allow, deny], FAR, API, others=[tier("x", None), tier("y", 99_000_000)]) == NO

    def test_the_built_in_tiers_stand_around_the_default_one(self) -> None:
        assert ask([into(ALLOW, where="kube-admin"), into(DENY)], FAR, API) == YES
        assert ask([into(ALLOW, where="kube-baseline"), into(DENY)], FAR, API) == NO

    def test_a_policy_of_a_tier_that_does_not_exist_does_nothing(self) -> None:
        assert ask([into(DENY, where="nowhere")], FAR, API) == YES

    def test_staged_policies_do_nothing_not_even_end_their_tier(self) -> None:
        staged = {**into(DENY), "kind": "StagedGlobalNetworkPolicy"}
        assert ask([staged], FAR, API) == YES


class TestOrder:
    def test_policies_of_a_tier_go_by_order_and_without_order_last(self) -> None:
        assert ask([into(ALLOW, order=1, name="z"), into(DENY, order=2, name="a")], FAR, API) == YES
        assert ask([into(ALLOW, order=None, name="a"), into(DENY, order=2, name="z")], FAR, API) == NO
        assert ask([into(ALLOW, order=0.5, name="z"), into(DENY, order=0.6, name="a")], FAR, API) == YES

    def test_equal_orders_are_broken_by_name_namespace_kind_as_one_text(self) -> None:
        assert ask([into(ALLOW, name="a"), into(DENY, name="b")], FAR, API) == YES
        assert ask([into(ALLOW, name="b"), into(DENY, name="a")], FAR, API) == NO
        # "-" sorts before the slash that ends a name
        assert ask([into(ALLOW, name="a"), into(DENY, name="a-b")], FAR, API) == NO
        mine = calico_policy("a/a", order=10, types=["Ingress"], ingress=[DENY])
        assert ask([into(ALLOW, name="a"), mine], FAR, API) == YES  # "a//..." before "a/a/..."

    def test_a_stored_default_prefix_is_no_part_of_the_name(self) -> None:
        stored = into(DENY, name="default.x")
        assert ask([stored, into(ALLOW, name="m")], FAR, API) == YES

    def test_kubernetes_policies_stand_at_1000_in_the_default_tier(self) -> None:
        shut = network_policy("a/np", podSelector={}, ingress=[])
        open_all = network_policy("a/np", podSelector={}, ingress=[{}])
        assert ask([into(DENY, order=999), open_all], FAR, API) == NO
        assert ask([into(DENY, order=1001), open_all], FAR, API) == YES
        assert ask([into(ALLOW, order=1001), shut], FAR, API) == YES  # not matched, so the tier goes on
        assert ask([into(DENY, order=1000, name="a"), open_all], FAR, API) == NO
        assert ask([into(DENY, order=1000, name="z"), open_all], FAR, API) == YES

    def test_cluster_network_policies_stand_in_the_kube_tiers_and_ties_go_by_name(self) -> None:
        shut = network_policy("a/np", podSelector={}, ingress=[])
        rule: Body = {"from": [{"namespaces": {}}]}
        accept = cluster_policy("x", "Admin", 1, ingress=[{"action": "Accept", **rule}])
        deny = cluster_policy("y", "Admin", 1, ingress=[{"action": "Deny", **rule}])
        assert ask([accept, shut], FAR, API) == YES
        assert ask([accept, deny], FAR, API) == YES
        base = cluster_policy("x", "Baseline", 1, ingress=[{"action": "Deny", **rule}])
        assert ask([base], FAR, API) == NO
        assert ask([base, network_policy("a/np", podSelector={}, ingress=[{}])], FAR, API) == YES


class TestTypes:
    @pytest.mark.parametrize(
        ("spec", "ingress", "egress"),
        [
            ({}, NO, YES),
            ({"ingress": [DENY]}, NO, YES),
            ({"egress": [DENY]}, YES, NO),
            ({"ingress": [DENY], "egress": [DENY]}, NO, NO),
            ({"types": ["Egress"], "ingress": [DENY]}, YES, NO),
        ],
    )
    def test_types_not_given_follow_from_the_rules(self, spec: Body, ingress: Allowed, egress: Allowed) -> None:
        mine = calico_policy("a/p", **spec)
        assert (ask([mine], FAR, API), ask([mine], API, FAR)) == (ingress, egress)

    def test_a_stored_object_without_types_is_enforced_both_ways(self) -> None:
        for spec in ({}, {"egress": [DENY]}):
            stored = calico_policy("a/p", "crd.projectcalico.org/v1", **spec)
            assert (ask([stored], FAR, API), ask([stored], API, FAR)) == (NO, NO)


class TestSubjects:
    def test_a_namespaced_policy_is_about_its_own_namespace(self) -> None:
        mine = calico_policy("a/p", ingress=[DENY])
        assert (ask([mine], FAR, API), ask([mine], API, FAR)) == (NO, YES)
        web = calico_policy("a/p", selector="app == 'web'", ingress=[DENY])
        assert (ask([web], FAR, API), ask([web], FAR, WEB)) == (YES, NO)

    def test_a_global_policy_chooses_by_labels_namespaces_and_accounts(self) -> None:
        red = global_policy("p", namespaceSelector="team == 'red'", ingress=[DENY])
        assert (ask([red], FAR, API), ask([red], API, FAR)) == (NO, YES)
        named = global_policy("p", namespaceSelector="projectcalico.org/name == 'b'", ingress=[DENY])
        assert (ask([named], FAR, API), ask([named], API, FAR)) == (YES, NO)
        account = global_policy("p", serviceAccountSelector="role == 'front'", ingress=[DENY])
        known = [service_account("a/web", role="front"), service_account("b/web")]
        assert [ask([account], source, target, others=known) for source, target in ((API, WEB), (API, FAR))] == [
            NO,
            YES,
        ]

    def test_policies_of_the_host_planes_do_not_touch_pods(self) -> None:
        assert ask([global_policy("p", doNotTrack=True, applyOnForward=True, ingress=[DENY])], FAR, API) == YES
        assert ask([global_policy("p", preDNAT=True, applyOnForward=True, ingress=[DENY])], FAR, API) == YES

    def test_host_network_pods_and_own_nodes_are_out_of_reach(self) -> None:
        assert ask([into(DENY)], FAR, HOST) == YES
        near = pod("a/near", "10.244.1.7", node="192.168.0.9")
        assert ask([into(DENY)], HOST, near) == YES
        assert ask([into(DENY)], HOST, API) == NO
        out = global_policy("p", types=["Egress"], egress=[DENY])
        assert ask([out], near, "192.168.0.9") == NO
        assert ask([into(DENY)], API, API) == YES


class TestRules:
    def test_rules_go_in_order_and_log_falls_through(self) -> None:
        assert ask([into(LOG, ALLOW, DENY)], FAR, API) == YES
        assert ask([into(LOG)], FAR, API) == NO

    def test_protocols_go_by_name_or_number_and_may_be_excluded(self) -> None:
        for tcp in ("TCP", 6):
            assert [ask([into({**ALLOW, "protocol": tcp})], FAR, API, one) for one in ("TCP", "UDP")] == [YES, NO]
            assert [ask([into({**ALLOW, "notProtocol": tcp})], FAR, API, one) for one in ("TCP", "UDP")] == [NO, YES]
        assert ask([into(ALLOW)], FAR, API, "ICMP", 0) == YES
        assert ask([into({**ALLOW, "protocol": "ICMP"})], FAR, API, "ICMP", 0) == YES

    def test_ports_are_numbers_ranges_and_names_and_may_be_excluded(self) -> None:
        def to(**destination: object) -> list[Body]:
            return [into({**ALLOW, "protocol": "TCP", "destination": destination})]

        ports = (79, 80, 82, 83, 8080)
        assert [ask(to(ports=[80]), FAR, API, port=port) for port in ports] == [NO, YES, NO, NO, NO]
        assert [ask(to(ports=["80:82"]), FAR, API, port=port) for port in ports] == [NO, YES, YES, NO, NO]
        assert [ask(to(ports=["http", 79]), FAR, API, port=port) for port in ports] == [YES, NO, NO, NO, YES]
        assert [ask(to(notPorts=["80:82", "http"]), FAR, API, port=port) for port in ports] == [YES, NO, NO, YES, NO]
        assert ask(to(ports=["80:82"], notPorts=[81]), FAR, API, port=81) == NO

    def test_nets_and_selectors_of_one_side_must_all_match_negative_ones_too(self) -> None:
        def source(**entity: object) -> list[Body]:
            return [into({**ALLOW, "source": entity})]

        assert ask(source(nets=["10.244.2.0/24"], selector="app == 'far'"), FAR, API) == YES
        assert ask(source(nets=["10.244.9.0/24"], selector="app == 'far'"), FAR, API) == NO
        assert ask(source(nets=["10.244.0.0/16"], notNets=["10.244.2.0/24"]), FAR, API) == NO
        assert ask(source(nets=["10.244.0.0/16"], notNets=["10.244.2.0/24"]), WEB, API) == YES
        assert ask(source(notNets=["10.0.0.0/8"]), INTERNET, API) == YES

    def test_a_negated_field_is_wider_than_a_negated_selector(self) -> None:
        outside = [into({**ALLOW, "source": {"notSelector": "app == 'web'"}})]
        known = [into({**ALLOW, "source": {"selector": "app != 'web'"}})]
        assert [ask(outside, who, API) for who in (WEB, FAR, INTERNET)] == [NO, YES, YES]
        assert [ask(known, who, API) for who in (WEB, FAR, INTERNET)] == [NO, YES, NO]

    def test_both_sides_of_a_rule_count_in_either_direction(self) -> None:
        rule = {**ALLOW, "source": {"selector": "app == 'far'"}, "destination": {"selector": "app == 'api'"}}
        assert (ask([into(rule)], FAR, API), ask([into(rule)], FAR, WEB)) == (YES, NO)

    def test_ip_version_narrows_to_a_family(self) -> None:
        assert ask([into({**ALLOW, "ipVersion": 4})], INTERNET, API) == YES
        assert ask([into({**ALLOW, "ipVersion": 6})], INTERNET, API) == NO

    def test_what_a_connection_does_not_tell_is_open(self) -> None:
        assert ask([into({**ALLOW, "http": {"methods": ["GET"]}})], FAR, API) == OPEN
        assert ask([into({**ALLOW, "protocol": "TCP", "source": {"ports": [1]}})], FAR, API) == OPEN

    def test_messages_go_by_type_and_code(self) -> None:
        echo = [into({**ALLOW, "protocol": "ICMP", "icmp": {"type": 8}})]
        assert [ask(echo, FAR, API, "ICMP", message) for message in (0, 8 * 256, 8 * 256 + 3)] == [NO, YES, YES]
        assert ask(echo, FAR, API) == NO
        others = [into({**ALLOW, "protocol": "ICMP", "notICMP": {"type": 8, "code": 0}})]
        assert [ask(others, FAR, API, "ICMP", 8 * 256 + code) for code in (0, 1)] == [NO, YES]


class TestRuleScope:
    def source(self, where: str, **entity: object) -> list[Body]:
        rule = {**ALLOW, "source": entity}
        if where == "global":
            return [global_policy("p", ingress=[rule])]
        return [calico_policy("a/p", ingress=[rule])]

    def test_in_a_namespaced_policy_a_selector_means_the_own_namespace(self) -> None:
        assert [ask(self.source("a", selector="all()"), who, API) for who in (WEB, FAR)] == [YES, NO]
        assert [ask(self.source("global", selector="all()"), who, API) for who in (WEB, FAR)] == [YES, YES]

    def test_a_not_selector_or_accounts_alone_mean_the_own_namespace_too(self) -> None:
        excluded = self.source("a", notSelector="app == 'web'")
        assert [ask(excluded, who, API) for who in (WEB, API, FAR, INTERNET)] == [NO, YES, NO, NO]
        accounts = self.source("a", serviceAccounts={"names": ["web"]})
        assert [ask(accounts, who, API) for who in (WEB, FAR)] == [YES, NO]

    def test_nets_and_nothing_at_all_have_no_such_limit(self) -> None:
        assert [ask(self.source("a", nets=["10.244.0.0/16"]), who, API) for who in (FAR, INTERNET)] == [YES, NO]
        assert [ask(self.source("a"), who, API) for who in (FAR, INTERNET)] == [YES, YES]

    def test_a_namespace_selector_lifts_the_limit_and_all_means_in_any_namespace(self) -> None:
        anywhere = self.source("a", namespaceSelector="all()")
        assert [ask(anywhere, who, API) for who in (WEB, FAR, INTERNET)] == [YES, YES, NO]
        blue = self.source("a", namespaceSelector="team == 'blue'", selector="app == 'far'")
        assert [ask(blue, who, API) for who in (WEB, FAR)] == [NO, YES]

    def test_accounts_go_by_name_and_label(self) -> None:
        known = [service_account("b/web", role="front")]
        rule = self.source("global", serviceAccounts={"selector": "role == 'front'"})
        assert [ask(rule, who, API, others=known) for who in (WEB, FAR)] == [NO, YES]
        named = self.source("global", serviceAccounts={"names": ["web"]})
        assert [ask(named, who, API) for who in (WEB, FAR, INTERNET)] == [YES, YES, NO]


class TestSets:
    PARTNERS, OWN = global_set("partners", "93.184.216.0/24", kind="partner"), network_set("a/s", INTERNET, kind="own")

    def source(self, where: str, **entity: object) -> list[Body]:
        return TestRuleScope().source(where, **entity)

    def test_a_selector_covers_the_addresses_of_the_sets_it_matches(self) -> None:
        rule = self.source("global", selector="kind == 'partner'")
        assert [ask(rule, who, API, others=[self.PARTNERS]) for who in (INTERNET, "93.184.217.1", FAR)] == [YES, NO, NO]

    def test_a_namespaced_set_is_in_its_namespace_and_inherits_its_labels(self) -> None:
        own = self.source("a", selector="kind == 'own'")
        assert ask(own, INTERNET, API, others=[self.OWN]) == YES
        foreign = [calico_policy("b/p", ingress=[{**ALLOW, "source": {"selector": "kind == 'own'"}}])]
        assert ask(foreign, INTERNET, FAR, others=[self.OWN]) == NO
        red = self.source("global", namespaceSelector="team == 'red'")
        assert ask(red, INTERNET, API, others=[self.OWN]) == YES

    def test_global_means_what_is_in_no_namespace(self) -> None:
        rule = self.source("a", namespaceSelector="global()", selector="has(kind)")
        assert ask(rule, INTERNET, API, others=[self.PARTNERS]) == YES
        assert ask(rule, INTERNET, API, others=[self.OWN]) == NO
        assert ask(self.source("a", namespaceSelector="all()"), INTERNET, API, others=[self.PARTNERS]) == NO

    def test_a_pod_inside_a_set_is_covered_through_the_set(self) -> None:
        pods = global_set("pods", "10.244.2.0/24", kind="partner")
        assert ask(self.source("global", selector="kind == 'partner'"), FAR, API, others=[pods]) == YES
        assert ask(self.source("global", notSelector="kind == 'partner'"), FAR, API, others=[pods]) == NO


class TestServices:
    def test_a_service_stands_for_its_endpoints_and_their_ports(self) -> None:
        slices = [endpoint_slice("b/far-x1", "far", ["10.244.2.1"], ("TCP", 9090))]
        rule = {**ALLOW, "destination": {"services": {"name": "far", "namespace": "b"}}}
        out = [calico_policy("a/p", types=["Egress"], egress=[rule])]
        assert [ask(out, WEB, FAR, port=port, others=slices) for port in (9090, 9091)] == [YES, NO]
        assert ask(out, WEB, FAR, "UDP", 9090, others=slices) == NO
        assert ask(out, WEB, API, port=9090, others=slices) == NO
        assert ask(out, WEB, FAR, port=9090) == NO

    def test_without_a_namespace_it_is_the_policys_and_as_a_source_ports_do_not_count(self) -> None:
        slices = [endpoint_slice("a/web-x1", "web", ["10.244.1.1"], ("TCP", 80))]
        rule = {**ALLOW, "source": {"services": {"name": "web"}}}
        mine = [calico_policy("a/p", ingress=[rule])]
        assert [ask(mine, who, API, port=9, others=slices) for who in (WEB, FAR)] == [YES, NO]


def test_kubernetes_blocks_cover_pods_and_icmp_follows_rules_without_ports() -> None:
    everywhere = network_policy("a/p", podSelector={}, ingress=[{"from": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}])
    assert ask([everywhere], FAR, API) == YES
    assert ask([everywhere], FAR, API, "ICMP", 0) == YES
    ports = network_policy("a/p", podSelector={}, ingress=[{"ports": [{"port": 80}]}])
    assert ask([ports], FAR, API, "ICMP", 0) == NO


def test_calico_does_not_know_the_experimental_peers_and_fails_closed() -> None:
    to_nodes = {"action": "Deny", "to": [{"nodes": {}}]}
    out = cluster_policy("x", "Admin", 1, egress=[to_nodes])
    assert ask([out], WEB, FAR) == NO
    named = {"action": "Accept", "from": [{"namespaces": {}}], "protocols": [{"destinationNamedPort": "http"}]}
    shut = network_policy("a/np", podSelector={}, ingress=[])
    assert ask([cluster_policy("x", "Admin", 1, ingress=[named]), shut], FAR, API) == NO


class TestHostEndpoints:
    GUARD: ClassVar[Body] = {
        "apiVersion": "projectcalico.org/v3",
        "kind": "HostEndpoint",
        "metadata": {"name": "node"},
        "spec": {"interfaceName": "*"},
    }

    def test_without_any_nodes_are_open(self) -> None:
        assert [ask([], *ends) for ends in ((WEB, HOST), (HOST, WEB), (INTERNET, HOST))] == [YES, YES, YES]

    def test_with_one_what_passes_a_node_is_open_but_for_the_failsafe_ports(self) -> None:
        for one, other in ((WEB, HOST), (INTERNET, HOST), (HOST, WEB), (WEB, "192.168.0.9")):
            assert ask([], one, other, others=[self.GUARD]) == OPEN
            assert ask([], one, other, port=6443, others=[self.GUARD]) == YES
        assert ask([], WEB, HOST, port=22, others=[self.GUARD]) == YES
        assert ask([], HOST, WEB, port=22, others=[self.GUARD]) == OPEN

    def test_pods_among_themselves_and_to_the_internet_are_none_of_its_business(self) -> None:
        assert ask([], WEB, FAR, others=[self.GUARD]) == ask([], WEB, INTERNET, others=[self.GUARD]) == YES


def test_a_service_without_slices_stands_for_the_pods_it_selects() -> None:
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "api", "namespace": "a"},
        "spec": {"selector": {"app": "api"}, "ports": [{"port": 80, "targetPort": "http"}, {"port": 9}]},
    }
    out = calico_policy("a/p", egress=[{**ALLOW, "destination": {"services": {"name": "api"}}}])
    assert [ask([out], WEB, API, port=port, others=[service]) for port in (8080, 80, 9)] == [YES, NO, YES]
    assert ask([out], WEB, FAR, others=[service]) == NO
    slices = [endpoint_slice("a/api-1", "api", ["10.244.2.1"], ("TCP", 8080))]
    assert [ask([out], WEB, who, others=[service, *slices]) for who in (API, FAR)] == [NO, YES]


def test_no_rule_sees_the_address_of_a_service() -> None:
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "api", "namespace": "a"},
        "spec": {"clusterIP": "10.96.0.1"},
    }
    by_block = network_policy("a/p", podSelector={}, egress=[{"to": [{"ipBlock": {"cidr": "10.96.0.0/12"}}]}])
    by_net = calico_policy("a/p", egress=[{**ALLOW, "destination": {"nets": ["10.96.0.0/12"]}}])
    for policy in (by_block, by_net):
        assert [ask([policy], WEB, ip, others=[service]) for ip in ("10.96.0.1", "10.96.0.2")] == [NO, YES]


def test_a_policy_stored_under_both_of_its_names_is_two_and_their_names_order_them() -> None:
    def named(name: str, rule: Body) -> Body:
        return calico_policy(f"a/{name}", selector="app == 'api'", types=["Ingress"], ingress=[rule])

    assert ask([named("p", ALLOW), named("default.p", DENY)], FAR, API) == NO
    assert ask([named("p", DENY), named("default.p", ALLOW)], FAR, API) == YES
    assert ask([named("default.q", DENY), named("p", ALLOW)], FAR, API) == YES


def test_a_pod_that_meets_itself_through_a_service_is_subject() -> None:
    cluster = Cluster([A, B], [WEB, API, FAR], [into(DENY)], [])
    assert [allowed(cluster, API, API, "TCP", 80, through_service=said) for said in (False, True)] == [YES, NO]


@pytest.mark.parametrize(
    "policy",
    [
        into({**ALLOW, "source": {"services": {"name": "x", "namespace": "a"}, "nets": ["10.0.0.0/8"]}}),
        into({**ALLOW, "icmp": {"type": 8}}),
        global_policy("p", namespaceSelector="global()", ingress=[ALLOW]),
    ],
)
def test_what_calico_refuses_has_no_meaning(policy: Body) -> None:
    with pytest.raises(NotAcceptedError):
        ask([policy], FAR, API)
