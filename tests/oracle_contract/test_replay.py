"""Replaying an audit log: which state followed which, when answers come out of order and deletions bear no revision."""

import itertools
import json
from typing import Any

import pytest

from tests.oracle.bodies import Body
from tests.oracle.replay import IncompleteRecordError, Key, Record, State, Step, read, replay
from tests.oracle.tallies import tamper_to_heal, writes

NUMBER = itertools.count(1)


def stamp(seconds: float) -> str:
    return f"2026-11-22T10:00:{seconds:09.6f}Z"


def network_policy(name: str, revision: int, uid: str = "", **metadata: Any) -> Body:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {
            "name": name,
            "namespace": "a",
            "uid": uid or f"uid-{name}",
            "resourceVersion": str(revision),
            **metadata,
        },
        "spec": {"podSelector": {}},
    }


def event(
    verb: str,
    name: str,
    response: Body | None,
    at: tuple[float, float],
    *,
    user: str = "driftd",
    code: int = 200,
    **more: Any,
) -> Body:
    return {
        "kind": "Event",
        "auditID": f"audit-{next(NUMBER)}",
        "stage": "ResponseComplete",
        "requestURI": "/apis/networking.k8s.io/v1/namespaces/a/networkpolicies",
        "verb": verb,
        "user": {"username": user},
        "objectRef": {
            "resource": "networkpolicies",
            "apiGroup": "networking.k8s.io",
            "namespace": "a",
            "name": name,
        },
        "responseStatus": {"code": code},
        "responseObject": response,
        "requestReceivedTimestamp": stamp(at[0]),
        "stageTimestamp": stamp(at[1]),
        **more,
    }


def success(name: str, uid: str = "") -> Body:
    return {"kind": "Status", "status": "Success", "details": {"name": name, "uid": uid or f"uid-{name}"}}


def records(*events: Body) -> list[Record]:
    return read(json.dumps(one) + "\n" for one in events)


def steps(*events: Body, initial: State | None = None) -> list[Step]:
    return list(replay(records(*events), initial))


def names(step: Step) -> set[str]:
    return {key.name for key in step.state.objects}


def told(found: list[Step]) -> list[tuple[str, set[str]]]:
    return [(step.record.verb, names(step)) for step in found]


class TestReading:
    def test_only_finished_requests_about_objects_are_read(self) -> None:
        begun = {**event("create", "p", None, (1, 1)), "stage": "RequestReceived"}
        no_object = {**event("get", "p", None, (1, 1)), "objectRef": None}
        assert [record.key.name for record in records(begun, no_object, event("get", "q", None, (1, 2)))] == ["q"]

    def test_a_last_line_still_being_written_is_left_out_and_a_broken_one_before_is_an_error(self) -> None:
        whole = json.dumps(event("get", "p", None, (1, 2)))
        assert len(read([whole + "\n", whole[:40]])) == 1
        with pytest.raises(json.JSONDecodeError):
            read([whole[:40] + "\n", whole + "\n"])

    def test_an_impersonated_user_is_the_actor(self) -> None:
        (record,) = records(event("get", "p", None, (1, 2), impersonatedUser={"username": "eve"}))
        assert record.user == "eve"

    def test_a_generated_name_is_taken_from_the_answer(self) -> None:
        created = event("create", "", network_policy("p-x7", 5), (1, 2), code=201)
        assert told(steps(created)) == [("create", {"p-x7"})]

    def test_a_namespace_has_no_namespace(self) -> None:
        body = {"kind": "Namespace", "metadata": {"name": "a", "resourceVersion": "3"}}
        ref = {"resource": "namespaces", "name": "a", "namespace": "a", "apiVersion": "v1"}
        (step,) = steps(event("create", "a", body, (1, 2), objectRef=ref))
        assert set(step.state.objects) == {Key("", "namespaces", "", "a")}


