"""Findings of live workloads: kept while nothing is known, closed when they are over, and no fault ends the watch."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from functools import cache
from typing import TypeVar

import orjson
import pytest

from driftd.cluster import POD, SERVICE, SLICE, WORKLOADS, Mirror, Pace, WorkloadMirror
from driftd.cluster.budget import NOT_KEPT
from driftd.cluster.workloads import Reduced
from driftd.compile import Compiled, Exempt, compile_model
from driftd.drift import MOST_OPEN, Comparison, KindState, LiveService, LiveSlice, World
from driftd.engine import OpenFindings, WorkloadDrift
from driftd.policy.kinds import CALICO, KINDS
from driftd.policy.reach import Pod
from driftd.telemetry import Metrics
from driftd.values import CLUSTER as WHOLE
from driftd.values import Digest, Direction, Finding, FindingType, Live, ObjectRef, Resource, Scope, Seen
from tests.support.admins import GROUP, admin, incoming, lived, living, spaces
from tests.support.cluster import spec_digest
from tests.support.model_texts import CLUSTER, environment, model

_Answer = TypeVar("_Answer")
SHOP = Scope("shop")
TODAY = date(2026, 11, 22)
THIEF = Pod("shop", "thief", {"app.kubernetes.io/name": "web"}, service_account="thief")


@cache
def compiled() -> Compiled:
    return compile_model(model(shop=environment("shop", "acme"), desk=environment("desk", "globex")))


BY_NAME = """\
---
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: to-db, namespace: shop}
spec:
  order: 500
  selector: app.kubernetes.io/name == 'web'
  types: [Egress]
  egress: [{action: Allow, protocol: TCP, destination: {services: {name: db}}}]
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: default.partners}
spec:
  order: 500
  namespaceSelector: has(driftd.dev/tenant)
  types: [Egress]
  egress: [{action: Allow, destination: {selector: role == 'partner'}}]
"""


@cache
def tiered(more: str = "") -> Compiled:
    cluster = CLUSTER.replace("spec:\n", "spec:\n  cni: {dialect: calico}\n", 1)
    return compile_model(model(cluster=cluster, shop=environment("shop", "acme") + BY_NAME + more))


@dataclass
class _Clock:
    """The loop's time, and what a test adds to it."""

    more: float = 0.0

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time() + self.more


@dataclass
class Judge:
    """A world without a thread; `faults` are raised first."""

    world: World = field(default_factory=lambda: World(compiled()))
    faults: list[Exception] = field(default_factory=list)
    reconsidered: list[frozenset[str] | None] = field(default_factory=list)
    asked_anew: int = 0

    async def ask(self, question: Callable[[World], _Answer]) -> _Answer:
        if self.faults:
            raise self.faults.pop()
        return question(self.world)

    def reconsider(self, namespaces: frozenset[str] | None = None) -> None:
        self.reconsidered.append(namespaces)

    def ask_anew(self) -> None:
        self.asked_anew += 1


@dataclass
class Stand:
    workloads: WorkloadMirror
    drift: WorkloadDrift
    judge: Judge
    findings: OpenFindings
    told: list[Scope]
    opened: list[Finding]
    mirror: Mirror
    clock: _Clock
    term: asyncio.Task[None]

    def ready(self) -> None:
        for one in WORKLOADS:
            self.workloads.mark(one, KindState.READY)

    def put(self, pod: Pod | None) -> None:
        """What a watch would: the pod as it is now, or gone."""
        self.workloads._put(POD, ("shop", "thief"), pod)

    def found(self, model_: Compiled | None = None, scope: Scope = SHOP) -> tuple[Finding, ...]:
        return self.drift.added_to(Comparison(scope), model_ or compiled(), TODAY).findings

    def listed(self, *addresses: str) -> None:
        """What a watch would: the slice of the database, as it is now."""
        one = LiveSlice("shop", "db-1", "db", addresses, (("TCP", 5432),))
        self.workloads._put(SLICE, ("shop", "db-1"), one)

    async def judged_again(self) -> None:
        looked = len(self.judge.reconsidered)
        self.drift.admins_changed()
        await self.until(lambda: len(self.judge.reconsidered) > looked)

    async def next_term(self, between: Callable[[], None] = lambda: None) -> None:
        """Another one of this replica."""
        self.term.cancel()
        await asyncio.gather(self.term, return_exceptions=True)
        between()
        self.term = asyncio.create_task(self.drift.run())

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not holds():
                await asyncio.sleep(0.01)


