"""What enforcing a model would write over is counted, whatever lives there."""

import asyncio
import random

import orjson
import pytest

from driftd.cluster import Mirror, Pace
from driftd.compile import Compiled, GovernedNamespace, Mode
from driftd.engine import pending
from driftd.policy.kinds import KINDS, Coverage, digests_under
from driftd.values import Body
from tests.support.cluster import HandClock
from tests.support.drift_scope import COVERAGE, NAME, compiled_of, governed_of, namespace, policy

POLICY = KINDS["networking.k8s.io", "NetworkPolicy"].resource
HOME = KINDS["", "Namespace"].resource
DENY: Body = {"podSelector": {}, "policyTypes": ["Egress", "Ingress"]}
OPEN: Body = {**DENY, "egress": [{}]}


def model(mode: Mode) -> Compiled:
    governed: GovernedNamespace = governed_of([namespace(), policy("default-deny", DENY)], mode=mode)
    return compiled_of(governed)


def mirror_of(*bodies: Body, coverage: Coverage = COVERAGE) -> Mirror:
    mirror = Mirror(digests_under(coverage), Pace(HandClock(), asyncio.sleep, random.random))
    for resource in (POLICY, HOME):
        mirror.watch(resource)
    for number, body in enumerate(bodies, start=1):
        resource = HOME if body["kind"] == "Namespace" else POLICY
        stored = {**body, "metadata": {**body["metadata"], "uid": f"uid-{number}", "resourceVersion": str(number)}}
        mirror.apply(resource, mirror.reader(resource).live(orjson.dumps(stored)))
    return mirror


def counted(*live: Body, before: Mode = Mode.REPORT) -> dict[str, int]:
    return dict(pending(model(before), model(Mode.ENFORCE), mirror_of(*live)))


def test_what_differs_and_what_is_too_many_counts_where_enforcement_is_new() -> None:
    assert counted(policy("default-deny", DENY)) == {NAME: 0}
    assert counted(policy("default-deny", OPEN), policy("rogue", OPEN)) == {NAME: 2}
    assert counted(policy("default-deny", OPEN), before=Mode.ENFORCE) == {}


@pytest.mark.parametrize("spec", [{**DENY, "podSelector": 7}, "nothing that could be a policy"])
def test_what_nobody_can_read_would_be_written_over(spec: Body) -> None:
    assert counted(policy("default-deny", spec)) == {NAME: 1}


def test_a_namespace_is_read_under_the_coverage_to_come_whatever_the_mirror_read_it_under() -> None:
    before = mirror_of(namespace(zone="somebody's"), coverage=Coverage())
    assert pending(model(Mode.REPORT), model(Mode.ENFORCE), before) == {NAME: 1}
    assert pending(model(Mode.REPORT), model(Mode.ENFORCE), mirror_of(namespace(), coverage=Coverage())) == {NAME: 0}
