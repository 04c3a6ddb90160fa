"""Figures of the reachability engine, one `name,value,unit,goal` a line: python -m tests.bench.bench_reach [pods].

With `--plot` it measures growth up to 50,000 pods instead and draws docs/reach-growth.svg. Times are CPU seconds of
this one thread, which is what the clock shows on a machine with nothing else to do. The garbage collector looks as
seldom as it does in the daemon.
"""

import gc
import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

from driftd.app.daemon import COLLECTED_AFTER
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
    judge,
    matrix,
    snapshot_of,
)
from driftd.values import Body, ObjectRef

PODS_PER_NAMESPACE = 50
APPS = 30
TENANTS = 1_000
GROWTH = (1_000, 2_500, 5_000, 10_000, 20_000, 35_000, 50_000)
_WARM = 30
"""Judgements before the ones that are counted: the first evaluate the whole world."""
PLOT = Path(__file__).resolve().parents[2] / "docs" / "reach-growth.svg"


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


def world(pods: int, crowd: int = PODS_PER_NAMESPACE) -> tuple[list[Body | Pod], list[str]]:
    """Namespaces of `crowd` pods with half as many policies."""
    names = [f"ns-{index}" for index in range(pods // crowd)]
    found: list[Body | Pod] = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"tenant": f"t-{index % 100}"}}}
        for index, name in enumerate(names)
    ]
    found += [pod("ingress", 1, 1, "gateway"), pod("kube-system", 2, 2, "dns")]
    number = 256
    for name in names:
        for index in range(crowd):
            found.append(pod(name, index, number))
            number += 1
        found.extend(policy(name, index) for index in range(crowd // 2))
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


def compiled(pods: int, crowd: int = PODS_PER_NAMESPACE) -> tuple[Snapshot, list[str], float]:
    objects, names = world(pods, crowd)
    start = time.process_time()
    found = snapshot_of(objects, Dialect.CALICO)
    found.settled()
    return found, names, time.process_time() - start


def main(pods: int) -> None:
    gc.set_threshold(*COLLECTED_AFTER)
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
        have = base.pod(name, f"pod-{turn % PODS_PER_NAMESPACE}")
        change = Edit((pod(name, turn % PODS_PER_NAMESPACE, 0, f"app-{(turn * 3 + 1) % APPS}"),))
        assert isinstance(change.put[0], Pod)
        moved = Edit((Pod(name, have.name, change.put[0].labels, ips=have.ips, ports=have.ports),))
        labels.append(timed(lambda moved=moved: delta(base, apply(base, moved))))  # type: ignore[misc]
    quantiles("delta of a label edit", labels)
    one, other = base.pod(names[0], "pod-1"), base.pod(names[-1], "pod-2")
    report("explain one pair", timed(lambda: explain(base, one, other, Connection("TCP", 8080))) * 1000, "ms", "5")
    many, names, _ = compiled(pods, max(pods // TENANTS, 2))
    tenants = Tenancy({name: f"t-{index}" for index, name in enumerate(names)})
    report(f"tenant matrix {len(names)} tenants", timed(lambda: matrix(many, Grouping.TENANT, tenants)), "s", "3")

    judgements(2 * pods)


def judgements(pods: int) -> None:
    """One difference after another in a world such as a daemon's, with half as many policies as pods."""
    objects, names = world(pods, crowd=20)
    base = snapshot_of(objects, Dialect.KUBERNETES, governed=frozenset(names))
    tenants = Tenancy({name: f"t-{index // 2}" for index, name in enumerate(names)})
    anybody: Body = {"namespaceSelector": {}}
    own: Body = {"podSelector": {"matchLabels": {"app": "app-4"}}}
    samples: list[float] = []
    for turn in range(_WARM + 60):
        name = names[turn * 37 % len(names)]
        edits = (
            Edit((policy(name, 1 + turn % 9, own),)),
            Edit((policy(name, 1 + turn % 9, anybody),)),
            Edit(remove=(ObjectRef("networking.k8s.io", "NetworkPolicy", name, f"policy-{turn % 10}"),)),
        )
        change = edits[turn % 3]
        samples.append(timed(lambda change=change: judge(base, apply(base, change), tenants)))  # type: ignore[misc]
    kept = sorted(samples[_WARM:])
    report("judge one difference p50", statistics.median(kept) * 1000, "ms", "")
    report("judge one difference p99", kept[int(len(kept) * 0.99)] * 1000, "ms", "")


def plot() -> None:
    """Measure growth at a constant number of classes a namespace, and draw it."""
    gc.set_threshold(*COLLECTED_AFTER)
    points = [(pods, compiled(pods)[2]) for pods in GROWTH]
    for pods, seconds in points:
        report(f"compile {pods} pods", seconds, "s", "")
    PLOT.write_text(chart(points))


def chart(points: list[tuple[int, float]]) -> str:
    """Seconds over pods, and the straight line through the origin and the last point."""
    width, height, left, right, foot = 640, 360, 60, 36, 40
    most_pods, most = points[-1][0], max(seconds for _, seconds in points) * 1.1

    def place(pods: float, seconds: float) -> tuple[float, float]:
        x, y = left + pods / most_pods * (width - left - right), height - foot - seconds / most * (height - foot - 40)
        return round(x, 1), round(y, 1)

    def text(at: tuple[float, float], words: str, anchor: str = "middle") -> str:
        return f'<text x="{at[0]}" y="{at[1]}" text-anchor="{anchor}">{words}</text>'

    origin, end = place(0, 0), place(*points[-1])
    ticks = [
        text((place(pods, 0)[0], height - foot + 18), f"{pods:,}") for pods in range(0, most_pods + 1, most_pods // 5)
    ]
    marks = [most / 1.1 * part / 4 for part in range(5)]
    ticks += [text((left - 8, place(0, seconds)[1] + 4), f"{seconds:.1f} s", "end") for seconds in marks]
    dots = [f'<circle cx="{x}" cy="{y}" r="4" fill="#1f6feb"/>' for x, y in (place(*point) for point in points)]
    trail = " ".join(f"{x},{y}" for x, y in (place(*point) for point in points))
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"',
        ' font-family="sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        text((width / 2, 20), "Snapshot from parsed objects, all rows evaluated (CPU seconds over pods)"),
        f'<line x1="{left}" y1="{origin[1]}" x2="{width - right}" y2="{origin[1]}" stroke="black"/>',
        f'<line x1="{left}" y1="40" x2="{left}" y2="{origin[1]}" stroke="black"/>',
        f'<line x1="{origin[0]}" y1="{origin[1]}" x2="{end[0]}" y2="{end[1]}" stroke="#999" stroke-dasharray="4 4"/>',
        f'<polyline points="{trail}" fill="none" stroke="#1f6feb"/>',
        *dots,
        *ticks,
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    if "--plot" in sys.argv:
        plot()
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
