"""What a start and a take-over go on with, and when a replica has come as far as another one had."""

import asyncio
import base64
import json
import random
import zlib
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from driftd.engine.last_accepted import IN_FORCE, LAST_GOOD, LastAccepted
from driftd.source import Revision, content_name
from driftd.store import Store
from tests.support.model_scene import ACME, BASE, BROKEN, GLOBEX, MANY, FrailStore, Scene
from tests.support.model_texts import CLUSTER, environment, files


async def test_a_restart_goes_on_with_the_last_good_model_when_the_source_is_gone(
    scene: Scene,
) -> None:
    await scene.offer(BASE, ACME)
    scene.source.texts = None
    again = await scene.restarted()
    assert again.governed() == ["acme-prod"]
    await again.loop.consider()
    assert again.governed() == ["acme-prod"]


async def test_a_restart_from_the_cache_and_one_from_the_files_enforce_the_same(scene: Scene, tmp_path: Path) -> None:
    await scene.offer(BASE, ACME, GLOBEX)
    cached = await scene.restarted()
    (tmp_path / "compiled.cache").unlink()
    compiled = await scene.restarted()
    assert scene.loop.in_force is not None
    assert cached.loop.in_force == compiled.loop.in_force == replace(scene.loop.in_force, rolled_out=True)


async def test_a_replica_without_a_data_folder_goes_on_from_what_the_others_had_in_force(
    tmp_path: Path, store: Store
) -> None:
    """What has left the model is held, a change of many is, and the source may be away."""
    one = Scene(tmp_path / "one", store)
    await one.offer(BASE, MANY, ACME)
    without, emptied, away = (Scene(tmp_path / name, store) for name in ("without", "emptied", "away"))
    away.source.texts = None
    await away.loop.consider()
    assert away.governed() == one.governed()
    assert "gone" in away.loop.status.held
    assert "empty" in await emptied.offer(BASE)
    assert emptied.governed() == one.governed()
    assert await without.offer(BASE, MANY) == ""
    assert without.orphaned() == ["acme-prod"]


async def test_a_first_model_waits_until_the_store_can_tell_what_was_in_force(
    tmp_path: Path, store: FrailStore
) -> None:
    one, new = (Scene(tmp_path / name, store) for name in ("one", "two"))
    for texts in ((BASE, ACME, GLOBEX), (BASE, BROKEN, GLOBEX)):
        await one.offer(*texts)
    store.unreadable = "the disk is gone"
    assert "in force before cannot be read: the database cannot be read: the disk" in await new.offer(
        BASE, BROKEN, GLOBEX
    )
    assert new.governed() == []
    async with new.running():
        await asyncio.sleep(1.2)
        assert new.governed() == []
        store.unreadable = ""
        while not new.governed():
            await asyncio.sleep(0.01)
    assert (new.governed(), new.loop.status.quarantined) == (["acme-prod", "globex-prod"], ("acme",))


FORGED = {"acme.yaml": environment("acme-prod", "acme", port=6666)}


async def forge(store: Store) -> None:
    """Other files under the name of what was accepted last: who can write to the store need not push to the branch."""
    record = await LastAccepted(store).recall()
    assert record.revision is not None
    forged = replace(record.revision, files=files({**BASE, **FORGED, **GLOBEX}))
    await store.remember_all(await LastAccepted(store).values(forged, ()))


async def test_what_the_store_gave_is_put_right_by_what_the_source_has_under_the_same_name(
    tmp_path: Path, store: Store
) -> None:
    one, new, odd = (Scene(tmp_path / name, store) for name in ("one", "new", "odd"))
    await one.offer(BASE, ACME, GLOBEX)
    good = one.saying("acme-prod")
    await forge(store)
    odd.source.texts = None
    await odd.loop.consider()
    assert odd.saying("acme-prod") != good
    for scene in (new, await odd.restarted()):
        assert await scene.offer(BASE, ACME, GLOBEX) == ""
        assert scene.saying("acme-prod") == good
    kept = await LastAccepted(store).recall()
    assert kept.revision is not None
    assert set(kept.revision.files) == set(files({**BASE, **ACME, **GLOBEX}))


async def test_where_commits_must_be_signed_the_store_puts_nothing_in_force_but_keeps_broken_tenants(
    tmp_path: Path, store: Store
) -> None:
    one = Scene(tmp_path / "one", store)
    await one.offer(BASE, ACME, GLOBEX)
    good = one.saying("acme-prod")
    new = Scene(tmp_path / "new", store, signed=True)
    new.source.texts = None
    await new.loop.consider()
    assert new.loop.in_force is None
    assert await new.offer(BASE, BROKEN, GLOBEX) == ""
    assert (new.saying("acme-prod"), new.kept_back()) == (good, ("acme",))


async def test_a_new_replica_takes_a_revision_that_was_in_force_for_what_it_is_however_much_differs(
    tmp_path: Path, store: Store
) -> None:
    base = {**BASE, "cluster.yaml": CLUSTER + "  remediation: {mode: enforce}\n"}
    one = Scene(tmp_path / "one", store)
    assert await one.offer(base, MANY) == ""
    differs = {f"t{number}-prod": 10 for number in range(12)}
    for name, texts, pending, held in (
        ("two", (base, MANY), differs, False),
        ("three", (base, MANY, ACME), differs | {"acme-prod": 500}, True),
        ("four", (base, MANY, ACME), differs, False),
    ):
        new = Scene(tmp_path / name, store)
        new.pending = pending
        assert ("switching on" in await new.offer(*texts)) is held
    await store.remember_all({"last-good": None})  # as a driftd left it that kept no files there
    for name, texts, held in (("five", (base, MANY), True), ("six", (base, MANY, ACME), False)):
        new = Scene(tmp_path / name, store)
        new.pending = differs
        assert ("switching on" in await new.offer(*texts)) is held


