"""Loosening and tightening are not monotone: the edits whose direction a field-by-field reading gets wrong."""

from collections.abc import Sequence

import pytest

from driftd.policy.reach import Dialect, Edit, Pod, Snapshot, Tenancy, apply, delta, judge, pod_from_body, snapshot_of
from driftd.values import Body, Direction, ObjectRef
from tests.support.objects import (
    calico_policy,
    endpoint_slice,
    global_policy,
    global_set,
    namespace,
    network_policy,
    pod,
    service_account,
    tier,
)
from tests.support.reach import agreed

WEB = pod("a/web", "10.244.0.1")
DB = pod("a/db", "10.244.0.2", ports=[{"name": "pg", "containerPort": 5432}])
FAR = pod("b/far", "10.244.1.1")
BASE: list[Body] = [namespace("a", team="red"), namespace("b", team="blue"), WEB, DB, FAR]
TENANTS = Tenancy({"a": "red", "b": "blue", "kube-system": ""})
SHUT = network_policy("a/shut", podSelector={})
FROM_WEB = {"from": [{"podSelector": {"matchLabels": {"app": "web"}}}]}
TO_DB = network_policy("a/db", podSelector={"matchLabels": {"app": "db"}}, ingress=[FROM_WEB])
LOOSENS, TIGHTENS, MIXED, NEUTRAL = Direction.LOOSENS, Direction.TIGHTENS, Direction.MIXED, Direction.NEUTRAL


def state(*objects: Body) -> Snapshot:
    return agreed([*BASE, *objects], Dialect.CALICO)


def ref(body: Body) -> ObjectRef:
    metadata = body["metadata"]
    group = body["apiVersion"].rpartition("/")[0]
    return ObjectRef(group, body["kind"], metadata.get("namespace", ""), metadata["name"])


def step(have: Sequence[Body], put: Sequence[Body] = (), less: Sequence[Body] = ()) -> Direction:
    before = state(*have)
    after = apply(before, Edit(tuple(put), tuple(ref(body) for body in less)))
    return delta(before, after).direction


def test_deleting_a_policy_tightens_where_others_still_isolate_its_pods() -> None:
    """Checklist 1.6: deleting an NP: tightens if other policies still isolate the pod
    Checklist 1.6: LOOSENS / TIGHTENS / MIXED / NEUTRAL
    """
    assert step([SHUT, TO_DB], less=[TO_DB]) is TIGHTENS


def test_deleting_the_last_policy_of_a_pod_loosens() -> None:
    """Checklist 1.6: loosens (to everything) if it was the last"""
    assert step([TO_DB], less=[TO_DB]) is LOOSENS


def test_adding_one_policy_can_close_some_pods_and_open_others() -> None:
    """Checklist 1.6: adding one can do both at once
    Checklist 1.6: LOOSENS / TIGHTENS / MIXED / NEUTRAL
    """
    only_web = network_policy("a/w", podSelector={"matchLabels": {"app": "web"}})
    everybody = network_policy("a/e", podSelector={}, ingress=[{"from": [{"podSelector": {}}]}])
    assert step([only_web], put=[everybody]) is MIXED


def test_adding_egress_to_the_policy_types_tightens() -> None:
    """Checklist 1.6: adding Egress to policyTypes"""
    assert step([SHUT], put=[network_policy("a/shut", podSelector={}, policyTypes=["Ingress", "Egress"])]) is TIGHTENS


def test_narrowing_a_pod_selector_frees_the_pods_that_drop_out() -> None:
    """Checklist 1.6: narrowing a podSelector (de-isolates the dropped pods)"""
    narrow = network_policy("a/shut", podSelector={"matchLabels": {"app": "web"}})
    assert step([SHUT], put=[narrow]) is LOOSENS


def test_an_unchanged_meaning_is_neutral_however_it_is_spelt() -> None:
    """Checklist 1.6: LOOSENS / TIGHTENS / MIXED / NEUTRAL"""
    respelt = network_policy("a/shut", podSelector=None, policyTypes=["Ingress"], ingress=[])
    assert step([SHUT], put=[respelt]) is NEUTRAL


