"""What a revision of the model may not do without somebody's approval."""

from typing import Any

import orjson

from driftd.compile import Compiled, GovernedNamespace, Mode
from driftd.drift import deletions, guard, orphans, switched_on
from driftd.policy.kinds import Coverage, digest_of, kind_of
from driftd.values import PROVENANCE, Body, Desired, ObjectRef, Origin

NARROW = Coverage()
ORIGIN = Origin("acme.yaml", 1, "Environment/acme")


def policy(namespace: str, name: str) -> Body:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": namespace, "annotations": {PROVENANCE: ORIGIN.provenance}},
        "spec": {"podSelector": {}, "policyTypes": ["Ingress"]},
    }


def home(name: str, **labels: str) -> Body:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def desired(ref: ObjectRef, body: Body, coverage: Coverage) -> Desired:
    return Desired(ref, orjson.dumps(body), digest_of(kind_of(ref), body, coverage), ORIGIN)


def environment(name: str, policies: int, coverage: Coverage = NARROW, **changes: Any) -> GovernedNamespace:
    ref = ObjectRef("", "Namespace", "", name)
    objects = {ref: desired(ref, home(name, team="x"), coverage)}
    for n in range(policies):
        one = ObjectRef("networking.k8s.io", "NetworkPolicy", name, f"p{n}")
        objects[one] = desired(one, policy(name, one.name), coverage)
    known: dict[str, Any] = {
        "name": name,
        "tenant": "acme",
        "environment": name,
        "lifecycle": "create",
        "mode": Mode.ENFORCE,
        "kind_modes": {},
        "tenant_policies": "never",
        "closed": True,
        "origin": ORIGIN,
        "objects": objects,
    }
    return GovernedNamespace(**{**known, **changes})


def model(*governed: GovernedNamespace, objects: int = 50, percent: int = 10, coverage: Coverage = NARROW) -> Compiled:
    return Compiled("eu-1", "kubernetes", {one.name: one for one in governed}, coverage, (), objects, percent)


def test_a_model_that_only_adds_passes() -> None:
    assert guard(model(environment("a", 3)), model(environment("a", 300), environment("b", 300)), "driftd") is None


def test_a_first_model_passes() -> None:
    assert guard(None, model(environment("a", 300)), "driftd") is None


def test_deletions_beyond_the_count_are_held_with_numbers_and_the_way_on() -> None:
    held = guard(model(environment("a", 1000)), model(environment("a", 949)), "driftd")
    assert held is not None
    assert held.approvable
    assert (held.count, held.total, held.limit) == (51, 1001, 50)
    assert "51 of 1001 objects" in held.reason
    assert "driftd approve" in held.reason
    assert guard(model(environment("a", 1000)), model(environment("a", 950)), "driftd") is None


def test_deletions_beyond_the_percentage_are_held_only_above_a_few() -> None:
    assert guard(model(environment("a", 9)), model(environment("a", 4)), "driftd") is None
    held = guard(model(environment("a", 20)), model(environment("a", 14)), "driftd")
    assert held is not None
    assert (held.count, held.limit) == (6, 5)


def test_a_commit_cannot_lift_its_own_limit() -> None:
    before = model(environment("a", 1000))
    assert guard(before, model(environment("a", 0), objects=100_000, percent=100), "driftd") is not None


def test_an_empty_model_is_held_even_if_it_was_small() -> None:
    held = guard(model(environment("a", 0)), model(), "driftd")
    assert held is not None
    assert "the model is empty" in held.reason
    assert guard(None, model(), "driftd") is None


def test_a_model_that_governs_driftds_own_namespace_is_never_approvable() -> None:
    held = guard(None, model(environment("driftd", 1, closed=False)), "driftd")
    assert held is not None
    assert not held.approvable


def test_a_model_that_closes_a_platform_namespace_is_held() -> None:
    for name in ("kube-system", "ingress"):
        held = guard(None, model(environment(name, 1)), "driftd", platform=frozenset({"ingress"}))
        assert held is not None
        assert name in held.reason
        named_only = model(environment(name, 1, closed=False))
        assert guard(None, named_only, "driftd", platform=frozenset({"ingress"})) is None


def test_environments_that_go_are_orphaned_and_not_counted_as_deleted() -> None:
    before, after = model(environment("a", 100), environment("b", 1)), model(environment("b", 1))
    assert deletions(before, after) == ()
    assert guard(before, after, "driftd") is None
    assert list(orphans(before, after, {})) == ["a"]


def test_orphans_stay_until_retired_and_end_when_governed_again() -> None:
    first = orphans(model(environment("a", 1), environment("b", 1)), model(environment("b", 1)), {})
    later = orphans(model(environment("b", 1)), model(environment("b", 2)), first)
    assert list(later) == ["a"]
    assert orphans(model(environment("b", 1)), model(environment("a", 1)), later).keys() == {"b"}


def test_an_orphans_digests_follow_the_coverage_in_force() -> None:
    narrow, wide = Coverage(), Coverage(selector_keys=frozenset({"team"}))
    before = model(environment("a", 1, wide), coverage=wide)
    held = orphans(before, model(environment("b", 1), coverage=narrow), {})["a"]
    assert held.objects == environment("a", 1, narrow).objects


def test_a_deleted_object_counts_only_where_it_would_be_deleted() -> None:
    before = model(environment("a", 300))
    assert guard(before, model(environment("a", 0, mode=Mode.REPORT)), "driftd") is None
    assert guard(before, model(environment("a", 0, closed=False)), "driftd") is None


def test_switching_enforcement_on_counts_what_live_objects_it_would_overwrite() -> None:
    before, after = model(environment("a", 200, mode=Mode.REPORT)), model(environment("a", 200))
    assert [one.name for one in switched_on(before, after)] == ["a"]
    assert guard(before, after, "driftd", pending={"a": 4}) is None
    held = guard(before, after, "driftd", pending={"a": 51})
    assert held is not None
    assert "switching on enforcement" in held.reason
    assert guard(after, after, "driftd", pending={"a": 51}) is None


def test_switching_on_one_kind_is_switching_on() -> None:
    before = model(environment("a", 1, kind_modes={"NetworkPolicy": Mode.REPORT}))
    assert [one.name for one in switched_on(before, model(environment("a", 1)))] == ["a"]
    assert switched_on(model(environment("a", 1)), before) == ()


def test_mass_loosening_is_held() -> None:
    before = after = model(environment("a", 200))
    assert guard(before, after, "driftd", loosened=20) is None
    held = guard(before, after, "driftd", loosened=21)
    assert held is not None
    assert "loosen 21" in held.reason
