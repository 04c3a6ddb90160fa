"""Quotas and limits compare by value, the way the API server stores them."""

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftd.policy.kinds import KINDS, Coverage, MalformedObject, digest_of
from driftd.policy.kinds.quantity import parse, quantity

QUOTA = KINDS["", "ResourceQuota"]
LIMITS = KINDS["", "LimitRange"]
COVERAGE = Coverage()


def quota(spec: dict[str, Any]) -> bytes:
    return digest_of(QUOTA, {"metadata": {"name": "q"}, "spec": spec}, COVERAGE)


def limits(*items: dict[str, Any]) -> bytes:
    return digest_of(LIMITS, {"metadata": {"name": "l"}, "spec": {"limits": list(items)}}, COVERAGE)


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("1000m", "1"),
        ("1Gi", "1Gi"),
        ("1073741824", "1Gi"),
        ("8192Mi", "8Gi"),
        ("12e6", "12000000"),
        ("12E6", "12000000"),
        ("12M", "12000000"),
        ("1E", "1000000000000000000"),
        ("1.5", "1500m"),
        (".5", "500m"),
        ("5.", "5"),
        ("+2", "2"),
        ("-1500m", "-1500m"),
        ("0Gi", "0"),
        ("1n", "1m"),
        ("100001u", "101m"),
        (2, "2"),
        (0.25, "250m"),
    ],
)
def test_a_quantity_has_one_spelling(written: Any, canonical: str) -> None:
    assert quantity(written, "x") == canonical


@given(st.integers(-(10**18), 10**18))
def test_the_spelling_keeps_the_value(thousandths: int) -> None:
    assert parse(quantity(f"{thousandths}m", "x"), "x") == Fraction(thousandths, 1000)


@pytest.mark.parametrize(
    "written", ["", "1 Gi", "1KiB", "1e", "e3", "--1", "1e999999999", "9" * 65, "\u0661", True, None, [1], "1K"]
)
def test_what_is_no_quantity_is_refused(written: Any) -> None:
    with pytest.raises(MalformedObject, match=r"quantity|exponent"):
        quantity(written, "spec.hard.cpu")


def test_quota_amounts_compare_by_value_and_scopes_as_a_set() -> None:
    one = quota({"hard": {"cpu": "1000m", "memory": "1Gi"}, "scopes": ["A", "B"]})
    assert one == quota({"hard": {"memory": 1073741824, "cpu": 1}, "scopes": ["B", "A"], "scopeSelector": {}})
    assert one != quota({"hard": {"cpu": "1001m", "memory": "1Gi"}, "scopes": ["A", "B"]})
    assert one != quota({"hard": {"cpu": "1", "memory": "1Gi"}, "scopes": ["A"]})
    assert one != quota({"hard": {"cpu": "1", "memory": "1Gi"}, "scopes": ["A", "B"], "later": 1})


def test_scope_selectors_are_sets() -> None:
    first = {"scopeName": "PriorityClass", "operator": "In", "values": ["high", "low"]}
    second = {"scopeName": "BestEffort", "operator": "Exists"}
    one = quota({"scopeSelector": {"matchExpressions": [first, second]}})
    turned = {**first, "values": ["low", "high"]}
    assert one == quota({"scopeSelector": {"matchExpressions": [second, turned]}})
    assert one != quota({"scopeSelector": {"matchExpressions": [first]}})
    covered = QUOTA.covered({"spec": {"scopeSelector": {"matchExpressions": [first]}}}, COVERAGE)
    keyed = QUOTA.keyed(covered)["spec"]["scopeSelector"]["matchExpressions"]
    assert list(keyed) == ["PriorityClass in (high low)"]


def test_container_limits_derive_their_defaults_as_the_server_does() -> None:
    assert limits({"type": "Container", "max": {"cpu": "2"}}) == limits(
        {"type": "Container", "max": {"cpu": "2"}, "default": {"cpu": "2"}, "defaultRequest": {"cpu": "2"}}
    )
    assert limits({"type": "Container", "min": {"cpu": "1"}, "default": {"memory": "1Gi"}}) == limits(
        {
            "type": "Container",
            "min": {"cpu": "1"},
            "default": {"memory": "1Gi"},
            "defaultRequest": {"cpu": "1", "memory": "1Gi"},
        }
    )
    assert limits({"type": "Container", "min": {"cpu": "1"}, "default": {"cpu": "2"}}) == limits(
        {"type": "Container", "min": {"cpu": "1"}, "default": {"cpu": "2"}, "defaultRequest": {"cpu": "2"}}
    )
    assert limits({"type": "Pod", "max": {"cpu": "2"}}) != limits(
        {"type": "Pod", "max": {"cpu": "2"}, "default": {"cpu": "2"}}
    )


def test_limits_are_a_set_keyed_by_type() -> None:
    pod, container = {"type": "Pod", "max": {"cpu": "2"}}, {"type": "Container", "max": {"cpu": "1"}}
    assert limits(pod, container) == limits(container, pod)
    assert limits(pod) != limits(pod, container)
    covered = LIMITS.covered({"spec": {"limits": [pod, container]}}, COVERAGE)
    assert sorted(LIMITS.keyed(covered)["spec"]["limits"]) == ["Container", "Pod"]
