"""Snapshots from the oracle's clusters, what the engine says in the oracle's own terms, and that both say the same."""

import os
from collections.abc import Callable, Iterable, Iterator
from functools import partial

from hypothesis import HealthCheck, settings

from driftd.policy.reach import (
    Connection,
    Dialect,
    Edit,
    Pod,
    PortSet,
    Snapshot,
    Surroundings,
    apply,
    block,
    pod_from_body,
    port_set,
    snapshot_of,
)
from driftd.policy.reach.addresses import NOWHERE
from driftd.values import Body, ObjectRef
from tests.oracle import admin_policies, calico
from tests.oracle.bodies import Cluster
from tests.oracle.mentions import address_atoms, port_atoms
from tests.oracle.selectors import NotAcceptedError
from tests.oracle.worlds import Allowed

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


def agreed(objects: Iterable[Body], dialect: Dialect, services: str = "") -> Snapshot:
    """The snapshot of a few objects, whose every cell the engine and the naive evaluator were asked about.

    What the engine calls certain the evaluator must say, and what the evaluator leaves open the engine must. Objects
    that the evaluator refuses, since no API server takes them, the engine must name. `services`: the virtual addresses.
    """
    bodies = list(objects)
    ranges = block(services) if services else NOWHERE
    state = snapshot_of(bodies, dialect, Surroundings(services=ranges))
    cluster = cluster_of(bodies)
    said: Callable[..., Allowed] = partial(admin_policies.allowed, dialect=dialect)
    if dialect is Dialect.CALICO:
        said = calico.allowed
    try:
        for one, other, protocol, port in cells(cluster):
            # Undefined in the API alone; where a rule without ports allows it, the engine says that it does.
            undefined = dialect is Dialect.KUBERNETES and protocol == "ICMP"
            reach = state.reach(*(pod_from_body(end) if isinstance(end, dict) else end for end in (one, other)))
            spot = Connection(protocol, port).traffic()
            found = said(cluster, one, other, protocol, port)
            cell = f"{_told(one)} -> {_told(other)} {protocol}/{port}: {reach}, but the evaluator says {found.value}"
            assert not spot <= reach.must or found is Allowed.YES or (undefined and found is Allowed.OPEN), cell
            assert spot <= reach.may or found is Allowed.NO, cell
    except NotAcceptedError:
        assert state.notes()
    return state


def cluster_of(bodies: Iterable[Body]) -> Cluster:
    """The oracle's cluster of a few objects, later ones in place of earlier ones of the same identity."""
    known = list({ref(body): body for body in bodies}.values())
    return Cluster(
        [body for body in known if body["kind"] == "Namespace"],
        [body for body in known if body["kind"] == "Pod"],
        [body for body in known if body["kind"].endswith("Policy")],
        [body for body in known if body["kind"] not in ("Namespace", "Pod") and not body["kind"].endswith("Policy")],
    )


def cells(cluster: Cluster) -> Iterator[tuple[Body | str, Body | str, str, int]]:
    """Every connection between pods, and between pods and an address of each stretch that something tells apart."""
    every = [*cluster.policies, *cluster.others]
    pods = [pod for pod in cluster.pods if not pod_from_body(pod).finished]
    taken = {ip for pod in pods for ip in pod_from_body(pod).ips}
    virtual = [str(one["spec"]["clusterIP"]) for one in cluster.others if "clusterIP" in (one.get("spec") or {})]
    outside = [text for text in (*map(str, address_atoms(every)), *virtual) if text not in taken]
    ends: list[Body | str] = [*pods, *outside]
    for one in ends:
        for other in ends:
            if isinstance(one, dict) or isinstance(other, dict):
                for protocol, port in port_atoms(every, cluster.pods):
                    yield one, other, protocol, port


def _told(end: Body | str) -> str:
    return str(pod_from_body(end)) if isinstance(end, dict) else end
