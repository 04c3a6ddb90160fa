"""What a judgement may cost: what a tenant writes is counted, and beyond a bound it is told as not known."""

from dataclasses import replace
from functools import cache
from typing import Any

import orjson
import pytest

from driftd.compile import Compiled
from driftd.drift import Difference, World
from driftd.drift.meaning import MOST_STANDING, MOST_WORK, UNJUDGED, judgeable, work_of
from driftd.policy.reach import Dialect
from driftd.values import Body, Desired, Digest, Direction, FindingType, Live, ObjectRef, Origin
from tests.support.stage import MODELS, compiled_models

CALICO = "projectcalico.org"
NETWORKING = "networking.k8s.io"


@cache
def compiled() -> Compiled:
    return compiled_models(MODELS)


def live(spec: Any, name: str = "own", namespace: str = "globex-prod", kind: str = "NetworkPolicy") -> Live:
    group = CALICO if kind == "NetworkSet" else NETWORKING
    body = {
        "apiVersion": f"{group}/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }
    ref = ObjectRef(group, kind, namespace, name)
    return Live(ref, orjson.dumps(body), Digest(orjson.dumps(spec)), "u", "1", terminating=False, managers=())


def own(spec: Any, name: str = "own", namespace: str = "globex-prod", kind: str = "NetworkPolicy") -> Difference:
    found = live(spec, name, namespace, kind)
    return Difference(FindingType.UNEXPECTED, found.ref, None, found)


def out(first: int, many: int) -> Body:
    numbers = range(first, first + many)
    blocks = [{"ipBlock": {"cidr": f"{20 + number // 250}.{number % 250}.0.0/16"}} for number in numbers]
    return {"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"to": blocks}]}


def listed(field: str, entries: list[Any]) -> Body:
    return {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{field: entries}]}


VALUES = [f"v{number}" for number in range(200)]


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        ("NetworkPolicy", out(0, 200)),
        ("NetworkPolicy", {"egress": [{"to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": VALUES}}]}]}),
        ("NetworkPolicy", listed("ports", [{"port": number} for number in range(1, 200)])),
        ("NetworkPolicy", listed("from", [{"podSelector": {}}] * 200)),
        ("NetworkPolicy", {"ingress": [{}] * 200}),
        ("NetworkPolicy", {"podSelector": {"matchExpressions": [{"key": "k", "operator": "In", "values": VALUES}]}}),
        ("NetworkPolicy", {"podSelector": {"matchLabels": dict.fromkeys(VALUES, "x")}}),
        ("NetworkSet", {"nets": [f"10.0.{number}.0/24" for number in range(200)]}),
        ("NetworkSet", {"later": " || ".join(f"has({value})" for value in VALUES) * 3}),
    ],
)
def test_whatever_a_tenant_writes_much_of_is_too_much(kind: str, spec: Body) -> None:
    """Seen: values of selectors and the nets of a set counted for nothing."""
    difference = own(spec, kind=kind)
    assert work_of(difference) > MOST_WORK
    assert not judgeable(difference, Dialect.CALICO)


def test_the_objects_of_a_model_are_far_from_too_much() -> None:
    """A copy of any of them is judged, were it the internet with every exception."""
    sizes = [
        work_of(Difference(FindingType.UNEXPECTED, ref, None, live(one.body()["spec"])))
        for scope in compiled().every_scope()
        for ref, one in scope.objects.items()
        if ref.group
    ]
    assert len(sizes) > 30
    assert max(sizes) <= MOST_WORK // 2


def test_of_a_canonical_object_only_what_is_new_counts() -> None:
    canonical, tampered = live(out(0, 900)), live(out(3, 900))
    desired = Desired(canonical.ref, canonical.kept, canonical.digest, Origin("x.yaml", 1, "NetworkPolicy/own"))
    difference = Difference(FindingType.MODIFIED, canonical.ref, desired, tampered)
    assert work_of(difference) == 3
    assert work_of(replace(difference, live=None)) == 0


def test_objects_that_decide_no_flow_cost_nothing_however_large() -> None:
    ref = ObjectRef("", "ResourceQuota", "globex-prod", "quota")
    found = replace(live({"hard": dict.fromkeys(VALUES, "1")}), ref=ref)
    assert work_of(Difference(FindingType.UNEXPECTED, ref, None, found)) == 0


def test_a_tenants_policies_do_not_add_up_without_end_and_nobody_else_is_refused() -> None:
    world = World(compiled())
    many = [own(out(80 * number, 80), f"p{number}") for number in range(MOST_STANDING // 80 + 2)]
    told = [world.judge([one])[one.ref] for one in many]
    known = [one.direction for one in told if one is not UNJUDGED]
    assert told.count(UNJUDGED) >= 2
    assert len(known) >= 3
    assert set(known) == {Direction.LOOSENS}
    other = own({"podSelector": {}, "egress": [{}], "policyTypes": ["Egress"]}, "other", "acme-prod")
    assert world.judge([other])[other.ref].direction is not Direction.UNKNOWN
    world.settle([one.ref for one in many])
    last = many[-1]
    assert world.judge([last])[last.ref].direction is Direction.LOOSENS


def test_what_stood_and_has_grown_beyond_the_room_stands_no_longer() -> None:
    world = World(compiled())
    for number in range(MOST_STANDING // 90):
        world.judge([own(out(90 * number, 80), f"p{number}")])
    small = own(out(900, 3), "grown")
    assert world.judge([small])[small.ref] is not UNJUDGED
    large = own(out(900, 80), "grown")
    assert world.judge([large])[large.ref] is UNJUDGED
    assert world.judge([small])[small.ref].direction is Direction.LOOSENS
