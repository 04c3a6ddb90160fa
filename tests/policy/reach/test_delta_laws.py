"""Laws of deltas and edits, checked cell by cell against point queries and the oracle."""

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_network

import pytest
from hypothesis import given

from driftd.policy.reach import (
    Delta,
    Dialect,
    Edit,
    Flows,
    Pod,
    PortSet,
    Snapshot,
    Surroundings,
    apply,
    block,
    delta,
    snapshot_of,
)
from driftd.policy.reach.ports import NONE
from driftd.values import Direction
from tests.oracle.bodies import Cluster
from tests.oracle.universe import Universe, boundary_addresses, boundary_ports, edges_of, flows
from tests.support.clusters import clusters, edited_clusters
from tests.support.reach import RELAXED, live_pods, objects, snapshot, stepped
from tests.support.tiered_clusters import admin_clusters, calico_clusters

DIALECTS = ("kubernetes", "calico", "cilium")
Ends = tuple[Pod | str, Pod | str]


def outside(*worlds: Cluster) -> list[str]:
    """An address on either side of every edge that any object of these clusters mentions."""
    texts = {text for world in worlds for body in (*world.policies, *world.others) for text in cidrs(body)}
    texts |= {ip["ip"] for world in worlds for body in world.pods for ip in body["status"].get("hostIPs", ())}
    found = {str(address) for text in texts for address in edges_of(ip_network(text, strict=False))}
    return sorted(found | {"93.184.216.34", "2606:2800:220:1::1"})


def cidrs(part: object) -> Iterator[str]:
    if isinstance(part, dict):
        for value in part.values():
            yield from cidrs(value)
    elif isinstance(part, list):
        for value in part:
            yield from cidrs(value)
    elif isinstance(part, str) and ("/" in part or part.count(".") == 3):
        try:
            ip_network(part, strict=False)
        except ValueError:
            return
        yield part


def reaches(state: Snapshot, pods: list[Pod], addresses: list[str]) -> dict[tuple[str, str], tuple[PortSet, PortSet]]:
    """(must, may) of every ordered pair with a pod in it, a pod with itself left out."""
    found = {}
    ends: list[Pod | str] = [*pods, *addresses]
    for one in ends:
        for other in ends:
            if (isinstance(one, Pod) or isinstance(other, Pod)) and str(one) != str(other):
                reach = state.reach(one, other)
                found[str(one), str(other)] = (reach.must, reach.may)
    return found


def classes(state: Snapshot, pods: list[Pod], addresses: list[str]) -> dict[str, int]:
    ends: list[Pod | str] = [*pods, *addresses]
    return {str(end): state.class_of(end) for end in ends}


def check(found: Delta, before: Snapshot, after: Snapshot, old: Cluster, new: Cluster) -> None:
    """The delta's sets are those of the point queries, gathered by class."""
    addresses = outside(old, new)
    was, now = reaches(before, live_pods(old), addresses), reaches(after, live_pods(new), addresses)
    for bound, (added, removed) in enumerate(
        ((found.added_surely, found.removed_surely), (found.added, found.removed))
    ):
        expect(added, was, now, bound, classes(found.after, live_pods(new), addresses))
        expect(removed, now, was, bound, classes(found.before, live_pods(old), addresses))


def expect(
    flows: Flows,
    less: dict[tuple[str, str], tuple[PortSet, PortSet]],
    have: dict[tuple[str, str], tuple[PortSet, PortSet]],
    bound: int,
    where: dict[str, int],
) -> None:
    wanted: dict[tuple[int, int], PortSet] = {}
    for cell, bounds in have.items():
        traffic = bounds[bound] - (less[cell][bound] if cell in less else NONE)
        if traffic:
            ends = (where[cell[0]], where[cell[1]])
            wanted[ends] = wanted.get(ends, NONE) | traffic
    named = set(where.values())
    assert {ends: traffic for ends, traffic in flows.pairs().items() if named.issuperset(ends)} == wanted


def mirrored(one: Flows, other: Flows) -> bool:
    return one.pairs() == other.pairs()


@pytest.mark.parametrize("dialect", DIALECTS)
@RELAXED
@given(worlds=edited_clusters(most=2, max_pods=4))
def test_a_delta_holds_exactly_the_flows_that_point_queries_gain_and_lose(
    dialect: str, worlds: tuple[Cluster, Cluster]
) -> None:
    old, new = worlds
    before = snapshot(old, dialect)
    after = stepped(before, old, new)
    check(delta(before, after), before, after, old, new)


@RELAXED
@given(worlds=edited_clusters(most=4, max_pods=4))
def test_an_edited_snapshot_answers_as_one_built_from_scratch(worlds: tuple[Cluster, Cluster]) -> None:
    old, new = worlds
    after, scratch = stepped(snapshot(old, "kubernetes"), old, new), snapshot(new, "kubernetes")
    addresses = outside(old, new)
    assert reaches(after, live_pods(new), addresses) == reaches(scratch, live_pods(new), addresses)


