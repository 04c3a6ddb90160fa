"""Pods as read from bodies and from workload templates."""

import pytest

from driftd.policy.reach import MalformedPod, pod_from_body, pods_from_workload, snapshot_of
from driftd.policy.reach.dialects import Dialect
from driftd.values import Body

TEMPLATE: Body = {
    "metadata": {"labels": {"app": "web"}},
    "spec": {"serviceAccountName": "web", "containers": [{"ports": [{"name": "http", "containerPort": 80}]}]},
}


def workload(kind: str, **spec: object) -> Body:
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"namespace": "a", "name": "web"},
        "spec": {"template": TEMPLATE, **spec},
    }


@pytest.mark.parametrize(
    ("kind", "spec", "names"),
    [
        ("Deployment", {}, ["web"]),
        ("Deployment", {"replicas": 3}, ["web#1", "web#2"]),
        ("Deployment", {"replicas": 0}, ["web"]),
        ("StatefulSet", {"replicas": 2}, ["web-0", "web-1"]),
        ("DaemonSet", {}, ["web#1", "web#2"]),
        ("ReplicaSet", {"replicas": 1}, ["web"]),
        ("Job", {"parallelism": 4}, ["web#1", "web#2"]),
    ],
)
def test_a_workload_stands_for_the_pods_its_template_makes(kind: str, spec: Body, names: list[str]) -> None:
    """Checklist 1.1: include templates for future reachability"""
    pods = pods_from_workload(workload(kind, **spec))
    assert [one.name for one in pods] == names
    assert {(one.workload, one.service_account, one.ports) for one in pods} == {
        ("web", "web", ((("TCP", "http"), (80,)),))
    }


def test_a_cron_jobs_template_stands_one_level_deeper() -> None:
    body = workload("CronJob")
    body["spec"] = {"jobTemplate": {"spec": {"template": TEMPLATE}}}
    assert [one.labels for one in pods_from_workload(body)] == [{"app": "web"}]


def test_a_stateful_sets_pods_carry_the_labels_it_gives_them() -> None:
    assert pods_from_workload(workload("StatefulSet"))[0].labels["apps.kubernetes.io/pod-index"] == "0"


def test_a_pod_of_a_replica_set_belongs_to_its_deployment() -> None:
    body: Body = {
        "metadata": {
            "name": "web-5d-x",
            "labels": {"pod-template-hash": "5d"},
            "ownerReferences": [{"kind": "ReplicaSet", "name": "web-5d", "controller": True}],
        },
        "spec": {},
    }
    assert pod_from_body(body).owner == "Deployment/web"


@pytest.mark.parametrize("reference", [{"kind": "Job", "name": "o" * 254}, {"kind": "K" * 64, "name": "web-5d"}])
def test_an_owner_that_no_object_can_be_is_none(reference: Body) -> None:
    """Seen: thirty pods whose owner had a name of a megabyte held thirty megabytes."""
    metadata = {"name": "p", "ownerReferences": [{**reference, "controller": True}]}
    assert pod_from_body({"metadata": metadata, "spec": {}}).owner == ""


def test_an_incomplete_pod_is_named_and_passed_over() -> None:
    with pytest.raises(MalformedPod):
        pod_from_body({"kind": "Pod", "metadata": {"name": "x"}})
    found = snapshot_of([{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}}], Dialect.CALICO)
    assert "without metadata.name or spec" in found.notes()[0]


def test_lists_are_read_item_by_item_and_kinds_that_cannot_matter_are_passed_over() -> None:
    config: Body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}}
    listed: Body = {"apiVersion": "v1", "kind": "List", "items": [workload("Deployment"), config]}
    found = snapshot_of([listed], Dialect.CALICO)
    assert found.pod("a", "web").workload == "web"
    assert not found.notes()
