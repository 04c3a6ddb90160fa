"""Snapshots from the oracle's clusters, and what the engine says in the oracle's own terms."""

import os

from hypothesis import HealthCheck, settings

from driftd.policy.reach import Dialect, Edit, Pod, PortSet, Snapshot, apply, pod_from_body, port_set, snapshot_of
from driftd.values import Body, ObjectRef
from tests.oracle.bodies import Cluster

EXAMPLES = int(os.environ.get("DRIFTD_EXAMPLES", "10"))
"""How many clusters a property is tried on; a long search sets more."""
RELAXED = settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def network_policy(namespace: str, name: str, **spec: object) -> Body:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"namespace": namespace, "name": name},
        "spec": spec,
    }


def namespace(name: str, **labels: str) -> Body:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def objects(cluster: Cluster) -> list[Body | Pod]:
    return [*cluster.namespaces, *cluster.pods, *cluster.policies, *cluster.others]


def snapshot(cluster: Cluster, dialect: str) -> Snapshot:
    return snapshot_of(objects(cluster), Dialect(dialect))


def ref(body: Body) -> ObjectRef:
    group = str(body["apiVersion"]).rpartition("/")[0]
    metadata = body["metadata"]
    return ObjectRef(group, str(body["kind"]), str(metadata.get("namespace") or ""), str(metadata["name"]))


def stepped(before: Snapshot, old: Cluster, new: Cluster) -> Snapshot:
    """The snapshot after the edit that leads from one cluster to the other."""
    have = {ref(body): body for body in (*old.namespaces, *old.pods, *old.policies, *old.others)}
    want = {ref(body): body for body in (*new.namespaces, *new.pods, *new.policies, *new.others)}
    put = tuple(body for key, body in want.items() if have.get(key) != body)
    return apply(before, Edit(put, tuple(key for key in have if key not in want)))


def live_pods(cluster: Cluster) -> list[Pod]:
    return [pod for body in cluster.pods if not (pod := pod_from_body(body)).finished]


def point(protocol: str, port: int) -> PortSet:
    return port_set(protocol, port)
