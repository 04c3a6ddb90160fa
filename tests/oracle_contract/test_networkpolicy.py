"""Truth tables for the NetworkPolicy oracle: one rule of the specification a test, in our own words."""

from typing import Any, ClassVar

import pytest

from tests.oracle.bodies import Body, Cluster, Endpoint
from tests.oracle.networkpolicy import allowed
from tests.oracle.selectors import NotAcceptedError
from tests.oracle.worlds import Allowed

YES, NO, OPEN = Allowed.YES, Allowed.NO, Allowed.OPEN
INTERNET = "93.184.216.34"


def namespace(name: str, **labels: str) -> Body:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def pod(
    where: str,
    ip: str | list[str] = "",
    labels: dict[str, str] | None = None,
    *,
    ports: list[Body] | None = None,
    init_ports: list[Body] | None = None,
    host: str = "",
    on_host_network: bool = False,
    phase: str = "Running",
) -> Body:
    space, name = where.split("/")
    ips = [ip] if isinstance(ip, str) else ip
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": space, "labels": {"app": name} if labels is None else labels},
        "spec": {
            "hostNetwork": on_host_network,
            "containers": [{"name": "main", "ports": ports}],
            "initContainers": [{"name": "init", "ports": init_ports}],
        },
        "status": {"phase": phase, "podIPs": [{"ip": one} for one in ips if one], "hostIP": host},
    }


def policy(where: str, **spec: Any) -> Body:
    space, name = where.split("/")
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": space},
        "spec": spec,
    }


A, B = namespace("a", team="red"), namespace("b", team="blue")
WEB = pod("a/web", "10.244.1.1")
API = pod("a/api", "10.244.1.2", ports=[{"name": "http", "containerPort": 8080}])
FAR = pod("b/far", "10.244.2.1", ports=[{"name": "http", "containerPort": 9090}])
DENY_ALL = policy("a/deny", podSelector={}, policyTypes=["Ingress", "Egress"])


def ask(
    policies: list[Body],
    source: Endpoint,
    target: Endpoint,
    protocol: str = "TCP",
    port: int = 8080,
    *,
    dialect: str = "kubernetes",
    pods: list[Body] | None = None,
) -> Allowed:
    cluster = Cluster(namespaces=[A, B], pods=[WEB, API, FAR, *(pods or [])], policies=policies)
    return allowed(cluster, source, target, protocol, port, dialect=dialect)


class TestIsolation:
    def test_without_any_policy_everything_is_allowed(self) -> None:
        assert ask([], FAR, API) == ask([], API, INTERNET) == ask([], INTERNET, API) == YES

    def test_a_policy_isolates_only_pods_of_its_own_namespace(self) -> None:
        assert ask([DENY_ALL], FAR, API) == NO
        assert ask([policy("b/deny", podSelector={}, policyTypes=["Ingress"])], WEB, API) == YES

    def test_missing_empty_and_null_pod_selectors_select_every_pod_of_the_namespace(self) -> None:
        specs: list[Body] = [{}, {"podSelector": {}}, {"podSelector": None}]
        for spec in specs:
            assert ask([policy("a/deny", **spec)], FAR, API) == NO

    def test_only_selected_pods_are_isolated(self) -> None:
        only_web = policy("a/web", podSelector={"matchLabels": {"app": "web"}})
        assert ask([only_web], FAR, WEB) == NO
        assert ask([only_web], FAR, API) == YES

    def test_isolation_is_per_direction(self) -> None:
        ingress = policy("a/in", podSelector={}, policyTypes=["Ingress"])
        assert ask([ingress], FAR, API) == NO
        assert ask([ingress], API, FAR) == YES
        egress = policy("a/out", podSelector={}, policyTypes=["Egress"])
        assert ask([egress], FAR, API) == YES
        assert ask([egress], API, FAR) == NO

    def test_a_connection_needs_both_sides(self) -> None:
        let_in = policy("a/in", podSelector={"matchLabels": {"app": "api"}}, ingress=[{}], policyTypes=["Ingress"])
        assert ask([DENY_ALL, let_in], WEB, API) == NO  # web may not send
        let_out = policy("a/out", podSelector={"matchLabels": {"app": "web"}}, egress=[{}], policyTypes=["Egress"])
        assert ask([DENY_ALL, let_out], WEB, API) == NO  # api may not receive
        assert ask([DENY_ALL, let_in, let_out], WEB, API) == YES
        assert ask([DENY_ALL, let_in, let_out], API, WEB) == NO  # answers pass, new connections back do not

    def test_policies_add_up_and_never_subtract(self) -> None:
        open_all = policy("a/open", podSelector={}, ingress=[{}])
        assert ask([DENY_ALL, open_all], FAR, API) == ask([open_all, DENY_ALL], FAR, API) == YES


