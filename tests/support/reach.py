"""Snapshots from the oracle's clusters, and what the engine says in the oracle's own terms."""

from collections.abc import Iterable, Iterator

from driftd.policy.reach import Dialect, Edit, Pod, PortSet, Snapshot, apply, pod_from_body, port_set, snapshot_of
from driftd.values import Body, ObjectRef
from tests.oracle.bodies import Cluster


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


Cell = tuple[str, str]


def cells(
    snapshot: Snapshot, pods: Iterable[Pod], addresses: Iterable[str] = ()
) -> Iterator[tuple[Pod | str, Pod | str]]:
    """Every ordered pair of distinct endpoints with a pod in it."""
    pods = list(pods)
    outside = list(addresses)
    for one in (*pods, *outside):
        for other in (*pods, *outside):
            if (isinstance(one, Pod) or isinstance(other, Pod)) and str(one) != str(other):
                yield one, other


def point(protocol: str, port: int) -> PortSet:
    return port_set(protocol, port)