class TestOrder:
    def test_writes_are_ordered_by_the_revision_they_made_not_by_when_they_ended(self) -> None:
        late = event("create", "one", network_policy("one", 10), (1.0, 3.0))
        early = event("create", "two", network_policy("two", 11), (1.5, 2.0))
        assert told(steps(early, late)) == [("create", {"one"}), ("create", {"one", "two"})]

    def test_reads_refusals_and_dry_runs_are_no_commits(self) -> None:
        assert not steps(
            event("get", "p", network_policy("p", 9), (1, 2)),
            event("create", "p", {"kind": "Status", "status": "Failure"}, (1, 2), code=409),
            event("create", "p", network_policy("p", 9), (1, 2), requestURI="/x?dryRun=All"),
            event("delete", "p", success("p"), (1, 2), requestObject={"kind": "DeleteOptions", "dryRun": ["All"]}),
        )

    def test_a_write_that_changed_nothing_is_no_commit_and_does_not_take_the_credit(self) -> None:
        real = event("update", "p", network_policy("p", 9), (1.0, 2.0), user="eve")
        idle = event("update", "p", network_policy("p", 9), (1.5, 1.8), user="driftd")
        assert [step.record.user for step in steps(idle, real)] == ["eve"]

    def test_untracked_resources_leave_no_trace(self) -> None:
        ref = {"resource": "pods", "namespace": "a", "name": "p", "apiVersion": "v1"}
        assert not steps(event("create", "p", {"metadata": {"resourceVersion": "4"}}, (1, 2), objectRef=ref))

    def test_a_write_without_its_answer_is_reported_with_what_to_do(self) -> None:
        with pytest.raises(IncompleteRecordError, match="RequestResponse"):
            steps(event("create", "p", None, (1, 2)))


class TestDeletions:
    def test_a_deletion_stands_where_its_time_says(self) -> None:
        found = steps(
            event("create", "one", network_policy("one", 10), (1.0, 1.1)),
            event("delete", "one", success("one"), (2.0, 2.1)),
            event("create", "two", network_policy("two", 12), (3.0, 3.1)),
        )
        assert told(found) == [("create", {"one"}), ("delete", set()), ("create", {"two"})]

    def test_a_deletion_comes_after_the_last_write_of_that_object_even_if_that_ended_later(self) -> None:
        found = steps(
            event("create", "p", network_policy("p", 10), (1.0, 1.1)),
            event("update", "p", network_policy("p", 11, labels={"x": "y"}), (2.0, 2.9)),
            event("delete", "p", success("p"), (2.1, 2.2)),
        )
        assert [step.record.verb for step in found] == ["create", "update", "delete"]

    def test_a_deletion_comes_before_the_next_creation_of_that_name_even_if_that_ended_earlier(self) -> None:
        found = steps(
            event("create", "p", network_policy("p", 10, "first"), (1.0, 1.1)),
            event("delete", "p", success("p", "first"), (2.0, 2.9)),
            event("create", "p", network_policy("p", 12, "second"), (2.1, 2.2), user="eve"),
        )
        assert told(found) == [("create", {"p"}), ("delete", set()), ("create", {"p"})]

    def test_an_unrelated_write_that_ended_before_a_deletion_began_stays_before_it(self) -> None:
        found = steps(
            event("delete", "p", success("p"), (2.0, 2.1)),
            event("create", "q", network_policy("q", 50), (1.0, 1.9)),
            initial=State({Key("networking.k8s.io", "networkpolicies", "a", "p"): network_policy("p", 1)}),
        )
        assert told(found) == [("create", {"p", "q"}), ("delete", {"q"})]

    def test_an_answer_with_the_last_object_is_a_deletion_too(self) -> None:
        found = steps(
            event("create", "p", network_policy("p", 10), (1.0, 1.1)),
            event("delete", "p", network_policy("p", 10), (2.0, 2.1)),
        )
        assert told(found)[-1] == ("delete", set())

    def test_an_object_with_finalizers_lives_until_the_last_one_is_gone(self) -> None:
        marked: Body = {"deletionTimestamp": stamp(2.0), "deletionGracePeriodSeconds": 0}
        found = steps(
            event("create", "p", network_policy("p", 10, finalizers=["x"]), (1.0, 1.1)),
            event("delete", "p", network_policy("p", 11, finalizers=["x"], **marked), (2.0, 2.1)),
            event("patch", "p", network_policy("p", 11, **marked), (3.0, 3.1), user="holder"),
        )
        assert told(found) == [("create", {"p"}), ("delete", {"p"}), ("patch", set())]

    def test_a_namespace_lives_until_it_is_finalized(self) -> None:
        def body(revision: int, finalizers: list[str], **metadata: str) -> Body:
            return {
                "kind": "Namespace",
                "metadata": {"name": "a", "uid": "u", "resourceVersion": str(revision), **metadata},
                "spec": {"finalizers": finalizers},
            }

        ref = {"resource": "namespaces", "name": "a", "namespace": "a", "apiVersion": "v1"}
        finalize = {**ref, "subresource": "finalize"}
        found = steps(
            event("create", "a", body(3, ["kubernetes"]), (1, 2), objectRef=ref),
            event("delete", "a", body(4, ["kubernetes"], deletionTimestamp=stamp(3)), (3, 4), objectRef=ref),
            event("update", "a", body(5, [], deletionTimestamp=stamp(3)), (5, 6), objectRef=finalize),
        )
        assert told(found) == [("create", {"a"}), ("delete", {"a"}), ("update", set())]

    def test_deleting_a_collection_takes_the_listed_objects_and_spares_those_with_finalizers(self) -> None:
        held = network_policy("held", 11, finalizers=["x"])
        listed = {"kind": "NetworkPolicyList", "items": [network_policy("one", 10), held]}
        found = steps(
            event("create", "one", network_policy("one", 10), (1.0, 1.1)),
            event("create", "held", held, (1.2, 1.3)),
            event("create", "other", network_policy("other", 12), (1.4, 1.5)),
            event("deletecollection", "", listed, (2.0, 2.1)),
        )
        assert told(found)[-1] == ("deletecollection", {"held", "other"})

    def test_a_collection_deleted_without_a_list_takes_everything_there(self) -> None:
        found = steps(
            event("create", "one", network_policy("one", 10), (1.0, 1.1)),
            event("deletecollection", "", {"kind": "Status", "status": "Success"}, (2.0, 2.1)),
        )
        assert told(found)[-1] == ("deletecollection", set())