class TestPolicyTypes:
    EGRESS: ClassVar = [{"ports": [{"port": 53}]}]

    @pytest.mark.parametrize("types", [{}, {"policyTypes": None}, {"policyTypes": []}])
    def test_not_given_means_ingress_always(self, types: Body) -> None:
        assert ask([policy("a/p", podSelector={}, **types)], FAR, API) == NO
        assert ask([policy("a/p", podSelector={}, **types)], API, FAR) == YES

    @pytest.mark.parametrize("types", [{}, {"policyTypes": None}, {"policyTypes": []}])
    def test_not_given_means_egress_too_only_with_egress_rules(self, types: Body) -> None:
        assert ask([policy("a/p", podSelector={}, egress=self.EGRESS, **types)], API, FAR) == NO
        assert ask([policy("a/p", podSelector={}, egress=self.EGRESS, **types)], FAR, API) == NO
        assert ask([policy("a/p", podSelector={}, egress=[], **types)], API, FAR) == YES

    def test_given_it_is_taken_as_it_stands(self) -> None:
        only_egress = policy("a/p", podSelector={}, policyTypes=["Egress"])
        assert ask([only_egress], API, FAR) == NO
        assert ask([only_egress], FAR, API) == YES

    def test_a_section_whose_type_is_not_listed_has_no_effect(self) -> None:
        ignored = policy("a/p", podSelector={}, policyTypes=["Ingress"], egress=self.EGRESS)
        assert ask([ignored], API, FAR) == YES
        ignored = policy("a/p", podSelector={}, policyTypes=["Egress"], ingress=[{"ports": [{"port": 53}]}])
        assert ask([ignored], FAR, API) == YES


class TestRules:
    def test_no_rules_allow_nothing_and_an_empty_rule_allows_everything(self) -> None:
        nothings: list[Body] = [{}, {"ingress": []}, {"ingress": None}]
        for nothing in nothings:
            assert ask([policy("a/p", podSelector={}, **nothing)], FAR, API) == NO
        assert ask([policy("a/p", podSelector={}, ingress=[{}])], FAR, API) == YES
        assert ask([policy("a/p", podSelector={}, ingress=[{}])], INTERNET, API, "SCTP", 1) == YES

    @pytest.mark.parametrize("peers", [{}, {"from": None}, {"from": []}])
    def test_missing_null_and_empty_peers_mean_everybody(self, peers: Body) -> None:
        rule = policy("a/p", podSelector={}, ingress=[{"ports": [{"port": 8080}], **peers}])
        assert ask([rule], FAR, API) == ask([rule], INTERNET, API) == YES
        assert ask([rule], FAR, API, port=8081) == NO

    @pytest.mark.parametrize("ports", [{}, {"ports": None}, {"ports": []}])
    def test_missing_null_and_empty_ports_mean_all_ports_of_all_protocols(self, ports: Body) -> None:
        rule = policy("a/p", podSelector={}, ingress=[{"from": [{"namespaceSelector": {}}], **ports}])
        for protocol in ("TCP", "UDP", "SCTP"):
            assert ask([rule], FAR, API, protocol, 1) == YES
        assert ask([rule], INTERNET, API) == NO

    def test_peers_and_ports_of_one_rule_go_together_and_rules_are_alternatives(self) -> None:
        rules = policy(
            "a/p",
            podSelector={},
            ingress=[
                {"from": [{"podSelector": {}}], "ports": [{"port": 1}]},
                {"from": [{"namespaceSelector": {}}], "ports": [{"port": 2}]},
            ],
        )
        assert [ask([rules], WEB, API, port=port) for port in (1, 2, 3)] == [YES, YES, NO]
        assert [ask([rules], FAR, API, port=port) for port in (1, 2, 3)] == [NO, YES, NO]