@asynccontextmanager
async def standing(
    judge: Judge | None = None, model_: Callable[[], Compiled] = compiled, workloads: WorkloadMirror | None = None
) -> AsyncIterator[Stand]:
    clock = _Clock()
    pace = Pace(clock, lambda _seconds: asyncio.sleep(0.001), random.random)
    workloads, metrics = workloads or WorkloadMirror(lambda _namespace: True), Metrics()
    findings, told, opened = OpenFindings(metrics), list[Scope](), list[Finding]()
    judge, mirror = judge or Judge(World(model_())), Mirror(spec_digest, pace)

    async def updated(_finding: Finding) -> None:
        return

    drift = WorkloadDrift(
        workloads=workloads,
        mirror=mirror,
        compiled=model_,
        judge=judge,
        findings=findings,
        changed=told.append,
        updated=updated,
        opened=opened.append,
        pace=pace,
        metrics=metrics,
    )
    stand = Stand(workloads, drift, judge, findings, told, opened, mirror, clock, asyncio.create_task(drift.run()))
    try:
        yield stand
    finally:
        stand.term.cancel()
        await asyncio.gather(stand.term, return_exceptions=True)


async def test_a_pod_that_takes_what_is_not_its_own_is_told_once_and_forgotten_when_it_goes() -> None:
    async with standing() as stand:
        stand.ready()
        stand.put(THIEF)
        await stand.until(lambda: bool(stand.found()))
        assert [one.type for one in stand.found()] == [FindingType.RELABELLED]
        assert stand.told == [SHOP]
        assert [one.id for one in stand.opened] == [one.id for one in stand.found()]
        stand.put(None)
        await stand.until(lambda: not stand.found())
        assert stand.told == [SHOP, SHOP]


async def test_nothing_is_judged_before_everything_can_be_seen() -> None:
    async with standing() as stand:
        stand.put(THIEF)
        await asyncio.sleep(0.1)
        assert not stand.drift.judged
        assert stand.drift.not_ready == ("Pod", "Service", "EndpointSlice")
        assert stand.found() == ()
        stand.ready()
        await stand.until(lambda: bool(stand.found()))
        assert stand.drift.judged


async def test_what_is_open_stays_open_while_pods_cannot_be_seen() -> None:
    async with standing() as stand:
        stand.ready()
        stand.put(THIEF)
        await stand.until(lambda: bool(stand.found()))
        (finding,) = stand.found()
    async with standing() as after:  # a new term: nothing is known but what the store has
        sift = after.findings.sift(SHOP, [finding], ())
        after.findings.take(SHOP, sift)
        assert after.found() == (finding,)
        after.ready()
        await after.until(lambda: after.drift.judged)
        assert after.found() == ()
        assert after.told == [SHOP]  # so that its cycle closes it


async def test_a_judgement_that_fails_is_made_again() -> None:
    async with standing(Judge(faults=[RuntimeError("odd")])) as stand:
        stand.ready()
        stand.put(THIEF)
        await stand.until(lambda: bool(stand.found()))


async def test_an_exemption_names_the_object_and_is_heeded() -> None:
    async with standing() as stand:
        stand.ready()
        stand.put(THIEF)
        await stand.until(lambda: bool(stand.found()))
        ref = ObjectRef("", "Pod", "shop", "thief")
        for until, count in ((date(2026, 11, 22), 0), (date(2026, 11, 21), 1)):
            exempt = Exempt(ref, until, "me", "why")
            found = stand.found(replace(compiled(), exemptions=(exempt,)))
            assert len(found) == count


EXEMPT = """\
---
apiVersion: driftd.dev/v1alpha1
kind: Exemption
metadata: {name: spared}
spec: {object: {kind: KIND, namespace: shop, name: NAME}, until: 2027-01-01, owner: me, reason: why}
"""


@pytest.mark.parametrize(("kind", "name"), [("EndpointSlice", "db-1"), ("Service", "db")])
async def test_the_models_exemption_of_a_slice_or_of_a_service_is_heeded(kind: str, name: str) -> None:
    ways_in = LiveService("shop", "db", "LoadBalancer", {}, (), ())
    exempt = EXEMPT.replace("KIND", kind).replace("NAME", name)
    (heeded,) = tiered(exempt).exemptions
    async with standing(model_=tiered) as stand:
        stand.ready()
        stand.listed("203.0.113.9")
        stand.workloads._put(SERVICE, ("shop", "db"), ways_in)
        await stand.until(lambda: len(stand.found()) == 2)
        spared = {one.ref for one in stand.found()} - {one.ref for one in stand.found(tiered(exempt))}
        assert spared == {heeded.ref}


async def test_for_how_long_nothing_comes_to_a_judgement_can_be_asked() -> None:
    faults: list[Exception] = [ValueError("odd pod")] * 100_000
    async with standing(Judge(faults=faults)) as one:
        assert one.drift.stuck_seconds == 0.0, "what cannot be seen is another trouble"
        one.ready()
        one.put(THIEF)
        await one.until(lambda: one.drift.stuck_seconds > 0.1)
        faults.clear()
        await one.until(lambda: one.drift.stuck_seconds == 0.0 and len(one.found()) == 1)


# -- what Calico's rules refer to --------------------------------------------------------------------------------------


