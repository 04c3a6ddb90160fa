"""Figures of the reachability engine, one `name,value,unit,goal` a line: python tests/bench/bench_reach.py [pods].

Times are CPU seconds of this one thread, which is what the clock shows on a machine with nothing else to do.
"""

import resource
import statistics
import sys
import time
from collections.abc import Callable

from driftd.policy.reach import (
    Connection,
    Dialect,
    Edit,
    Grouping,
    Pod,
    Snapshot,
    Tenancy,
    apply,
    delta,
    explain,
    matrix,
    snapshot_of,
)
from driftd.values import Body

NAMESPACES_PER_POD = 50
POLICIES_PER_NAMESPACE = 25
APPS = 30


def policy(namespace: str, index: int, extra: Body | None = None) -> Body:
    """A policy with both directions: to an app from two apps and the gateway, out to one app, DNS and an attachment."""
    rule: Body = {
        "from": [
            {"podSelector": {"matchLabels": {"app": f"app-{(index + 1) % APPS}"}}},
            {
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress"}},
                "podSelector": {"matchLabels": {"app": "gateway"}},
            },
            *([extra] if extra else []),
        ],
        "ports": [{"port": 8000 + index % 7, "protocol": "TCP"}],
    }
    egress: list[Body] = [
        {"to": [{"podSelector": {"matchLabels": {"app": f"app-{(index + 2) % APPS}"}}}], "ports": [{"port": "http"}]},
        {
            "to": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}],
            "ports": [{"port": 53, "protocol": "UDP"}],
        },
        {"to": [{"ipBlock": {"cidr": f"203.0.{index}.0/24"}}], "ports": [{"port": 443}]},
    ]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"namespace": namespace, "name": f"policy-{index}"},
        "spec": {
            "podSelector": {"matchLabels": {"app": f"app-{index % APPS}"}} if index else {},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [rule] if index else [],
            "egress": egress if index else [],
        },
    }


def pod(namespace: str, index: int, number: int, app: str = "") -> Pod:
    return Pod(
        namespace,
        f"pod-{index}",
        {"app": app or f"app-{index % APPS}", "pod-template-hash": f"{index % 7}", "part": f"p-{index}"},
        ips=(f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}",),
        ports=((("TCP", "http"), (8080 + index % 2,)),),
    )


def world(pods: int) -> tuple[list[Body | Pod], list[str]]:
    names = [f"ns-{index}" for index in range(pods // NAMESPACES_PER_POD)]
    found: list[Body | Pod] = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"tenant": f"t-{index % 100}"}}}
        for index, name in enumerate(names)
    ]
    found += [pod("ingress", 1, 1, "gateway"), pod("kube-system", 2, 2, "dns")]
    number = 256
    for name in names:
        for index in range(NAMESPACES_PER_POD):
            found.append(pod(name, index, number))
            number += 1
        found.extend(policy(name, index) for index in range(POLICIES_PER_NAMESPACE))
    return found, names


def timed(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def report(name: str, value: float, unit: str, goal: str) -> None:
    sys.stdout.write(f"{name},{value:.3f},{unit},{goal}\n")


def quantiles(name: str, samples: list[float]) -> None:
    samples.sort()
    report(f"{name} p50", statistics.median(samples) * 1000, "ms", "1")
    report(f"{name} p99", samples[int(len(samples) * 0.99)] * 1000, "ms", "10")


def compiled(pods: int) -> tuple[Snapshot, list[str], float]:
    objects, names = world(pods)
    start = time.process_time()
    found = snapshot_of(objects, Dialect.CALICO)
    found.settled()
    return found, names, time.process_time() - start


def main(pods: int) -> None:
    for step in (1_000, 2_500, 5_000):
        report(f"compile {step} pods", compiled(step)[2], "s", "")
    base, names, seconds = compiled(pods)
    report(f"compile {pods} pods", seconds, "s", "1.5")
    report("peak RSS", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, "MB", "600")
    report("classes", base.core.endpoints.size, "1", "")
    edits: list[float] = []
    for turn in range(200):
        name = names[turn * 7 % len(names)]
        extra = {"podSelector": {"matchLabels": {"app": f"app-{turn % APPS}"}}}
        if turn % 4 == 3:
            extra = {"namespaceSelector": {}, **extra}
        change = Edit((policy(name, 1 + turn % 20, extra),))
        edits.append(timed(lambda change=change: delta(base, apply(base, change))))  # type: ignore[misc]
    quantiles("delta of a policy edit", edits)
    labels: list[float] = []
    for turn in range(200):
        name = names[turn * 11 % len(names)]
        have = base.pod(name, f"pod-{turn % NAMESPACES_PER_POD}")
        change = Edit((pod(name, turn % NAMESPACES_PER_POD, 0, f"app-{(turn * 3 + 1) % APPS}"),))
        assert isinstance(change.put[0], Pod)
        moved = Edit((Pod(name, have.name, change.put[0].labels, ips=have.ips, ports=have.ports),))
        labels.append(timed(lambda moved=moved: delta(base, apply(base, moved))))  # type: ignore[misc]
    quantiles("delta of a label edit", labels)
    one, other = base.pod(names[0], "pod-1"), base.pod(names[-1], "pod-2")
    report("explain one pair", timed(lambda: explain(base, one, other, Connection("TCP", 8080))) * 1000, "ms", "5")
    tenants = Tenancy({name: f"t-{index}" for index, name in enumerate(names)})
    report(f"tenant matrix {len(names)} tenants", timed(lambda: matrix(base, Grouping.TENANT, tenants)), "s", "3")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
