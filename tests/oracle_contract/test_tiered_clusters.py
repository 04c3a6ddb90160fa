"""Laws that hold for the tiered oracles on generated clusters, and where they must agree with the plain one."""

from dataclasses import replace
from itertools import product

from hypothesis import assume, given, settings

from tests.oracle import admin_policies, calico, networkpolicy
from tests.oracle.bodies import Body, Cluster, Endpoint, resolved
from tests.oracle.mentions import address_atoms, mentioned_networks, mentioned_ports, port_atoms
from tests.oracle.worlds import Allowed
from tests.support.clusters import clusters
from tests.support.objects import calico_policy, cluster_policy, network_policy
from tests.support.tiered_clusters import admin_clusters, calico_clusters, edited_calico_clusters

FEW = settings(max_examples=30, deadline=None)
Question = tuple[Endpoint, Endpoint, str, int]


def questions(cluster: Cluster, most: int = 60) -> list[Question]:
    bodies = [*cluster.policies, *cluster.others]
    ends: list[Endpoint] = [*cluster.pods[:3], *address_atoms(bodies)[:5]]
    pairs = [(one, other) for one, other in product(ends, repeat=2) if isinstance(one, dict) or isinstance(other, dict)]
    found = [(one, other, *port) for (one, other), port in product(pairs, port_atoms(bodies, cluster.pods))]
    return found[:: max(1, len(found) // most)]


@FEW
@given(clusters(max_pods=3))
def test_with_network_policies_alone_the_three_oracles_say_the_same(cluster: Cluster) -> None:
    for one, other, protocol, port in questions(cluster):
        plain = networkpolicy.allowed(cluster, one, other, protocol, port)
        with_admin = admin_policies.allowed(cluster, one, other, protocol, port)
        # About ICMP the plain oracle says OPEN at once, the other where the answer matters.
        assert with_admin == plain or (protocol == "ICMP" and plain is Allowed.OPEN)
        on_calico = networkpolicy.allowed(cluster, one, other, protocol, port, dialect="calico")
        assert calico.allowed(cluster, one, other, protocol, port) == on_calico


@FEW
@given(admin_clusters(max_pods=3))
def test_an_admin_policy_that_denies_everybody_first_closes_all_but_pods_to_themselves(cluster: Cluster) -> None:
    peers: list[Body] = [{"namespaces": {}}]
    deny = [{"action": "Deny", "from": peers, "to": peers}]
    first = cluster_policy("first", "Admin", -1, ingress=deny, egress=deny)
    closed = replace(cluster, policies=[*cluster.policies, first], others=[])
    live = [pod for pod in cluster.pods if not pod["spec"].get("hostNetwork")]
    for one, other in product(live, repeat=2):
        if one is not other:
            assert admin_policies.allowed(closed, one, other, "TCP", 80, dialect="calico") is Allowed.NO


@FEW
@given(calico_clusters(max_pods=3))
def test_a_last_tier_cannot_take_back_and_a_first_one_decides(cluster: Cluster) -> None:
    tier: Body = {"apiVersion": calico.V3, "kind": "Tier", "metadata": {"name": "zero"}, "spec": {"order": 0}}
    allow = {"action": "Allow"}
    open_all: Body = {
        "apiVersion": calico.V3,
        "kind": "GlobalNetworkPolicy",
        "metadata": {"name": "open"},
        "spec": {"tier": "zero", "types": ["Ingress", "Egress"], "ingress": [allow], "egress": [allow]},
    }
    opened = replace(cluster, policies=[*cluster.policies, open_all], others=[*cluster.others, tier])
    for one, other, protocol, port in questions(cluster, 40):
        finished = {one["status"]["phase"] for one in (one, other) if isinstance(one, dict)} & {"Succeeded", "Failed"}
        wanted = Allowed.NO if finished else Allowed.YES
        assert calico.allowed(opened, one, other, protocol, port) == wanted


@FEW
@given(calico_clusters(max_pods=3, odd=False))
def test_without_odd_rules_calico_always_has_an_answer(cluster: Cluster) -> None:
    pending = any(pod["status"]["phase"] == "Pending" for pod in cluster.pods)
    for one, other, protocol, port in questions(cluster, 40):
        assert pending or calico.allowed(cluster, one, other, protocol, port) is not Allowed.OPEN


@FEW
@given(calico_clusters(max_pods=2))
def test_the_order_in_which_objects_are_listed_means_nothing(cluster: Cluster) -> None:
    turned = replace(cluster, policies=list(reversed(cluster.policies)), others=list(reversed(cluster.others)))
    for one, other, protocol, port in questions(cluster, 40):
        there = calico.allowed(cluster, one, other, protocol, port)
        assert there == calico.allowed(turned, one, other, protocol, port)


@FEW
@given(edited_calico_clusters(max_pods=2, odd=False, host_network=False, odd_pods=False))
def test_an_edit_of_a_policy_leaves_the_answers_about_those_it_cannot_concern(pair: tuple[Cluster, Cluster]) -> None:
    before, after = pair
    assume(replace(before, policies=[]) == replace(after, policies=[]))
    changed = [one for one in before.policies if one not in after.policies]
    changed += [one for one in after.policies if one not in before.policies]
    for one, other, protocol, port in questions(after, 40):
        parties = (resolved(after, one), resolved(after, other))
        if not any(calico.concerns(after, body, who) for body in changed for who in parties):
            there = calico.allowed(before, one, other, protocol, port)
            assert there == calico.allowed(after, one, other, protocol, port)


def test_mentions_are_found_in_every_kind() -> None:
    policies = [
        network_policy(
            "a/p", ingress=[{"ports": [{"port": 80, "endPort": 90}], "from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}]
        ),
        calico_policy(
            "a/p", ingress=[{"source": {"notNets": ["192.0.2.1"]}, "destination": {"ports": [443, "1:5", "http"]}}]
        ),
        cluster_policy(
            "p",
            "Admin",
            1,
            egress=[
                {
                    "to": [{"networks": ["fd00::/8"]}],
                    "protocols": [
                        {"tcp": {"destinationPort": {"number": 22}}},
                        {"udp": {"destinationPort": {"range": {"start": 7, "end": 9}}}},
                    ],
                }
            ],
        ),
    ]
    assert {(80, 90), (443, 443), (1, 5), (22, 22), (7, 9)} <= mentioned_ports(policies)
    assert {str(network) for network in mentioned_networks(policies)} == {"10.0.0.0/8", "192.0.2.1/32", "fd00::/8"}
    assert {("TCP", 80), ("UDP", 91), ("SCTP", 6), ("ICMP", 0)} <= set(port_atoms(policies))
    assert {"10.0.0.0", "11.0.0.0", "192.0.2.2", "fe00::"} <= {str(ip) for ip in address_atoms(policies)}
