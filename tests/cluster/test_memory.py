"""What a tenant can make of each workload kind, as many as it likes and as large as is legal, is bounded in bytes."""

import gc
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import orjson
import pytest

from driftd.cluster import POD, SERVICE, SLICE, News, WorkloadMirror
from driftd.cluster.room import weight
from driftd.cluster.workloads import Reduced
from driftd.drift import LiveService, LiveSlice
from driftd.policy.reach import Pod
from driftd.values import Resource

MARK = "012345"
MIB = 1024 * 1024
KEPT = MIB // 2
SHARED = 13 * MIB
"""What outlives its pods, at the very worst: labels and ports of a thousand templates, as large as is shared."""


def holds_less(work: Callable[[], object], bound: Callable[[], int]) -> bool:
    """Whether fewer bytes than `bound` are held with what `work` gives and were not before it, one time of two.

    In one the process's table of interned strings may grow, by megabytes and at a moment of its own.
    """
    return any(_grown(work) < bound() for _ in range(2))


def _grown(work: Callable[[], object]) -> int:
    gc.collect()
    tracemalloc.start()
    try:
        for number in range(8192):
            orjson.loads(f'{{"{number:060}":0}}')  # it remembers keys, a bounded number of them
        before, _ = tracemalloc.get_traced_memory()
        held = work()
        gc.collect()
        bytes_ = tracemalloc.get_traced_memory()[0] - before
        del held
        return bytes_
    finally:
        tracemalloc.stop()


def words(count: int) -> dict[str, str]:
    """Labels or a selector that no other object has: each copy has a number of its own where the mark is."""
    return {f"{MARK}-{key:04}".ljust(60, "k"): f"{MARK}-{key:04}".ljust(63, "v") for key in range(count)}


def pod(labels: int = 0, ports: int = 0, owner: int = 0) -> dict[str, Any]:
    references = [{"kind": "K", "name": MARK.ljust(owner, "o"), "controller": True}] if owner else []
    named = [{"name": f"p{MARK}-{one:04}", "containerPort": 1000 + one} for one in range(ports)]
    return {
        "metadata": {"name": f"pod-{MARK}", "labels": words(labels), "ownerReferences": references},
        "spec": {"serviceAccountName": f"account-{MARK}", "containers": [{"name": "c", "ports": named}]},
        "status": {"podIPs": [{"ip": "10.20.30.40"}]},
    }


def service(keys: int = 0, ports: int = 0, addresses: int = 0) -> dict[str, Any]:
    listed = [{"port": 1 + one, "targetPort": f"p{MARK}-{one}", "nodePort": 30_000 + one} for one in range(ports)]
    external = [f"203.0.{one >> 8}.{one & 255}" for one in range(addresses)]
    spec = {"type": "NodePort", "selector": words(keys), "ports": listed, "externalIPs": external}
    return {"metadata": {"name": f"service-{MARK}"}, "spec": spec}


def slice_(addresses: int = 0, ports: int = 0) -> dict[str, Any]:
    return {
        "metadata": {"name": f"slice-{MARK}", "labels": {"kubernetes.io/service-name": f"s-{MARK}"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [f"10.7.{one >> 8}.{one & 255}" for one in range(addresses)]}],
        "ports": [{"port": 1000 + one, "protocol": "TCP"} for one in range(ports)],
    }


def copies(body: dict[str, Any], numbers: Iterable[int], namespace: str = "acme") -> Iterator[bytes]:
    """The object so many times, each with a number instead of the mark."""
    metadata = {**body["metadata"], "namespace": namespace, "resourceVersion": "1"}
    text = orjson.dumps({**body, "metadata": metadata})
    for number in numbers:
        yield text.replace(MARK.encode(), f"{number:06}".encode())


def told(mirror: WorkloadMirror, kind: Resource, objects: Iterable[bytes]) -> None:
    """What a watch would: each as it is now."""
    for data in objects:
        mirror.apply(kind, mirror.reader(kind).live(data))


def gone(mirror: WorkloadMirror, kind: Resource, objects: Iterable[bytes]) -> None:
    """The same, and each deleted again."""
    for data in objects:
        over = mirror.reader(kind).live(data)
        mirror.apply(kind, over)
        mirror.vanish(kind, over)


LARGEST: dict[str, tuple[Resource, dict[str, Any]]] = {
    "pods of many labels": (POD, pod(labels=70)),
    "pods that share what they can": (POD, pod(labels=16, ports=16)),
    "pods of many ports": (POD, pod(ports=64)),
    "pods of too many labels and ports": (POD, pod(labels=400, ports=100)),
    "pods of an owner with a long name": (POD, pod(owner=200_000)),
    "pods that say nothing": (POD, pod()),
    "services of long selectors": (SERVICE, service(keys=200)),
    "services of many ports": (SERVICE, service(ports=150, addresses=150)),
    "services that say nothing": (SERVICE, service()),
    "slices of many addresses": (SLICE, slice_(addresses=150)),
    "slices of many ports": (SLICE, slice_(ports=1000)),
    "slices that say nothing": (SLICE, slice_()),
}


