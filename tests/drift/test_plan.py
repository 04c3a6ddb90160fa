"""What is written for each finding, in which order, and what is left alone and why."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from driftd.compile import Mode
from driftd.drift import Judgement, LiveScope, compare, plan
from driftd.drift.stages import MOST_WRITES
from driftd.values import (
    CONDEMNED,
    EPOCH,
    PROVENANCE,
    Body,
    Condemn,
    Create,
    Delete,
    Direction,
    ObjectRef,
    Plan,
    Replace,
)
from tests.support.drift_scope import (
    COVERAGE,
    HOME,
    ORIGIN,
    TODAY,
    Store,
    compiled_of,
    governed_of,
    namespace,
    policy,
    policy_ref,
    quota,
    scope_of_bodies,
    service_account,
)
from tests.support.drift_scope import (
    EPOCH as NOW,
)

DENY: Body = {"podSelector": {}, "policyTypes": ["Egress", "Ingress"]}
OPEN: Body = {**DENY, "egress": [{}]}
WEB: Body = {
    "podSelector": {"matchLabels": {"app": "web"}},
    "policyTypes": ["Ingress"],
    "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "api"}}}], "ports": [{"port": 80}]}],
}
MODEL = [
    namespace(zone="red"),
    policy("default-deny", DENY),
    policy("web", WEB),
    quota(pods="5"),
    service_account("api"),
]
GOING = {"deletionTimestamp": "2026-11-22T00:00:00Z", "finalizers": ["example.com/hold"]}


def made(
    live: Sequence[Body],
    *,
    model: Sequence[Body] = MODEL,
    waiting: frozenset[ObjectRef] = frozenset(),
    scope: dict[str, Any] | None = None,
    **governed: Any,
) -> Plan:
    known = governed_of(model, **governed)
    present: LiveScope = scope_of_bodies(live, **(scope or {"proved_absent": frozenset(known.objects)}))
    comparison = compare(compiled_of(known), known, present, TODAY)
    return plan(comparison, known, present, coverage=COVERAGE, epoch=NOW, waiting=waiting)


def steps(found: Plan) -> list[str]:
    return [f"{type(write).__name__} {write.ref.name}" for write in found.writes]


def without(*names: str) -> list[Body]:
    return [body for body in MODEL if body["metadata"]["name"] not in names]


def test_the_canonical_state_needs_no_write() -> None:
    assert made(MODEL) == Plan(scope_of_bodies([]).scope)


def test_a_fresh_namespace_is_made_from_the_outside_in() -> None:
    assert steps(made([])) == [
        "Create acme",
        "Create default-deny",
        "Create web",
        "Create quota",
        "Create api",
    ]


def test_one_changed_object_is_put_back_at_once_with_all_that_is_foreign() -> None:
    live = policy(
        "default-deny", OPEN, uid="u1", resourceVersion="41", labels={"team": "red"}, finalizers=["example.com/x"]
    )
    live["metadata"]["annotations"] |= {"note": "mine", EPOCH: "3", CONDEMNED: "3"}
    (write,) = made([*without("default-deny"), live]).writes
    assert isinstance(write, Replace)
    assert (write.uid, write.resource_version, write.interim) == ("u1", "41", False)
    assert write.body["spec"] == DENY
    metadata = write.body["metadata"]
    assert metadata["labels"] == {"team": "red"}
    assert metadata["finalizers"] == ["example.com/x"]
    assert metadata["annotations"] == {"note": "mine", EPOCH: "3", PROVENANCE: ORIGIN.provenance}
    assert write.reason == "put NetworkPolicy acme/default-deny back to acme.yaml:3 (Environment/acme)"


def test_an_unexpected_object_is_emptied_and_marked_and_then_deleted_in_that_version() -> None:
    condemn, delete = made([*MODEL, policy("rogue", OPEN, uid="u1", resourceVersion="9")]).writes
    assert isinstance(condemn, Condemn)
    assert condemn.body["spec"] == DENY
    assert condemn.body["metadata"]["annotations"][CONDEMNED] == str(NOW)
    assert isinstance(delete, Delete)
    assert (delete.uid, delete.resource_version) == ("u1", "")


def test_what_this_epoch_condemned_is_only_deleted_and_an_older_mark_is_renewed() -> None:
    rogue = policy("rogue", DENY, resourceVersion="9")
    rogue["metadata"]["annotations"] = {CONDEMNED: str(NOW)}
    (delete,) = made([*MODEL, rogue]).writes
    assert isinstance(delete, Delete)
    assert delete.resource_version == "9"
    rogue["metadata"]["annotations"] = {CONDEMNED: str(NOW - 1)}
    assert steps(made([*MODEL, rogue])) == ["Condemn rogue", "Delete rogue"]


def test_a_rogue_that_is_going_is_emptied_and_its_finalizers_are_left() -> None:
    found = made([*MODEL, policy("rogue", OPEN, **GOING)])
    (condemn,) = found.writes
    assert isinstance(condemn, Condemn)
    assert condemn.body["metadata"]["finalizers"] == ["example.com/hold"]
    emptied = made([*MODEL, policy("rogue", DENY, **GOING)])
    assert emptied.writes == ()
    assert "waits for the owners of its finalizers" in emptied.held[0]


def test_several_differences_are_cut_before_anything_opens_and_deleted_last() -> None:
    changed = policy("web", {**WEB, "podSelector": {"matchLabels": {"app": "db"}}})
    found = made([*without("web", "default-deny", "api"), changed, policy("rogue", OPEN)])
    assert steps(found) == [
        "Create default-deny",
        "Condemn rogue",
        "Replace web",
        "Create api",
        "Replace web",
        "Delete rogue",
    ]
    cut, final = (write for write in found.writes if isinstance(write, Replace))
    assert (cut.interim, final.interim, final.resource_version) == (True, False, "")
    assert cut.body["spec"] == {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [], "egress": []}


def test_a_rule_too_many_is_taken_away_in_one_write_even_among_others() -> None:
    wider = policy("web", {**WEB, "ingress": [*WEB["ingress"], {}]})
    found = made([*without("web", "default-deny"), wider, policy("default-deny", OPEN)])
    assert steps(found) == ["Replace default-deny", "Replace web"]
    assert not any(isinstance(write, Replace) and write.interim for write in found.writes)


def test_a_peer_too_many_in_a_rule_does_not_cost_the_canonical_peers_a_moment() -> None:
    (rule,) = WEB["ingress"]
    wider = policy("web", {**WEB, "ingress": [{**rule, "from": [*rule["from"], {"namespaceSelector": {}}]}]})
    found = made([*without("web"), wider, policy("rogue", OPEN)])
    assert steps(found) == ["Condemn rogue", "Replace web", "Delete rogue"]


def test_a_missing_policy_isolates_first_where_nothing_else_does() -> None:
    model = [namespace(), policy("web", WEB)]
    found = made([namespace(), policy("rogue", OPEN)], model=model)
    assert steps(found) == ["Condemn rogue", "Create web", "Replace web", "Delete rogue"]
    create = next(write for write in found.writes if isinstance(write, Create))
    assert create.interim
    assert not create.body["spec"].get("ingress")


def test_a_namespace_is_put_back_after_the_cuts() -> None:
    found = made([namespace(zone="blue"), *without("acme", "default-deny"), policy("default-deny", OPEN)])
    assert steps(found) == ["Replace default-deny", "Replace acme"]


def test_report_mode_writes_nothing_and_says_so() -> None:
    found = made([*MODEL, policy("rogue", OPEN)], mode=Mode.REPORT)
    assert found.writes == ()
    assert found.held == ("NetworkPolicy acme/rogue stays as it is: NetworkPolicy is in report mode in acme",)


def test_a_kind_may_be_in_report_mode_alone() -> None:
    live = [*without("quota"), quota(pods="9"), policy("rogue", OPEN)]
    assert steps(made(live, kind_modes={"NetworkPolicy": Mode.REPORT})) == ["Replace quota"]


def test_nothing_is_written_into_a_terminating_namespace() -> None:
    going = namespace()
    going["metadata"] |= GOING
    found = made([going, policy("rogue", OPEN)])
    assert found.writes == ()
    assert "is being deleted" in found.held[0]


def test_an_adopted_namespace_is_never_made() -> None:
    found = made([], lifecycle="adopt")
    assert found.writes == ()
    assert found.held[0] == "Namespace acme is adopted, not made: whoever owns it has to create it"


def test_an_open_kind_and_a_namespace_are_never_condemned() -> None:
    live = [*MODEL, service_account("tenants-own")]
    assert made(live, model=MODEL[1:]).writes == ()


def test_nothing_opens_while_an_object_is_not_proved_absent() -> None:
    live = [*without("web"), policy("rogue", OPEN)]
    found = made(live, scope={"proved_absent": frozenset()})
    assert steps(found) == ["Condemn rogue"]
    assert "until NetworkPolicy acme/web is proved absent" in found.held[0]
    assert found.waiting == {}, "that is over without anybody's doing"


def test_what_waits_for_a_finding_that_is_not_judged_yet_is_not_told() -> None:
    store, governed = Store([*without("web"), policy("rogue", OPEN)]), governed_of(MODEL)
    looked = store.look(governed)
    unjudged = replace(looked, findings=tuple(one for one in looked.findings if one.ref.name != "rogue"))
    found = plan(unjudged, governed, store.live(governed), coverage=COVERAGE, epoch=NOW)
    assert any("web opens no more until NetworkPolicy acme/rogue" in one for one in found.held)
    assert found.waiting == {}
    told = store.plan(governed, blocked=frozenset({policy_ref("rogue")})).waiting
    assert told == {
        policy_ref("web"): "it opens no more until NetworkPolicy acme/rogue is proved absent or can be put right"
    }


def test_a_lone_difference_that_waits_is_left_alone() -> None:
    found = made([*without("web"), policy("web", {**WEB, "ingress": []})], waiting=frozenset({policy_ref("web")}))
    assert found.writes == ()
    assert "waits" in found.held[0]


def test_a_canonical_object_on_its_way_out_gets_a_twin() -> None:
    going = policy("web", WEB, **GOING)
    (create,) = made([*without("web"), going]).writes
    assert isinstance(create, Create)
    assert create.ref == policy_ref("web-driftd-twin")
    assert create.body["spec"] == WEB
    assert create.body["metadata"]["annotations"] == {PROVENANCE: ORIGIN.provenance}
    twin = policy("web-driftd-twin", WEB)
    assert made([*without("web"), going, twin]).writes == ()


def test_the_original_comes_back_before_its_twin_goes() -> None:
    twin = policy("web-driftd-twin", WEB)
    assert steps(made([*without("web"), twin])) == ["Create web"]
    assert steps(made([*MODEL, twin])) == ["Condemn web-driftd-twin", "Delete web-driftd-twin"]


def test_an_account_on_its_way_out_is_waited_for() -> None:
    account = service_account("api")
    account["metadata"] |= GOING
    found = made([*without("api"), account])
    assert found.writes == ()
    assert "cannot be made again until it is gone" in found.held[0]


@pytest.mark.parametrize("odd", [b'"podSelector":7', b'"podSelector":{},"deep":' + b"[" * 300 + b"]" * 300])
def test_one_unreadable_object_does_not_stop_the_others(odd: bytes) -> None:
    broken = scope_of_bodies([policy("rogue", DENY), policy("rogue-2", OPEN), *MODEL])
    rogue = broken.objects[policy_ref("rogue")]
    objects = dict(broken.objects)
    raw = rogue.raw.replace(b'"podSelector":{}', odd)
    objects[rogue.ref] = type(rogue)(rogue.ref, raw, rogue.digest, rogue.uid, rogue.resource_version, False, ())
    known = governed_of(MODEL)
    live = LiveScope(broken.scope, objects)
    comparison = compare(compiled_of(known), known, live, TODAY)
    found = plan(comparison, known, live, coverage=COVERAGE, epoch=NOW)
    assert steps(found) == ["Condemn rogue-2"]
    assert any("cannot be written" in sentence for sentence in found.held)


def test_a_store_that_refuses_wrong_versions_takes_the_whole_plan() -> None:
    store = Store([namespace(zone="blue"), policy("default-deny", OPEN), policy("rogue", OPEN), quota(pods="9")])
    governed = governed_of(MODEL)
    for write in store.plan(governed).writes:
        store.execute(write)
    assert store.look(governed).clean
    assert HOME in store.objects


def test_a_plan_has_a_bounded_number_of_writes_and_its_rounds_end_canonical_and_never_looser() -> None:
    named = [policy(f"p{n}", {**WEB, "podSelector": {"matchLabels": {"app": f"a{n % 3}"}}}) for n in range(MOST_WRITES)]
    rogue = [policy(f"rogue{n}", OPEN) for n in range(MOST_WRITES)]
    governed = governed_of([*MODEL, *named])
    store = Store([MODEL[0], policy("default-deny", OPEN), *rogue])
    rounds = []
    while writes := store.plan(governed).writes:
        rounds.append(len(writes))
        for write in writes:
            store.execute(write)
            opened = any(one["spec"].get("ingress") for one in store.specs())
            hole = any(one["spec"].get("egress") for one in store.specs())
            assert not (opened and hole), f"{write.ref} opens while something is open that the model closes"
    assert max(rounds) == MOST_WRITES
    assert len(rounds) >= 3
    assert store.look(governed).findings == ()


def test_what_is_known_to_be_worst_is_closed_first() -> None:
    known = governed_of(MODEL)
    bodies = [*MODEL, policy("a-harmless", DENY), policy("b-unknown", OPEN), policy("c-inside", OPEN)]
    live = scope_of_bodies(bodies, proved_absent=frozenset(known.objects))
    judged = {
        policy_ref("a-harmless"): Judgement(Direction.NEUTRAL, crosses_tenant=False),
        policy_ref("c-inside"): Judgement(Direction.LOOSENS, crosses_tenant=False),
    }
    comparison = compare(compiled_of(known), known, live, TODAY, judge=lambda *_: judged)
    found = plan(comparison, known, live, coverage=COVERAGE, epoch=NOW)
    closing = [write.ref.name for write in found.writes if isinstance(write, Condemn)]
    assert closing == ["b-unknown", "c-inside", "a-harmless"]