class TestTallies:
    def test_writes_are_counted_by_user_and_object_and_reads_are_not(self) -> None:
        log = records(
            event("create", "p", network_policy("p", 10), (1, 2)),
            event("update", "p", network_policy("p", 11), (1, 2)),
            event("update", "p", network_policy("p", 12), (1, 2), user="eve"),
            event("update", "p", None, (1, 2), code=409),
            event("get", "p", network_policy("p", 12), (1, 2)),
            event("list", "", None, (1, 2)),
        )
        counted = writes(log)
        key = Key("networking.k8s.io", "networkpolicies", "a", "p")
        assert (counted.done["driftd", key], counted.done["eve", key], counted.refused["driftd", key]) == (2, 1, 1)
        assert (counted.by("driftd"), counted.to(key)) == (2, 3)

    def test_healing_time_runs_from_the_end_of_the_tampering_to_the_end_of_the_repair(self) -> None:
        log = records(
            event("create", "p", network_policy("p", 10), (1.0, 1.1)),
            event("patch", "p", network_policy("p", 11), (2.0, 2.1), user="eve"),
            event("update", "p", network_policy("p", 12), (2.2, 2.35)),
            event("create", "q", network_policy("q", 13), (3.0, 3.1), user="eve"),
            event("update", "q", network_policy("q", 14), (3.2, 3.3)),
            event("delete", "q", success("q"), (3.4, 3.6)),
            event("create", "r", network_policy("r", 16), (4.0, 4.1), user="eve"),
        )
        heals = tamper_to_heal(log, "driftd")
        assert [heal.key.name for heal in heals] == ["p", "q", "r"]
        assert [heal.open_for and heal.open_for.total_seconds() for heal in heals] == [0.25, 0.2, None]
        assert [heal.healed_after and heal.healed_after.total_seconds() for heal in heals] == [0.25, 0.5, None]

    def test_repeated_tampering_before_a_repair_counts_from_the_first_and_bystanders_do_not_count(self) -> None:
        log = records(
            event("patch", "p", network_policy("p", 11), (2.0, 2.1), user="eve"),
            event("patch", "p", network_policy("p", 12), (2.0, 2.2), user="eve"),
            event("patch", "p", network_policy("p", 13), (2.3, 2.4), user="bystander"),
            event("update", "p", network_policy("p", 14), (2.5, 2.6)),
        )
        (heal,) = tamper_to_heal(log, "driftd", {"eve"})
        assert heal.open_for is not None
        assert heal.open_for.total_seconds() == 0.5

    def test_a_repair_whose_answer_is_finished_before_the_tamperings_is_its_repair(self) -> None:
        log = records(
            event("update", "p", network_policy("p", 12), (2.02, 2.03)),
            event("patch", "p", network_policy("p", 11), (2.0, 2.04), user="eve"),
        )
        (heal,) = tamper_to_heal(log, "driftd")
        assert heal.healed_after is not None
        assert heal.healed_after.total_seconds() == pytest.approx(-0.01)
