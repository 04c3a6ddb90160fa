"""A tenant whose files are broken is kept at its last good version, by each replica at the same one."""

from pathlib import Path

import pytest

from driftd.engine.last_accepted import LastAccepted
from driftd.source import LastGood, Revision, content_name
from driftd.store import Store
from tests.support.model_scene import ACME, BASE, BROKEN, GLOBEX, NEWER_ACME, NEWER_GLOBEX, Scene
from tests.support.model_texts import files


async def test_a_broken_tenant_keeps_its_last_good_version_and_others_move_on(scene: Scene) -> None:
    await scene.offer(BASE, ACME, GLOBEX)
    held = await scene.offer(BASE, BROKEN, NEWER_GLOBEX)
    assert held == ""
    assert scene.governed() == ["acme-prod", "globex-prod"]
    assert scene.loop.status.quarantined == ("acme",)


async def test_a_manifest_that_cannot_be_compiled_quarantines_its_tenant_only(scene: Scene) -> None:
    await scene.offer(BASE, ACME, GLOBEX)
    clash = """\
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: default-deny, namespace: acme-prod}
spec: {podSelector: {}, policyTypes: [Ingress]}
"""
    held = await scene.offer(BASE, {"acme.yaml": ACME["acme.yaml"] + clash}, GLOBEX)
    assert held == ""
    assert scene.loop.status.quarantined == ("acme",)


async def test_a_tenant_who_never_had_a_good_version_is_told_of_and_not_governed(tmp_path: Path, store: Store) -> None:
    for name in ("one", "two"):
        scene = Scene(tmp_path / name, store)
        assert await scene.offer(BASE, BROKEN, GLOBEX) == ""
        assert (scene.governed(), scene.loop.status.quarantined) == (["globex-prod"], ("acme",))


async def test_a_tenant_stays_quarantined_while_another_revision_is_held_and_over_a_restart(
    scene: Scene,
) -> None:
    await scene.offer(BASE, ACME, GLOBEX)
    await scene.offer(BASE, BROKEN, GLOBEX)
    told = scene.loop.status
    assert await scene.offer({**BASE, "plans.yaml": "kind: ["}, BROKEN, GLOBEX) != ""
    assert scene.kept_back() == ("acme",)
    assert await scene.offer(BASE, BROKEN, GLOBEX) == ""
    assert scene.loop.status == told, "put back, and why is still told"
    again = await scene.restarted()
    assert again.kept_back() == ("acme",)
    await again.loop.consider()
    assert again.kept_back() == ("acme",)
    await again.offer(BASE, ACME, GLOBEX)
    assert again.kept_back() == ()


async def test_who_is_kept_back_is_found_again_where_an_older_build_did_not_write_it_down(
    scene: Scene, tmp_path: Path
) -> None:
    await scene.offer(BASE, ACME, GLOBEX)
    await scene.offer(BASE, BROKEN, GLOBEX)
    last_good = LastGood(tmp_path)
    kept = await last_good.load()
    assert kept.revision is not None
    await last_good.keep(kept.revision)
    again = await scene.restarted()
    assert again.kept_back() == ()
    assert await again.offer(BASE, BROKEN, GLOBEX) == ""
    assert again.kept_back() == ("acme",)
    assert again.loop.status.problems != ()


async def test_a_tenant_whom_a_stricter_build_refuses_is_told_of_and_stops_nobody_else(
    tmp_path: Path, store: Store
) -> None:
    """What an older one let pass: the new one governs that tenant no longer, and says so at every start."""
    older = files({**BASE, **BROKEN, **GLOBEX})
    revision = Revision(older, content_name(older))
    await store.remember_all(await LastAccepted(store).values(revision, ()))
    new = Scene(tmp_path / "new", store)
    for scene in (new, await new.restarted()):
        assert await scene.offer(BASE, BROKEN, GLOBEX) == ""
        assert (scene.governed(), scene.kept_back()) == (["globex-prod"], ("acme",))
        assert scene.loop.status.problems != ()
    assert await new.offer(BASE, BROKEN, NEWER_GLOBEX) == ""
    assert new.kept_back() == ("acme",)


async def test_a_replica_without_a_data_folder_keeps_a_broken_tenant_at_what_the_others_keep_it_at(
    tmp_path: Path, store: Store
) -> None:
    """It took the tenant for one that never had a good version: governed and orphaned by nobody."""
    one, new, emptied = (Scene(tmp_path / name, store) for name in ("one", "new", "emptied"))
    await one.offer(BASE, ACME, GLOBEX)
    assert await one.offer(BASE, BROKEN, GLOBEX) == ""
    good = one.saying("acme-prod")
    for scene in (new, emptied):
        assert await scene.offer(BASE, BROKEN, GLOBEX) == ""
        assert (scene.governed(), scene.orphaned()) == (["acme-prod", "globex-prod"], [])
        assert scene.saying("acme-prod") == good
        assert scene.loop.status.quarantined == ("acme",)
        assert (await scene.restarted()).governed() == ["acme-prod", "globex-prod"]
    (tmp_path / "emptied" / "last-good.model").unlink()
    again = await emptied.restarted()
    assert again.governed() == []
    assert await again.offer(BASE, BROKEN, NEWER_GLOBEX) == "", "one that nobody has accepted yet"
    assert (again.governed(), again.orphaned()) == (["acme-prod", "globex-prod"], [])
    assert again.saying("acme-prod") == good
    assert await again.offer(BASE, ACME, NEWER_GLOBEX) == ""
    assert again.kept_back() == ()
    last = Scene(tmp_path / "last", store, source=again.source)
    await last.loop.consider()
    assert (last.governed(), last.kept_back()) == (["acme-prod", "globex-prod"], ())


@pytest.mark.parametrize("first", ["leader", "sleeper"])
async def test_a_replica_that_slept_takes_nobody_back_to_an_older_version(
    tmp_path: Path, store: Store, first: str
) -> None:
    leader, sleeper = (Scene(tmp_path / name, store) for name in ("one", "two"))
    for one in (leader, sleeper):
        await one.offer(BASE, ACME)
    await leader.offer(BASE, NEWER_ACME)
    newest = leader.saying("acme-prod")
    assert newest != sleeper.saying("acme-prod")
    for one in (leader, sleeper) if first == "leader" else (sleeper, leader):
        assert await one.offer(BASE, BROKEN) == ""
        assert (one.saying("acme-prod"), one.kept_back()) == (newest, ("acme",))
