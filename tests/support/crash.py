"""Kill points: one tampering that takes a plan of many writes, and a death of the daemon at any one of them."""

import asyncio
import signal
from collections import Counter
from dataclasses import dataclass

from tests.support.faulty import OPEN, PATIENCE, Evidence, Scene, allow_all, sending
from tests.support.proxy import Fate, is_repair, is_watch_of

ONLY_THE_WATCH = {
    "DRIFTD_AUDIT__HEARTBEAT_SECONDS": "600",
    "DRIFTD_AUDIT__RELIST_SECONDS": "600",
    "DRIFTD_AUDIT__ROLLING_GETS_PER_SECOND": "0",
}
"""So that the daemon hears of everything at one moment: when the test lets the watches go on."""

NAMESPACE = "acme-prod"
MOST = Counter(
    {
        ("update", "namespaces", NAMESPACE): 1,
        ("update", "networkpolicies", "default-deny"): 2,
        ("update", "networkpolicies", "web-egress"): 2,
        ("update", "networkpolicies", "api-ingress"): 2,
        ("create", "networkpolicies", "db-ingress"): 1,
        ("update", "networkpolicies", "hole"): 2,
        ("delete", "networkpolicies", "hole"): 1,
        ("update", "resourcequotas", "quota"): 1,
        ("update", "serviceaccounts", "api"): 1,
    }
)
"""The most writes that the tampering below may cost, one death included.

A policy is cut and then made whole; what must go is condemned once a term (a deletion belongs to the epoch that
condemned it); anything else is one step.
"""


@dataclass(frozen=True, order=True)
class Point:
    """The daemon dies at its nth write: before the API server hears of it, or after it has acted on it."""

    nth: int
    after: bool

    def __str__(self) -> str:
        return f"{'after' if self.after else 'before'} write {self.nth}"


async def tamper(one: Scene) -> None:
    """Everything at once, as far as the daemon can tell."""
    one.proxy.freeze(is_watch_of(""))
    kube = one.kube
    lowered = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "privileged"}}}
    await kube.merge("NetworkPolicy", NAMESPACE, "default-deny", OPEN)
    await kube.merge("NetworkPolicy", NAMESPACE, "web-egress", OPEN)
    await kube.merge("NetworkPolicy", NAMESPACE, "api-ingress", {"spec": {"ingress": []}})
    await kube.delete("NetworkPolicy", NAMESPACE, "db-ingress")
    await kube.create(allow_all(NAMESPACE, "hole"))
    await kube.merge("Namespace", "", NAMESPACE, lowered)
    await kube.merge("ResourceQuota", NAMESPACE, "quota", {"spec": {"hard": {"pods": "5000"}}})
    await kube.merge("ServiceAccount", NAMESPACE, "api", {"automountServiceAccountToken": True})


async def die_at(one: Scene, point: Point) -> bool:
    """Tamper, let the daemon die at a point, start it again; False when it had no such write to make."""
    await one.begin()
    killing = sending(one.daemon, signal.SIGKILL, Fate.CUT)
    if point.after:
        rule = one.proxy.rule(is_repair, after=killing, nth=point.nth)
    else:
        rule = one.proxy.rule(is_repair, before=killing, nth=point.nth)
    await tamper(one)
    one.proxy.thaw()

    async def over() -> bool:
        assert one.daemon.process is not None
        return one.daemon.process.poll() is not None or not await one.differing()

    await one.until(f"the daemon dies {point}, or has nothing left to do", over, 60.0)
    if not rule.fired:
        return False
    assert one.daemon.process is not None
    await asyncio.to_thread(one.daemon.process.wait, 10)
    one.proxy.rules.clear()
    one.daemon.port = 0
    await one.daemon.start(ready=False)
    await one.daemon.wait_ready(PATIENCE)
    return True


async def as_if_nothing_had_happened(one: Scene) -> Evidence:
    """The right end state, every intent settled, the chain intact, and no act done twice."""
    found = await one.sound()
    counted = Counter((record.verb, record.key.resource, record.key.name) for record in one.writes())
    too_many = {act: count for act, count in counted.items() if count > MOST[act]}
    assert not too_many, f"done more often than needed: {too_many}"
    for act in (("create", "networkpolicies", "db-ingress"), ("delete", "networkpolicies", "hole")):
        assert counted[act] == 1, act
    for name in ("default-deny", "web-egress", "api-ingress", "db-ingress", "hole", "quota"):
        assert found.about(name, NAMESPACE), f"no finding tells of {name}"
    return found