async def test_a_slice_that_lists_what_nobody_selects_is_told_and_forgotten_when_it_does_not() -> None:
    async with standing(model_=tiered) as stand:
        stand.ready()
        await stand.until(lambda: stand.drift.judged)
        stand.listed("203.0.113.9")
        await stand.until(lambda: bool(stand.found()))
        (found,) = stand.found()
        assert (found.type, found.ref.name, found.direction) == (FindingType.MISDIRECTED, "db-1", Direction.LOOSENS)
        assert None in stand.judge.reconsidered  # what may stand by its effect may have another one now
        stand.listed()
        await stand.until(lambda: not stand.found())


async def test_an_address_in_the_range_of_pods_that_nobody_has_waits_for_its_pod() -> None:
    async with standing(model_=tiered) as stand:
        stand.ready()
        await stand.until(lambda: stand.drift.judged)
        stand.listed("10.244.7.7")
        await asyncio.sleep(0.2)
        assert stand.found() == ()
        stand.clock.more += 11.0
        stand.put(Pod("shop", "thief", {}))  # anything that makes it look again
        await stand.until(lambda: bool(stand.found()))
        assert [one.ref.name for one in stand.found()] == ["db-1"]


async def test_while_slices_cannot_be_seen_it_is_not_known_who_stands_behind_a_service() -> None:
    async with standing(model_=tiered) as stand:
        stand.ready()
        stand.listed("203.0.113.9")
        await stand.until(lambda: bool(stand.found()))
        world = stand.judge.world
        assert world.knows(("shop", "db"))
        stand.workloads.mark(SLICE, KindState.BLIND, "forbidden")
        await stand.until(lambda: not world.knows(("shop", "db")))
        assert stand.found() != ()
        stand.workloads.mark(SLICE, KindState.READY)
        await stand.until(lambda: world.knows(("shop", "db")))


async def test_a_strangers_network_set_is_told_for_the_cluster_and_forgotten_when_it_goes() -> None:
    resource = KINDS[CALICO, "NetworkSet"].resource
    ref = ObjectRef(CALICO, "NetworkSet", "stranger", "mine")
    metadata = {"name": "mine", "namespace": "stranger", "labels": {"role": "partner"}}
    body = {
        "apiVersion": f"{CALICO}/v3",
        "kind": "NetworkSet",
        "metadata": metadata,
        "spec": {"nets": ["192.0.2.0/24"]},
    }
    live = Live(ref, orjson.dumps(body), Digest(b"1"), "u", "1", terminating=False, managers=())
    async with standing(model_=tiered) as stand:
        stand.mirror.watch(resource)
        stand.ready()
        await stand.until(lambda: stand.drift.judged)
        stand.mirror.apply(resource, live)
        await stand.until(lambda: bool(stand.found(scope=WHOLE)))
        (found,) = stand.found(scope=WHOLE)
        assert (found.type, found.ref, found.direction) == (FindingType.FOREIGN, ref, Direction.LOOSENS)
        stand.mirror.vanish(resource, live)
        await stand.until(lambda: not stand.found(scope=WHOLE))


async def test_a_pod_that_goes_while_a_judgement_fails_is_not_remembered() -> None:
    async with standing() as stand:
        stand.ready()
        stand.put(THIEF)
        await stand.until(lambda: bool(stand.found()))
        stand.judge.faults.append(RuntimeError("odd"))
        stand.put(None)
        await stand.until(lambda: not stand.found())


async def test_a_pod_that_goes_as_a_term_ends_is_not_in_the_world_of_the_next() -> None:
    """Seen: the judgement that would have taken it out was cancelled while it waited for its turn."""

    @dataclass
    class Busy(Judge):
        free: asyncio.Event = field(default_factory=asyncio.Event)
        waiting: bool = False

        async def ask(self, question: Callable[[World], _Answer]) -> _Answer:
            self.waiting = not self.free.is_set()
            await self.free.wait()
            return await super().ask(question)

    judge = Busy()
    judge.free.set()
    async with standing(judge) as stand:
        stand.ready()
        stand.put(THIEF)
        await stand.until(lambda: bool(stand.found()))
        judge.free.clear()
        stand.put(None)
        await stand.until(lambda: judge.waiting)
        await stand.next_term(judge.free.set)
        await stand.until(lambda: stand.drift.judged)
        assert not stand.found()
        assert not list(judge.world.stray_pods("shop"))


async def test_labels_of_a_tenants_namespace_by_which_an_admin_policy_goes_have_all_that_stands_judged_again() -> None:
    trusted = admin("trusted", spaces(zone="trusted"), incoming("Deny", spaces()))
    async with standing() as stand:
        stand.ready()
        await stand.until(lambda: stand.drift.judged)
        home, admins = (
            KINDS["", "Namespace"].resource,
            Resource(GROUP, "v1alpha1", trusted["kind"], "x", namespaced=False),
        )
        for resource in (home, admins):
            stand.mirror.watch(resource)
        ref = ObjectRef("", "Namespace", "", "shop")
        body = compiled().governed["shop"].objects[ref].body()
        body["metadata"]["labels"]["zone"] = "trusted"
        live = Live(ref, orjson.dumps(body), Digest(b"1"), "u", "5", terminating=False, managers=())
        stand.mirror.apply(home, live)
        await stand.until(lambda: len(stand.judge.reconsidered) > 1)
        assert stand.judge.asked_anew == 0  # nobody goes by it
        stand.judge.world.admit(living(trusted))
        stand.mirror.apply(admins, lived(trusted))
        stand.drift.admins_changed()
        await stand.until(lambda: stand.judge.asked_anew == 1)
        assert stand.judge.reconsidered[-1] is None
        assert stand.judge.world.homes[ref]["metadata"]["labels"]["zone"] == "trusted"


