"""Changes that concern many: exact, or bounded where they concern everybody; and a small part of the long search."""

from collections.abc import Iterable

import pytest

from driftd.policy.reach import (
    Dialect,
    Edit,
    Snapshot,
    Tenancy,
    apply,
    delta,
    judge,
    pod_from_body,
    snapshot_of,
)
from driftd.policy.reach.ports import ALL, NONE
from driftd.values import Body, Direction, ObjectRef
from tests.campaign.search.agreement import check
from tests.campaign.search.cases import SHAPES, case
from tests.campaign.search.mutants import MUTANTS, REACH, ROOT, Mutant
from tests.support.admins import ref_of
from tests.support.objects import calico_policy, cluster_policy, network_policy, pod

SPACES = tuple(f"n{index}" for index in range(60))
OPEN: Body = {"podSelector": {}, "ingress": [{}]}


def cluster() -> Snapshot:
    objects: list[Body] = []
    for index, name in enumerate(SPACES):
        objects += [
            pod(f"{name}/web", f"10.244.{index}.1"),
            network_policy(f"{name}/shut", podSelector={}, ingress=[{"from": [{"podSelector": {}}]}]),
        ]
    return snapshot_of(objects, Dialect.CALICO)


def test_a_hole_in_one_namespace_holds_everybody_it_opens_to() -> None:
    before = cluster()
    found = delta(before, apply(before, Edit((network_policy("n7/open", **OPEN),))))
    assert found.complete
    target = found.after.class_of(found.after.pod("n7", "web"))
    opened = {name: found.added.between(found.after.class_of(found.after.pod(name, "web")), target) for name in SPACES}
    assert opened == {name: NONE if name == "n7" else ALL for name in SPACES}


def test_a_comparison_that_is_cut_short_says_so_and_holds_nothing_that_is_not_so() -> None:
    before = cluster()
    after = apply(before, Edit(tuple(network_policy(f"{name}/open", **OPEN) for name in SPACES)))
    whole, some = delta(before, after), delta(before, after, most=3)
    assert whole.complete
    assert not some.complete
    assert set(some.added.pairs()) < set(whole.added.pairs())


def test_states_to_which_one_policy_of_no_namespace_was_given_apart_share_what_is_planned_by_it() -> None:
    before = cluster()
    shuts = cluster_policy("shuts", "Admin", 1, ingress=[{"action": "Deny", "from": [{"namespaces": {}}]}])
    one = apply(before, Edit((shuts,)))
    other = apply(apply(before, Edit((network_policy("n7/open", **OPEN),))), Edit((dict(shuts),)))
    assert one.cluster == other.cluster
    assert one.namespaces["n3"].groups == other.namespaces["n3"].groups
    again = apply(apply(one, Edit(remove=(ref_of(shuts),))), Edit((shuts,)))
    assert again.cluster == one.cluster
    assert not delta(again, one)


def test_of_a_policy_that_only_denies_it_is_known_that_nothing_opens_though_not_all_is_compared() -> None:
    before = cluster()
    tenants = Tenancy({name: name for name in SPACES})
    ending: Body = {"from": [{"namespaces": {}}]}
    for action, opens in (("Deny", False), ("Accept", True)):
        one = cluster_policy("one", "Admin", 1, ingress=[{"action": action, **ending}])
        found = judge(before, apply(before, Edit((one,))), tenants, most=0)
        assert (found.direction, found.crosses_tenant) == (
            (Direction.UNKNOWN, True) if opens else (Direction.TIGHTENS, False)
        )
    gone = Edit(remove=(ObjectRef("networking.k8s.io", "NetworkPolicy", "n1", "shut"),))
    assert judge(before, apply(before, gone), tenants, most=0).direction.may_loosen
    moved = Edit((pod("n1/other", "10.244.1.9"),))
    assert judge(before, apply(before, moved), tenants, most=0).direction.may_loosen


def test_ranges_that_others_cut_are_not_compared_one_by_one() -> None:
    """Seen: a second policy of 500 addresses took minutes, since each piece of the outside was held against all."""
    before = cluster()
    apply(before, Edit((_out("n1/many", range(50)),)))
    found = delta(before, apply(before, Edit((_out("n2/one", [7]),))), most=10)
    assert found.complete
    web = found.before.class_of(found.before.pod("n2", "web"))
    closed = {part: found.removed.between(web, found.before.class_of(part)) for part in ("9.7.1.1", "9.8.1.1")}
    assert closed == {"9.7.1.1": NONE, "9.8.1.1": ALL}


