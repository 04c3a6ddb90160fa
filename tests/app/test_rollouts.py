"""A commit of one's own wakes nobody; what somebody does to the cluster does, also during a rollout."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from driftd.app.rollouts import Rollouts
from driftd.compile import Compiled
from driftd.engine import InForce
from driftd.paging import PageState
from driftd.values import CLUSTER, Body, Finding, FindingType, Live, ObjectRef
from tests.support.drift_scope import (
    compiled_of,
    governed_of,
    live_of,
    namespace,
    policy,
    policy_ref,
    ref_of,
    service_account,
)
from tests.support.paging import HandClock, drift, machine
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

    def covers(self, type_: FindingType | None = None) -> bool:
        type_ = type_ or (FindingType.MISSING if self.live is None else FindingType.MODIFIED)
        return self.rollouts.covers(self.finding(type_))

    def holds(self) -> bool:
        return self.rollouts.holds(self.finding(FindingType.MODIFIED))

    @staticmethod
    def finding(type_: FindingType) -> Finding:
        return replace(drift(type_.value, type_=type_), ref=policy_ref("default-deny"))


def test_an_object_as_the_model_before_had_it_waits_for_its_turn() -> None:
    assert Cluster(model("a", DENY), model("b", DNS), DENY).covers()


def test_an_object_that_no_model_named_before_waits_for_its_turn() -> None:
    assert Cluster(None, model("a", DENY), None).covers()
    assert Cluster(None, model("a", DENY), OPEN).covers(), "so it was found when the model came"


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
    one.live = OPEN
    assert not one.covers()


def test_an_object_that_is_not_there_yet_keeps_its_turn() -> None:
    one = Cluster(None, model("a", DENY), None)
    one.rollouts.settle()
    assert one.covers()


# -- what somebody does while it is rolled out ------------------------------------------------------------------------


def test_an_object_that_somebody_makes_after_the_model_came_has_drifted() -> None:
    one = Cluster(None, model("a", DENY), None)
    one.live = OPEN
    assert not one.covers()


def test_what_is_tampered_with_while_its_rollout_is_open_no_longer_shows_the_model_alone() -> None:
    one = Cluster(model("a", DENY), model("b", DNS), DENY)  # in report mode it stays so
    assert one.covers()
    assert one.holds()
    one.live = OPEN
    assert not one.holds()
    one.live = DNS
    assert one.holds(), "somebody has rolled it out"


def test_what_the_model_no_longer_has_is_rolled_out_when_it_is_gone() -> None:
    one = Cluster(model("a", DENY), InForce(compiled_of(governed_of([namespace()])), "b"), DENY)
    assert one.covers(FindingType.UNEXPECTED)
    one.live = None
    assert one.holds()


def test_a_refused_repair_is_part_of_the_rollout_while_the_object_stays_as_it_is() -> None:
    one = Cluster(model("a", DENY), model("b", DNS), DENY)
    assert one.covers()
    assert one.covers(FindingType.BLOCKED)
    one.live = OPEN
    assert not one.covers(FindingType.BLOCKED)


def account(token: bool) -> Body:
    return {**service_account("default"), "automountServiceAccountToken": token}


def test_an_account_that_a_controller_makes_before_the_rollout_does_is_still_its_rollout_once_and_not_for_long() -> (
    None
):
    lives: list[Live | None] = [None]
    clock = HandClock()
    for pause, covered in ((9, True), (11, False)):
        lives[0] = None
        rollouts = Rollouts(lambda _ref: lives[0], clock)
        rollouts.accepted(None, InForce(compiled_of(governed_of([namespace(), account(token=False)])), "a"))
        found = replace(drift(type_=FindingType.MISSING), ref=ref_of(account(token=False)))
        assert rollouts.covers(found)
        lives[0] = live_of(account(token=True))
        clock.pass_(pause)
        assert rollouts.covers(replace(found, type=FindingType.MODIFIED)) is covered
        assert not rollouts.covers(replace(found, type=FindingType.MODIFIED)), "somebody has done it again"


DEEDS = st.sampled_from(["delete", "open", "old", "repair", "repair", "judge", "wait", "settle"])


@given(deeds=st.lists(st.tuples(DEEDS, st.sampled_from([0.0, 0.01, 0.3, 0.69, 0.99, 2.0, 20.0])), max_size=30))
def test_however_a_tampering_is_timed_one_state_of_a_policy_is_silent_and_for_a_minute_at_most(
    deeds: list[tuple[str, float]],
) -> None:
    """The bound that docs/operations.md states: a hole beside the rollout's own state is told within its window."""
    one = Cluster(model("a", DENY), model("b", DNS), DENY)
    machine_ = machine()
    silent, open_ = 0, ""
    for deed, pause in deeds:
        now = one.clock.instant()
        was = one.live
        match deed:
            case "delete" | "open" | "old":
                one.live = {"delete": None, "open": OPEN, "old": DENY}[deed]
            case "repair":
                one.live = DNS
            case "settle":
                one.rollouts.settle()
        if one.live != DNS:
            found = one.finding(FindingType.MISSING if one.live is None else FindingType.MODIFIED)
            if open_ and open_ != found.id:
                machine_.closed([open_], now)
            if open_ != found.id:
                covered = one.rollouts.covers(found)
                silent += covered
                assert not covered or one.live == DENY
                machine_.opened(found, now, rollout=covered)
            elif one.live != was or deed == "judge":
                machine_.reported(found, now, rollout=one.rollouts.holds(found))
            open_ = found.id
        elif open_:
            machine_.closed([open_], now)
            open_ = ""
        one.clock.pass_(pause)
        machine_.advance(one.clock.instant())
    assert silent <= 1
    if open_:
        one.clock.pass_(60 if one.live == DENY else 1)
        machine_.advance(one.clock.instant())
        assert any(page.state is PageState.OPEN for page in machine_.standing())