async def test_labels_of_a_platforms_namespace_have_all_that_stands_judged_again_when_they_change() -> None:
    """Seen: an admin policy denied a platform's namespace by its label, what let it in was harmless, and stayed so
    when the label went."""
    spaced, ref = KINDS["", "Namespace"].resource, ObjectRef("", "Namespace", "", "logs")

    def labelled(version: str, **labels: str) -> Live:
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "logs", "labels": labels}}
        return Live(ref, orjson.dumps(body), Digest(version.encode()), "u", version, terminating=False, managers=())

    model_ = replace(compiled(), platform=("logs",), peers={"logs": ()})
    async with standing(model_=lambda: model_) as stand:
        quarantined = admin("quarantine", spaces(), incoming("Deny", spaces(quarantine="yes")))
        admins = Resource(GROUP, "v1alpha1", quarantined["kind"], "x", namespaced=False)
        for resource in (spaced, admins):
            stand.mirror.watch(resource)
        stand.judge.world.admit(living(quarantined))
        stand.mirror.apply(admins, lived(quarantined))
        stand.mirror.apply(spaced, labelled("5", quarantine="yes"))
        stand.ready()
        await stand.until(lambda: stand.drift.judged)
        looked = len(stand.judge.reconsidered)
        stand.mirror.apply(spaced, labelled("6", quarantine="yes"))
        stand.drift.policies_changed("shop")
        await stand.until(lambda: len(stand.judge.reconsidered) > looked)
        assert stand.judge.asked_anew == 0
        stand.mirror.apply(spaced, labelled("8"))
        await stand.until(lambda: stand.judge.asked_anew == 1)
        assert stand.judge.reconsidered[-1] is None


async def test_an_account_that_is_named_like_a_platforms_namespace_has_nobody_else_judged_again() -> None:
    """Seen: its labels were taken for that namespace's, and each change had the whole cluster judged anew."""
    accounts, ref = KINDS["", "ServiceAccount"].resource, ObjectRef("", "ServiceAccount", "shop", "logs")

    def labelled(version: str) -> Live:
        body = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "logs", "labels": {"x": version}}}
        return Live(ref, orjson.dumps(body), Digest(version.encode()), "u", version, terminating=False, managers=())

    model_ = replace(compiled(), platform=("logs",), peers={"logs": ()})
    async with standing(model_=lambda: model_) as stand:
        stand.mirror.watch(accounts)
        stand.mirror.apply(accounts, labelled("1"))
        stand.ready()
        stand.put(THIEF)  # so that there is something to judge
        await stand.until(lambda: stand.drift.judged)
        for version in ("2", "3"):
            looked = len(stand.judge.reconsidered)
            stand.mirror.apply(accounts, labelled(version))
            await stand.until(lambda before=looked: len(stand.judge.reconsidered) > before)  # type: ignore[misc]
            assert stand.judge.reconsidered[-1] == frozenset({"shop"})
        assert stand.judge.asked_anew == 0


async def test_a_way_in_that_is_told_stays_told_when_others_come_and_in_another_term() -> None:
    """Seen: twenty Services with earlier names ended the finding of one that stood, and resolved its page."""

    def door(name: str) -> LiveService:
        return LiveService("shop", name, "LoadBalancer", {}, (), ())

    def names(stand: Stand) -> set[str]:
        return {one.ref.name for one in stand.found()}

    async with standing() as stand:
        stand.ready()
        stand.workloads._put(SERVICE, ("shop", "web-hole"), door("web-hole"))
        await stand.until(lambda: "web-hole" in names(stand))
        (finding,) = stand.found()
        for number in range(30):
            stand.workloads._put(SERVICE, ("shop", f"a{number:02}"), door(f"a{number:02}"))
        await stand.until(lambda: "shop" in names(stand))  # the one that says how many more
        assert {"web-hole", "a00"} < names(stand)
    async with standing() as after:
        after.findings.take(SHOP, after.findings.sift(SHOP, [finding], ()))
        for name in (*(f"a{number:02}" for number in range(30)), "web-hole"):
            after.workloads._put(SERVICE, ("shop", name), door(name))
        after.ready()
        await after.until(lambda: after.drift.judged)
        assert {"web-hole", "a00", "shop"} < names(after)


