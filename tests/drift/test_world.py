"""What differences mean for the flows, against the example platform."""

from functools import cache
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driftd.compile import Compiled
from driftd.drift import Difference, Judgement, World
from driftd.drift.meaning import UNJUDGED, worse
from driftd.drift.modelled import objects_of, surroundings_of, tenancy_of
from driftd.drift.steps import edit_of
from driftd.policy.kinds import digest_of, kind_of
from driftd.policy.reach import Dialect, Edit, apply, judge, snapshot_of
from driftd.values import Body, Direction, FindingType, Live, ObjectRef
from tests.support.stage import MODELS, compiled_models

NP = "networking.k8s.io"


@cache
def compiled() -> Compiled:
    return compiled_models(MODELS)


def ref_of(kind: str, namespace: str, name: str) -> ObjectRef:
    return ObjectRef(NP if kind == "NetworkPolicy" else "", kind, namespace, name)


def live(body: Body, ref: ObjectRef) -> Live:
    digest = digest_of(kind_of(ref), body, compiled().coverage)
    return Live(ref, orjson.dumps(body), digest, "uid", "1", terminating=False, managers=())


def modified(kind: str, namespace: str, name: str, **changes: Any) -> Difference:
    """A canonical object with top-level or spec fields changed."""
    ref = ref_of(kind, namespace, name)
    home = name if kind == "Namespace" else namespace
    desired = compiled().governed[home].objects[ref]
    body = desired.body()
    for field, value in changes.items():
        if field == "labels":
            body["metadata"]["labels"] |= value
        elif field == "automountServiceAccountToken":
            body[field] = value
        else:
            body["spec"][field] = value
    return Difference(FindingType.MODIFIED, ref, desired, live(body, ref))


def missing(kind: str, namespace: str, name: str) -> Difference:
    ref = ref_of(kind, namespace, name)
    return Difference(FindingType.MISSING, ref, compiled().governed[namespace].objects[ref], None)


def extra(namespace: str, name: str, spec: Body) -> Difference:
    ref = ref_of("NetworkPolicy", namespace, name)
    body = {
        "apiVersion": f"{NP}/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }
    return Difference(FindingType.UNEXPECTED, ref, None, live(body, ref))


def judged(*differences: Difference) -> Judgement:
    """The judgement of the last of several differences that stand together."""
    return World(compiled()).judge(differences)[differences[-1].ref]


def test_an_egress_allow_all_in_a_default_deny_loosens_and_a_flow_shows_it() -> None:
    found = judged(modified("NetworkPolicy", "acme-prod", "default-deny", egress=[{}]))
    assert found.direction is Direction.LOOSENS
    assert found.witness is not None
    assert found.witness.source.startswith("acme-prod/")


def test_a_missing_allow_policy_tightens_and_the_witness_is_what_breaks() -> None:
    found = judged(missing("NetworkPolicy", "acme-prod", "db-ingress"))
    assert found.direction is Direction.TIGHTENS
    assert found.crosses_tenant is False
    assert found.witness is not None
    assert found.witness.port == "5432"


def test_a_missing_default_deny_loosens() -> None:
    assert judged(missing("NetworkPolicy", "globex-prod", "default-deny")).direction is Direction.LOOSENS


def test_an_extra_policy_without_rules_is_neutral_where_everything_is_isolated_already() -> None:
    spec: Body = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    assert judged(extra("acme-prod", "inert", spec)).direction is Direction.NEUTRAL


def test_a_hole_that_needs_two_differences_is_found_whichever_comes_last() -> None:
    one = modified("NetworkPolicy", "acme-prod", "api-egress", egress=[{}])
    spec: Body = {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{}]}
    other = extra("globex-prod", "open", spec)
    for pair in ((one, other), (other, one)):
        found = judged(*pair)
        assert found.direction is Direction.LOOSENS
        assert found.crosses_tenant


OPEN: Body = {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{}]}
SEVERAL = {
    "egress opened": lambda: modified("NetworkPolicy", "acme-prod", "api-egress", egress=[{}]),
    "everything opened": lambda: modified("NetworkPolicy", "acme-prod", "default-deny", egress=[{}], ingress=[{}]),
    "ingress opened": lambda: extra("globex-prod", "open", OPEN),
    "denial gone": lambda: missing("NetworkPolicy", "globex-prod", "default-deny"),
    "ingress gone": lambda: missing("NetworkPolicy", "acme-stage", "api-ingress"),
    "labels moved": lambda: modified("Namespace", "", "acme-stage", labels={"driftd.dev/tenant": "globex"}),
}


@given(st.lists(st.sampled_from(sorted(SEVERAL)), min_size=2, max_size=4, unique=True))
@settings(max_examples=20)
def test_beside_others_a_difference_means_what_a_comparison_of_the_whole_world_says(chosen: list[str]) -> None:
    """A judgement looks at those parts of the world alone in which something else stands open."""
    *others, last = (SEVERAL[one]() for one in chosen)
    model, tenants = compiled(), tenancy_of(compiled())
    canonical = snapshot_of(
        objects_of(model), Dialect(model.dialect), surroundings_of(model), frozenset(model.governed)
    )
    standing = canonical
    for one in others:
        standing = apply(standing, edit_of(one) or Edit())
    step = edit_of(last) or Edit()
    alone, together = (judge(before, apply(before, step), tenants) for before in (canonical, standing))
    world = World(model)
    world.judge(others)
    found = world.judge([last])[last.ref]
    whole = worse(Judgement(alone.direction), Judgement(together.direction))
    assert found.direction is whole.direction
    assert found.crosses_tenant == (alone.crosses_tenant or together.crosses_tenant)


