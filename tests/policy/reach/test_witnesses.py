"""Which flow shows a difference: the one that tells most, and of equal ones the same whatever the order of arrival."""

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driftd.policy.reach import Dialect, Edit, Snapshot, Tenancy, apply, judge, snapshot_of
from driftd.values import Body, Witness
from tests.oracle.bodies import Cluster
from tests.support.objects import namespace, network_policy, pod
from tests.support.reach import objects
from tests.support.tiered_clusters import edited_calico_clusters

TENANTS = Tenancy({"a": "red", "b": "blue", "sys": ""})
SHUT = [network_policy(f"{space}/shut", podSelector={}, policyTypes=["Ingress", "Egress"]) for space in "ab"]
SPACES = [namespace("a"), namespace("b"), namespace("sys")]


def after(state: Snapshot, *bodies: Body) -> Witness:
    found = judge(state, apply(state, Edit(put=bodies)), TENANTS).witness
    assert found is not None
    return found


@pytest.mark.parametrize("reverse", [False, True])
def test_of_many_flows_that_tell_as_much_it_is_the_one_of_the_first_names(*, reverse: bool) -> None:
    pods = [pod(f"{space}/{name}", labels={"app": name}) for space in "ab" for name in ("one", "two", "three")]
    state = snapshot_of([*SPACES, *(pods[::-1] if reverse else pods), *SHUT], Dialect.KUBERNETES)
    everybody = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"], "ingress": [{}], "egress": [{}]}
    first = after(state, *(network_policy(f"{space}/shut", **everybody) for space in "ab"))
    assert (first.source, first.target) == ("a/one", "b/one")  # across tenants, before all else
    out = after(state, network_policy("a/out", podSelector={}, policyTypes=["Egress"], egress=[{}]))
    assert (out.source, out.target) == ("a/one", "any-other-namespace/any pod without labels")
    web = {"to": [{"ipBlock": {"cidr": "8.0.0.0/8"}}]}
    out = after(state, network_policy("a/out", podSelector={}, policyTypes=["Egress"], egress=[web]))
    assert (out.source, out.target) == ("a/one", "8.0.0.0/8")
    inside: Body = {
        "podSelector": {},
        "ingress": [{"from": [{"podSelector": {}}]}],
        "egress": [{"to": [{"podSelector": {}}]}],
    }
    found = after(state, network_policy("a/inside", **inside, policyTypes=["Ingress", "Egress"]))
    assert (found.source, found.target) == ("a/one", "a/three")


@settings(max_examples=20, deadline=None)
@given(edited_calico_clusters(max_pods=5, host_network=False, odd_pods=False, odd=False), st.randoms())
def test_the_order_in_which_pods_come_is_not_to_be_seen_in_a_witness(
    edited: tuple[Cluster, Cluster], order: Random
) -> None:
    told = set()
    for _ in range(3):
        pods = list(edited[0].pods)
        order.shuffle(pods)
        before = snapshot_of(objects(replace(edited[0], pods=pods)), Dialect.CALICO)
        changed = [body for body in objects(edited[1]) if body not in objects(edited[0])]
        told.add(judge(before, apply(before, Edit(put=tuple(changed))), TENANTS).witness)
    assert len(told) == 1