def test_swapping_the_order_of_two_calico_policies_loosens_or_tightens() -> None:
    """Checklist 1.6: Calico order swap"""

    def policy(name: str, order: int, action: str) -> Body:
        return calico_policy(f"a/{name}", order=order, types=["Ingress"], ingress=[{"action": action}])

    assert step([policy("x", 1, "Deny"), policy("y", 2, "Allow")], put=[policy("x", 3, "Deny")]) is LOOSENS
    assert step([policy("x", 3, "Deny"), policy("y", 2, "Allow")], put=[policy("x", 1, "Deny")]) is TIGHTENS


def test_renaming_a_calico_policy_of_equal_order_loosens() -> None:
    """Checklist 1.6: rename on equal order"""

    def policy(name: str, action: str) -> Body:
        return calico_policy(f"a/{name}", order=1, types=["Ingress"], ingress=[{"action": action}])

    assert (
        step(
            [policy("a-deny", "Deny"), policy("m", "Allow")],
            put=[policy("z-deny", "Deny")],
            less=[policy("a-deny", "Deny")],
        )
        is LOOSENS
    )


def test_editing_the_order_of_a_tier_or_its_default_action_changes_reach() -> None:
    """Checklist 1.6: tier order/defaultAction edit"""
    deny = calico_policy("a/x", tier="t", types=["Ingress"], ingress=[{"action": "Deny"}])
    allow = calico_policy("a/y", types=["Ingress"], ingress=[{"action": "Allow"}])
    assert step([tier("t", 5), deny, allow], put=[tier("t", 2_000_000)]) is LOOSENS
    nothing = calico_policy("a/x", tier="t", types=["Ingress"])
    assert step([tier("t", 5), nothing], put=[tier("t", 5, "Pass")]) is LOOSENS
    assert step([tier("t", 5, "Pass"), nothing], put=[tier("t", 5)]) is TIGHTENS


def test_pass_in_place_of_deny_loosens_and_back_tightens() -> None:
    """Checklist 1.6: Pass<->Deny"""

    def policy(action: str) -> Body:
        return global_policy("g", types=["Ingress"], ingress=[{"action": action}])

    assert step([policy("Deny")], put=[policy("Pass")]) is LOOSENS
    assert step([policy("Pass")], put=[policy("Deny")]) is TIGHTENS


def test_a_calico_policy_without_rules_tightens_when_added_and_loosens_when_removed() -> None:
    """Checklist 1.3: adding a policy with zero rules tightens, and removing the last one loosens"""
    nothing = calico_policy("a/x", types=["Ingress"])
    assert step([], put=[nothing]) is TIGHTENS
    assert step([nothing], less=[nothing]) is LOOSENS


def test_a_member_of_a_network_set_loosens_without_a_policy_edit() -> None:
    """Checklist 1.6: NetworkSet member edit"""
    policy = global_policy("g", types=["Ingress"], ingress=[{"action": "Allow", "source": {"selector": "k == 'p'"}}])
    assert step([policy, global_set("s", "8.8.8.0/24", k="p")], put=[global_set("s", "8.8.0.0/16", k="p")]) is LOOSENS


def test_an_endpoint_behind_a_service_of_a_rule_changes_reach() -> None:
    """Checklist 1.6: Service/EndpointSlice edit behind services"""
    out = calico_policy(
        "a/p",
        types=["Egress"],
        egress=[{"action": "Allow", "destination": {"services": {"name": "svc", "namespace": "b"}}}],
    )
    have = endpoint_slice("b/s", "svc", ["10.244.1.1"], ("TCP", 80))
    assert step([out, have], put=[endpoint_slice("b/s", "svc", ["10.244.1.1", "8.8.8.8"], ("TCP", 80))]) is LOOSENS
    assert step([out, have], put=[endpoint_slice("b/s", "svc", [], ("TCP", 80))]) is TIGHTENS


def test_a_service_of_a_rule_that_selects_others_changes_reach() -> None:
    """Checklist 1.6: Service/EndpointSlice edit behind services"""

    def service(app: str) -> Body:
        spec = {"selector": {"app": app}, "ports": [{"port": 80}]}
        return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "svc", "namespace": "b"}, "spec": spec}

    out = calico_policy(
        "a/p",
        types=["Egress"],
        egress=[{"action": "Allow", "destination": {"services": {"name": "svc", "namespace": "b"}}}],
    )
    assert step([out, service("nobody")], put=[service("far")]) is LOOSENS
    assert step([out, service("far")], put=[service("nobody")]) is TIGHTENS