async def test_what_was_told_of_a_namespace_stays_open_while_not_all_of_it_is_kept() -> None:
    """Seen: a label more on a pod that was told, in a namespace without room, and its finding was over."""
    async with standing(workloads=WorkloadMirror(lambda _namespace: True, 40_000)) as stand:
        stand.ready()
        stand.put(THIEF)
        await stand.until(lambda: bool(stand.found()))
        (finding,) = stand.found()
        for number in range(200):
            small = LiveService("shop", f"s{number}", "ClusterIP", {}, (), ())
            stand.workloads._put(SERVICE, ("shop", small.name), small)
        assert (SERVICE, "shop") in stand.workloads.beyond
        stand.put(replace(THIEF, labels={**THIEF.labels, **{f"x{number}": "y" * 63 for number in range(9)}}))
        assert (POD, "shop") in stand.workloads.beyond
        await stand.until(lambda: len(stand.found()) == 3)
        assert finding in stand.found()
        for number in range(200):
            stand.workloads._put(SERVICE, ("shop", f"s{number}"), None)
        for one in (SERVICE, POD):  # the next lists, in which it is gone
            stand.workloads.replace_all(one, [], "9")
        await stand.until(lambda: not stand.found())


async def test_what_is_kept_and_clean_is_over_though_not_all_of_its_namespace_is_kept() -> None:
    async with standing(workloads=WorkloadMirror(lambda _namespace: True, 40_000)) as stand:
        stand.ready()
        stand.put(THIEF)
        await stand.until(lambda: bool(stand.found()))
        (finding,) = stand.found()
        fill(stand)
        stand.put(replace(THIEF, labels={}))
        assert ("shop", THIEF.name) in stand.workloads.pods
        await stand.until(lambda: finding not in stand.found())


def door(name: str, keys: int = 0) -> LiveService:
    return LiveService("shop", name, "LoadBalancer", {f"k{one}": "v" * 60 for one in range(keys)}, (), ())


def doors(stand: Stand) -> set[str]:
    return {one.ref.name for one in stand.found() if one.ref.kind == "Service"}


def let_go(stand: Stand, *names: str) -> None:
    """There is no room for these any more, and they stand."""
    for name in names:
        stand.workloads._put(SERVICE, ("shop", name), door(name, 170))
        assert ("shop", name) not in stand.workloads.services


async def test_decoys_that_are_made_and_deleted_are_over_and_end_nothing_that_stands() -> None:
    """Seen: sixty of them were held open, and a way in that fell out of what is kept was over."""
    async with standing(workloads=WorkloadMirror(lambda _namespace: True, 40_000)) as stand:
        stand.ready()
        stand.workloads._put(SERVICE, ("shop", "hole"), door("hole"))
        await stand.until(lambda: doors(stand) == {"hole"})
        fill(stand)
        for batch in range(5):
            names = [f"d{batch}-{number}" for number in range(19)]
            for name in names:
                stand.workloads._put(SERVICE, ("shop", name), door(name))
            await stand.until(lambda: len(doors(stand)) == 20)
            for name in names:
                stand.workloads._put(SERVICE, ("shop", name), None)
            await stand.until(lambda: doors(stand) == {"hole"})
        let_go(stand, "hole")
        stand.workloads._put(SERVICE, ("shop", "last"), door("last"))
        await stand.until(lambda: doors(stand) == {"hole", "last"})


async def test_what_stands_and_is_not_kept_is_held_open_until_its_deletion_is_told() -> None:
    async with standing(workloads=WorkloadMirror(lambda _namespace: True, 40_000)) as stand:
        stand.ready()
        for name in ("hole", "other"):
            stand.workloads._put(SERVICE, ("shop", name), door(name))
        await stand.until(lambda: doors(stand) == {"hole", "other"})
        let_go(stand, "hole", "other")
        stand.workloads._put(SERVICE, ("shop", "hole"), None)
        stand.workloads._put(SERVICE, ("shop", "other"), None)
        let_go(stand, "other")  # made again
        await stand.until(lambda: doors(stand) == {"other"})
        sift = stand.findings.sift(SHOP, stand.found(), ())
        stand.findings.take(SHOP, sift)
        stand.workloads.replace_all(SERVICE, [Reduced(("shop", ""), None, "", beyond=True)], "9")
        stand.workloads._put(SERVICE, ("shop", "new"), door("new"))
        await stand.until(lambda: doors(stand) == {"other", "new"})  # that list named nobody
        stand.workloads.replace_all(SERVICE, [], "10")
        await stand.until(lambda: not doors(stand))


async def test_what_is_over_stays_over_though_its_cycle_has_not_closed_it_yet() -> None:
    async with standing(workloads=WorkloadMirror(lambda _namespace: True, 40_000)) as stand:
        stand.ready()
        stand.workloads._put(SERVICE, ("shop", "hole"), door("hole"))
        await stand.until(lambda: doors(stand) == {"hole"})
        stand.findings.take(SHOP, stand.findings.sift(SHOP, stand.found(), ()))
        fill(stand)
        stand.workloads._put(SERVICE, ("shop", "hole"), None)
        await stand.until(lambda: not doors(stand))
        assert any(one.ref.name == "hole" for one in stand.findings.all())
        for name in ("new", "newer"):
            stand.workloads._put(SERVICE, ("shop", name), door(name))
            await stand.until(lambda at=name: at in doors(stand))  # type: ignore[misc]
            assert "hole" not in doors(stand)


