"""Tightening steps: a cut keeps the selection and loses every rule that the model does not have."""

from hypothesis import HealthCheck, given, settings

from driftd.policy.kinds import KINDS, Coverage, cut, isolates_only, rules
from tests.support.policies import Json, policy, specs

KIND = KINDS["networking.k8s.io", "NetworkPolicy"]
COVERAGE = Coverage()
WEB = {"from": [{"podSelector": {"matchLabels": {"app": "web"}}}], "ports": [{"port": 80}]}
WEB_SPELLED = {"ports": [{"protocol": "TCP", "port": 80}], "from": [{"podSelector": {"matchLabels": {"app": "web"}}}]}
ALL: Json = {}


def covered(body: Json) -> Json:
    return KIND.covered(body, COVERAGE)


@settings(max_examples=80, suppress_health_check=[HealthCheck.too_slow])
@given(specs(), specs())
def test_a_cut_has_the_live_selection_and_a_subset_of_both_sides_rules(live: Json, wanted: Json) -> None:
    before, want, after = covered(policy(live)), covered(policy(wanted)), covered(cut(policy(live), policy(wanted)))
    assert after["spec"]["podSelector"] == before["spec"]["podSelector"]
    assert after["spec"]["policyTypes"] == before["spec"]["policyTypes"]
    for direction in ("ingress", "egress"):
        for rule in rules(after, direction):
            assert rule in rules(before, direction)
            assert rule in rules(want, direction)
        if before["spec"]["podSelector"] == want["spec"]["podSelector"]:
            assert all(
                rule in rules(after, direction) for rule in rules(before, direction) if rule in rules(want, direction)
            )


def test_a_cut_drops_the_rule_that_was_added() -> None:
    body = cut(policy({"ingress": [ALL, WEB]}), policy({"ingress": [WEB_SPELLED]}))
    assert body["spec"]["ingress"] == [WEB]


def test_a_cut_of_another_selection_keeps_no_rule() -> None:
    live = policy({"podSelector": {"matchLabels": {"app": "db"}}, "ingress": [WEB], "egress": [ALL]})
    after = cut(live, policy({"ingress": [WEB], "egress": [ALL]}))["spec"]
    assert after == {"podSelector": live["spec"]["podSelector"], "policyTypes": ["Egress", "Ingress"]}


def test_a_policy_without_rules_only_isolates() -> None:
    assert isolates_only(covered(policy({"policyTypes": ["Ingress", "Egress"]})))
    assert not isolates_only(covered(policy({"egress": [ALL]})))
    assert not isolates_only(covered(policy({"allowOfTheFuture": True})))
