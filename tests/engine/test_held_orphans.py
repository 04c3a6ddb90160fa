"""Namespaces whose environment left the model: held by every replica, over restarts, until somebody retires them."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from driftd.engine import NotOrphaned
from driftd.store import Store
from tests.support.model_scene import ACME, BASE, GLOBEX, MANY, FrailStore, Scene
from tests.support.records import SteppingClock


async def lose_acme(*scenes: Scene) -> None:
    """Its environment comes into force in each of these replicas, and then leaves the model."""
    for texts in ((BASE, ACME, GLOBEX), (BASE, GLOBEX)):
        for one in scenes:
            await one.offer(*texts)


async def both_hold_acme(folder: Path, store: Store, clock: SteppingClock) -> tuple[Scene, Scene]:
    leader, standby = (Scene(folder / name, store, clock=clock) for name in ("one", "two"))
    await lose_acme(leader, standby)
    return leader, standby


async def test_an_environment_gone_from_the_model_is_orphaned_over_a_restart_and_comes_back(
    scene: Scene,
) -> None:
    await scene.offer(BASE, MANY)
    await scene.offer(BASE, {path: text for path, text in MANY.items() if path != "t3.yaml"})
    assert scene.orphaned() == ["t3-prod"]
    again = await scene.restarted()
    assert again.orphaned() == ["t3-prod"]
    assert again.loop.in_force is not None
    assert scene.loop.in_force is not None
    assert again.loop.in_force.orphaned == scene.loop.in_force.orphaned
    await again.offer(BASE, MANY)
    assert again.orphaned() == []


async def test_a_retired_namespace_is_governed_no_longer_and_stays_so(scene: Scene, store: Store) -> None:
    await lose_acme(scene)
    assert scene.orphaned() == ["acme-prod"]
    kept = await scene.loop.retire("acme-prod", "alice", "contract ended")
    assert kept.tenant == "acme"
    assert scene.orphaned() == []
    assert len(scene.accepted) == 3  # who follows the model in force was told
    assert (await scene.restarted()).orphaned() == []
    assert "contract ended" in next(row.payload for row in await store.audit() if row.kind == "namespace.retired")
    assert await scene.offer(BASE, ACME, GLOBEX) == ""
    assert scene.governed() == ["acme-prod", "globex-prod"]


async def test_only_an_orphan_can_be_retired(scene: Scene) -> None:
    await scene.offer(BASE, ACME, GLOBEX)
    with pytest.raises(NotOrphaned, match="is in the model"):
        await scene.loop.retire("acme-prod", "alice", "")
    with pytest.raises(NotOrphaned, match="is not held as an orphan"):
        await scene.loop.retire("kube-system", "alice", "")


async def test_a_new_replica_holds_the_orphans_that_the_others_hold(tmp_path: Path, store: Store) -> None:
    one = Scene(tmp_path / "one", store)
    await lose_acme(one)
    new = Scene(tmp_path / "two", store, source=one.source)
    assert await new.offer(BASE, GLOBEX) == ""
    assert new.orphaned() == one.orphaned() == ["acme-prod"]
    assert await new.offer(BASE, ACME, GLOBEX) == ""
    assert (await new.restarted()).orphaned() == []


async def test_a_standby_lets_go_of_what_the_leader_was_told_to_retire_when_it_leads(
    tmp_path: Path, store: Store
) -> None:
    leader, standby = (Scene(tmp_path / name, store) for name in ("one", "two"))
    await lose_acme(leader, standby)
    await leader.loop.retire("acme-prod", "ann", "gone")
    assert standby.orphaned() == ["acme-prod"]
    before = len(standby.accepted)
    await standby.reaches_its_own()
    assert standby.orphaned() == []
    assert len(standby.accepted) == before + 1, "its scope is looked at again"


async def test_a_standby_lets_go_of_what_was_retired_without_ever_leading(tmp_path: Path, store: Store) -> None:
    clock = SteppingClock()
    leader, standby = (Scene(tmp_path / name, store, clock=clock) for name in ("one", "two"))
    await lose_acme(leader, standby)
    await leader.loop.retire("acme-prod", "ann", "gone")
    async with standby.running():
        await asyncio.sleep(0.1)
        clock.seconds += 61
        while standby.orphaned():
            await asyncio.sleep(0.05)


async def test_a_replica_that_slept_through_removal_and_retirement_holds_nothing(tmp_path: Path, store: Store) -> None:
    """It still had the environment in its last good model, and so took the namespace for an orphan of today."""
    leader, sleeper = (Scene(tmp_path / name, store) for name in ("one", "two"))
    for one in (leader, sleeper):
        await one.offer(BASE, ACME, GLOBEX)
    await leader.offer(BASE, GLOBEX)
    await leader.loop.retire("acme-prod", "ann", "gone")
    await sleeper.offer(BASE, GLOBEX)
    assert (sleeper.orphaned(), await store.recall("orphaned/acme-prod")) == ([], None)
    await lose_acme(sleeper)
    assert sleeper.orphaned() == ["acme-prod"], "a life of its own"


async def test_a_retired_namespace_does_not_rise_with_a_replica_that_held_it_longer_than_evidence_is_kept(
    tmp_path: Path,
) -> None:
    """It found neither record nor evidence, wrote the namespace down again, and enforced what it once was."""
    clock = SteppingClock()
    store = await Store.open(tmp_path / "driftd.sqlite", clock, tmp_path / "journal")
    leader, standby = await both_hold_acme(tmp_path, store, clock)
    clock.wall -= timedelta(hours=1)  # the retiring replica's clock is slow
    await leader.loop.retire("acme-prod", "ann", "gone")
    clock.wall += timedelta(days=100)
    await store.note("young", "", {})
    await store.prune(clock.wall - timedelta(days=30))
    assert "namespace.retired" not in [row.kind for row in await store.audit()]
    await standby.reaches_its_own()
    assert (standby.orphaned(), await store.recall("orphaned/acme-prod")) == ([], None)
    await store.close()


async def test_an_orphan_that_the_store_has_lost_is_kept_and_given_back_unless_somebody_retired_it_since(
    tmp_path: Path,
) -> None:
    """A store put back from a backup took every orphan for retired, without a word."""
    clock = SteppingClock()
    store = await Store.open(tmp_path / "driftd.sqlite", clock, tmp_path / "journal")
    leader, standby = await both_hold_acme(tmp_path, store, clock)
    await leader.loop.retire("acme-prod", "ann", "of a life before")
    await lose_acme(leader, standby)
    assert standby.orphaned() == ["acme-prod"]
    row = await store.recall("orphaned/acme-prod")
    await store.remember_all({"orphaned/acme-prod": None})
    await standby.reaches_its_own()
    assert standby.orphaned() == ["acme-prod"]
    assert await store.recall("orphaned/acme-prod") == row is not None
    await leader.loop.retire("acme-prod", "ann", "of this one")
    await standby.reaches_its_own()
    assert standby.orphaned() == []
    await store.close()


async def test_an_orphan_whose_record_makes_no_sense_is_named_until_it_is_governed_again(
    scene: Scene, store: Store
) -> None:
    await lose_acme(scene)
    await store.remember("orphaned/acme-prod", "[]")
    again = await scene.restarted()
    assert (again.orphaned(), again.loop.orphans.unusable) == ([], frozenset({"acme-prod"}))
    await lose_acme(again)
    assert (again.orphaned(), again.loop.orphans.unusable) == (["acme-prod"], frozenset())
    assert (await again.restarted()).orphaned() == ["acme-prod"]


async def test_orphans_that_the_store_cannot_tell_at_the_start_are_held_as_soon_as_it_can(
    scene: Scene, store: FrailStore
) -> None:
    await lose_acme(scene)
    store.unreadable = "the disk is gone"
    again = await scene.restarted()
    assert (again.governed(), again.orphaned()) == (["globex-prod"], [])
    assert again.loop.orphans.unknown.startswith("the database cannot be read: the disk")
    assert "the disk is gone" in await again.offer(BASE, GLOBEX, dict(list(MANY.items())[:1]))
    store.unreadable = ""
    await again.loop.recall_orphans()
    assert (again.orphaned(), again.loop.orphans.unknown) == (["acme-prod"], "")
    assert again.accepted[-1] == (again.loop.status.commit,) * 2, "its scope is looked at"
    await again.loop.consider()
    assert again.loop.status.held == ""
    assert again.orphaned() == ["acme-prod"]


async def test_a_new_replica_waits_with_its_first_model_while_the_store_cannot_tell_the_orphans(
    tmp_path: Path, store: FrailStore
) -> None:
    store.unreadable = "the disk is gone"
    new = Scene(tmp_path, store)
    assert "the disk is gone" in await new.offer(BASE, GLOBEX)
    assert new.governed() == []
    store.unreadable = ""
    async with new.running():
        while not new.governed():
            await asyncio.sleep(0.01)
