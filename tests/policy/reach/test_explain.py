"""Explanations: the verdict is the engine's, the walk names what decided, and the counterfactual is true."""

from hypothesis import given

from driftd.policy.reach import Answer, Connection, Dialect, Snapshot, explain, pod_from_body, snapshot_of
from driftd.policy.reach.policies import Action
from driftd.values import Body
from tests.oracle.bodies import Cluster
from tests.support.objects import calico_policy, network_policy, pod, tier
from tests.support.reach import RELAXED, live_pods, point, snapshot
from tests.support.tiered_clusters import calico_clusters

WEB = pod("a/web", "10.244.0.1")
DB = pod("a/db", "10.244.0.2", ports=[{"name": "pg", "containerPort": 5432}])
FAR = pod("b/far", "10.244.1.1")


def state(*objects: Body) -> Snapshot:
    return snapshot_of([WEB, DB, FAR, *objects], Dialect.CALICO)


def told(found: Snapshot, source: Body | str, target: Body | str, port: int) -> tuple[Answer, str]:
    ends = [end if isinstance(end, str) else pod_from_body(end) for end in (source, target)]
    explanation = explain(found, ends[0], ends[1], Connection("TCP", port))
    return explanation.allowed, str(explanation)


ALLOW_WEB = network_policy(
    "a/allow-web",
    podSelector={"matchLabels": {"app": "db"}},
    ingress=[
        {"ports": [{"port": 9}]},
        {"from": [{"podSelector": {"matchLabels": {"app": "web"}}}], "ports": [{"port": "pg"}]},
    ],
)


def test_the_rule_that_allows_is_named_with_why_others_missed_and_what_would_be_without_it() -> None:
    allowed, text = told(state(ALLOW_WEB), WEB, DB, 5432)
    assert allowed is Answer.YES
    assert "spec.ingress[0]: no match; TCP/5432 is not TCP/9" in text
    assert "NetworkPolicy a/allow-web spec.ingress[1]: allow" in text
    assert "without spec.ingress[1] of NetworkPolicy a/allow-web it would be blocked" in text


def test_a_block_at_the_end_of_a_tier_names_the_policies_and_what_would_open() -> None:
    allowed, text = told(state(ALLOW_WEB), FAR, DB, 5432)
    assert allowed is Answer.NO
    assert "b/far is not pods with app=web in a" in text
    assert "end of tier default: deny" in text
    assert "without NetworkPolicy a/allow-web it would be allowed" in text


def test_a_port_name_the_target_does_not_have_is_said() -> None:
    nameless = pod("a/other", "10.244.0.9", labels={"app": "db"})
    assert "as the target names its ports" in told(state(ALLOW_WEB, nameless), WEB, nameless, 5432)[1]


def test_ungoverned_ends_are_said_to_be_open() -> None:
    assert "no policy governs egress of a/web" in told(state(), WEB, DB, 1)[1]


def test_tiers_are_walked_in_order_and_pass_hands_on() -> None:
    early = calico_policy("a/early", tier="t", types=["Ingress"], ingress=[{"action": "Pass"}])
    found = state(tier("t", 5), early, ALLOW_WEB)
    ends = pod_from_body(WEB), pod_from_body(DB)
    steps = explain(found, *ends, Connection("TCP", 5432)).ingress.steps
    assert [(step.tier, step.action, step.matched) for step in steps] == [
        ("t", Action.PASS, Answer.YES),
        ("default", Action.ALLOW, Answer.NO),
        ("default", Action.ALLOW, Answer.YES),
    ]


def test_an_open_question_is_told_as_such() -> None:
    block = network_policy("a/p", podSelector={}, ingress=[{"from": [{"ipBlock": {"cidr": "10.244.0.0/16"}}]}])
    found = snapshot_of([WEB, DB, FAR, block], Dialect.KUBERNETES)
    allowed, text = told(found, FAR, DB, 80)
    assert allowed is Answer.MAYBE
    assert "depends on the implementation" in text
    assert "(kubernetes)" in text


@RELAXED
@given(cluster=calico_clusters(max_pods=3))
def test_the_explanation_never_disagrees_with_the_point_query(cluster: Cluster) -> None:
    """Checklist 1.1: one evaluator for point queries and sets"""
    found = snapshot(cluster, "calico")
    for source in live_pods(cluster):
        for target in live_pods(cluster):
            reach = found.reach(source, target)
            for port in (80, 81, 8080):
                explanation = explain(found, source, target, Connection("TCP", port))
                spot = point("TCP", port)
                expected = Answer.YES if spot <= reach.must else Answer.MAYBE if spot <= reach.may else Answer.NO
                assert explanation.allowed is expected
                for side in (explanation.egress, explanation.ingress):
                    if side.decided_by is not None and side.decided_by.action is not Action.PASS:
                        last = side.decided_by.action is Action.ALLOW
                        assert side.allowed in ((Answer.YES if last else Answer.NO), Answer.MAYBE)