async def test_what_was_in_force_before_a_replica_had_it_is_known_to_have_been_rolled_out(
    tmp_path: Path, store: Store
) -> None:
    """Else a hole of the time between two leaders is taken for a rollout, and nobody is told."""
    one, new = (Scene(tmp_path / name, store) for name in ("one", "two"))
    rolled_out = []
    for scene, texts in ((one, (BASE, ACME)), (new, (BASE, ACME)), (new, (BASE, ACME, GLOBEX)), (new, (BASE, ACME))):
        await scene.offer(*texts)
        rolled_out.append(scene.rolled_out())
    rolled_out.append((await new.restarted()).rolled_out())
    await new.loop.retire("globex-prod", "alice", "gone")
    rolled_out.append(new.rolled_out())
    assert rolled_out == [False, True, False, False, True, True]


async def test_the_record_is_written_by_the_first_who_accepts_it(tmp_path: Path, store: Store) -> None:
    one, two = (Scene(tmp_path / name, store) for name in ("one", "two"))
    for scene in (one, two):
        await scene.offer(ACME, BASE)
    found = files({**BASE, **ACME})
    revision = Revision(tuple(sorted(found, key=lambda file: file.path)), content_name(found))
    assert LAST_GOOD not in await LastAccepted(store).values(revision, ())
    assert LAST_GOOD in await LastAccepted(store).values(revision, ("acme",))


async def test_a_record_that_nobody_of_ours_wrote_costs_nothing_but_itself(tmp_path: Path, store: Store) -> None:
    one = Scene(tmp_path / "one", store)
    await one.offer(BASE, ACME)
    commit = one.loop.status.commit
    header = b'{"format":1,"commit":"%s","files":[["\\u4e2d.yaml",0]]}\n' % commit.encode()
    odd_name = zlib.compress(header + sha256(header).digest())
    bomb, cut = zlib.compress(bytes(100 * 1024 * 1024)), zlib.compress(bytes(1000))[:-6]
    for number, value in enumerate((odd_name, bomb, cut, b"none of ours")):
        text = json.dumps(base64.b64encode(value).decode())
        await store.remember_all({IN_FORCE: json.dumps(commit), LAST_GOOD: text})
        kept = await LastAccepted(store).recall()
        assert kept.revision is None
        assert "last good model in the store" in kept.problem
        new = Scene(tmp_path / str(number), store)
        assert await new.offer(BASE, ACME) == ""
        assert new.governed() == ["acme-prod"]


@pytest.mark.parametrize("spoilt", ["1", '"no base64"', '"AAAA"', "of another driftd"])
async def test_a_record_of_what_was_in_force_that_is_of_no_use_leaves_the_source_alone(
    tmp_path: Path, store: Store, spoilt: str
) -> None:
    """One that a driftd has left behind which kept none, say, when it accepted another revision."""
    one, new = (Scene(tmp_path / name, store) for name in ("one", "two"))
    await one.offer(BASE, ACME)
    if spoilt == "of another driftd":
        await store.remember("model", '"another"')
    else:
        await store.remember("last-good", spoilt)
    assert await new.offer(BASE, GLOBEX) == ""
    assert (new.governed(), new.orphaned()) == (["globex-prod"], [])


async def test_a_model_that_is_too_large_for_the_store_is_in_force_and_not_shared(scene: Scene, store: Store) -> None:
    """One tenant's ballast would hold the model for all."""
    await scene.offer(BASE, ACME)
    ballast = {f"{n}.yaml": f"# {random.Random(n).randbytes(500_000).hex()}\n" for n in range(7)}
    assert await scene.offer(BASE, ACME, ballast) == ""
    assert (await LastAccepted(store).recall()).revision is None
    assert await LastAccepted(store).commit() == scene.loop.status.commit


async def test_a_revision_that_was_in_force_here_is_reached_at_once_and_another_is_waited_for_in_vain(
    scene: Scene,
) -> None:
    await scene.offer(BASE, ACME)
    first = scene.loop.status.commit
    await scene.offer(BASE, ACME, GLOBEX)
    assert await scene.loop.reaches(first, 0.01)
    assert await scene.loop.reaches(scene.loop.status.commit, 0.01)
    assert not await scene.loop.reaches("content-elsewhere", 0.01)


async def test_a_revision_that_descends_from_the_leases_is_past_it(tmp_path: Path, store: Store) -> None:
    async def descends(commit: str, of: str) -> bool:
        return (commit, of) == (knowing.loop.status.commit, "the lease's")

    unknowing, knowing = Scene(tmp_path / "one", store), Scene(tmp_path / "two", store, descends=descends)
    for scene in (unknowing, knowing):
        await scene.offer(BASE, ACME)
    assert not await unknowing.loop.reaches("the lease's", 0.05)
    assert await knowing.loop.reaches("the lease's", 0.05)
    assert not await knowing.loop.reaches("another", 0.05)


async def test_a_revision_that_the_source_brings_meanwhile_ends_the_wait(scene: Scene) -> None:
    await scene.offer(BASE, ACME)
    waiting = asyncio.create_task(scene.loop.reaches(content_name(files({**BASE, **ACME, **GLOBEX})), 30.0))
    await asyncio.sleep(0)
    assert not waiting.done()
    await scene.offer(BASE, ACME, GLOBEX)
    async with asyncio.timeout(5):
        assert await waiting