def test_what_is_settled_no_longer_counts() -> None:
    world = World(compiled())
    one = modified("NetworkPolicy", "acme-prod", "api-egress", egress=[{}])
    world.judge([one])
    world.settle([one.ref])
    spec: Body = {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{}]}
    alone = World(compiled()).judge([extra("globex-prod", "open", spec)])
    assert world.judge([extra("globex-prod", "open", spec)]) == alone


@pytest.mark.parametrize(("level", "crosses"), [("privileged", None), ("baseline", False)])
def test_a_lowered_pod_security_level_loosens(level: str, crosses: bool | None) -> None:
    found = judged(modified("Namespace", "", "globex-prod", labels={"pod-security.kubernetes.io/enforce": level}))
    assert (found.direction, found.crosses_tenant) == (Direction.LOOSENS, crosses)


@pytest.mark.parametrize(("version", "direction"), [("v1.0", Direction.LOOSENS), ("latest", Direction.NEUTRAL)])
def test_another_version_of_the_same_pod_security_level_may_mean_older_rules(
    version: str, direction: Direction
) -> None:
    labels = {"pod-security.kubernetes.io/enforce-version": version, "pod-security.kubernetes.io/warn": "privileged"}
    found = judged(modified("Namespace", "", "globex-prod", labels=labels))
    assert (found.direction, found.crosses_tenant) == (direction, False)


def test_a_token_that_is_mounted_again_loosens_inside_the_tenant() -> None:
    found = judged(modified("ServiceAccount", "globex-prod", "default", automountServiceAccountToken=True))
    assert (found.direction, found.crosses_tenant) == (Direction.LOOSENS, False)


def test_a_quota_decides_no_flow() -> None:
    assert judged(missing("ResourceQuota", "acme-prod", "quota")).direction is Direction.NEUTRAL


def test_a_renewed_world_knows_what_stands_open() -> None:
    world = World(compiled())
    world.judge([modified("NetworkPolicy", "acme-prod", "api-egress", egress=[{}])])
    spec: Body = {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{}]}
    other = extra("globex-prod", "open", spec)
    assert world.renewed().judge([other])[other.ref].crosses_tenant


def test_a_world_in_which_much_was_tried_is_worn_and_small_again_once_renewed() -> None:
    world = World(compiled())
    classes = world.size
    for number in range(200):
        odd = modified("NetworkPolicy", "acme-prod", "api-egress", podSelector={"matchLabels": {"k": f"v{number}"}})
        world.judge([odd])
        world.settle([odd.ref])
    assert world.size > classes
    assert world.worn
    fresh = world.renewed()
    assert not fresh.worn
    assert fresh.size <= classes + 50  # but for what is tried next


def test_what_was_tried_is_let_go_of_and_what_stands_is_not() -> None:
    world = World(compiled())
    opened = modified("NetworkPolicy", "acme-prod", "api-egress", egress=[{}])
    before = world.judge([opened])
    for number in range(150):
        selector = {"matchLabels": {"k": f"v{number % 7}"}}
        odd = modified("NetworkPolicy", "globex-prod", "default-deny", podSelector=selector)
        world.judge([odd])
        world.settle([odd.ref])
    assert world.judge([opened]) == before


def test_what_concerns_no_pod_that_is_known_is_neutral_now_and_says_which_pod_could_gain() -> None:
    spec = {"podSelector": {"matchLabels": {"role": "debug"}}, "policyTypes": ["Egress"], "egress": [{}]}
    found = judged(extra("acme-prod", "debug", spec))
    assert (found.direction, found.neutral_now) == (Direction.LOOSENS, True)
    assert str(found.witness).startswith("acme-prod/any pod role=debug -> ")
    assert not judged(extra("acme-prod", "debug", {**spec, "podSelector": {}})).neutral_now


def test_what_closes_in_one_look_and_opens_in_another_does_both() -> None:
    closes, opens, both = (Judgement(one) for one in (Direction.TIGHTENS, Direction.LOOSENS, Direction.MIXED))
    for pair in ((closes, opens), (both, opens), (opens, both), (both, closes)):
        assert worse(*pair).direction is Direction.MIXED


def test_two_differences_of_which_one_concerns_somebody_now_are_not_neutral_now_together() -> None:
    later = Judgement(Direction.LOOSENS, crosses_tenant=False, neutral_now=True)
    nothing = Judgement(Direction.NEUTRAL, crosses_tenant=False)
    now = Judgement(Direction.LOOSENS, crosses_tenant=False)
    assert worse(later, nothing).neutral_now
    assert worse(later, later).neutral_now
    assert not worse(later, now).neutral_now
    assert not worse(nothing, nothing).neutral_now
    assert not worse(later, UNJUDGED).neutral_now


def test_a_flow_known_to_cross_is_told_though_pods_to_come_beside_others_cannot_all_be_imagined() -> None:
    """Beside others only a part of the world is looked at, where nothing live may cross: who may come says no more."""
    web: Body = {"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Egress"]}
    anybody: Body = {"namespaceSelector": {}}
    postgres: Body = {"podSelector": {"matchLabels": {"app": "postgres"}}}
    world = World(compiled())
    world.judge([extra("initech-prod", "e2", {**web, "egress": [{"to": [anybody]}, {"to": [postgres]}]})])
    peers = [anybody, {**anybody, "podSelector": {"matchLabels": {"x": "y"}}}]
    spec = {**web, "podSelector": {}, "egress": [{"to": peers}, {"ports": [{"port": "http", "protocol": "TCP"}]}]}
    found = world.judge([extra("initech-legacy", "e1", spec)])
    assert [(one.direction, one.crosses_tenant) for one in found.values()] == [(Direction.LOOSENS, True)]
