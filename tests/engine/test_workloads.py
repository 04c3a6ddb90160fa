"""Findings of live workloads: kept while nothing is known, closed when they are over, and no fault ends the watch."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date

import orjson
import pytest

from driftd.cluster import SERVICE, SLICE
from driftd.compile import Exempt
from driftd.drift import KindState, LiveService, World
from driftd.policy.kinds import CALICO, KINDS
from driftd.policy.reach import Pod
from driftd.values import CLUSTER as WHOLE
from driftd.values import Digest, Direction, FindingType, Live, ObjectRef, Resource
from tests.support.admins import GROUP, admin, incoming, lived, living, spaces
from tests.support.live_workloads import SHOP, THIEF, Answer, Judge, Stand, compiled, standing, tiered


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

        async def ask(self, question: Callable[[World], Answer]) -> Answer:
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
