"""Truth tables for ClusterNetworkPolicy and the older admin kinds: one rule of the API a test, in our own words."""

from typing import Any

import pytest

from tests.oracle.admin_policies import allowed
from tests.oracle.bodies import Body, Cluster, Endpoint
from tests.oracle.selectors import NotAcceptedError
from tests.oracle.worlds import Allowed
from tests.support.objects import cluster_policy, namespace, network_policy, pod

YES, NO, OPEN = Allowed.YES, Allowed.NO, Allowed.OPEN
INTERNET = "93.184.216.34"
A, B = namespace("a", team="red"), namespace("b", team="blue")
WEB = pod("a/web", "10.244.1.1")
API = pod("a/api", "10.244.1.2", ports=[{"name": "http", "containerPort": 8080}])
FAR = pod("b/far", "10.244.2.1")
HOST = pod("b/host", "192.168.0.9", node="192.168.0.9", host_network=True)
EVERYBODY: Body = {"namespaces": {}}
BLUE: Body = {"namespaces": {"matchLabels": {"team": "blue"}}}


def rule(action: str, *peers: Body, side: str = "from", **more: Any) -> Body:
    return {"action": action, side: list(peers) or [EVERYBODY], **more}


def ask(
    policies: list[Body],
    source: Endpoint,
    target: Endpoint,
    protocol: str = "TCP",
    port: int = 8080,
    *,
    dialect: str = "kubernetes",
    others: list[Body] | None = None,
) -> Allowed:
    cluster = Cluster([A, B], [WEB, API, FAR, HOST], policies, others or [])
    return allowed(cluster, source, target, protocol, port, dialect=dialect)


def admin(*rules: Body, priority: int = 10, name: str = "p", **more: Any) -> Body:
    return cluster_policy(name, "Admin", priority, ingress=list(rules), **more)


def baseline(*rules: Body, **more: Any) -> Body:
    return cluster_policy("base", "Baseline", 10, ingress=list(rules), **more)


NP_OPEN = network_policy("a/open", podSelector={}, ingress=[{}])
NP_SHUT = network_policy("a/shut", podSelector={}, ingress=[])


def test_a_policy_that_selects_a_pod_does_not_isolate_it() -> None:
    assert ask([admin(rule("Deny", BLUE))], WEB, API) == YES
    assert ask([admin()], FAR, API) == YES


def test_admin_goes_before_network_policy_and_that_before_baseline() -> None:
    assert ask([admin(rule("Deny")), NP_OPEN], FAR, API) == NO
    assert ask([admin(rule("Accept")), NP_SHUT], FAR, API) == YES
    assert ask([baseline(rule("Deny")), NP_OPEN], FAR, API) == YES
    assert ask([baseline(rule("Accept")), NP_SHUT], FAR, API) == NO
    assert ask([baseline(rule("Deny"))], FAR, API) == NO


def test_network_policy_is_final_only_for_pods_it_selects_in_that_direction() -> None:
    egress_only = network_policy("a/out", podSelector={}, policyTypes=["Egress"], egress=[{}])
    assert ask([baseline(rule("Deny")), egress_only], FAR, API) == NO
    other_pods = network_policy("a/web", podSelector={"matchLabels": {"app": "web"}}, ingress=[{}])
    assert ask([baseline(rule("Deny")), other_pods], FAR, API) == NO


def test_pass_skips_the_rest_of_its_tier_and_in_baseline_it_ends_in_allow() -> None:
    passing, denying = admin(rule("Pass"), priority=1, name="a"), admin(rule("Deny"), priority=2, name="b")
    assert ask([denying, passing], FAR, API) == YES
    assert ask([denying, passing, NP_SHUT], FAR, API) == NO
    assert ask([denying, passing, baseline(rule("Deny"))], FAR, API) == NO
    assert ask([baseline(rule("Pass"), rule("Deny"))], FAR, API) == YES