def test_a_container_port_that_takes_another_name_changes_reach() -> None:
    """Checklist 1.6: containerPort rename behind a named port"""
    by_name = network_policy("a/db", podSelector={"matchLabels": {"app": "db"}}, ingress=[{"ports": [{"port": "pg"}]}])
    renamed = pod("a/db", "10.244.0.2", ports=[{"name": "sql", "containerPort": 5432}])
    assert step([by_name], put=[renamed]) is TIGHTENS
    moved = pod("a/db", "10.244.0.2", ports=[{"name": "pg", "containerPort": 22}])
    assert step([by_name], put=[moved]) is MIXED


@pytest.mark.parametrize(
    ("policies", "edit", "expected"),
    [
        ([SHUT, TO_DB], pod("b/far", "10.244.1.1", labels={"app": "web"}), NEUTRAL),
        ([SHUT, TO_DB], pod("a/web", "10.244.0.1", labels={"app": "other"}), TIGHTENS),
        ([TO_DB], pod("a/db", "10.244.0.2", labels={"app": "other"}), LOOSENS),
        (
            [
                network_policy(
                    "a/p", podSelector={}, ingress=[{"from": [{"namespaceSelector": {"matchLabels": {"team": "red"}}}]}]
                )
            ],
            namespace("b", team="red"),
            LOOSENS,
        ),
        (
            [global_policy("g", serviceAccountSelector="role == 'x'", types=["Ingress"])],
            service_account("a/default", role="x"),
            TIGHTENS,
        ),
    ],
)
def test_labels_of_pods_namespaces_and_accounts_are_inputs(
    policies: list[Body], edit: Body, expected: Direction
) -> None:
    """Checklist 1.6: pod/namespace/SA relabel
    Checklist 1.1: Labels are inputs: can loosen with no policy edit at all
    """
    assert step(policies, put=[edit]) is expected


def test_enforced_to_staged_is_the_removal_of_enforcement() -> None:
    """Checklist 1.6: Enforced<->Staged kind change
    Checklist 1.3: Changing kind to Staged = removing enforcement
    """
    enforced = calico_policy("a/x", types=["Ingress"])
    staged = {**enforced, "kind": "StagedNetworkPolicy"}
    assert step([enforced], put=[staged], less=[enforced]) is LOOSENS


# -- judgements --------------------------------------------------------------------------------------------------------


def judged(have: Sequence[Body], *put: Body | Pod, less: Sequence[Body] = ()) -> tuple[Direction, Direction, bool]:
    before = state(*have)
    found = judge(before, apply(before, Edit(tuple(put), tuple(ref(body) for body in less))), TENANTS)
    return found.direction, found.now, found.crosses_tenant


def test_what_opens_across_a_tenant_border_crosses_it_and_has_a_witness() -> None:
    before = state(SHUT)
    rule = {"from": [{"namespaceSelector": {}}], "ports": [{"port": 5432}]}
    found = judge(before, apply(before, Edit((network_policy("a/p", podSelector={}, ingress=[rule]),))), TENANTS)
    assert (found.direction, found.crosses_tenant) == (LOOSENS, True)
    assert str(found.witness) in ("b/far -> a/db TCP/5432", "b/far -> a/web TCP/5432")


def test_what_opens_inside_a_tenant_crosses_no_border_nor_does_what_closes() -> None:
    assert judged([SHUT], TO_DB) == (LOOSENS, LOOSENS, False)
    assert judged([SHUT, TO_DB], less=[TO_DB]) == (TIGHTENS, TIGHTENS, False)


def test_a_way_to_the_internet_is_named() -> None:
    shut = network_policy("a/shut", podSelector={}, policyTypes=["Egress"])
    before = state(shut)
    opened = network_policy(
        "a/out", podSelector={}, policyTypes=["Egress"], egress=[{"to": [{"ipBlock": {"cidr": "8.0.0.0/8"}}]}]
    )
    found = judge(before, apply(before, Edit((opened,))), TENANTS)
    assert not found.crosses_tenant
    assert str(found.witness) in ("a/db -> 8.0.0.0/8 TCP/all", "a/web -> 8.0.0.0/8 TCP/all")


