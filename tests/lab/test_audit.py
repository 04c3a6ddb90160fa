import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from driftd.lab import AuditLog
from driftd.lab.audit import parse_record


def event(**other: Any) -> dict[str, Any]:
    return {
        "kind": "Event",
        "auditID": "a-1",
        "stage": "ResponseComplete",
        "requestURI": "/apis/networking.k8s.io/v1/namespaces/acme/networkpolicies/deny",
        "verb": "update",
        "user": {"username": "alice", "groups": ["ops", "system:authenticated"]},
        "userAgent": "kubectl/v1.36",
        "objectRef": {
            "resource": "networkpolicies",
            "namespace": "acme",
            "name": "deny",
            "apiGroup": "networking.k8s.io",
            "apiVersion": "v1",
        },
        "responseStatus": {"code": 200},
        "responseObject": {"metadata": {"resourceVersion": "41"}},
        "requestReceivedTimestamp": "2026-01-02T03:04:05.000001Z",
        "stageTimestamp": "2026-01-02T03:04:05.000900Z",
        **other,
    }


def line(**other: Any) -> bytes:
    return json.dumps(event(**other)).encode() + b"\n"


def test_a_record_says_who_did_what_to_which_object_when() -> None:
    record = parse_record(line(impersonatedUser={"username": "bob"}))
    assert (record.user, record.impersonated, record.groups[0], record.verb, record.code) == (
        "alice",
        "bob",
        "ops",
        "update",
        200,
    )
    assert str(record.ref) == "networkpolicies.networking.k8s.io acme/deny"
    assert record.received_at == datetime(2026, 1, 2, 3, 4, 5, 1, tzinfo=UTC)
    assert (record.stage_at - record.received_at).microseconds == 899
    assert record.resource_version == 41


def test_a_namespace_lies_in_no_namespace() -> None:
    ref = {"resource": "namespaces", "namespace": "acme", "name": "acme", "apiVersion": "v1"}
    record = parse_record(line(objectRef=ref))
    assert record.ref is not None
    assert (record.ref.group, record.ref.namespace, record.ref.name) == ("", "", "acme")


def test_a_request_for_no_object_has_no_reference() -> None:
    assert parse_record(line(objectRef=None, requestURI="/api")).ref is None


@pytest.mark.parametrize(
    ("change", "meant"),
    [
        ({}, True),
        ({"verb": "get"}, False),
        ({"responseStatus": {"code": 409, "reason": "Conflict"}}, False),
        ({"requestURI": "/x?dryRun=All&fieldManager=m"}, False),
        ({"verb": "delete", "requestObject": {"kind": "DeleteOptions", "dryRun": ["All"]}}, False),
        ({"verb": "delete", "requestObject": {"kind": "DeleteOptions"}}, True),
        ({"verb": "patch", "requestObject": [{"op": "remove", "path": "/spec"}]}, True),
        ({"stage": "Panic"}, False),
    ],
)
def test_only_a_write_that_went_through_and_was_meant_changed_something(change: dict[str, Any], *, meant: bool) -> None:
    assert parse_record(line(**change)).changed_something is meant


def test_a_growing_log_is_read_once_and_a_line_half_written_waits_for_its_end(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    log = AuditLog(path)
    assert log.read() == ()
    with path.open("ab") as out:
        out.write(line(auditID="1") + line(auditID="2")[:40])
        out.flush()
        assert [record.audit_id for record in log.read()] == ["1"]
        assert log.read() == ()
        out.write(line(auditID="2")[40:])
        out.flush()
        assert [record.audit_id for record in log.read()] == ["2"]


def test_skip_forgets_the_past_of_every_file(tmp_path: Path) -> None:
    one, two = tmp_path / "one.log", tmp_path / "two.log"
    one.write_bytes(line(auditID="1"))
    log = AuditLog(one, two)
    log.skip()
    two.write_bytes(line(auditID="2"))
    assert [record.audit_id for record in log.writes()] == ["2"]


def test_a_line_that_is_no_event_is_an_error_not_a_silence() -> None:
    with pytest.raises(ValueError):
        parse_record(b"not json")