class TestPeers:
    def ingress(self, *peers: Body) -> list[Body]:
        return [policy("a/p", podSelector={"matchLabels": {"app": "api"}}, ingress=[{"from": list(peers)}])]

    def test_a_pod_selector_alone_means_the_policys_own_namespace(self) -> None:
        assert ask(self.ingress({"podSelector": {}}), WEB, API) == YES
        assert ask(self.ingress({"podSelector": {}}), FAR, API) == NO
        assert ask(self.ingress({"podSelector": {"matchLabels": {"app": "far"}}}), FAR, API) == NO

    def test_a_namespace_selector_alone_means_every_pod_there(self) -> None:
        assert ask(self.ingress({"namespaceSelector": {"matchLabels": {"team": "blue"}}}), FAR, API) == YES
        assert ask(self.ingress({"namespaceSelector": {"matchLabels": {"team": "blue"}}}), WEB, API) == NO

    def test_an_empty_namespace_selector_means_all_namespaces_and_a_null_one_the_own(self) -> None:
        assert ask(self.ingress({"namespaceSelector": {}}), FAR, API) == YES
        assert ask(self.ingress({"namespaceSelector": None, "podSelector": {}}), FAR, API) == NO

    def test_both_selectors_in_one_item_must_both_match_and_two_items_are_alternatives(self) -> None:
        blue, web = {"matchLabels": {"team": "blue"}}, {"matchLabels": {"app": "web"}}
        blue_web = pod("b/web", "10.244.2.2")
        together = self.ingress({"namespaceSelector": blue, "podSelector": web})
        assert [ask(together, source, API, pods=[blue_web]) for source in (WEB, FAR, blue_web)] == [NO, NO, YES]
        apart = self.ingress({"namespaceSelector": blue}, {"podSelector": web})
        assert [ask(apart, source, API, pods=[blue_web]) for source in (WEB, FAR, blue_web)] == [YES, YES, YES]

    def test_every_namespace_carries_its_name_as_a_label_even_when_its_manifest_does_not(self) -> None:
        named = self.ingress({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "b"}}})
        assert ask(named, FAR, API) == YES
        assert ask(named, WEB, API) == NO

    def test_selectors_never_match_addresses(self) -> None:
        assert ask(self.ingress({"namespaceSelector": {}}, {"podSelector": {}}), INTERNET, API) == NO

    def test_an_empty_peer_and_a_block_beside_a_selector_are_refused(self) -> None:
        with pytest.raises(NotAcceptedError):
            ask(self.ingress({}), WEB, API)
        with pytest.raises(NotAcceptedError):
            ask(self.ingress({"ipBlock": {"cidr": "0.0.0.0/0"}, "podSelector": {}}), WEB, API)


class TestSelectors:
    @pytest.mark.parametrize(
        ("requirement", "labels", "matches"),
        [
            ({"operator": "In", "values": ["x", "y"]}, {"k": "x"}, True),
            ({"operator": "In", "values": ["x", "y"]}, {"k": "z"}, False),
            ({"operator": "In", "values": ["x", "y"]}, {}, False),
            ({"operator": "NotIn", "values": ["x"]}, {"k": "x"}, False),
            ({"operator": "NotIn", "values": ["x"]}, {"k": "y"}, True),
            ({"operator": "NotIn", "values": ["x"]}, {}, True),
            ({"operator": "Exists"}, {"k": ""}, True),
            ({"operator": "Exists", "values": []}, {}, False),
            ({"operator": "DoesNotExist"}, {"k": ""}, False),
            ({"operator": "DoesNotExist", "values": None}, {}, True),
        ],
    )
    def test_operators_treat_a_missing_key_as_the_reference_says(
        self, requirement: Body, labels: dict[str, str], *, matches: bool
    ) -> None:
        selector = {"matchExpressions": [{"key": "k", **requirement}]}
        isolating = policy("a/p", podSelector=selector)
        assert ask([isolating], FAR, pod("a/x", "10.244.1.9", labels)) == (NO if matches else YES)

    def test_all_requirements_must_be_met(self) -> None:
        selector = {"matchLabels": {"app": "x"}, "matchExpressions": [{"key": "k", "operator": "Exists"}]}
        isolating = policy("a/p", podSelector=selector)
        assert ask([isolating], FAR, pod("a/x", "10.244.1.9", {"app": "x", "k": ""})) == NO
        assert ask([isolating], FAR, pod("a/x", "10.244.1.9", {"app": "x"})) == YES
        assert ask([isolating], FAR, pod("a/x", "10.244.1.9", {"k": ""})) == YES

    def test_values_are_needed_by_in_and_forbidden_for_exists(self) -> None:
        for requirement in ({"operator": "In", "values": []}, {"operator": "Exists", "values": ["x"]}):
            with pytest.raises(NotAcceptedError):
                ask([policy("a/p", podSelector={"matchExpressions": [{"key": "k", **requirement}]})], FAR, API)