@RELAXED
@given(worlds=edited_clusters(most=3, max_pods=4))
def test_an_edit_leaves_the_snapshot_before_it_as_it_was(worlds: tuple[Cluster, Cluster]) -> None:
    old, new = worlds
    before = snapshot(old, "calico")
    addresses = outside(old, new)
    told = reaches(before, live_pods(old), addresses)
    stepped(before, old, new).settled()
    assert reaches(before, live_pods(old), addresses) == told


@RELAXED
@given(worlds=edited_clusters(most=3, max_pods=4))
def test_a_delta_backwards_mirrors_the_delta_forwards(worlds: tuple[Cluster, Cluster]) -> None:
    old, new = worlds
    before = snapshot(old, "calico")
    after = stepped(before, old, new)
    there, back = delta(before, after), delta(after, before)
    assert mirrored(there.added, back.removed)
    assert mirrored(there.removed, back.added)


@RELAXED
@given(cluster=clusters(max_pods=4))
def test_nothing_differs_from_itself_nor_from_another_snapshot_of_the_same_objects(cluster: Cluster) -> None:
    one, other = snapshot(cluster, "kubernetes"), snapshot(cluster, "kubernetes")
    assert delta(one, one).direction is Direction.NEUTRAL
    assert delta(one, other).direction is Direction.NEUTRAL


@RELAXED
@given(worlds=edited_clusters(most=3, max_pods=4))
def test_an_edit_taken_back_is_neutral(worlds: tuple[Cluster, Cluster]) -> None:
    old, new = worlds
    before = snapshot(old, "calico")
    back = stepped(stepped(before, old, new), new, old)
    assert delta(before, back).direction is Direction.NEUTRAL


@RELAXED
@given(old=clusters(max_pods=3, speaking=(4,)), new=clusters(max_pods=3, speaking=(4,)))
def test_snapshots_of_different_lineages_are_compared_exactly(old: Cluster, new: Cluster) -> None:
    # Nodes are told beforehand: what a lineage learns of them on the way holds for all of its snapshots.
    nodes = Surroundings(nodes=block("192.168.0.0/24"))
    before, after = (snapshot_of(objects(world), Dialect.CALICO, nodes) for world in (old, new))
    found = delta(before, after)
    check(found, before, after, old, new)


@RELAXED
@given(worlds=edited_clusters(most=3, max_pods=4), other=clusters(max_pods=1, max_policies=3))
def test_a_sibling_edit_tried_before_changes_no_answer(worlds: tuple[Cluster, Cluster], other: Cluster) -> None:
    old, new = worlds
    before = snapshot(old, "calico")
    apply(before, Edit(tuple(other.policies)))
    after, scratch = stepped(before, old, new), snapshot(new, "calico")
    addresses = outside(old, new)
    assert reaches(after, live_pods(new), addresses) == reaches(scratch, live_pods(new), addresses)
    check(delta(before, after), before, after, old, new)


@RELAXED
@given(old=calico_clusters(max_pods=3), new=calico_clusters(max_pods=3))
def test_a_delta_under_calico_tiers_holds_exactly_what_point_queries_gain_and_lose(old: Cluster, new: Cluster) -> None:
    before = snapshot(old, "calico")
    after = stepped(before, old, new)
    check(delta(before, after), before, after, old, new)
    assert reaches(after, live_pods(new), []) == reaches(snapshot(new, "calico"), live_pods(new), [])


@RELAXED
@given(cluster=admin_clusters(max_pods=3), other=admin_clusters(max_pods=1))
def test_a_delta_of_admin_policies_holds_exactly_what_point_queries_gain_and_lose(
    cluster: Cluster, other: Cluster
) -> None:
    new = replace(cluster, policies=other.policies)
    before = snapshot(cluster, "kubernetes")
    after = stepped(before, cluster, new)
    check(delta(before, after), before, after, cluster, new)


@RELAXED
@given(worlds=edited_clusters(most=2, max_pods=4, host_network=False, odd_pods=False, speaking=(4,)))
def test_the_direction_is_the_one_the_oracle_finds(worlds: tuple[Cluster, Cluster]) -> None:
    old, new = worlds
    before = snapshot(old, "calico")
    found = delta(before, stepped(before, old, new)).direction
    ends = Universe(
        tuple(new.pods) + boundary_addresses([*old.policies, *new.policies]),
        boundary_ports([*old.policies, *new.policies], [*old.pods, *new.pods]),
    )
    before_ends = replace(ends, endpoints=tuple(old.pods) + ends.endpoints[len(new.pods) :])
    was = flows(old, before_ends.endpoints, ends.ports, "calico").must
    now = flows(new, ends.endpoints, ends.ports, "calico").must
    was, now = (frozenset(flow for flow in side if flow.source != flow.target) for side in (was, now))
    opened, closed = bool(now - was), bool(was - now)
    node = any("192.168" in end for flow in was ^ now for end in (flow.source, flow.target))
    if not node:
        assert (found in (Direction.LOOSENS, Direction.MIXED), found in (Direction.TIGHTENS, Direction.MIXED)) == (
            opened,
            closed,
        )
