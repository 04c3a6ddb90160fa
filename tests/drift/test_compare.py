"""One scope compared: what is missing, changed, too many, going, or simply not known."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from driftd.compile import Exempt, GovernedNamespace
from driftd.drift import Comparison, Difference, Judgement, LiveScope, compare
from driftd.values import (
    CONDEMNED,
    Body,
    Direction,
    FindingType,
    Live,
    Manager,
    ObjectRef,
    Severity,
    Witness,
)
from tests.support.drift_scope import (
    HOME,
    TODAY,
    compiled_of,
    governed_of,
    live_of,
    namespace,
    policy,
    policy_ref,
    scope_of_bodies,
    service_account,
)

DENY: Body = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
OPEN: Body = {**DENY, "egress": [{}]}
MODEL = [namespace(zone="red"), policy("default-deny", DENY), service_account("api")]
GOING = {"deletionTimestamp": "2026-11-22T00:00:00Z"}


def look(
    live: Sequence[Body | Live],
    *,
    model: Sequence[Body] = MODEL,
    exemptions: tuple[Exempt, ...] = (),
    today: date = TODAY,
    governed: Mapping[str, Any] | None = None,
    orphaned: bool = False,
    **scope: Any,
) -> Comparison:
    known = governed_of(model, **(governed or {}))
    compiled = compiled_of(known, exemptions=exemptions)
    return compare(compiled, known, scope_of_bodies(live, **scope), today, orphaned=orphaned)


def shapes(comparison: Comparison) -> list[tuple[str, str]]:
    return [(finding.type.value, finding.ref.name) for finding in comparison.findings]


def test_the_canonical_state_is_clean() -> None:
    comparison = look(MODEL)
    assert comparison.clean


def test_a_field_that_nobody_declared_is_found() -> None:
    assert shapes(look([MODEL[0], policy("default-deny", OPEN), MODEL[2]])) == [("modified", "default-deny")]


def test_an_object_that_the_model_lacks_is_unexpected_only_in_a_closed_kind() -> None:
    rogue = policy("debug", {"podSelector": {}, "ingress": [{}]})
    assert shapes(look([*MODEL, rogue, service_account("tenants-own")])) == [("unexpected", "debug")]


def test_nothing_is_unexpected_where_only_named_objects_are_ours() -> None:
    assert look([*MODEL, policy("debug", OPEN)], governed={"closed": False}).clean


def test_an_absent_object_is_missing_only_once_proved() -> None:
    comparison = look(MODEL[:1] + MODEL[2:])
    assert comparison.findings == ()
    assert comparison.to_prove == (policy_ref("default-deny"),)
    assert not comparison.clean
    proved = look(MODEL[:1] + MODEL[2:], proved_absent=frozenset({policy_ref("default-deny")}))
    assert shapes(proved) == [("missing", "default-deny")]


def test_a_blind_kind_is_unknown_never_missing_and_never_clean() -> None:
    absent = frozenset({policy_ref("default-deny")})
    live = [MODEL[0], policy("rogue", OPEN), MODEL[2]]
    comparison = look(live, not_ready=("NetworkPolicy",), proved_absent=absent)
    assert comparison.findings == ()
    assert comparison.to_prove == ()
    assert comparison.unknown == ("NetworkPolicy",)
    assert not comparison.clean


def test_another_groups_blind_kind_of_the_same_name_blinds_nothing_here() -> None:
    live = [MODEL[0], policy("default-deny", OPEN), MODEL[2]]
    assert shapes(look(live, not_ready=("NetworkPolicy.projectcalico.org",))) == [("modified", "default-deny")]


def test_a_namespace_proved_absent_proves_all_in_it() -> None:
    comparison = look([], proved_absent=frozenset({HOME}))
    assert sorted(shapes(comparison)) == [("missing", "acme"), ("missing", "api"), ("missing", "default-deny")]
    assert comparison.to_prove == ()


def test_an_adopted_namespace_that_is_absent_is_one_finding() -> None:
    comparison = look([], proved_absent=frozenset({HOME}), governed={"lifecycle": "adopt"})
    assert shapes(comparison) == [("missing", "acme")]


def test_a_terminating_namespace_closes_all_other_findings() -> None:
    going = namespace(zone="blue")
    going["metadata"] |= GOING
    comparison = look([going, policy("rogue", OPEN)])
    assert shapes(comparison) == [("terminating", "acme")]
    assert comparison.differences == {}


def test_a_canonical_object_on_its_way_out_is_found_with_who_holds_it() -> None:
    held = policy("default-deny", DENY, finalizers=["example.com/hold"], **GOING)
    (finding,) = look([MODEL[0], held, MODEL[2]]).findings
    assert finding.type is FindingType.TERMINATING
    assert "held by example.com/hold" in finding.summary


def test_a_foreign_finalizer_is_a_finding_and_a_cni_finalizer_is_noise() -> None:
    foreign = policy("default-deny", DENY, finalizers=["example.com/hold"])
    (finding,) = look([MODEL[0], foreign, MODEL[2]]).findings
    assert (finding.type, finding.severity) == (FindingType.FINALIZER, Severity.INFO)
    assert look([MODEL[0], policy("default-deny", DENY, finalizers=["networking.k8s.aws/resources"]), MODEL[2]]).clean


def test_the_finalizers_of_a_namespaces_spec_are_its_own_affair() -> None:
    home = {**MODEL[0], "spec": {"finalizers": ["kubernetes"]}}
    assert look([home, *MODEL[1:]]).clean


def test_a_rogue_that_was_emptied_and_is_held_is_undeletable() -> None:
    rogue = policy("rogue", DENY, finalizers=["example.com/hold"], **GOING)
    rogue["metadata"]["annotations"] = {CONDEMNED: "3"}
    (finding,) = look([*MODEL, rogue]).findings
    assert finding.type is FindingType.UNDELETABLE
    assert finding.direction is Direction.TIGHTENS
    still_open = policy("rogue", OPEN, finalizers=["example.com/hold"], **GOING)
    assert shapes(look([*MODEL, still_open])) == [("unexpected", "rogue")]


def test_a_condemned_mark_on_a_canonical_object_is_drift() -> None:
    marked = policy("default-deny", DENY)
    marked["metadata"]["annotations"] = {**marked["metadata"]["annotations"], CONDEMNED: "3"}
    assert shapes(look([MODEL[0], marked, MODEL[2]])) == [("modified", "default-deny")]


def exempt(name: str, until: date = TODAY) -> tuple[Exempt, ...]:
    return (Exempt(policy_ref(name), until, "platform", "INC-1"),)


def test_an_exemption_hides_that_object_through_its_last_day() -> None:
    live = [*MODEL, policy("debug", OPEN), policy("debug-2", OPEN)]
    comparison = look(live, exemptions=exempt("debug"))
    assert shapes(comparison) == [("unexpected", "debug-2")]
    assert [one.reason for one in comparison.exempted] == ["INC-1"]
    assert len(look(live, exemptions=exempt("debug"), today=TODAY + timedelta(days=1)).findings) == 2


def test_an_exemption_hides_a_change_but_not_an_absence() -> None:
    assert look([MODEL[0], policy("default-deny", OPEN), MODEL[2]], exemptions=exempt("default-deny")).findings == ()
    absent = frozenset({policy_ref("default-deny")})
    comparison = look(MODEL[:1] + MODEL[2:], exemptions=exempt("default-deny"), proved_absent=absent)
    assert shapes(comparison) == [("missing", "default-deny")]


def test_an_orphaned_namespace_is_said_and_still_held_to_its_last_state() -> None:
    comparison = look([MODEL[0], policy("default-deny", OPEN), MODEL[2]], orphaned=True)
    assert shapes(comparison) == [("orphaned", "acme"), ("modified", "default-deny")]


def test_a_namespace_with_another_uid_is_said_and_governed_at_once() -> None:
    comparison = look([MODEL[0], policy("default-deny", OPEN), MODEL[2]], namespace_uid_known="uid-old")
    assert shapes(comparison) == [("recreated", "acme"), ("modified", "default-deny")]
    assert look(MODEL, namespace_uid_known="uid-acme").clean


def test_a_kind_that_nobody_here_understands_is_found_and_is_critical() -> None:
    other = Live(ObjectRef("cilium.io", "CiliumNetworkPolicy", "acme", "x"), b"{}", b"", "u", "1", False, ())  # type: ignore[arg-type]
    (finding,) = look(MODEL, unknown=(other,)).findings
    assert (finding.type, finding.direction, finding.severity) == (
        FindingType.UNKNOWN_KIND,
        Direction.UNKNOWN,
        Severity.CRITICAL,
    )


def test_ids_are_the_same_in_every_cycle_and_differ_by_type_object_and_cluster() -> None:
    live = [MODEL[0], policy("default-deny", OPEN), policy("rogue", OPEN), MODEL[2]]
    first, second = look(live), look(live)
    assert [finding.id for finding in first.findings] == [finding.id for finding in second.findings]
    known = governed_of(MODEL)
    elsewhere = compare(compiled_of(known, cluster="eu-2"), known, scope_of_bodies(live), TODAY)
    assert len({finding.id for finding in (*first.findings, *elsewhere.findings)}) == 4


def test_the_newest_writer_who_is_not_driftd_is_the_claim() -> None:
    writers = [Manager(name, "Update", f"2026-11-22T00:00:0{n}Z") for n, name in enumerate(("helm", "k9s", "driftd"))]
    (finding,) = look([MODEL[0], live_of(policy("default-deny", OPEN), *writers), MODEL[2]]).findings
    assert finding.claimed_by is not None
    assert (finding.claimed_by.who, finding.claimed_by.source) == ("k9s", "managedFields")
    (unclaimed,) = look([MODEL[0], live_of(policy("default-deny", OPEN), writers[2]), MODEL[2]]).findings
    assert unclaimed.claimed_by is not None
    assert unclaimed.claimed_by.source == "unknown"


def test_a_claim_says_how_many_have_written_where_not_all_of_them_are_kept() -> None:
    """Whoever applies under many names pushes out the one who made the change."""
    writers = [Manager(name, "Apply", f"2026-11-22T00:00:0{n}Z") for n, name in enumerate(("helm", "x"))]
    live = replace(live_of(policy("default-deny", OPEN), *writers), earlier_managers=31)
    (finding,) = look([MODEL[0], live, MODEL[2]]).findings
    assert finding.claimed_by is not None
    assert finding.claimed_by.who == "x (the newest of 33 writers)"


def test_unjudged_drift_is_unknown_and_critical() -> None:
    (finding,) = look([MODEL[0], policy("default-deny", OPEN), MODEL[2]]).findings
    assert (finding.direction, finding.severity) == (Direction.UNKNOWN, Severity.CRITICAL)


def test_a_judge_gives_direction_witness_and_severity() -> None:
    witness = Witness("acme/web", "acme/db", "TCP", "5432")
    asked: list[Difference] = []

    def judge(
        governed: GovernedNamespace, live: LiveScope, differences: Sequence[Difference]
    ) -> Mapping[ObjectRef, Judgement]:
        asked.extend(differences)
        return {
            policy_ref("default-deny"): Judgement(Direction.LOOSENS, witness, crosses_tenant=False, dialect="calico")
        }

    known = governed_of(MODEL)
    live = scope_of_bodies([MODEL[0], policy("default-deny", OPEN, finalizers=["example.com/x"]), MODEL[2]])
    comparison = compare(compiled_of(known), known, live, TODAY, judge=judge)
    assert [one.type for one in asked] == [FindingType.MODIFIED]
    loosened = next(one for one in comparison.findings if one.type is FindingType.MODIFIED)
    assert (loosened.severity, loosened.witness, loosened.dialect) == (Severity.HIGH, witness, "calico")


def test_a_twin_is_not_unexpected_while_its_original_goes_and_is_afterwards() -> None:
    twin = policy("default-deny-driftd-twin", DENY)
    going = policy("default-deny", DENY, **GOING)
    assert shapes(look([MODEL[0], going, twin, MODEL[2]])) == [("terminating", "default-deny")]
    (finding,) = look([*MODEL, twin]).findings
    assert (finding.type, finding.direction) == (FindingType.UNEXPECTED, Direction.NEUTRAL)


def test_a_twins_name_protects_nothing() -> None:
    opened = policy("default-deny-driftd-twin", OPEN)
    going = policy("default-deny", DENY, **GOING)
    assert shapes(look([MODEL[0], going, opened, MODEL[2]])) == [
        ("terminating", "default-deny"),
        ("modified", "default-deny-driftd-twin"),
    ]
    (leftover,) = look([*MODEL, opened]).findings
    assert (leftover.type, leftover.direction) == (FindingType.UNEXPECTED, Direction.UNKNOWN)
    assert shapes(look([*MODEL, policy("other-driftd-twin", OPEN)])) == [("unexpected", "other-driftd-twin")]


@pytest.mark.parametrize("per_scope", [10, 1000])
def test_a_warm_pass_over_ten_thousand_equal_objects_costs_little(per_scope: int) -> None:
    bodies = [namespace(zone="red"), *(policy(f"p{n}", DENY) for n in range(per_scope - 1))]
    governed, live = governed_of(bodies), scope_of_bodies(bodies)
    compiled = compiled_of(governed)
    least = 9.0
    for _ in range(3):
        start = time.process_time()
        for _ in range(10_000 // per_scope):
            comparison = compare(compiled, governed, live, TODAY)
        least = min(least, time.process_time() - start)
    assert comparison.clean
    print(f"{least * 1000:.0f} ms")
    assert least < 0.3, f"{least:.3f} s for 10,000 objects; the goal on a quiet core is 0.1 s"