def test_what_touches_only_pods_that_could_be_made_is_neutral_now_and_still_loosens() -> None:
    """Checklist 1.6: NEUTRAL-NOW: empty on live pods, non-empty on hypothetical pods"""
    nobody = network_policy("a/cache", podSelector={"matchLabels": {"role": "cache"}}, ingress=[{}])
    before = state(SHUT)
    found = judge(before, apply(before, Edit((nobody,))), TENANTS)
    assert (found.direction, found.now, found.neutral_now) == (LOOSENS, NEUTRAL, True)
    assert "any pod role=cache" in str(found.witness)


def test_a_peer_nobody_has_today_is_imagined_too() -> None:
    peer = {"namespaceSelector": {"matchLabels": {"team": "green"}}}
    before = state(SHUT)
    policy = network_policy("a/p", podSelector={"matchLabels": {"app": "db"}}, ingress=[{"from": [peer]}])
    found = judge(before, apply(before, Edit((policy,))), TENANTS)
    assert (found.direction, found.now, found.crosses_tenant) == (LOOSENS, NEUTRAL, True)


def test_what_can_touch_no_pod_at_all_is_neutral() -> None:
    never = {"matchExpressions": [{"key": "x", "operator": "Exists"}, {"key": "x", "operator": "DoesNotExist"}]}
    assert judged([SHUT], network_policy("a/p", podSelector=never, ingress=[{}]))[0] is NEUTRAL


def test_beyond_the_bound_the_direction_is_unknown() -> None:
    wide = {"matchExpressions": [{"key": f"k{n}", "operator": "In", "values": ["a", "b", "c"]} for n in range(4)]}
    before = state(SHUT)
    # Selects nobody today and, as its only rule allows nobody, opens nothing for anybody who was tried.
    policy = network_policy("a/p", podSelector=wide, policyTypes=["Ingress"])
    found = judge(before, apply(before, Edit((policy,))), TENANTS, bound=20)
    assert (found.direction, found.crosses_tenant) == (Direction.UNKNOWN, False)


@pytest.mark.parametrize(
    ("where", "direction"), [("podSelector", Direction.UNKNOWN), ("peer", LOOSENS), ("namespaces", LOOSENS)]
)
def test_a_selector_that_very_many_ways_of_labelling_meet_is_not_tried_for_ever_and_harmless_never(
    where: str, direction: Direction
) -> None:
    """Seen: with a peer of thirty labels a judgement did not end."""
    many = {"matchExpressions": [{"key": f"k{n}", "operator": "In", "values": ["a", "b", "c"]} for n in range(40)]}
    assert judged([SHUT], selecting(many, where))[0] is direction


@pytest.mark.parametrize(("where", "direction"), [("podSelector", NEUTRAL), ("peer", LOOSENS), ("namespaces", LOOSENS)])
def test_a_selector_of_very_many_labels_that_one_way_of_labelling_meets_is_judged(
    where: str, direction: Direction
) -> None:
    """Seen: ninety labels that all have to be there took a second, for an answer that nobody could use."""
    assert judged([SHUT], selecting({"matchLabels": {f"k{n}": "v" for n in range(90)}}, where))[0] is direction


def selecting(labels: Body, where: str) -> Body:
    """A policy with a selector as its subject, as a peer of pods or as one of namespaces."""
    if where == "podSelector":
        return network_policy("a/p", podSelector=labels, policyTypes=["Ingress"])
    peer = {"podSelector": labels} if where == "peer" else {"namespaceSelector": labels}
    return network_policy("a/p", podSelector={}, ingress=[{"from": [peer]}])


def test_a_namespace_that_is_not_listed_is_a_stranger_and_the_platform_is_none() -> None:
    assert TENANTS.apart("a", "unheard-of")
    assert not TENANTS.apart("a", "kube-system")


def test_labels_outside_of_governed_namespaces_count_as_their_owners_choice() -> None:
    peer = {"namespaceSelector": {"matchLabels": {"team": "blue"}}, "podSelector": {"matchLabels": {"app": "trusted"}}}
    policy = network_policy("a/p", podSelector={}, ingress=[{"from": [peer]}])
    exact = snapshot_of([*BASE, policy], Dialect.CALICO)
    wary = snapshot_of([*BASE, policy], Dialect.CALICO, governed=frozenset(("a",)))
    far, db = pod_from_body(FAR), pod_from_body(DB)
    assert (str(exact.reach(far, db).may), str(wary.reach(far, db).may)) == ("none", "all")
