"""What plans let tenants have of their own making, by what it does."""

from dataclasses import replace
from functools import cache
from typing import Literal

import orjson
import pytest

from driftd.compile import Compiled, GovernedNamespace, compile_model
from driftd.compile import Mode as Enforced
from driftd.drift import Difference, LiveScope, World, compare, plan
from driftd.policy.kinds import digest_of, kind_of
from driftd.values import CONDEMNED, PROVENANCE, Body, FindingType, Live, ObjectRef, Scope, Severity
from tests.support.drift_scope import TODAY
from tests.support.model_texts import environment, model

Mode = Literal["never", "inertOrTightening", "withinEnvironment"]
INERT: Body = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
INSIDE: Body = {
    **INERT,
    "ingress": [{"from": [{"podSelector": {}}]}],
    "egress": [{"to": [{"podSelector": {}}]}],
}
OUTSIDE: Body = {**INERT, "egress": [{"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}]}
NEIGHBOUR: Body = {
    **INERT,
    "ingress": [{"from": [{"namespaceSelector": {}}]}],
    "egress": [{"to": [{"namespaceSelector": {}}]}],
}
STRANGER: Body = {"namespaceSelector": {"matchLabels": {"team": "of-nobody-yet"}}}
BESIDE: Body = {**INSIDE, "ingress": [*INSIDE["ingress"], {"from": [STRANGER]}]}


@cache
def compiled() -> Compiled:
    return compile_model(model(shop=environment("shop", "acme"), desk=environment("desk", "acme")))


def governed(mode: Mode) -> GovernedNamespace:
    return replace(compiled().governed["shop"], tenant_policies=mode, mode=Enforced.ENFORCE)


def live_of(spec: Body, kind: str = "NetworkPolicy", **annotations: str) -> Live:
    group = "networking.k8s.io" if kind == "NetworkPolicy" else ""
    ref = ObjectRef(group, kind, "shop", "own")
    metadata = {"name": "own", "namespace": "shop", "annotations": annotations}
    body = {"apiVersion": f"{group}/v1".strip("/"), "kind": kind, "metadata": metadata, "spec": spec}
    digest = digest_of(kind_of(ref), body, compiled().coverage)
    return Live(ref, orjson.dumps(body), digest, "u", "1", terminating=False, managers=())


def looked(mode: Mode, live: Live, *, judged: bool = True) -> tuple[FindingType, Severity, int]:
    """Type and severity of the finding about the object, and the number of writes planned."""
    here = governed(mode)
    objects = {
        ref: Live(ref, one.kept, one.digest, "u", "1", terminating=False, managers=())
        for ref, one in here.objects.items()
    }
    scope = LiveScope(Scope("shop"), {**objects, live.ref: live})
    judge = World(compiled()).judge([Difference(FindingType.UNEXPECTED, live.ref, None, live)])
    comparison = compare(compiled(), here, scope, TODAY, judge=(lambda *_: judge) if judged else None)
    (finding,) = comparison.findings
    planned = plan(comparison, here, scope, coverage=compiled().coverage, epoch=1)
    return finding.type, finding.severity, len(planned.writes)


@pytest.mark.parametrize(
    ("mode", "spec", "stands"),
    [
        ("never", INERT, False),
        ("inertOrTightening", INERT, True),
        ("inertOrTightening", INSIDE, False),
        ("withinEnvironment", INERT, True),
        ("withinEnvironment", INSIDE, True),
        ("withinEnvironment", OUTSIDE, False),
        ("withinEnvironment", NEIGHBOUR, False),
        ("withinEnvironment", BESIDE, False),
    ],
)
def test_a_policy_stands_if_what_it_opens_is_within_the_plan(mode: Mode, spec: Body, stands: bool) -> None:
    type_, _, writes = looked(mode, live_of(spec))
    assert (type_ is FindingType.TOLERATED) == stands
    assert (writes == 0) == stands


def test_what_stands_is_nobodys_alarm_even_where_it_opens_something_inside() -> None:
    assert looked("withinEnvironment", live_of(INSIDE))[1] is Severity.INFO


def test_what_is_not_judged_is_not_tolerated() -> None:
    assert looked("withinEnvironment", live_of(INERT), judged=False)[0] is FindingType.UNEXPECTED


def test_what_driftd_has_condemned_and_emptied_is_not_asked_about_again() -> None:
    assert looked("inertOrTightening", live_of(INERT, **{CONDEMNED: "3"}))[0] is FindingType.UNEXPECTED


def test_what_driftd_made_and_the_model_dropped_goes_whatever_it_does() -> None:
    type_, _, writes = looked("inertOrTightening", live_of(INERT, **{PROVENANCE: "old.yaml Environment/shop"}))
    assert (type_, writes > 0) == (FindingType.UNEXPECTED, True)


def test_a_quota_is_no_policy() -> None:
    assert looked("withinEnvironment", live_of({"hard": {"pods": "1"}}, "ResourceQuota"))[0] is FindingType.UNEXPECTED