class TestPorts:
    def ingress(self, *ports: Body) -> list[Body]:
        return [policy("a/p", podSelector={}, ingress=[{"ports": list(ports)}])]

    def test_protocol_defaults_to_tcp(self) -> None:
        assert ask(self.ingress({"port": 53}), FAR, API, "TCP", 53) == YES
        assert ask(self.ingress({"port": 53}), FAR, API, "UDP", 53) == NO

    def test_a_protocol_without_a_port_means_all_its_ports_and_no_other_protocol(self) -> None:
        assert ask(self.ingress({"protocol": "TCP"}), FAR, API, "TCP", 1) == YES
        assert ask(self.ingress({"protocol": "TCP"}), FAR, API, "UDP", 1) == NO
        assert ask(self.ingress({}), FAR, API, "TCP", 65535) == YES

    def test_sctp_isolates_and_is_not_tcp(self) -> None:
        assert ask(self.ingress({"protocol": "SCTP", "port": 80}), FAR, API, "TCP", 80) == NO
        assert ask(self.ingress({"protocol": "SCTP", "port": 80}), FAR, API, "SCTP", 80) == YES

    @pytest.mark.parametrize(("dialect", "inside"), [("kubernetes", OPEN), ("calico", YES), ("cilium", OPEN)])
    def test_an_end_port_closes_an_inclusive_range_for_who_knows_it(self, dialect: str, inside: Allowed) -> None:
        rule = self.ingress({"port": 80, "endPort": 82})
        found = [ask(rule, FAR, API, port=port, dialect=dialect) for port in (79, 80, 81, 82, 83)]
        assert found == [NO, YES, inside, inside, NO]
        assert ask(self.ingress({"port": 80, "endPort": 80}), FAR, API, port=80) == YES

    @pytest.mark.parametrize("bad", [{"endPort": 1}, {"port": "http", "endPort": 9}, {"port": 80, "endPort": 79}])
    def test_an_end_port_needs_a_number_not_above_it(self, bad: Body) -> None:
        with pytest.raises(NotAcceptedError):
            ask(self.ingress(bad), FAR, API, port=80)

    def test_a_named_port_is_the_destination_pods_own(self) -> None:
        out = [policy("a/p", podSelector={}, policyTypes=["Egress"], egress=[{"ports": [{"port": "http"}]}])]
        assert ask(out, WEB, FAR, port=9090) == YES
        assert ask(out, WEB, FAR, port=8080) == NO
        assert ask(out, WEB, API, port=8080) == YES
        assert ask(out, API, WEB, port=8080) == NO  # the source's names do not count

    def test_a_named_port_needs_the_protocol_too(self) -> None:
        both = pod(
            "a/both",
            "10.244.1.9",
            ports=[{"name": "dns", "protocol": "UDP", "containerPort": 53}, {"name": "dns", "containerPort": 5353}],
        )
        assert [
            ask(self.ingress({"port": "dns", "protocol": "UDP"}), FAR, both, "UDP", port) for port in (53, 5353)
        ] == [
            YES,
            NO,
        ]
        assert [ask(self.ingress({"port": "dns"}), FAR, both, "TCP", port) for port in (53, 5353)] == [NO, YES]

    def test_each_container_that_repeats_a_name_counts_and_init_containers_too(self) -> None:
        several = pod(
            "a/s",
            "10.244.1.9",
            ports=[{"name": "http", "containerPort": 1}, {"name": "http", "containerPort": 2}],
            init_ports=[{"name": "http", "containerPort": 3}],
        )
        assert [ask(self.ingress({"port": "http"}), FAR, several, port=port) for port in (1, 2, 3, 4)] == [
            YES,
            YES,
            YES,
            NO,
        ]

    def test_an_unknown_name_matches_nothing_and_no_address_has_names(self) -> None:
        assert ask(self.ingress({"port": "nope"}), FAR, API) == NO
        out = [policy("a/p", podSelector={}, policyTypes=["Egress"], egress=[{"ports": [{"port": "http"}]}])]
        assert ask(out, WEB, INTERNET) == NO


