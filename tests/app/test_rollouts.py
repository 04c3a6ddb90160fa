"""A commit of one's own wakes nobody; what somebody does to the cluster does, also during a rollout."""

from dataclasses import replace

from driftd.app.rollouts import Rollouts
from driftd.compile import Compiled
from driftd.engine import InForce
from driftd.values import CLUSTER, Body, Finding, Live, ObjectRef
from tests.support.drift_scope import compiled_of, governed_of, live_of, namespace, policy, policy_ref
from tests.support.paging import HandClock, drift
from tests.support.tiered_scope import calico, ref, tiered_model

DENY: Body = {"podSelector": {}, "policyTypes": ["Egress", "Ingress"]}
OPEN: Body = {**DENY, "egress": [{}]}
DNS: Body = {**DENY, "egress": [{"ports": [{"port": 53, "protocol": "UDP"}]}]}


def model(commit: str, spec: Body) -> InForce:
    return InForce(compiled(spec), commit)


def compiled(spec: Body) -> Compiled:
    return compiled_of(governed_of([namespace(), policy("default-deny", spec)]))


class Cluster:
    """What is live, and a rollout from one model to another."""

    def __init__(self, before: InForce | None, after: InForce, live: Body | None) -> None:
        self.clock = HandClock()
        self.live = live
        self.rollouts = Rollouts(self.get, self.clock)
        self.rollouts.accepted(before, after)

    def get(self, ref: ObjectRef) -> Live | None:
        return live_of(policy("default-deny", self.live)) if self.live is not None and ref.kind != "Namespace" else None

    def covers(self) -> bool:
        return self.rollouts.covers(self.finding())

    @staticmethod
    def finding() -> Finding:
        found = drift()
        ref = policy_ref("default-deny")
        return Finding(found.id, found.type, ref, found.scope, "acme", found.direction, found.severity, found.summary)


def test_an_object_as_the_model_before_had_it_waits_for_its_turn() -> None:
    assert Cluster(model("a", DENY), model("b", DNS), DENY).covers()


def test_an_object_that_no_model_named_before_waits_for_its_turn() -> None:
    assert Cluster(None, model("a", DENY), None).covers()
    assert Cluster(None, model("a", DENY), OPEN).covers(), (
        "the controllers make a ServiceAccount `default` of their own"
    )


def test_a_new_object_of_the_whole_cluster_waits_for_its_turn_like_any_other() -> None:
    guard = calico("GlobalNetworkPolicy", "driftd.acme", {"tier": "driftd", "ingress": [{"action": "Pass"}]})
    before, after = (InForce(tiered_model(governed_of(wide, name="")), str(len(wide))) for wide in ([], [guard]))
    rollouts = Rollouts(lambda _ref: None, HandClock())
    rollouts.accepted(before, after)
    assert rollouts.covers(replace(drift(), ref=ref(guard), scope=CLUSTER))


def test_an_object_that_is_like_neither_model_has_drifted() -> None:
    assert not Cluster(model("a", DENY), model("b", DNS), OPEN).covers()
    assert not Cluster(model("a", DENY), model("b", DNS), None).covers()


def test_an_object_that_the_new_model_did_not_change_has_drifted() -> None:
    assert not Cluster(model("a", DENY), model("b", DENY), None).covers()


def test_a_turn_comes_once() -> None:
    one = Cluster(None, model("a", DENY), None)
    assert one.covers()
    assert not one.covers(), "somebody has deleted it again"


def test_a_rollout_is_over_after_a_while() -> None:
    one = Cluster(None, model("a", DENY), None)
    one.clock.pass_(601)
    assert not one.covers()


def test_an_object_that_is_as_the_new_model_has_it_needs_no_turn_and_drifts_from_then_on() -> None:
    one = Cluster(None, model("a", DENY), DENY)  # a new replica finds the cluster in order
    one.rollouts.settle()
    one.live = OPEN
    assert not one.covers()


def test_an_object_that_is_not_there_yet_keeps_its_turn() -> None:
    one = Cluster(None, model("a", DENY), None)
    one.rollouts.settle()
    assert one.covers()
