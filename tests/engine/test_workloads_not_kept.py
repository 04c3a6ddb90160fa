"""Findings of live workloads of which not all are kept: open for as long as what they rest on may be there."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pytest

from driftd.cluster import POD, SERVICE, SLICE, Mirror, WorkloadMirror
from driftd.cluster.budget import left_out
from driftd.cluster.workloads import Reduced
from driftd.compile import Compiled
from driftd.drift import MOST_OPEN, KindState, LiveService, World
from driftd.values import Seen
from tests.support.live_workloads import (
    ACCOUNTS,
    SHOP,
    THIEF,
    Answer,
    Judge,
    Stand,
    account,
    compiled,
    door,
    doors,
    fill,
    held_open,
    let_go,
    odd,
    standing,
    tiered,
)


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


async def test_a_deletion_is_not_forgotten_with_a_judgement_that_was_of_another_model() -> None:
    """Seen: the finding of a Service that was deleted as the model changed stayed open for good."""
    now = [compiled()]

    @dataclass
    class Overtaken(Judge):
        by: Compiled | None = None

        async def ask(self, question: Callable[[World], Answer]) -> Answer:
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


async def odd_account(stand: Stand) -> Mirror:
    """One is told, in a namespace that has little room for accounts."""
    mirror = stand.mirror
    mirror._namespace_bytes, mirror._spare = 8000, lambda ref: ref.namespace == "shop"
    mirror.watch(ACCOUNTS)
    stand.ready()
    mirror.apply(ACCOUNTS, odd("thief", "1"))
    await stand.until(lambda: {one.ref.name for one in stand.found()} == {"thief"})
    return mirror


async def test_an_account_that_was_made_again_is_not_taken_for_gone() -> None:
    """Its labels were none as it came, so that nothing had to be judged for it."""
    async with standing(model_=tiered) as stand:
        mirror = await odd_account(stand)
        stand.findings.take(SHOP, stand.findings.sift(SHOP, stand.found(), ()))
        mirror.vanish(ACCOUNTS, odd("thief", "2"))
        mirror.apply(ACCOUNTS, replace(account("thief", "3"), uid="another"))
        mirror.apply(ACCOUNTS, replace(odd("thief", "4", more=9000), uid="another"))
        assert mirror.leaves_out(odd("thief", "4").ref)
        await stand.judged_again()
        assert "thief" in {one.ref.name for one in stand.found()}


@pytest.mark.parametrize("listed", [True, False])
async def test_an_account_that_was_made_again_and_left_out_is_not_taken_for_gone(*, listed: bool) -> None:
    """Seen: its creation was told to nobody, and the deletion before it ended what its like was found for."""
    async with standing(model_=tiered) as stand:
        mirror = await odd_account(stand)
        mirror.vanish(ACCOUNTS, odd("thief", "2"))
        again = replace(odd("thief", "3", more=9000), uid="another")
        if listed:
            mirror.replace_all(ACCOUNTS, [left_out(again.ref)], "3")
        else:
            mirror.apply(ACCOUNTS, again)
        assert mirror.leaves_out(again.ref)
        await stand.judged_again()
        assert "thief" in {one.ref.name for one in stand.found()}


async def test_an_account_that_is_left_out_and_open_at_another_leader_is_not_taken_for_gone() -> None:
    """That one had room for it."""
    async with standing(model_=tiered) as stand:
        mirror = await odd_account(stand)
        told = stand.found()
        mirror.vanish(ACCOUNTS, odd("thief", "2"))
        await stand.until(lambda: "thief" not in {one.ref.name for one in stand.found()})
        mirror.apply(ACCOUNTS, replace(odd("thief", "3", more=9000), uid="another"))
        stand.findings.take(SHOP, stand.findings.sift(SHOP, told, ()))
        await stand.judged_again()
        assert "thief" in {one.ref.name for one in stand.found()}


@pytest.mark.parametrize("by", ["creation", "update", "list"])
async def test_that_an_account_is_left_out_is_told_at_once(by: str) -> None:
    """Seen: nothing was judged for it, so that it was told when something else changed."""
    async with standing(model_=tiered) as stand:
        mirror = await odd_account(stand)
        if by == "update":
            mirror.apply(ACCOUNTS, account("other", "2"))
        big = odd("other", "3", more=9000)
        if by == "list":
            thief = next(iter(mirror.of_kind(ACCOUNTS).values()))
            mirror.replace_all(ACCOUNTS, [left_out(big.ref), thief], "3")
        else:
            mirror.apply(ACCOUNTS, big)
        await stand.until(lambda: {one.ref.name for one in stand.found()} == {"shop", "thief"})


async def test_a_deleted_account_is_over_however_late_it_is_looked_at_while_others_are_left_out() -> None:
    """Seen: what another leader had opened stayed open, since the deletion was forgotten with the next judgement."""
    async with standing(model_=tiered) as stand:
        mirror = await odd_account(stand)
        told = stand.found()
        mirror.apply(ACCOUNTS, odd("other", "2", more=9000))
        mirror.vanish(ACCOUNTS, odd("thief", "3"))
        await stand.until(lambda: {one.ref.name for one in stand.found()} == {"shop"})
        await stand.judged_again()
        stand.findings.take(SHOP, stand.findings.sift(SHOP, told, ()))
        await stand.next_term()
        await stand.until(lambda: stand.drift.judged)
        assert {one.ref.name for one in stand.found()} == {"shop"}


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

        async def ask(self, question: Callable[[World], Answer]) -> Answer:
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


async def test_while_a_kind_cannot_be_seen_the_names_of_what_changes_are_let_go_of() -> None:
    """Seen: 60,000 pods that came and went left 60,000 names."""
    async with standing(model_=tiered, most_names=100) as stand:
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
