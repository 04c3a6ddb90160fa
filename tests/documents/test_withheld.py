"""Who may look into one namespace reads what happened there, and nobody else's name."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftd.documents import life_entry
from driftd.documents.withheld import ELSEWHERE, as_seen_in
from driftd.store import Past, Settled
from driftd.values import (
    Claim,
    Direction,
    Finding,
    FindingType,
    Intent,
    ObjectRef,
    Outcome,
    Result,
    Scope,
    Seen,
    Severity,
    Witness,
    effect,
)

AT = datetime(2026, 6, 1, tzinfo=UTC)
REF = ObjectRef("networking.k8s.io", "NetworkPolicy", "acme-prod", "own")


def found(source: str, target: str, type_: FindingType = FindingType.RELABELLED, summary: str | None = None) -> Finding:
    witness = Witness(source, target, "TCP", "5432")
    said = (
        f"{REF} (pods p) belongs to no service; {effect(Direction.LOOSENS, witness, neutral_now=False)}. Put it right"
    )
    return Finding(
        id="f", type=type_, ref=REF, scope=Scope("acme-prod"), tenant="acme", direction=Direction.LOOSENS,
        severity=Severity.CRITICAL, summary=said if summary is None else summary, witness=witness,
        claimed_by=Claim("kubectl", "managedFields"),
    )  # fmt: skip


def seen_as(finding: Finding) -> Seen:
    return Seen(finding, AT, AT)


ENDS = st.sampled_from(
    ["globex-prod/vault", "globex-prod/[app=vault]", "203.0.113.0/24", "acme-prod-two/web", "anybody-else/web"]
)


@given(ENDS, st.booleans(), st.sampled_from(FindingType))
def test_nobody_outside_is_named_in_any_field(other: str, leads_out: bool, type_: FindingType) -> None:
    ends = ("acme-prod/web", other) if leads_out else (other, "acme-prod/web")
    past = Past(seen_as(found(*ends, type_)), 1, ())
    told = life_entry(past, "acme-prod").model_dump_json()
    assert other not in told
    assert "acme-prod/web" in told
    assert "kubectl" in told, "who did it in the namespace is the namespace's own business"
    assert other in life_entry(past).model_dump_json()


def test_the_words_stay_but_for_the_other_end() -> None:
    seen = as_seen_in("acme-prod", found("globex-prod/thief", "acme-prod/db"))
    assert (
        seen.summary
        == f"{REF} (pods p) belongs to no service; it opens {ELSEWHERE} -> acme-prod/db TCP/5432. Put it right"
    )
    assert seen.effect == f"it opens {ELSEWHERE} -> acme-prod/db TCP/5432"


def test_a_flow_inside_the_namespace_is_told_whole() -> None:
    inside = found("acme-prod/web", "acme-prod/db")
    assert as_seen_in("acme-prod", inside) == inside


def test_a_summary_that_names_somebody_in_another_way_is_replaced() -> None:
    odd = found("globex-prod/thief", "acme-prod/db", summary="globex-prod/thief was seen here")
    assert as_seen_in("acme-prod", odd).summary == f"{REF}: relabelled"


@pytest.mark.parametrize("type_", [FindingType.MISDIRECTED, FindingType.BLOCKED])
def test_words_about_anybody_are_left_out(type_: FindingType) -> None:
    said = found("acme-prod/web", "acme-prod/db", type_, summary="pod globex-prod/vault-7 of tenant globex")
    assert "globex" not in as_seen_in("acme-prod", said).summary


def test_of_a_service_that_leaves_out_a_pod_its_namespace_reads_what_is_found_but_for_strangers() -> None:
    service = ObjectRef("", "Service", "acme-prod", "db")
    witness = Witness("globex-prod/thief", "acme-prod/db", "TCP", "5432")
    said = f"{service} selects pods that none of its EndpointSlices lists; it opens {witness}. See who takes them out"
    one = replace(found(witness.source, witness.target, FindingType.MISDIRECTED, said), ref=service)
    assert as_seen_in("acme-prod", one).summary == said.replace("globex-prod/thief", ELSEWHERE)


def test_the_api_servers_words_on_a_write_are_left_out() -> None:
    intent = Intent("i", "f", REF, "replace", "u", "1", 1, "c", AT)
    outcome = Outcome("i", Result.REFUSED, AT, message="the host is taken by globex-prod/shop")
    past = Past(seen_as(found("acme-prod/web", "acme-prod/db")), 1, (Settled(intent, outcome),))
    assert life_entry(past, "acme-prod").writes[0].message == ""
    assert "globex" in life_entry(past).writes[0].message
