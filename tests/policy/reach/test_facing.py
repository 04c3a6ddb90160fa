"""Who may exchange anything with whom, told from the policies before any verdict is found: never too few."""

from collections.abc import Iterator

import pytest
from hypothesis import given

from driftd.policy.reach import Dialect, Edit, Snapshot, Surroundings, apply, block, delta, snapshot_of
from driftd.policy.reach.cells import Facing
from driftd.policy.reach.policies import Flow
from driftd.policy.reach.relation import positions
from driftd.values import Body, ObjectRef
from tests.oracle.bodies import Cluster
from tests.support.clusters import clusters
from tests.support.objects import network_policy, pod
from tests.support.reach import RELAXED, objects, snapshot
from tests.support.tiered_clusters import admin_clusters, calico_clusters

KINDS = ((True, False), (False, True))


def facings(state: Snapshot) -> Iterator[Facing]:
    for place in positions(state.live):
        for side in (0, 1):
            for kind in KINDS:
                for surely in (False, True):
                    yield Facing(1 << place, side, kind, surely)


def check(state: Snapshot) -> None:
    core = state.core
    for facing in facings(state):
        side, surely = facing.side, facing.surely
        speaking = core.speaking_of(facing.bits, (Flow.INGRESS, Flow.EGRESS)[side])
        for name, view in state.namespaces.items():
            faces = any(facing(core.verdict(plans[side]).reached(surely=surely)) for plans in view.groups)
            told = not speaking.isdisjoint((name, "")) or facing.asks_for(view.left_open(side, surely=surely))
            assert told or not faces, (name, facing)


@pytest.mark.parametrize("dialect", ["kubernetes", "calico", "cilium"])
@RELAXED
@given(cluster=clusters())
def test_no_namespace_that_exchanges_anything_with_a_class_is_left_out(dialect: str, cluster: Cluster) -> None:
    check(snapshot(cluster, dialect))


@RELAXED
@given(cluster=calico_clusters())
def test_nor_where_tiers_come_one_after_another(cluster: Cluster) -> None:
    check(snapshot(cluster, "calico"))


@RELAXED
@given(cluster=admin_clusters())
def test_nor_under_admin_policies(cluster: Cluster) -> None:
    check(snapshot(cluster, "kubernetes"))


@RELAXED
@given(cluster=clusters())
def test_nor_where_owners_of_other_namespaces_choose_their_labels(cluster: Cluster) -> None:
    around, governed = Surroundings(pods=block("10.244.0.0/16")), frozenset(("a",))
    check(snapshot_of(objects(cluster), Dialect.KUBERNETES, around, governed))


def test_a_hole_in_one_namespace_has_no_verdict_found_of_those_that_do_not_speak_of_it() -> None:
    """Seen: the first deleted default-deny of a world of 10,000 policies had all its rows found, in a second."""
    names = [f"n{index}" for index in range(60)]
    inside: Body = {"podSelector": {}}
    found: list[Body] = [pod(f"{name}/web") for name in names]
    found += [
        network_policy(
            f"{name}/own",
            podSelector={},
            policyTypes=["Ingress", "Egress"],
            ingress=[{"from": [inside]}],
            egress=[{"to": [inside]}],
        )
        for name in names
    ]
    before = snapshot_of(found, Dialect.CALICO)
    gone = Edit(remove=(ObjectRef("networking.k8s.io", "NetworkPolicy", "n7", "own"),))
    opened = delta(before, apply(before, gone))
    assert opened.added
    known = [plan for plan in before.core.plans.values() if plan._verdict is not None]
    assert {plan.applied[0].policy.namespace for plan in known} == {"n7"}