@pytest.mark.parametrize("what", LARGEST)
def test_however_many_a_tenant_makes_and_deletes_what_is_kept_of_them_is_bounded(what: str) -> None:
    kind, body = LARGEST[what]
    many = 2000 if "nothing" in what else 100
    churn = 1200 if "share" in what else many

    def tenant() -> WorkloadMirror:
        mirror = WorkloadMirror(lambda _namespace: True, KEPT)
        told(mirror, kind, copies(body, range(many)))
        gone(mirror, kind, copies(body, range(many, many + churn)))
        return mirror

    assert holds_less(tenant, lambda: KEPT + (SHARED if "share" in what else MIB // 4))


@pytest.mark.parametrize("what", LARGEST)
def test_what_is_reckoned_of_an_object_is_no_less_than_it_takes(what: str) -> None:
    kind, body = LARGEST[what]
    reckoned = []

    def tenant() -> WorkloadMirror:
        mirror = WorkloadMirror(lambda _namespace: True, 0)
        told(mirror, kind, copies(body, range(100_000, 100_050)))
        values: list[Pod | LiveService | LiveSlice] = [
            *mirror.pods.values(),
            *mirror.services.values(),
            *mirror.slices.values(),
        ]
        assert len(values) == 50
        reckoned.append(sum(map(weight, values)))
        return mirror

    assert holds_less(tenant, lambda: reckoned[-1])


@pytest.mark.parametrize(("kind", "body"), [(POD, pod()), (SERVICE, service()), (SLICE, slice_())])
def test_a_whole_list_is_held_back_as_it_is_read(kind: Resource, body: dict[str, Any]) -> None:
    mirror = WorkloadMirror(lambda namespace: namespace != "others", KEPT)

    def listed() -> list[Reduced]:
        reader = mirror.listing(kind)
        found = [reader.live(data) for data in copies(body, range(3000))]
        return found + [reader.live(data) for data in copies(body, range(3000 if kind is not SLICE else 0), "others")]

    assert holds_less(listed, lambda: KEPT + MIB // 4)
    mirror.replace_all(kind, listed(), "7")
    assert mirror.beyond == {(kind, "acme")}
    assert 0 < len(mirror.pods) + len(mirror.services) + len(mirror.slices) < 1000


def test_one_namespace_that_is_full_leaves_others_their_room_and_is_known_again_after_a_list() -> None:
    mirror = WorkloadMirror(lambda _namespace: True, 50_000)
    heard: list[tuple[Resource, tuple[str, str]]] = []
    mirror.subscribe(lambda resource, name, _news: heard.append((resource, name)))
    told(mirror, POD, (*copies(pod(), range(100)), *copies(pod(), [1], "globex")))
    assert mirror.beyond == {(POD, "acme")}
    assert ("globex", "pod-000001") in mirror.pods
    assert heard.count((POD, ("acme", ""))) == 1
    for data in copies(pod(), range(100)):
        mirror.vanish(POD, mirror.reader(POD).live(data))
    assert mirror.beyond == {(POD, "acme")}, "whether some are left that were never kept, a list alone can tell"
    listing = mirror.listing(POD)
    mirror.replace_all(POD, [listing.live(data) for data in copies(pod(), range(3))], "8")
    assert mirror.beyond == frozenset()
    assert heard[-1] == (POD, ("acme", ""))
    assert sorted(name for _, name in mirror.pods) == ["pod-000000", "pod-000001", "pod-000002"]


def test_what_is_not_kept_is_told_to_be_there_or_gone() -> None:
    mirror = WorkloadMirror(lambda _namespace: True, 50_000)
    heard: list[tuple[str, News]] = []
    data = list(copies(pod(), range(100)))
    told(mirror, POD, data)
    mirror.subscribe(lambda _resource, name, news: heard.append((name[1], news)))
    first, last = (mirror.reader(POD).live(one) for one in (data[0], data[-1]))
    for one in (first, last):
        mirror.vanish(POD, one)
    mirror.apply(POD, first)
    mirror.apply(POD, last)
    assert [news for _, news in heard] == [News.GONE, News.GONE, News.CHANGED, News.UNSEEN]
    heard.clear()
    listing = mirror.listing(POD)
    mirror.replace_all(POD, [listing.live(one) for one in data[1:]], "8")
    assert (first.name[1], News.CHANGED) in heard, "it may be among those that the list did not name"
    assert ("", News.UNSEEN) in heard


def test_hundreds_of_usual_pods_are_kept_with_much_to_spare() -> None:
    mirror = WorkloadMirror(lambda _namespace: True)
    told(mirror, POD, copies(pod(labels=6, ports=2, owner=30), range(1500)))
    assert (len(mirror.pods), mirror.beyond) == (1500, frozenset())


def test_a_pod_that_is_over_is_not_kept() -> None:
    mirror = WorkloadMirror(lambda _namespace: True)
    over = pod() | {"status": {"phase": "Succeeded"}}
    for body in (pod(), over):
        told(mirror, POD, copies(body, [1]))
    assert not mirror.pods


def test_a_service_that_takes_an_external_ip_is_kept_wherever_it_is() -> None:
    mirror = WorkloadMirror(lambda namespace: namespace == "acme")
    told(mirror, SERVICE, (*copies(service(addresses=1), [1], "strangers"), *copies(service(), [2], "strangers")))
    assert list(mirror.services) == [("strangers", "service-000001")]
