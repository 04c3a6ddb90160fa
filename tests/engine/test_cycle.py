"""What a cycle gives to whoever writes its plan, and what it waits for."""

from dataclasses import replace

from driftd.drift import Comparison
from driftd.engine.act import goes_by_uid
from driftd.engine.cycle import abridged_of, governed_seen, is_capped
from driftd.policy.kinds import KINDS
from driftd.values import CLUSTER, Body, Delete, ObjectRef, Replace, Scope
from tests.support.drift_scope import governed_of
from tests.support.tiered_scope import TieredStore, calico, home, ref

SETS = [
    calico("NetworkSet", name, {"nets": ["192.0.2.0/24"]}, "acme", labels={"role": "partner"})
    for name in ("one", "other")
]
OPENING: Body = {"action": "Allow", "destination": {"selector": "role == 'partner'"}}
POLICY = calico("NetworkPolicy", "partners", {"order": 1, "types": ["Egress"], "egress": [OPENING]}, "acme")


def test_a_canonical_policy_that_is_closed_for_the_sake_of_others_is_read_whole_as_well() -> None:
    """Seen: driftd closed it for a moment while two network sets were put right, and it lost foreign annotations."""
    governed = governed_of([home("acme"), POLICY, *SETS], name="acme", tenant="acme")
    tampered = [{**one, "spec": {"nets": ["203.0.113.0/24"]}} for one in SETS]
    store = TieredStore([home("acme"), POLICY, *tampered], Scope("acme"))
    live, comparison, planned = store.live(governed), store.look(governed), store.plan(governed)
    assert ref(POLICY) in {write.ref for write in planned.writes}
    assert ref(POLICY) not in {one.ref for one in comparison.findings}
    assert abridged_of(planned, comparison, live) == frozenset()
    kept = {one: replace(known, abridged=one == ref(POLICY)) for one, known in live.objects.items()}
    assert abridged_of(planned, comparison, replace(live, objects=kept)) == {ref(POLICY)}


def test_what_differed_when_it_was_abridged_is_read_whole_even_if_it_is_known_by_now() -> None:
    governed = governed_of([home("acme"), *SETS], name="acme", tenant="acme")
    store = TieredStore([home("acme"), {**SETS[0], "spec": {"nets": []}}, SETS[1]], Scope("acme"))
    live, comparison, planned = store.live(governed), store.look(governed), store.plan(governed)
    differing = {
        id: replace(one, live=replace(one.live, abridged=True)) if one.live else one
        for id, one in comparison.differences.items()
    }
    assert abridged_of(planned, replace(comparison, differences=differing), live) == {ref(SETS[0])}


def test_only_objects_of_which_nothing_foreign_decides_anything_are_written_whatever_their_version() -> None:
    kinds = {("networking.k8s.io", "NetworkPolicy"), ("", "ResourceQuota"), ("", "LimitRange")}
    assert {key for key in KINDS if goes_by_uid(ObjectRef(*key, "acme", "x"))} == kinds


def test_writes_that_came_too_late_count_for_the_cap_but_for_those_before_one_that_gets_through() -> None:
    """Seen: four clients that wrote a ServiceAccount all the time had driftd try twenty times a second."""
    account, quota = (ObjectRef("", kind, "acme", "x") for kind in ("ServiceAccount", "ResourceQuota"))
    capped = {
        one: [is_capped(Replace(one, {}, "u", "1", "f", "r"), lost) for lost in (1, 2, 3)] for one in (account, quota)
    }
    assert capped == {account: [False, True, True], quota: [False, False, True]}
    assert is_capped(Delete(quota, "u", "1", "f", "r"), 1)


def test_a_kind_that_is_never_written_keeps_nobody_waiting_for_it_while_it_cannot_be_read() -> None:
    admins, policies = "AdminNetworkPolicy", "NetworkPolicy"
    assert governed_seen(Comparison(CLUSTER, unknown=(admins,)))
    assert not Comparison(CLUSTER, unknown=(admins,)).clean
    assert not governed_seen(Comparison(CLUSTER, unknown=(admins, policies)))
    assert not governed_seen(Comparison(CLUSTER, to_prove=(ObjectRef("", policies, "", "x"),)))