async def held_open(stand: Stand) -> None:
    """A way in that is open, stands, and is not kept."""
    stand.ready()
    stand.workloads._put(SERVICE, ("shop", "hole"), door("hole"))
    fill(stand)
    await stand.until(lambda: doors(stand) == {"hole"})
    stand.findings.take(SHOP, stand.findings.sift(SHOP, stand.found(), ()))
    let_go(stand, "hole")
    await stand.judged_again()
    assert doors(stand) == {"hole"}


async def test_a_deletion_is_not_forgotten_with_a_judgement_that_was_of_another_model() -> None:
    """Seen: the finding of a Service that was deleted as the model changed stayed open for good."""
    now = [compiled()]

    @dataclass
    class Overtaken(Judge):
        by: Compiled | None = None

        async def ask(self, question: Callable[[World], _Answer]) -> _Answer:
            answer = await super().ask(question)
            if self.by is not None:
                now[0], self.world, self.by = self.by, World(self.by), None
            return answer

    judge = Overtaken(World(now[0]))
    async with standing(judge, lambda: now[0], WorkloadMirror(lambda _namespace: True, 40_000)) as stand:
        await held_open(stand)
        judge.by = replace(compiled())
        stand.workloads._put(SERVICE, ("shop", "hole"), None)
        await stand.until(lambda: judge.by is None)
        await stand.until(lambda: stand.drift.judged)
        assert not doors(stand)


async def test_what_ended_with_a_deletion_is_over_in_the_next_term_as_well() -> None:
    """Seen: the term ended before the cycle that would have closed it, and the next one held it open for good."""
    async with standing(workloads=WorkloadMirror(lambda _namespace: True, 40_000)) as stand:
        await held_open(stand)
        stand.workloads._put(SERVICE, ("shop", "hole"), None)
        await stand.until(lambda: not doors(stand))
        await stand.next_term()
        await stand.until(lambda: stand.drift.judged)
        assert not doors(stand)


async def test_what_a_cycle_opens_that_looked_before_a_deletion_is_over() -> None:
    async with standing(workloads=WorkloadMirror(lambda _namespace: True, 40_000)) as stand:
        stand.ready()
        fill(stand)
        stand.workloads._put(SERVICE, ("shop", "hole"), door("hole"))
        await stand.until(lambda: doors(stand) == {"hole"})
        looked = stand.found()
        stand.workloads._put(SERVICE, ("shop", "hole"), None)
        await stand.until(lambda: not doors(stand))
        stand.findings.take(SHOP, stand.findings.sift(SHOP, looked, ()))
        stand.workloads._put(SERVICE, ("shop", "new"), door("new"))
        await stand.until(lambda: "new" in doors(stand))
        assert doors(stand) == {"new"}


async def test_a_deletion_just_before_there_is_no_room_left_is_no_less_told() -> None:
    async with standing(workloads=WorkloadMirror(lambda _namespace: True, 40_000)) as stand:
        stand.ready()
        stand.workloads._put(SERVICE, ("shop", "hole"), door("hole"))
        await stand.until(lambda: doors(stand) == {"hole"})
        stand.findings.take(SHOP, stand.findings.sift(SHOP, stand.found(), ()))
        stand.workloads._put(SERVICE, ("shop", "hole"), None)
        fill(stand)
        await stand.judged_again()
        assert not doors(stand)


async def test_an_account_that_was_made_again_is_not_taken_for_gone() -> None:
    """Its labels were none as it came, so that nothing had to be judged for it."""
    async with standing(model_=tiered) as stand:
        mirror = stand.mirror
        mirror._namespace_bytes, mirror._spare = 8000, lambda ref: ref.namespace == "shop"
        mirror.watch(ACCOUNTS)
        stand.ready()
        mirror.apply(ACCOUNTS, odd("thief", "1"))
        await stand.until(lambda: {one.ref.name for one in stand.found()} == {"thief"})
        stand.findings.take(SHOP, stand.findings.sift(SHOP, stand.found(), ()))
        mirror.vanish(ACCOUNTS, odd("thief", "2"))
        mirror.apply(ACCOUNTS, replace(account("thief", "3"), uid="another"))
        mirror.apply(ACCOUNTS, replace(odd("thief", "4", more=9000), uid="another"))
        assert mirror.leaves_out(odd("thief", "4").ref)
        await stand.judged_again()
        assert "thief" in {one.ref.name for one in stand.found()}