class TestBlocks:
    def egress(self, *blocks: Body) -> list[Body]:
        peers = [{"ipBlock": block} for block in blocks]
        return [policy("a/p", podSelector={}, policyTypes=["Egress"], egress=[{"to": peers}])]

    def test_a_block_matches_inside_and_not_outside(self) -> None:
        rule = self.egress({"cidr": "198.51.100.0/24"})
        asked = ["198.51.99.255", "198.51.100.0", "198.51.100.255", "198.51.101.0"]
        assert [ask(rule, WEB, ip) for ip in asked] == [NO, YES, YES, NO]

    def test_an_exception_cuts_only_its_own_block(self) -> None:
        cut = {"cidr": "198.51.100.0/24", "except": ["198.51.100.128/25"]}
        assert [ask(self.egress(cut), WEB, ip) for ip in ("198.51.100.127", "198.51.100.128")] == [YES, NO]
        assert ask(self.egress(cut, {"cidr": "198.51.100.200/32"}), WEB, "198.51.100.200") == YES
        cuts: list[Body] = [{"except": []}, {"except": None}]
        for block in cuts:
            assert ask(self.egress({"cidr": "198.51.100.0/24", **block}), WEB, "198.51.100.1") == YES

    def test_host_bits_in_a_cidr_are_ignored(self) -> None:
        assert ask(self.egress({"cidr": "198.51.100.77/24"}), WEB, "198.51.100.1") == YES

    def test_families_do_not_mix(self) -> None:
        assert ask(self.egress({"cidr": "0.0.0.0/0"}), WEB, "2001:db8::1") == NO
        assert ask(self.egress({"cidr": "::/0"}), WEB, INTERNET) == NO
        assert ask(self.egress({"cidr": "::/0"}), WEB, "2001:db8::1") == YES

    def test_each_address_of_a_dual_stack_pod_is_judged_and_one_family_must_pass_both_sides(self) -> None:
        one = pod("a/one", ["10.244.1.8", "fd00::8"])
        two = pod("b/two", ["10.244.2.8", "fd00::9"])
        out = self.egress({"cidr": "fd00::/64"})
        assert ask(out, one, two, pods=[one, two], dialect="calico") == YES
        in_v4 = policy("b/in", podSelector={}, ingress=[{"from": [{"ipBlock": {"cidr": "10.244.0.0/16"}}]}])
        in_v6 = policy("b/in", podSelector={}, ingress=[{"from": [{"ipBlock": {"cidr": "fd00::8/128"}}]}])
        assert ask([*out, in_v4], one, two, pods=[one, two], dialect="calico") == NO
        assert ask([*out, in_v6], one, two, pods=[one, two], dialect="calico") == YES

    @pytest.mark.parametrize(("dialect", "answer"), [("kubernetes", OPEN), ("calico", YES), ("cilium", NO)])
    def test_whether_a_block_covers_pods_is_open_and_each_dialect_has_its_answer(
        self, dialect: str, answer: Allowed
    ) -> None:
        everywhere = self.egress({"cidr": "0.0.0.0/0"})
        assert ask(everywhere, WEB, FAR, dialect=dialect) == answer
        assert ask(everywhere, WEB, "10.244.2.1", dialect=dialect) == answer  # the same pod by its address
        assert ask(everywhere, WEB, INTERNET, dialect=dialect) == YES