def test_the_first_matching_rule_of_a_policy_decides() -> None:
    assert ask([admin(rule("Accept", BLUE), rule("Deny"))], FAR, API) == YES
    assert ask([admin(rule("Accept", BLUE), rule("Deny"))], WEB, API) == NO
    assert ask([admin(rule("Deny"), rule("Accept", BLUE))], FAR, API) == NO


def test_a_lower_priority_value_goes_first_and_among_equals_any_order_may_hold() -> None:
    def both(first: int, second: int) -> list[Body]:
        return [admin(rule("Accept"), priority=first, name="x"), admin(rule("Deny"), priority=second, name="y")]

    assert ask(both(1, 2), FAR, API) == YES
    assert ask(both(2, 1), FAR, API) == NO
    assert ask(both(1, 1), FAR, API) == OPEN
    same = [admin(rule("Deny"), name="x"), admin(rule("Deny"), name="y")]
    assert ask(same, FAR, API) == NO


def test_both_sides_must_allow() -> None:
    out = cluster_policy("out", "Admin", 5, egress=[rule("Deny", BLUE, side="to")])
    assert ask([out, admin(rule("Accept"))], WEB, FAR) == NO
    assert ask([out], FAR, WEB) == YES


def test_subjects_are_namespaces_or_pods_in_namespaces() -> None:
    only = {
        "pods": {"namespaceSelector": {"matchLabels": {"team": "red"}}, "podSelector": {"matchLabels": {"app": "web"}}}
    }
    deny = admin(rule("Deny"), subject=only)
    assert (ask([deny], FAR, WEB), ask([deny], FAR, API)) == (NO, YES)
    deny = admin(rule("Deny"), subject=BLUE)
    assert (ask([deny], WEB, FAR), ask([deny], FAR, API)) == (NO, YES)