async def test_an_account_that_was_made_again_and_left_out_is_not_taken_for_gone() -> None:
    """Nobody tells of it: another leader that had room for it may have."""
    async with standing(model_=tiered) as stand:
        mirror = stand.mirror
        mirror._namespace_bytes, mirror._spare = 8000, lambda ref: ref.namespace == "shop"
        mirror.watch(ACCOUNTS)
        stand.ready()
        mirror.apply(ACCOUNTS, odd("thief", "1"))
        await stand.until(lambda: {one.ref.name for one in stand.found()} == {"thief"})
        told = stand.found()
        mirror.vanish(ACCOUNTS, odd("thief", "2"))
        mirror.apply(ACCOUNTS, replace(odd("thief", "3", more=9000), uid="another"))
        await stand.until(lambda: "thief" not in {one.ref.name for one in stand.found()})
        stand.findings.take(SHOP, stand.findings.sift(SHOP, told, ()))
        await stand.judged_again()
        assert "thief" in {one.ref.name for one in stand.found()}


async def test_no_more_are_open_however_many_stand_and_are_not_kept() -> None:
    async with standing(workloads=WorkloadMirror(lambda _namespace: True, 40_000)) as stand:
        stand.ready()
        stand.workloads._put(SERVICE, ("shop", "hole"), door("hole"))
        await stand.until(lambda: doors(stand) == {"hole"})
        let_go(stand, "hole")
        for batch in range(5):
            names = [f"d{batch}-{number}" for number in range(19)]
            for name in names:
                stand.workloads._put(SERVICE, ("shop", name), door(name))
            last = ("shop", f"e{batch}")
            stand.workloads._put(SERVICE, last, replace(door(last[1]), external_ips=("203.0.113.7",)))
            await asyncio.sleep(0.1)
            assert "hole" in doors(stand)
            let_go(stand, *names)
            stand.workloads._put(SERVICE, last, None)
        assert len(doors(stand)) <= MOST_OPEN


async def test_what_is_open_at_the_start_of_a_term_stays_open_though_no_pod_is_kept() -> None:
    async with standing() as stand:
        stand.ready()
        stand.put(THIEF)
        await stand.until(lambda: bool(stand.found()))
        (finding,) = stand.found()
    async with standing() as after:
        after.findings.take(SHOP, after.findings.sift(SHOP, [finding], ()))
        after.workloads.replace_all(POD, [Reduced(("shop", ""), None, "", beyond=True)], "9")
        after.ready()
        await after.until(lambda: after.drift.judged)
        assert finding in after.found()


@pytest.mark.parametrize("beyond", [True, False])
@pytest.mark.parametrize("meanwhile", [True, False])
async def test_what_is_joined_late_is_held_open_until_it_is_judged(*, beyond: bool, meanwhile: bool) -> None:
    """Seen: the store came back, and the next cycle closed what stood in a namespace beyond its room."""

    @dataclass
    class Slow(Judge):
        meanwhile: Callable[[], None] = lambda: None
        judged: Callable[[], None] = lambda: None

        def reconsider(self, namespaces: frozenset[str] | None = None) -> None:
            super().reconsider(namespaces)
            self.judged()

        async def ask(self, question: Callable[[World], _Answer]) -> _Answer:
            answer = await super().ask(question)
            now, self.meanwhile = self.meanwhile, lambda: None
            now()
            return answer

    async with standing() as stand:
        stand.ready()
        stand.put(THIEF)
        await stand.until(lambda: bool(stand.found()))
        (finding,) = stand.found()
    judge, held = Slow(), list[bool]()
    async with standing(judge) as after:

        def join() -> None:
            after.told.clear()
            after.findings.join([Seen(finding, datetime.now(UTC), datetime.now(UTC))])
            after.drift.past_known()
            assert finding in after.found()
            judge.judged = lambda: held.append(finding in after.found())

        if beyond:
            after.workloads.replace_all(POD, [Reduced(("shop", ""), None, "", beyond=True)], "9")
        after.workloads._put(POD, ("shop", "other"), replace(THIEF, name="other", labels={}))
        after.ready()
        await after.until(lambda: after.drift.judged)
        assert finding not in after.found()
        if meanwhile:
            judge.meanwhile = join
            after.drift.admins_changed()
        else:
            join()
        await after.until(lambda: bool(held))
        assert held[0] is beyond
        assert (SHOP in after.told) is not beyond, "so that its cycle closes what is over"


async def test_what_was_found_in_one_term_is_no_news_in_the_next() -> None:
    async with standing() as stand:
        stand.ready()
        stand.put(THIEF)
        await stand.until(lambda: bool(stand.found()))
    assert not stand.drift.judged
    assert stand.found() == (), "another leader may have closed it"


