"""Labels of namespaces: they count from the moment on at which a condition asks for them, for whoever carries them."""

import pytest

from driftd.policy.reach import Dialect, Edit, Pod, Snapshot, Surroundings, apply, delta, judge, snapshot_of
from driftd.policy.reach.flows import Tenancy
from driftd.values import Body, Direction
from tests.support.reach import namespace, network_policy

WEB, DOOR = Pod("shop", "web", {}), Pod("door", "gate", {})
SHUT = network_policy("shop", "shut", podSelector={}, policyTypes=["Ingress"])
NEAR = {"namespaceSelector": {"matchLabels": {"zone": "near"}}}
NEAR_MAY_COME = network_policy("shop", "near", podSelector={}, policyTypes=["Ingress"], ingress=[{"from": [NEAR]}])
GLOBAL: Body = {
    "apiVersion": "projectcalico.org/v3",
    "kind": "GlobalNetworkPolicy",
    "metadata": {"name": "near"},
    "spec": {
        "namespaceSelector": "zone == 'near'",
        "order": 1,
        "types": ["Ingress"],
        "ingress": [{"action": "Deny", "source": {"namespaceSelector": "zone == 'near'"}}],
    },
}


def cluster(dialect: Dialect = Dialect.KUBERNETES) -> Snapshot:
    return snapshot_of([namespace("shop"), namespace("door", zone="far"), WEB, DOOR, SHUT], dialect, Surroundings())


def relabelled(before: Snapshot, **labels: str) -> Snapshot:
    return apply(before, Edit(put=(namespace("door", **labels),)))


def test_labels_that_no_condition_asks_for_make_no_class_however_often_they_change() -> None:
    first = now = cluster()
    classes = first.core.endpoints.size
    for number in range(20):
        now = relabelled(now, zone=f"z{number}", owner=f"o{number}")
    assert now.core.endpoints.size == classes
    judgement = judge(first, now, Tenancy({}))
    assert judgement.direction is Direction.NEUTRAL
    assert now.core.endpoints.size == classes  # nor does it bring pods to mind that would be seen differently


@pytest.mark.parametrize("zone", ["near", "far"])
def test_a_condition_that_comes_later_tells_by_the_labels_of_now(zone: str) -> None:
    one = relabelled(cluster(), zone="near")
    asked = apply(relabelled(one, zone=zone), Edit(put=(NEAR_MAY_COME,)))
    assert bool(asked.reach(DOOR, WEB).must) is (zone == "near")
    fresh = snapshot_of(
        [namespace("shop"), namespace("door", zone=zone), WEB, DOOR, SHUT, NEAR_MAY_COME], asked.dialect
    )
    assert asked.reach(DOOR, WEB) == fresh.reach(DOOR, WEB)


def test_what_was_before_the_condition_stays_as_it_was_and_the_difference_is_seen() -> None:
    before = relabelled(cluster(), zone="near")
    after = apply(before, Edit(put=(NEAR_MAY_COME,)))
    assert not before.reach(DOOR, WEB).must
    assert delta(before, after).direction is Direction.LOOSENS


def test_a_label_asked_for_in_one_world_is_told_apart_in_its_sibling_once_that_asks_too() -> None:
    far = cluster()
    near = relabelled(far, zone="near")
    apply(far, Edit(put=(NEAR_MAY_COME,)))
    asked = apply(near, Edit(put=(NEAR_MAY_COME,)))
    assert asked.reach(DOOR, WEB).must
    assert not apply(relabelled(asked, zone="far"), Edit()).reach(DOOR, WEB).must


def test_a_policy_of_the_whole_cluster_asks_for_labels_as_well() -> None:
    before = relabelled(relabelled(cluster(Dialect.CALICO), zone="near"), zone="far")
    free = apply(apply(before, Edit(put=(namespace("shop", zone="near"),))), Edit(put=(GLOBAL, NEAR_MAY_COME)))
    assert not free.reach(DOOR, WEB).must
    assert not relabelled(free, zone="near").reach(DOOR, WEB).must  # denied before it is allowed
    assert apply(relabelled(free, zone="near"), Edit(put=(namespace("shop", zone="far"),))).reach(DOOR, WEB).must