def test_a_peer_of_pods_needs_both_selectors() -> None:
    peer = {"pods": {"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "far"}}}}
    assert (ask([admin(rule("Deny", peer))], FAR, API), ask([admin(rule("Deny", peer))], WEB, API)) == (NO, YES)


def test_host_network_pods_are_neither_subject_nor_peer() -> None:
    for dialect in ("kubernetes", "calico"):
        assert ask([admin(rule("Deny"))], WEB, HOST, dialect=dialect) == YES
        assert ask([admin(rule("Deny"))], HOST, API, dialect=dialect) == YES


def test_networks_match_pods_by_their_address_in_every_dialect() -> None:
    out = cluster_policy("out", "Admin", 5, egress=[rule("Deny", {"networks": ["0.0.0.0/0"]}, side="to")])
    for dialect in ("kubernetes", "calico", "cilium"):
        assert ask([out], WEB, FAR, dialect=dialect) == NO
        assert ask([out], WEB, INTERNET, dialect=dialect) == NO
        assert ask([out], WEB, "2001:db8::1", dialect=dialect) == YES


def test_protocols_narrow_a_rule_and_without_them_it_covers_icmp_too() -> None:
    web = admin(rule("Deny", protocols=[{"tcp": {"destinationPort": {"number": 80}}}]))
    assert [ask([web], FAR, API, "TCP", port) for port in (79, 80)] == [YES, NO]
    assert ask([web], FAR, API, "UDP", 80) == YES
    several = admin(
        rule("Deny", protocols=[{"udp": {"destinationPort": {"range": {"start": 5, "end": 7}}}}, {"sctp": {}}])
    )
    assert [ask([several], FAR, API, "UDP", port) for port in (4, 5, 7, 8)] == [YES, NO, NO, YES]
    assert ask([several], FAR, API, "SCTP", 1) == NO
    assert ask([admin(rule("Deny"))], FAR, API, "ICMP", 0) == NO
    assert ask([web], FAR, API, "ICMP", 0) == YES
    assert ask([web, NP_OPEN], FAR, API, "ICMP", 0) == OPEN


def test_a_peer_of_unknown_form_fails_closed() -> None:
    future: Body = {"galaxies": {}}
    assert ask([admin(rule("Accept", future)), NP_SHUT], FAR, API) == NO
    assert ask([admin(rule("Accept", EVERYBODY, future)), NP_SHUT], FAR, API) == NO
    assert ask([admin(rule("Deny", future))], FAR, API) == NO
    assert ask([admin(rule("Pass", future)), NP_OPEN], FAR, API) == NO


def test_experimental_peers_and_named_ports_may_not_be_known_to_an_implementation() -> None:
    node: Body = {
        "kind": "Node",
        "metadata": {"name": "n", "labels": {"pool": "x"}},
        "status": {"addresses": [{"type": "InternalIP", "address": "192.168.0.9"}]},
    }
    to_nodes = rule("Accept", {"nodes": {"matchLabels": {"pool": "x"}}}, side="to")
    out = cluster_policy("out", "Admin", 5, egress=[to_nodes, rule("Deny", {"networks": ["0.0.0.0/0"]}, side="to")])
    assert ask([out], WEB, "192.168.0.9", others=[node]) == OPEN
    assert ask([out], WEB, INTERNET, others=[node]) == NO
    named = rule("Accept", {"domainNames": ["*.example.org"]}, side="to")
    out = cluster_policy("out", "Admin", 5, egress=[named, rule("Deny", {"networks": ["0.0.0.0/0"]}, side="to")])
    assert ask([out], WEB, INTERNET) == OPEN
    assert ask([out], WEB, FAR) == NO
    by_name = admin(rule("Accept", protocols=[{"destinationNamedPort": "http"}]), rule("Deny"))
    assert ask([by_name], FAR, API, "TCP", 8080) == OPEN
    assert ask([by_name], FAR, API, "TCP", 8081) == NO


def test_a_pod_always_reaches_its_own_address() -> None:
    out = cluster_policy("out", "Admin", 5, egress=[rule("Deny", side="to")], ingress=[rule("Deny")])
    assert ask([out], API, API) == YES
    assert ask([out], API, "10.244.1.2") == YES


@pytest.mark.parametrize("dialect", ["kubernetes", "cilium"])
def test_a_pod_that_meets_itself_through_a_service_is_subject(dialect: str) -> None:
    cluster = Cluster([A, B], [WEB, API, FAR], [admin(rule("Deny"))])
    assert allowed(cluster, API, API, "TCP", 80, dialect=dialect, through_service=True) == NO


MANY: list[Body] = [{"namespaces": {"matchLabels": {"n": str(number)}}} for number in range(26)]


@pytest.mark.parametrize(
    "policy",
    [
        admin({"action": "Deny"}),
        admin({"action": "Deny", "from": []}),
        admin(rule("Deny", *MANY)),
        admin(*(rule("Deny", one) for one in MANY)),
        cluster_policy("p", "Admin", 5, egress=[rule("Deny", {"domainNames": ["example.org"]}, side="to")]),
    ],
)
def test_what_the_api_server_refuses_has_no_meaning(policy: Body) -> None:
    with pytest.raises(NotAcceptedError):
        ask([policy], WEB, API)


@pytest.mark.parametrize(("kind", "final"), [("AdminNetworkPolicy", NO), ("BaselineAdminNetworkPolicy", YES)])
def test_the_older_kinds_say_allow_and_list_ports(kind: str, final: Allowed) -> None:
    body: Body = {
        "apiVersion": "policy.networking.k8s.io/v1alpha1",
        "kind": kind,
        "metadata": {"name": "default"},
        "spec": {
            "priority": 5,
            "subject": {"namespaces": {}},
            "ingress": [
                {"action": "Allow", "from": [EVERYBODY], "ports": [{"portNumber": {"protocol": "TCP", "port": 80}}]},
                {
                    "action": "Deny",
                    "from": [EVERYBODY],
                    "ports": [{"portRange": {"protocol": "UDP", "start": 5, "end": 6}}, {"portNumber": {"port": 81}}],
                },
            ],
        },
    }
    assert [ask([body], FAR, API, "TCP", port) for port in (80, 81, 82)] == [YES, NO, YES]
    assert [ask([body], FAR, API, "UDP", port) for port in (4, 5, 6, 80)] == [YES, NO, NO, YES]
    assert ask([body, NP_OPEN], FAR, API, "TCP", 81) == final