class TestWhatTheTextLeavesOpen:
    HOST = pod("b/agent", "192.168.0.7", on_host_network=True, host="192.168.0.7")
    NEIGHBOUR = pod("a/neighbour", "10.244.1.7", host="192.168.0.7")

    @pytest.mark.parametrize(("dialect", "answer"), [("kubernetes", YES), ("calico", YES), ("cilium", OPEN)])
    def test_a_pod_cannot_be_kept_from_itself(self, dialect: str, answer: Allowed) -> None:
        assert ask([DENY_ALL], API, API, dialect=dialect) == answer

    @pytest.mark.parametrize("dialect", ["kubernetes", "calico", "cilium"])
    def test_a_pod_is_always_reachable_from_its_own_node(self, dialect: str) -> None:
        assert ask([DENY_ALL], "192.168.0.7", self.NEIGHBOUR, pods=[self.NEIGHBOUR], dialect=dialect) == YES
        assert ask([DENY_ALL], "192.168.0.8", self.NEIGHBOUR, pods=[self.NEIGHBOUR], dialect=dialect) == NO

    @pytest.mark.parametrize(("dialect", "answer"), [("kubernetes", YES), ("calico", NO), ("cilium", NO)])
    def test_whether_a_pod_always_reaches_its_own_node_is_a_matter_of_dialect(
        self, dialect: str, answer: Allowed
    ) -> None:
        assert ask([DENY_ALL], self.NEIGHBOUR, "192.168.0.7", pods=[self.NEIGHBOUR], dialect=dialect) == answer

    @pytest.mark.parametrize(("dialect", "answer"), [("kubernetes", OPEN), ("calico", YES), ("cilium", YES)])
    def test_policies_may_or_may_not_select_a_host_network_pod(self, dialect: str, answer: Allowed) -> None:
        isolating = policy("b/deny", podSelector={}, policyTypes=["Ingress"])
        assert ask([isolating], WEB, self.HOST, pods=[self.HOST], dialect=dialect) == answer

    @pytest.mark.parametrize(("dialect", "answer"), [("kubernetes", OPEN), ("calico", NO), ("cilium", NO)])
    def test_selectors_may_or_may_not_match_a_host_network_pod(self, dialect: str, answer: Allowed) -> None:
        from_b = policy("a/p", podSelector={}, ingress=[{"from": [{"namespaceSelector": {}}]}])
        assert ask([from_b], self.HOST, API, pods=[self.HOST], dialect=dialect) == answer

    @pytest.mark.parametrize(("dialect", "answer"), [("kubernetes", YES), ("calico", YES), ("cilium", NO)])
    def test_a_block_covers_a_host_network_pod_where_nodes_are_addresses(self, dialect: str, answer: Allowed) -> None:
        from_nodes = policy("a/p", podSelector={}, ingress=[{"from": [{"ipBlock": {"cidr": "192.168.0.0/24"}}]}])
        assert ask([from_nodes], self.HOST, API, pods=[self.HOST], dialect=dialect) == answer

    def test_protocols_other_than_the_three_are_undefined_where_a_policy_selects_a_side(self) -> None:
        assert ask([], FAR, API, "ICMP", 0) == YES
        assert ask([DENY_ALL], FAR, API, "ICMP", 0) == OPEN
        assert ask([policy("a/p", podSelector={}, ingress=[{}])], FAR, API, "ICMP", 0) == OPEN
        assert ask([DENY_ALL], API, API, "ICMP", 0) == YES

    @pytest.mark.parametrize("dialect", ["calico", "cilium"])
    def test_where_they_are_defined_rules_without_ports_cover_them(self, dialect: str) -> None:
        assert ask([DENY_ALL], FAR, API, "ICMP", 0, dialect=dialect) == NO
        assert ask([policy("a/p", podSelector={}, ingress=[{}])], FAR, API, "ICMP", 0, dialect=dialect) == YES
        ports = policy("a/p", podSelector={}, ingress=[{"ports": [{"port": 80}]}])
        assert ask([ports], FAR, API, "ICMP", 0, dialect=dialect) == NO


class TestEndpoints:
    def test_a_finished_pod_is_no_endpoint(self) -> None:
        done = pod("a/done", "10.244.1.2", phase="Succeeded")
        assert ask([], FAR, done) == ask([], done, FAR) == NO
        assert ask([], FAR, done, "ICMP", 0) == NO

    def test_a_pod_without_an_address_is_judged_by_its_labels(self) -> None:
        coming = pod("a/coming", phase="Pending")
        assert ask([policy("a/p", podSelector={}, ingress=[{"from": [{"podSelector": {}}]}])], WEB, coming) == YES
        assert ask([DENY_ALL], FAR, coming) == NO

    def test_labels_are_inputs_a_relabelled_pod_changes_the_answer_without_a_policy_edit(self) -> None:
        only_web = policy("a/p", podSelector={}, ingress=[{"from": [{"podSelector": {"matchLabels": {"app": "web"}}}]}])
        assert ask([only_web], pod("a/x", "10.244.1.9", {"app": "x"}), API) == NO
        assert ask([only_web], pod("a/x", "10.244.1.9", {"app": "web"}), API) == YES