def _out(name: str, blocks: Iterable[int]) -> Body:
    peers = [{"ipBlock": {"cidr": f"9.{one}.0.0/16"}} for one in blocks]
    return network_policy(name, podSelector={}, policyTypes=["Egress"], egress=[{"to": peers}])


def test_what_a_bounded_judgement_has_not_compared_counts_as_crossing_borders() -> None:
    before, mine = cluster(), Tenancy(dict.fromkeys(SPACES, "one"))
    everywhere = Edit(tuple(network_policy(f"{name}/open", **OPEN) for name in SPACES))
    opened = judge(before, apply(before, everywhere), mine, most=1)
    assert opened.direction.may_loosen
    assert opened.crosses_tenant
    after = apply(before, Edit(tuple(network_policy(f"{name}/shut", podSelector={}) for name in SPACES)))
    unseen = judge(before, after, mine, most=0)
    assert (unseen.direction, unseen.now, unseen.neutral_now) == (Direction.UNKNOWN, Direction.UNKNOWN, False)


def test_a_pod_that_comes_later_is_known_to_rules_that_were_evaluated_before_it_came() -> None:
    named = network_policy(
        "a/p", podSelector={}, ingress=[{"from": [{"podSelector": {"matchLabels": {"app": "late"}}}]}]
    )
    ported = network_policy("b/p", podSelector={}, policyTypes=["Egress"], egress=[{"ports": [{"port": "pg"}]}])
    web, far = pod("a/web", "10.244.0.1"), pod("b/far", "10.244.1.1")
    before = snapshot_of([web, far, named, ported], Dialect.CALICO)
    before.settled()
    late = pod("a/late", "10.244.0.2", ports=[{"name": "pg", "containerPort": 5432}])
    after = apply(before, Edit((late,)))
    assert after.reach(pod_from_body(late), pod_from_body(web)).must == ALL
    assert str(after.reach(pod_from_body(far), pod_from_body(late)).must) == "none"
    other = pod("c/db", "10.244.2.1", ports=[{"name": "pg", "containerPort": 5432}])
    later = apply(after, Edit((other,)))
    assert str(later.reach(pod_from_body(far), pod_from_body(other)).must) == "TCP/5432"


def test_traffic_without_ports_alone_is_seen_to_close_for_everybody_whom_nothing_else_concerns() -> None:
    rule = {"action": "Allow", "protocol": "ICMP", "icmp": {"type": 8}}
    ping = calico_policy("n7/ping", order=1, types=["Ingress"], ingress=[rule])
    before = apply(cluster(), Edit((ping,)))
    found = delta(before, apply(before, Edit(remove=(ObjectRef("projectcalico.org", "NetworkPolicy", "n7", "ping"),))))
    where = {name: before.class_of(before.pod(name, "web")) for name in SPACES}
    closed = {name for name in SPACES if str(found.removed.between(where[name], where["n7"])) == "ICMP/8"}
    assert closed == set(SPACES) - {"n7"}


@pytest.mark.parametrize("number", range(2 * len(SHAPES)))
def test_the_engine_says_what_the_naive_evaluator_says_of_the_first_cases_of_the_search(number: int) -> None:
    check(case("tests", number))


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_every_mistake_that_the_search_is_tried_on_has_a_line_to_be_planted_in(mutant: Mutant) -> None:
    assert (ROOT / REACH / mutant.module).read_text().count(mutant.text) == 1


def test_what_was_nobodys_before_a_node_was_known_is_told_as_that() -> None:
    """Addresses of nodes are let in by every policy, from when they are known."""

    def on_node(ip: str) -> Body:
        return pod("a/web", "10.244.0.1", node=ip)

    shut = network_policy("a/shut", podSelector={})
    before = snapshot_of([on_node("192.168.0.2"), shut], Dialect.CALICO)
    gone = ObjectRef("networking.k8s.io", "NetworkPolicy", "a", "shut")
    after = apply(before, Edit((on_node("192.168.0.1"),), (gone,)))
    found = delta(before, after)
    web = found.after.class_of(found.after.pod("a", "web"))
    assert found.added.between(found.after.class_of("192.168.0.1"), web) == ALL
