"""Which findings are over, and which may stand and cannot be seen."""

from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from driftd.cluster import POD, SERVICE, SLICE
from driftd.compile import Compiled, compile_model
from driftd.drift import LiveService, LiveSlice, told
from driftd.drift.telling import shaped
from driftd.engine.living import Changes, Gone, Living, Unseen, by_shape, of_pods
from driftd.policy.kinds import KINDS
from driftd.policy.reach import Pod
from driftd.values import Finding, FindingType, ObjectRef, Resource, Severity, Witness
from tests.support.model_texts import environment, model

ACCOUNT = KINDS["", "ServiceAccount"].resource
DB = Pod("shop", "db-0", {"app": "db"}, ips=("10.244.1.5",), owner="StatefulSet/db")
MATE = Pod("till", "till-0", {}, ips=("10.244.3.3",))
WAY = LiveSlice("desk", "way", "s", ("10.244.1.5",), (("TCP", 5432),))


@cache
def compiled() -> Compiled:
    texts = {"shop": environment("shop", "acme"), "desk": environment("desk", "globex")}
    return compile_model(model(**texts, till=environment("till", "globex")))


def living(
    open_: Iterable[Finding] = (), beyond: Iterable[tuple[Resource, str]] = (), pods: Iterable[Pod] = (), **more: Any
) -> Living:
    known: dict[str, Any] = {
        "compiled": compiled(),
        "changes": Changes(),
        "pods": {(one.namespace, one.name): one for one in pods},
        "services": (),
        "slices": (),
        "labelled": {},
        "sets": {},
        "beyond": frozenset(beyond),
        "open": {one.id: one for one in open_},
        "at": 0.0,
    }
    return Living(**known | more)


def shapes(live: Living) -> list[Finding]:
    return [one for one in by_shape(live, Unseen(live)) if one.ref.kind != "Namespace"]


def finding(type_: FindingType, kind: str, target: str = "") -> Finding:
    witness = Witness("x", target, "TCP", "1") if target else None
    return shaped(compiled(), type_, ObjectRef("", kind, "shop", "one"), "", witness, crosses=True)


@pytest.mark.parametrize(
    ("kind", "beyond", "stands"),
    [
        ("Pod", POD, True),
        ("Pod", ACCOUNT, False),
        ("Pod", SERVICE, False),
        ("StatefulSet", POD, True),
        ("CronJob", POD, True),
        ("Deployment", ACCOUNT, False),
        ("ServiceAccount", ACCOUNT, True),
        ("ServiceAccount", POD, False),
    ],
)
def test_what_is_not_kept_is_held_open_by_what_it_rests_on_and_nothing_else(
    kind: str, beyond: Resource, stands: bool
) -> None:
    """Seen: one type of finding stands for pods and accounts, and those of deleted pods stood by missing accounts."""
    one = finding(FindingType.RELABELLED, kind)
    assert Unseen(living([one], [(beyond, "shop")]))(one) is stands
    assert not Unseen(living([one], [(beyond, "desk")]))(one)


def test_a_deletion_that_was_told_is_proof_unless_it_came_again_or_a_list_names_not_all() -> None:
    gone, one, other = Gone(), ("Service", "shop", "one"), ("Service", "desk", "one")
    for known in (one, other, one):
        gone.last_told(known, gone=True)
    assert (one in gone, other in gone, len(gone)) == (True, True, 2)
    gone.last_told(other, gone=False)
    gone.last_told(other, gone=False)
    assert (one in gone, other in gone, len(gone)) == (True, False, 1)
    gone.last_told(other, gone=True)
    gone.forget("Service", "shop")
    gone.forget("Service", "shop")
    assert (one in gone, other in gone, len(gone)) == (False, True, 1)


def test_deletions_that_are_many_drive_out_their_own_oldest_and_nobody_elses() -> None:
    """Seen: after the jobs of some days on a stand-by it did not hear of a Service that was deleted."""
    gone, hole = Gone(100), ("Service", "shop", "hole")
    gone.last_told(hole, gone=True)
    for number in range(1000):
        gone.last_told(("Pod", "shop", f"job-{number}"), gone=True)
        assert len(gone) <= 100
    late = ("Service", "shop", "late")
    gone.last_told(late, gone=True)
    assert hole in gone
    assert late in gone
    assert ("Pod", "shop", "job-999") in gone
    assert ("Pod", "shop", "job-0") not in gone