async def test_pods_that_were_never_kept_are_nothing_to_the_judged_world() -> None:
    async with standing(workloads=WorkloadMirror(lambda _namespace: True, 40_000)) as stand:
        stand.ready()
        stand.put(THIEF)
        await stand.until(lambda: bool(stand.found()))
        big = replace(THIEF, labels={f"k{one}": "v" * 60 for one in range(170)})
        edits = stand.judge.world.edits
        for number in range(50):
            stand.workloads._put(POD, ("shop", f"p{number}"), replace(big, name=f"p{number}"))
            stand.workloads._put(POD, ("shop", f"p{number}"), None)
            assert stand.drift._changes.pods <= {("shop", "")}
            await asyncio.sleep(0.005)
        assert stand.judge.world.edits == edits


async def test_an_account_whose_deletion_was_told_is_over_while_others_are_left_out() -> None:
    async with standing(model_=tiered) as stand:
        mirror = stand.mirror
        mirror._namespace_bytes, mirror._spare = 8000, lambda ref: ref.namespace == "shop"
        mirror.watch(ACCOUNTS)
        stand.ready()
        for name, version in (("thief", "1"), ("other", "2")):
            mirror.apply(ACCOUNTS, odd(name, version))
        await stand.until(lambda: {one.ref.name for one in stand.found()} == {"thief", "other"})
        mirror.apply(ACCOUNTS, odd("other", "3", more=9000))
        assert mirror.leaves_out(odd("other", "3").ref)
        mirror.vanish(ACCOUNTS, odd("thief", "4"))
        await stand.until(lambda: {one.ref.name for one in stand.found()} == {"shop", "other"})


async def test_a_finding_of_an_owner_is_over_when_all_pods_are_kept_again() -> None:
    """Nobody knows how many pods it has."""
    owned = replace(THIEF, owner="StatefulSet/thief")
    async with standing(workloads=WorkloadMirror(lambda _namespace: True, 40_000)) as stand:
        stand.ready()
        stand.put(owned)
        await stand.until(lambda: bool(stand.found()))
        (finding,) = stand.found()
        fill(stand)
        stand.put(replace(owned, labels={}))
        await asyncio.sleep(0.2)
        assert finding in stand.found()
        clean = Reduced(("shop", "thief"), replace(owned, labels={}), "9")
        stand.workloads.replace_all(POD, [clean], "9")
        await stand.until(lambda: finding not in stand.found())


async def test_while_a_kind_cannot_be_seen_the_names_of_what_changes_are_let_go_of(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Seen: 60,000 pods that came and went left 60,000 names."""
    for most in ("MOST_CHANGES", "MOST_GONE"):
        monkeypatch.setattr(f"driftd.engine.living.{most}", 100)
    async with standing(model_=tiered) as stand:
        stand.mirror.watch(ACCOUNTS)
        stand.ready()
        stand.put(THIEF)
        stand.mirror.apply(ACCOUNTS, odd("mine", "1"))
        await stand.until(lambda: {"thief", "mine"} <= {one.ref.name for one in stand.found()})
        stand.workloads.mark(SLICE, KindState.BLIND, "forbidden")
        stand.put(None)
        stand.mirror.vanish(ACCOUNTS, odd("mine", "2"))
        for number in range(300):
            stand.workloads._put(POD, ("shop", f"p{number}"), replace(THIEF, name=f"p{number}"))
            stand.workloads._put(POD, ("shop", f"p{number}"), None)
            stand.mirror.apply(ACCOUNTS, account(f"a{number}", "3", zone="a"))
            stand.mirror.vanish(ACCOUNTS, account(f"a{number}", "4", zone="a"))
        changes = stand.drift._changes
        assert max(len(changes.pods), len(changes.labelled), len(stand.drift._gone)) <= 100
        stand.workloads.mark(SLICE, KindState.READY)
        await stand.until(lambda: not stand.found())
        assert not list(stand.judge.world.stray_pods("shop")), "it is known to be gone all the same"


ACCOUNTS = KINDS["", "ServiceAccount"].resource


def account(name: str, version: str, **labels: str) -> Live:
    ref = ObjectRef("", "ServiceAccount", "shop", name)
    body = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "labels": labels}}
    return Live(ref, orjson.dumps(body), Digest(version.encode()), f"u-{name}", version, terminating=False, managers=())


def odd(name: str, version: str, more: int = 0) -> Live:
    live = account(name, version)
    body = live.body() | {"more": "x" * more}
    body["metadata"]["labels"] = NOT_KEPT  # nobody knows what they let in
    return replace(live, raw=orjson.dumps(body))


def fill(stand: Stand) -> None:
    """So many Services and pods that there is no room, and then some room again: what was left out is not known."""
    number = 0
    while not {(SERVICE, "shop"), (POD, "shop")} <= stand.workloads.beyond:
        small = LiveService("shop", f"s{number}", "ClusterIP", {}, (), ())
        stand.workloads._put(SERVICE, ("shop", small.name), small)
        pod = replace(THIEF, name=f"p{number}", labels={}, owner="", ips=())
        stand.workloads._put(POD, ("shop", pod.name), pod)
        number += 1
    for one in range(number):
        stand.workloads._put(SERVICE, ("shop", f"s{one}"), None)
        stand.workloads._put(POD, ("shop", f"p{one}"), None)
