"""What is open: opened, still there, gone; and never gone for want of sight."""

from dataclasses import replace
from datetime import UTC, datetime

from driftd.engine.open_findings import OpenFindings
from driftd.telemetry import Metrics
from driftd.values import Direction, Finding, FindingType, ObjectRef, Scope, Seen, Severity

SCOPE = Scope("acme-prod")


def finding(name: str, kind: str = "NetworkPolicy") -> Finding:
    return Finding(
        id=f"{kind}-{name}",
        type=FindingType.MODIFIED,
        ref=ObjectRef("networking.k8s.io" if kind == "NetworkPolicy" else "", kind, "acme-prod", name),
        scope=SCOPE,
        tenant="acme",
        direction=Direction.UNKNOWN,
        severity=Severity.CRITICAL,
        summary="differs",
    )


def open_with(*findings: Finding) -> tuple[OpenFindings, Metrics]:
    metrics = Metrics()
    one = OpenFindings(metrics)
    at = datetime(2026, 1, 1, tzinfo=UTC)
    one.load(Seen(finding, at, at) for finding in findings)
    return one, metrics


def gauge(metrics: Metrics) -> float:
    return sum(sample.value for metric in metrics.findings.collect() for sample in metric.samples)


def test_a_look_is_sorted_into_opened_still_there_and_gone() -> None:
    one, _ = open_with(finding("a"), finding("b"))
    sift = one.sift(SCOPE, [finding("b"), finding("c")], ())
    assert [found.ref.name for found in sift.opened] == ["c"]
    assert [found.ref.name for found in sift.still] == ["b"]
    assert [found.ref.name for found in sift.gone] == ["a"]


def test_what_cannot_be_seen_now_is_not_gone() -> None:
    one, _ = open_with(finding("a"), finding("q", "ResourceQuota"))
    sift = one.sift(SCOPE, [], ["NetworkPolicy"])
    assert [found.ref.name for found in sift.still] == ["a"]
    assert [found.ref.name for found in sift.gone] == ["q"]


def test_what_is_not_yet_proved_absent_again_is_not_gone() -> None:
    one, _ = open_with(finding("a"))
    sift = one.sift(SCOPE, [], (), [finding("a").ref])
    assert [found.ref.name for found in sift.still] == ["a"]


def test_the_gauge_follows_a_finding_whose_direction_becomes_known_while_it_is_open() -> None:
    one, metrics = open_with(finding("a"))
    judged = replace(finding("a"), direction=Direction.NEUTRAL, severity=Severity.INFO)
    one.take(SCOPE, one.sift(SCOPE, [judged], ()))
    one.take(SCOPE, one.sift(SCOPE, [], ()))
    assert all(sample.value == 0 for metric in metrics.findings.collect() for sample in metric.samples)


def test_the_gauge_follows_what_is_open() -> None:
    one, metrics = open_with(finding("a"))
    assert gauge(metrics) == 1
    one.take(SCOPE, one.sift(SCOPE, [finding("a"), finding("b")], ()))
    assert gauge(metrics) == 2
    one.take(SCOPE, one.sift(SCOPE, [], ()))
    assert (gauge(metrics), list(one.all()), one.scopes()) == (0, [], ())


def test_a_tenant_is_listed_while_something_of_it_is_open_and_not_after() -> None:
    one, metrics = open_with(finding("a"), finding("b"))
    labels = {"tenant": "acme", "severity": "critical"}
    assert metrics.registry.get_sample_value("driftd_tenant_findings_open", labels) == 2
    one.take(SCOPE, one.sift(SCOPE, [], ()))
    assert metrics.registry.get_sample_value("driftd_tenant_findings_open", labels) is None


def listed(metrics: Metrics) -> int:
    return sum(len(metric.samples) for one in (metrics.findings, metrics.tenant_findings) for metric in one.collect())


def test_what_is_open_outlives_a_term_and_is_told_in_the_next_one() -> None:
    one, metrics = open_with(finding("a"), finding("b"))
    one.hide()
    assert (listed(metrics), {found.ref.name for found in one.all()}) == (0, {"a", "b"})
    one.show()
    assert gauge(metrics) == 2
    assert (
        metrics.registry.get_sample_value("driftd_tenant_findings_open", {"tenant": "acme", "severity": "critical"})
        == 2
    )


def test_what_comes_late_is_known_after_a_term_and_told_in_the_next_one_only() -> None:
    """A judgement that ends behind its term counted the cleared gauge below zero."""
    one, metrics = open_with(finding("a"), finding("b"))
    one.hide()
    one.judged(replace(finding("a"), direction=Direction.LOOSENS))
    one.take(SCOPE, one.sift(SCOPE, [replace(finding("a"), direction=Direction.LOOSENS)], ()))
    one.join([Seen(finding("c"), datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC))])
    assert listed(metrics) == 0
    one.show()
    samples = {
        sample.labels["direction"]: sample.value for metric in metrics.findings.collect() for sample in metric.samples
    }
    assert samples == {"loosens": 1, "unknown": 1}


def test_scopes_with_the_worst_findings_come_first() -> None:
    one = OpenFindings(Metrics())
    for name, severity in (("calm", Severity.INFO), ("burning", Severity.CRITICAL), ("warm", Severity.LOW)):
        scope = Scope(name)
        found = replace(finding("a"), id=name, scope=scope, severity=severity)
        one.take(scope, one.sift(scope, [found], ()))
    assert [scope.namespace for scope in one.scopes()] == ["burning", "warm", "calm"]