def test_a_slice_leads_to_a_pod_that_is_not_kept_until_that_is_known_to_be_over() -> None:
    """Seen: the other tenant's namespace outgrew its room, the pod fell out, and the way to it was over."""
    (way,) = shapes(living(pods=[DB], slices=(WAY,)))
    assert way.severity is Severity.CRITICAL
    beyond = [(POD, "shop")]
    assert shapes(living([way], beyond, slices=(WAY,))) == [way]
    assert shapes(living([way], [(POD, "desk"), (SERVICE, "shop")], slices=(WAY,))) == []
    assert shapes(living([way], beyond, slices=())) == []
    assert shapes(living([way], beyond, slices=(replace(WAY, addresses=()),))) == []
    own = Pod("desk", "web", {}, ips=("10.244.1.5",))
    assert shapes(living([way], beyond, [own], slices=(WAY,))) == [], "the address is another's by now"


def test_what_is_kept_makes_nothing_milder_that_may_stand() -> None:
    both = replace(WAY, addresses=("10.244.1.5", "10.244.3.3"))
    (way,) = shapes(living(pods=[DB, MATE], slices=(both,)))
    assert shapes(living([way], [(POD, "shop")], [MATE], slices=(both,))) == [way]
    (milder,) = shapes(living([way], [], [MATE], slices=(both,)))
    assert (milder.id, milder.severity) == (way.id, Severity.HIGH)


@pytest.mark.parametrize("beyond", [POD, SERVICE, SLICE])
def test_what_calicos_rules_make_of_a_service_stands_while_not_all_of_its_namespace_is_kept(beyond: Resource) -> None:
    service = LiveService("shop", "one", "ClusterIP", {"app": "web"}, (), ())
    one = finding(FindingType.MISDIRECTED, "Service")
    calico = replace(compiled(), dialect="calico")
    assert Unseen(living([one], [(beyond, "shop")], services=(service,), compiled=calico))(one)
    assert not Unseen(living([one], [(beyond, "shop")], services=(service,)))(one)
    assert not Unseen(living([one], [(beyond, "desk")], services=(service,), compiled=calico))(one)


def test_what_is_held_open_takes_the_place_of_what_is_new() -> None:
    ref = finding(FindingType.EXPOSED, "Service").ref
    held = [
        shaped(compiled(), FindingType.EXPOSED, replace(ref, name=f"held-{number:02}"), "", None, crosses=False)
        for number in range(60)
    ]
    thief = LiveService("shop", "thief", "LoadBalancer", {}, (), ("203.0.113.7",))
    live = living(held, [(SERVICE, "shop")], services=(thief,))
    found = list(by_shape(live, Unseen(live)))
    assert {one.ref.name for one in found if one.ref.kind == "Service"} == {one.ref.name for one in held}
    assert any("up to 20 of them critical" in one.summary for one in found)
    assert list(told(compiled(), (), live.open)) == []


def test_owners_that_somebody_invents_are_told_up_to_a_bound_and_end_none_that_stands() -> None:
    """Seen: 400 pods that named 400 owners were 400 findings."""
    many = [
        shaped(
            compiled(),
            FindingType.RELABELLED,
            ObjectRef("apps", "Deployment", "shop", f"d{one:03}"),
            "",
            None,
            crosses=False,
        )
        for one in range(400)
    ]
    live = living([many[-1]])
    (found,) = of_pods(live, Unseen(live), {"shop": many}).values()
    named = [one.ref.name for one in found if one.ref.kind == "Deployment"]
    assert (len(named), named[0]) == (20, "d399")
    (more,) = (one for one in found if one.ref.kind == "Namespace")
    assert (more.type, more.severity) == (FindingType.RELABELLED, Severity.HIGH)
    assert "more than 100 pods and workloads" in more.summary
