"""The model loop: what comes into force, what is held, what survives a restart."""

import asyncio
import base64
import json
import random
import zlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest

from driftd.compile import Compiled
from driftd.engine import (
    Approvals,
    CompiledCache,
    InForce,
    ModelLoop,
    NotApprovable,
    NotHeld,
    NotOrphaned,
)
from driftd.engine.last_accepted import IN_FORCE, LAST_GOOD, LastAccepted
from driftd.source import LastGood, Revision, SourceError, SourceUnreadable, content_name
from driftd.source.git import CommitNotSigned, HistoryRewritten
from driftd.store import Store, StoreUnreadable
from driftd.telemetry import Metrics, Traces
from driftd.values import Clock
from tests.support.model_texts import CLUSTER, PLAN, environment, files
from tests.support.records import SteppingClock
from tests.support.spans import InMemory

BASE = {"cluster.yaml": CLUSTER, "plans.yaml": PLAN}
ACME = {"acme.yaml": environment("acme-prod", "acme")}
GLOBEX = {"globex.yaml": environment("globex-prod", "globex")}
BROKEN = {"acme.yaml": ACME["acme.yaml"].replace("plan: shared", "plan: nowhere")}
MANY = {f"t{number}.yaml": environment(f"t{number}-prod", f"t{number}") for number in range(12)}


class FixedClock:
    def now(self) -> datetime:
        return datetime(2026, 6, 1, tzinfo=UTC)

    def monotonic(self) -> float:
        return 0.0


class FrailStore(Store):
    """A store that cannot be read for a while."""

    unreadable = ""

    async def recall(self, key: str) -> str | None:
        if self.unreadable:
            raise StoreUnreadable(self.unreadable)
        return await super().recall(key)

    async def recall_all(self, prefix: str) -> dict[str, str]:
        if self.unreadable:
            raise StoreUnreadable(self.unreadable)
        return await super().recall_all(prefix)


class Scripted:
    """A source whose next read is what the test says."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self.texts: Mapping[str, str] | None = texts
        self.refusal: SourceError | None = None

    async def read(self) -> Revision:
        if self.refusal is not None:
            raise self.refusal
        if self.texts is None:
            raise SourceUnreadable("models", "gone")
        found = files(self.texts)
        return Revision(found, content_name(found))

    async def changes(self) -> AsyncIterator[None]:
        while True:
            await asyncio.sleep(3600)
            yield


class Scene:
    """A model loop on a real store, and what it accepted."""

    def __init__(
        self, folder: Path, store: Store, source: Scripted, clock: Clock | None = None, *, signed: bool = False
    ) -> None:
        clock = clock or FixedClock()
        self.spans = InMemory()
        self.metrics = Metrics()
        self.source = source
        self.accepted: list[tuple[str, str]] = []
        self.pending: dict[str, int] = {}
        self.waiting, self.settled = asyncio.Event(), asyncio.Event()
        self.settled.set()
        self.loop = ModelLoop(
            source=source,
            last_good=LastGood(folder),
            cache=CompiledCache(folder),
            store=store,
            clock=clock,
            metrics=self.metrics,
            traces=Traces(self.spans),
            own_namespace="driftd",
            approvals=Approvals(store, clock),
            settled=self._settled,
            pending=self._pending,
            prepare=self._prepare,
            accepted=self._accepted,
            signed=signed,
        )

    async def _settled(self) -> None:
        self.waiting.set()
        await self.settled.wait()

    def _pending(self, _before: Compiled | None, _after: Compiled) -> Mapping[str, int]:
        return self.pending

    async def _prepare(self, _before: InForce | None, _after: InForce) -> None:
        return

    def _accepted(self, before: InForce | None, after: InForce) -> None:
        self.accepted.append((before.commit if before else "", after.commit))

    async def offer(self, *texts: Mapping[str, str]) -> str:
        """Let the source hold these files; returns why they are held, empty when they are in force."""
        self.source.texts = {path: text for part in texts for path, text in part.items()}
        await self.loop.consider()
        return self.loop.status.held

    def loads(self) -> list[tuple[object, object]]:
        """Of each load that left a trace the revision and its outcome."""
        assert all(one.name == "driftd.model.load" and one.ended for one in self.spans.made)
        attributes = [one.attributes for one in self.spans.made]
        return [(one["driftd.model.revision"], one["driftd.outcome"]) for one in attributes]

    def governed(self) -> list[str]:
        return list(self.loop.in_force.compiled.governed) if self.loop.in_force else []

    def kept_back(self) -> tuple[str, ...]:
        assert self.metrics.model_quarantined._value.get() == len(self.loop.status.quarantined)
        return self.loop.status.quarantined

    def rolled_out(self) -> bool:
        return self.loop.in_force is not None and self.loop.in_force.rolled_out

    def orphaned(self) -> list[str]:
        return list(self.loop.in_force.orphaned) if self.loop.in_force else []


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[FrailStore]:
    store = await FrailStore.open(tmp_path / "driftd.sqlite", FixedClock(), tmp_path / "journal")
    yield store
    await store.close()


@pytest.fixture
def scene(tmp_path: Path, store: Store) -> Scene:
    return Scene(tmp_path, store, Scripted({}))


async def restarted(scene: Scene, tmp_path: Path, store: Store) -> Scene:
    again = Scene(tmp_path, store, scene.source)
    await again.loop.recover()
    return again


async def test_a_sound_model_comes_into_force(scene: Scene) -> None:
    assert await scene.offer(BASE, ACME) == ""
    assert scene.governed() == ["acme-prod"]


async def test_a_model_is_read_while_the_mirrors_fill_and_decided_when_they_can_tell_what_it_would_do(
    scene: Scene,
) -> None:
    enforcing = CLUSTER + "  remediation: {mode: enforce}\n"
    scene.settled.clear()
    offered = asyncio.create_task(scene.offer({**BASE, "cluster.yaml": enforcing}, ACME))
    async with asyncio.timeout(30):
        await scene.waiting.wait()
    scene.pending = {"acme-prod": 500}  # what the mirrors say by then
    scene.settled.set()
    assert "enforcement" in await offered
    assert scene.accepted == []


async def test_the_same_revision_is_accepted_once(scene: Scene) -> None:
    await scene.offer(BASE, ACME)
    await scene.offer(BASE, ACME)
    assert len(scene.accepted) == 1


async def test_an_unreadable_source_changes_nothing_and_says_so(scene: Scene) -> None:
    await scene.offer(BASE, ACME)
    scene.source.texts = None
    await scene.loop.consider()
    assert "gone" in scene.loop.status.held
    assert scene.governed() == ["acme-prod"]


async def test_a_broken_tenant_keeps_its_last_good_version_and_others_move_on(scene: Scene) -> None:
    await scene.offer(BASE, ACME, GLOBEX)
    held = await scene.offer(BASE, BROKEN, {"globex.yaml": environment("globex-prod", "globex", port=9090)})
    assert held == ""
    assert scene.governed() == ["acme-prod", "globex-prod"]
    assert scene.loop.status.quarantined == ("acme",)


def saying(scene: Scene, namespace: str) -> bytes:
    """What a governed namespace must hold."""
    assert scene.loop.in_force is not None
    return b"".join(sorted(one.raw for one in scene.loop.in_force.compiled.governed[namespace].objects.values()))


async def test_a_replica_without_a_data_folder_keeps_a_broken_tenant_at_what_the_others_keep_it_at(
    tmp_path: Path, store: Store
) -> None:
    """It took the tenant for one that never had a good version: governed and orphaned by nobody."""
    one, new, emptied = (Scene(tmp_path / name, store, Scripted({})) for name in ("one", "new", "emptied"))
    await one.offer(BASE, ACME, GLOBEX)
    assert await one.offer(BASE, BROKEN, GLOBEX) == ""
    good = saying(one, "acme-prod")
    for scene in (new, emptied):
        assert await scene.offer(BASE, BROKEN, GLOBEX) == ""
        assert (scene.governed(), scene.orphaned()) == (["acme-prod", "globex-prod"], [])
        assert saying(scene, "acme-prod") == good
        assert scene.loop.status.quarantined == ("acme",)
        assert (await restarted(scene, tmp_path / "new", store)).governed() == ["acme-prod", "globex-prod"]
    (tmp_path / "emptied" / "last-good.model").unlink()
    again = await restarted(emptied, tmp_path / "emptied", store)
    assert again.governed() == []
    newer = {"globex.yaml": environment("globex-prod", "globex", port=9090)}
    assert await again.offer(BASE, BROKEN, newer) == "", "one that nobody has accepted yet"
    assert (again.governed(), again.orphaned()) == (["acme-prod", "globex-prod"], [])
    assert saying(again, "acme-prod") == good
    assert await again.offer(BASE, ACME, newer) == ""
    assert again.kept_back() == ()
    last = Scene(tmp_path / "last", store, again.source)
    await last.loop.consider()
    assert (last.governed(), last.kept_back()) == (["acme-prod", "globex-prod"], ())


async def test_a_replica_without_a_data_folder_goes_on_from_what_the_others_had_in_force(
    tmp_path: Path, store: Store
) -> None:
    """What has left the model is held, a change of many is, and the source may be away."""
    one = Scene(tmp_path / "one", store, Scripted({}))
    await one.offer(BASE, MANY, ACME)
    without, emptied, away = (Scene(tmp_path / name, store, Scripted({})) for name in ("without", "emptied", "away"))
    away.source.texts = None
    await away.loop.consider()
    assert away.governed() == one.governed()
    assert "gone" in away.loop.status.held
    assert "empty" in await emptied.offer(BASE)
    assert emptied.governed() == one.governed()
    assert await without.offer(BASE, MANY) == ""
    assert without.orphaned() == ["acme-prod"]


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
    one, new, odd = (Scene(tmp_path / name, store, Scripted({})) for name in ("one", "new", "odd"))
    await one.offer(BASE, ACME, GLOBEX)
    good = saying(one, "acme-prod")
    await forge(store)
    odd.source.texts = None
    await odd.loop.consider()
    assert saying(odd, "acme-prod") != good
    for scene in (new, await restarted(odd, tmp_path / "odd", store)):
        assert await scene.offer(BASE, ACME, GLOBEX) == ""
        assert saying(scene, "acme-prod") == good
    kept = await LastAccepted(store).recall()
    assert kept.revision is not None
    assert set(kept.revision.files) == set(files({**BASE, **ACME, **GLOBEX}))


async def test_where_commits_must_be_signed_the_store_puts_nothing_in_force_but_keeps_broken_tenants(
    tmp_path: Path, store: Store
) -> None:
    one = Scene(tmp_path / "one", store, Scripted({}))
    await one.offer(BASE, ACME, GLOBEX)
    good = saying(one, "acme-prod")
    new = Scene(tmp_path / "new", store, Scripted({}), signed=True)
    new.source.texts = None
    await new.loop.consider()
    assert new.loop.in_force is None
    assert await new.offer(BASE, BROKEN, GLOBEX) == ""
    assert (saying(new, "acme-prod"), new.kept_back()) == (good, ("acme",))


async def test_a_record_that_nobody_of_ours_wrote_costs_nothing_but_itself(tmp_path: Path, store: Store) -> None:
    one = Scene(tmp_path / "one", store, Scripted({}))
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
        new = Scene(tmp_path / str(number), store, Scripted({}))
        assert await new.offer(BASE, ACME) == ""
        assert new.governed() == ["acme-prod"]


async def test_the_record_is_written_by_the_first_who_accepts_it(tmp_path: Path, store: Store) -> None:
    one, two = (Scene(tmp_path / name, store, Scripted({})) for name in ("one", "two"))
    for scene in (one, two):
        await scene.offer(ACME, BASE)
    found = files({**BASE, **ACME})
    revision = Revision(tuple(sorted(found, key=lambda file: file.path)), content_name(found))
    assert LAST_GOOD not in await LastAccepted(store).values(revision, ())
    assert LAST_GOOD in await LastAccepted(store).values(revision, ("acme",))


async def test_a_tenant_whom_a_stricter_build_refuses_is_told_of_and_stops_nobody_else(
    tmp_path: Path, store: Store
) -> None:
    """What an older one let pass: the new one governs that tenant no longer, and says so at every start."""
    older = files({**BASE, **BROKEN, **GLOBEX})
    revision = Revision(older, content_name(older))
    await store.remember_all(await LastAccepted(store).values(revision, ()))
    new = Scene(tmp_path / "new", store, Scripted({}))
    for scene in (new, await restarted(new, tmp_path / "new", store)):
        assert await scene.offer(BASE, BROKEN, GLOBEX) == ""
        assert (scene.governed(), scene.kept_back()) == (["globex-prod"], ("acme",))
        assert scene.loop.status.problems != ()
    newer = {"globex.yaml": environment("globex-prod", "globex", port=9090)}
    assert await new.offer(BASE, BROKEN, newer) == ""
    assert new.kept_back() == ("acme",)


async def test_who_is_kept_back_is_found_again_where_an_older_build_did_not_write_it_down(
    scene: Scene, tmp_path: Path, store: Store
) -> None:
    await scene.offer(BASE, ACME, GLOBEX)
    await scene.offer(BASE, BROKEN, GLOBEX)
    last_good = LastGood(tmp_path)
    kept = await last_good.load()
    assert kept.revision is not None
    await last_good.keep(kept.revision)
    again = await restarted(scene, tmp_path, store)
    assert again.kept_back() == ()
    assert await again.offer(BASE, BROKEN, GLOBEX) == ""
    assert again.kept_back() == ("acme",)
    assert again.loop.status.problems != ()


async def test_a_replica_that_slept_and_is_first_takes_nobody_back_to_an_older_version(
    tmp_path: Path, store: Store
) -> None:
    leader, sleeper = (Scene(tmp_path / name, store, Scripted({})) for name in ("one", "two"))
    for one in (leader, sleeper):
        await one.offer(BASE, ACME)
    await leader.offer(BASE, {"acme.yaml": environment("acme-prod", "acme", port=9090)})
    newest = saying(leader, "acme-prod")
    for one in (sleeper, leader):
        assert await one.offer(BASE, BROKEN) == ""
        assert (saying(one, "acme-prod"), one.kept_back()) == (newest, ("acme",))


async def test_a_replica_that_slept_keeps_a_broken_tenant_at_what_the_others_keep_it_at(
    tmp_path: Path, store: Store
) -> None:
    leader, sleeper = (Scene(tmp_path / name, store, Scripted({})) for name in ("one", "two"))
    for one in (leader, sleeper):
        await one.offer(BASE, ACME)
    await leader.offer(BASE, {"acme.yaml": environment("acme-prod", "acme", port=9090)})
    newest = saying(leader, "acme-prod")
    assert newest != saying(sleeper, "acme-prod")
    for one in (leader, sleeper):
        assert await one.offer(BASE, BROKEN) == ""
        assert one.loop.status.quarantined == ("acme",)
        assert saying(one, "acme-prod") == newest


async def test_a_tenant_who_never_had_a_good_version_is_told_of_and_not_governed(tmp_path: Path, store: Store) -> None:
    for name in ("one", "two"):
        scene = Scene(tmp_path / name, store, Scripted({}))
        assert await scene.offer(BASE, BROKEN, GLOBEX) == ""
        assert (scene.governed(), scene.loop.status.quarantined) == (["globex-prod"], ("acme",))


async def test_a_tenant_stays_quarantined_while_another_revision_is_held_and_over_a_restart(
    scene: Scene, tmp_path: Path, store: Store
) -> None:
    await scene.offer(BASE, ACME, GLOBEX)
    await scene.offer(BASE, BROKEN, GLOBEX)
    told = scene.loop.status
    assert await scene.offer({**BASE, "plans.yaml": "kind: ["}, BROKEN, GLOBEX) != ""
    assert scene.kept_back() == ("acme",)
    assert await scene.offer(BASE, BROKEN, GLOBEX) == ""
    assert scene.loop.status == told, "put back, and why is still told"
    again = await restarted(scene, tmp_path, store)
    assert again.kept_back() == ("acme",)
    await again.loop.consider()
    assert again.kept_back() == ("acme",)
    await again.offer(BASE, ACME, GLOBEX)
    assert again.kept_back() == ()


async def test_a_first_model_waits_until_the_store_can_tell_what_was_in_force(
    tmp_path: Path, store: FrailStore
) -> None:
    one, new = (Scene(tmp_path / name, store, Scripted({})) for name in ("one", "two"))
    for texts in ((BASE, ACME, GLOBEX), (BASE, BROKEN, GLOBEX)):
        await one.offer(*texts)
    store.unreadable = "the disk is gone"
    assert "in force before cannot be read: the database cannot be read: the disk" in await new.offer(
        BASE, BROKEN, GLOBEX
    )
    assert new.governed() == []
    running = asyncio.create_task(new.loop.run())
    await asyncio.sleep(1.2)
    assert new.governed() == []
    store.unreadable = ""
    async with asyncio.timeout(10):
        while not new.governed():
            await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.wait({running})
    assert (new.governed(), new.loop.status.quarantined) == (["acme-prod", "globex-prod"], ("acme",))


async def test_a_model_that_is_too_large_for_the_store_is_in_force_and_not_shared(
    scene: Scene, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One tenant's ballast would hold the model for all."""
    await scene.offer(BASE, ACME)
    monkeypatch.setattr("driftd.engine.last_accepted._MOST_BYTES", 1024)
    assert await scene.offer(BASE, ACME, {"filler.yaml": f"# {random.Random(1).randbytes(2000).hex()}\n"}) == ""
    assert (await LastAccepted(store).recall()).revision is None
    assert await LastAccepted(store).commit() == scene.loop.status.commit


@pytest.mark.parametrize("spoilt", ["1", '"no base64"', '"AAAA"', "of another driftd"])
async def test_a_record_of_what_was_in_force_that_is_of_no_use_leaves_the_source_alone(
    tmp_path: Path, store: Store, spoilt: str
) -> None:
    """One that a driftd has left behind which kept none, say, when it accepted another revision."""
    one, new = (Scene(tmp_path / name, store, Scripted({})) for name in ("one", "two"))
    await one.offer(BASE, ACME)
    if spoilt == "of another driftd":
        await store.remember("model", '"another"')
    else:
        await store.remember("last-good", spoilt)
    assert await new.offer(BASE, GLOBEX) == ""
    assert (new.governed(), new.orphaned()) == (["globex-prod"], [])


async def test_a_broken_platform_file_holds_everything(scene: Scene) -> None:
    await scene.offer(BASE, ACME)
    assert await scene.offer({**BASE, "plans.yaml": "kind: ["}, ACME, GLOBEX) != ""
    assert scene.governed() == ["acme-prod"]


async def test_an_emptied_model_is_held_until_that_revision_is_approved(tmp_path: Path, store: Store) -> None:
    scene = Scene(tmp_path, store, Scripted({}))
    await scene.offer(BASE, ACME)
    held = await scene.offer(BASE)
    assert "empty" in held
    assert f"`driftd approve {scene.loop.status.newest}`" in held
    assert scene.loop.status.approvable
    await scene.loop.approve(scene.loop.status.newest[:9], "alice", "INC-1")
    again = await restarted(scene, tmp_path, store)  # an approval outlives a restart
    await again.loop.consider()
    assert again.loop.status.held == ""
    assert again.orphaned() == ["acme-prod"]
    (row,) = [row for row in await store.audit() if row.kind == "model.approved"]
    assert "alice" in row.payload
    assert "INC-1" in row.payload


async def test_an_approval_is_good_for_one_revision_and_used_up_by_any_other(scene: Scene) -> None:
    await scene.offer(BASE, ACME)
    await scene.offer(BASE)
    emptied = scene.loop.status.newest
    await scene.loop.approve(emptied, "alice", "")
    assert await scene.offer(BASE, GLOBEX) == ""
    assert "empty" in await scene.offer(BASE)
    assert scene.loop.status.newest == emptied


async def test_only_what_is_held_can_be_approved(scene: Scene) -> None:
    await scene.offer(BASE, ACME)
    with pytest.raises(NotHeld, match="nothing is held now"):
        await scene.loop.approve(scene.loop.status.newest, "alice", "")
    await scene.offer(BASE)
    with pytest.raises(NotHeld, match="dir:0123456789ab is not held"):
        await scene.loop.approve("dir:0123456789ab", "alice", "")
    with pytest.raises(NotHeld):
        await scene.loop.approve("dir:", "alice", "")


async def test_a_branch_with_another_history_is_held_under_its_commit_and_can_be_approved(scene: Scene) -> None:
    await scene.offer(BASE, ACME)
    scene.source.refusal = HistoryRewritten("https://git.example.com/m", "c" * 40, "a" * 40)
    await scene.loop.consider()
    assert scene.loop.status.newest == "c" * 40
    assert await scene.loop.approve("c" * 12, "alice", "") == "c" * 40
    scene.source.refusal = CommitNotSigned("d" * 40, "it is not signed")
    await scene.loop.consider()
    with pytest.raises(NotApprovable, match="only another revision helps"):
        await scene.loop.approve("d" * 40, "alice", "")


async def test_a_retired_namespace_is_governed_no_longer_and_stays_so(
    scene: Scene, tmp_path: Path, store: Store
) -> None:
    await scene.offer(BASE, ACME, GLOBEX)
    await scene.offer(BASE, GLOBEX)
    assert scene.orphaned() == ["acme-prod"]
    kept = await scene.loop.retire("acme-prod", "alice", "contract ended")
    assert kept.tenant == "acme"
    assert scene.orphaned() == []
    assert len(scene.accepted) == 3  # who follows the model in force was told
    assert (await restarted(scene, tmp_path, store)).orphaned() == []
    assert "contract ended" in next(row.payload for row in await store.audit() if row.kind == "namespace.retired")
    assert await scene.offer(BASE, ACME, GLOBEX) == ""
    assert scene.governed() == ["acme-prod", "globex-prod"]


async def test_only_an_orphan_can_be_retired(scene: Scene) -> None:
    await scene.offer(BASE, ACME, GLOBEX)
    with pytest.raises(NotOrphaned, match="is in the model"):
        await scene.loop.retire("acme-prod", "alice", "")
    with pytest.raises(NotOrphaned, match="is not held as an orphan"):
        await scene.loop.retire("kube-system", "alice", "")


async def test_a_revision_that_descends_from_the_leases_is_past_it(tmp_path: Path, store: Store) -> None:
    scene = Scene(tmp_path, store, Scripted({}))
    await scene.offer(BASE, ACME)
    assert not await scene.loop.reaches("the lease's", 0.05)

    async def descends(commit: str, of: str) -> bool:
        return (commit, of) == (scene.loop.status.commit, "the lease's")

    scene.loop._descends = descends
    assert await scene.loop.reaches("the lease's", 0.05)
    assert not await scene.loop.reaches("another", 0.05)


async def test_switching_enforcement_on_over_many_differing_objects_is_held(scene: Scene) -> None:
    enforcing = CLUSTER + "  remediation: {mode: enforce}\n"
    scene.pending = {"acme-prod": 500}
    assert "enforcement" in await scene.offer({**BASE, "cluster.yaml": enforcing}, ACME)
    scene.pending = {}
    assert await scene.offer({**BASE, "cluster.yaml": enforcing}, ACME) == ""


async def test_a_model_that_opens_too_much_at_once_is_held_until_that_revision_is_approved(scene: Scene) -> None:
    await scene.offer(BASE, MANY)
    before = scene.loop.status.commit
    opened = {**BASE, "plans.yaml": PLAN + "spec: {egress: {https: public}}\n"}
    held = await scene.offer(opened, MANY)
    assert "the model would loosen" in held
    assert f"`driftd approve {scene.loop.status.newest}`" in held
    assert scene.loop.status.commit == before
    await scene.loop.approve(scene.loop.status.newest, "alice", "CHG-7")
    await scene.loop.consider()
    assert (scene.loop.status.held, scene.loop.status.commit != before) == ("", True)


async def test_a_new_replica_takes_a_revision_that_was_in_force_for_what_it_is_however_much_differs(
    tmp_path: Path, store: Store
) -> None:
    base = {**BASE, "cluster.yaml": CLUSTER + "  remediation: {mode: enforce}\n"}
    one = Scene(tmp_path / "one", store, Scripted({}))
    assert await one.offer(base, MANY) == ""
    differs = {f"t{number}-prod": 10 for number in range(12)}
    for name, texts, pending, held in (
        ("two", (base, MANY), differs, False),
        ("three", (base, MANY, ACME), differs | {"acme-prod": 500}, True),
        ("four", (base, MANY, ACME), differs, False),
    ):
        new = Scene(tmp_path / name, store, Scripted({}))
        new.pending = pending
        assert ("switching on" in await new.offer(*texts)) is held
    await store.remember_all({"last-good": None})  # as a driftd left it that kept no files there
    for name, texts, held in (("five", (base, MANY), True), ("six", (base, MANY, ACME), False)):
        new = Scene(tmp_path / name, store, Scripted({}))
        new.pending = differs
        assert ("switching on" in await new.offer(*texts)) is held


async def test_a_new_replica_holds_the_orphans_that_the_others_hold(tmp_path: Path, store: Store) -> None:
    one = Scene(tmp_path / "one", store, Scripted({}))
    await one.offer(BASE, ACME, GLOBEX)
    await one.offer(BASE, GLOBEX)
    new = Scene(tmp_path / "two", store, one.source)
    assert await new.offer(BASE, GLOBEX) == ""
    assert new.orphaned() == one.orphaned() == ["acme-prod"]
    assert await new.offer(BASE, ACME, GLOBEX) == ""
    assert (await restarted(new, tmp_path / "two", store)).orphaned() == []


async def test_a_standby_lets_go_of_what_the_leader_was_told_to_retire_when_it_leads(
    tmp_path: Path, store: Store
) -> None:
    leader, standby = (Scene(tmp_path / name, store, Scripted({})) for name in ("one", "two"))
    for one in (leader, standby):
        await one.offer(BASE, ACME, GLOBEX)
        await one.offer(BASE, GLOBEX)
    await leader.loop.retire("acme-prod", "ann", "gone")
    assert standby.orphaned() == ["acme-prod"]
    before = len(standby.accepted)
    assert standby.loop.in_force is not None
    assert await standby.loop.reaches(standby.loop.in_force.commit, 1.0)
    assert standby.orphaned() == []
    assert len(standby.accepted) == before + 1, "its scope is looked at again"


async def test_a_retired_namespace_does_not_rise_with_a_replica_that_held_it_longer_than_evidence_is_kept(
    tmp_path: Path,
) -> None:
    """It found neither record nor evidence, wrote the namespace down again, and enforced what it once was."""
    clock = SteppingClock()
    store = await Store.open(tmp_path / "driftd.sqlite", clock, tmp_path / "journal")
    leader, standby = (Scene(tmp_path / name, store, Scripted({}), clock) for name in ("one", "two"))
    for texts in ((BASE, ACME, GLOBEX), (BASE, GLOBEX)):
        for one in (leader, standby):
            await one.offer(*texts)
    clock.wall -= timedelta(hours=1)  # the retiring replica's clock is slow
    await leader.loop.retire("acme-prod", "ann", "gone")
    clock.wall += timedelta(days=100)
    await store.note("young", "", {})
    await store.prune(clock.wall - timedelta(days=30))
    assert "namespace.retired" not in [row.kind for row in await store.audit()]
    assert standby.loop.in_force is not None
    assert await standby.loop.reaches(standby.loop.in_force.commit, 1.0)
    assert (standby.orphaned(), await store.recall("orphaned/acme-prod")) == ([], None)
    await store.close()


async def test_a_replica_that_slept_through_removal_and_retirement_holds_nothing(tmp_path: Path, store: Store) -> None:
    """It still had the environment in its last good model, and so took the namespace for an orphan of today."""
    leader, sleeper = (Scene(tmp_path / name, store, Scripted({})) for name in ("one", "two"))
    for one in (leader, sleeper):
        await one.offer(BASE, ACME, GLOBEX)
    await leader.offer(BASE, GLOBEX)
    await leader.loop.retire("acme-prod", "ann", "gone")
    await sleeper.offer(BASE, GLOBEX)
    assert (sleeper.orphaned(), await store.recall("orphaned/acme-prod")) == ([], None)
    await sleeper.offer(BASE, ACME, GLOBEX)
    await sleeper.offer(BASE, GLOBEX)
    assert sleeper.orphaned() == ["acme-prod"], "a life of its own"


async def test_a_standby_lets_go_of_what_was_retired_without_ever_leading(tmp_path: Path, store: Store) -> None:
    clock = SteppingClock()
    leader, standby = (Scene(tmp_path / name, store, Scripted({}), clock) for name in ("one", "two"))
    for texts in ((BASE, ACME, GLOBEX), (BASE, GLOBEX)):
        for one in (leader, standby):
            await one.offer(*texts)
    await leader.loop.retire("acme-prod", "ann", "gone")
    running = asyncio.create_task(standby.loop.run())
    async with asyncio.timeout(10):
        await asyncio.sleep(0.1)
        clock.seconds += 61
        while standby.orphaned():
            await asyncio.sleep(0.05)
    running.cancel()
    await asyncio.wait({running})


async def test_an_orphan_that_the_store_has_lost_is_kept_and_given_back_unless_somebody_retired_it_since(
    tmp_path: Path,
) -> None:
    """A store put back from a backup took every orphan for retired, without a word."""
    clock = SteppingClock()
    store = await Store.open(tmp_path / "driftd.sqlite", clock, tmp_path / "journal")
    leader, standby = (Scene(tmp_path / name, store, Scripted({}), clock) for name in ("one", "two"))
    for texts in ((BASE, ACME, GLOBEX), (BASE, GLOBEX), (BASE, ACME, GLOBEX), (BASE, GLOBEX)):
        for one in (leader, standby):
            await one.offer(*texts)
        if one.orphaned() and len(one.accepted) == 2:
            await leader.loop.retire("acme-prod", "ann", "of a life before")
    assert standby.orphaned() == ["acme-prod"]
    row = await store.recall("orphaned/acme-prod")
    await store.remember_all({"orphaned/acme-prod": None})
    assert standby.loop.in_force is not None
    assert await standby.loop.reaches(standby.loop.in_force.commit, 1.0)
    assert standby.orphaned() == ["acme-prod"]
    assert await store.recall("orphaned/acme-prod") == row is not None
    await leader.loop.retire("acme-prod", "ann", "of this one")
    assert await standby.loop.reaches(standby.loop.in_force.commit, 1.0)
    assert standby.orphaned() == []
    await store.close()


async def test_orphans_that_the_store_cannot_tell_at_the_start_are_held_as_soon_as_it_can(
    scene: Scene, tmp_path: Path, store: FrailStore
) -> None:
    await scene.offer(BASE, ACME, GLOBEX)
    await scene.offer(BASE, GLOBEX)
    store.unreadable = "the disk is gone"
    again = await restarted(scene, tmp_path, store)
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
    new = Scene(tmp_path, store, Scripted({}))
    assert "the disk is gone" in await new.offer(BASE, GLOBEX)
    assert new.governed() == []
    store.unreadable = ""
    running = asyncio.create_task(new.loop.run())
    async with asyncio.timeout(10):
        while not new.governed():
            await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.wait({running})


async def test_an_orphan_whose_record_makes_no_sense_is_named_until_it_is_governed_again(
    scene: Scene, tmp_path: Path, store: Store
) -> None:
    await scene.offer(BASE, ACME, GLOBEX)
    await scene.offer(BASE, GLOBEX)
    await store.remember("orphaned/acme-prod", "[]")
    again = await restarted(scene, tmp_path, store)
    assert (again.orphaned(), again.loop.orphans.unusable) == ([], frozenset({"acme-prod"}))
    await again.offer(BASE, ACME, GLOBEX)
    await again.offer(BASE, GLOBEX)
    assert (again.orphaned(), again.loop.orphans.unusable) == (["acme-prod"], frozenset())
    assert (await restarted(again, tmp_path, store)).orphaned() == ["acme-prod"]


async def test_what_was_in_force_before_a_replica_had_it_is_known_to_have_been_rolled_out(
    tmp_path: Path, store: Store
) -> None:
    """Else a hole of the time between two leaders is taken for a rollout, and nobody is told."""
    one, new = (Scene(tmp_path / name, store, Scripted({})) for name in ("one", "two"))
    rolled_out = []
    for scene, texts in ((one, (BASE, ACME)), (new, (BASE, ACME)), (new, (BASE, ACME, GLOBEX)), (new, (BASE, ACME))):
        await scene.offer(*texts)
        rolled_out.append(scene.rolled_out())
    rolled_out.append((await restarted(new, tmp_path / "two", store)).rolled_out())
    await new.loop.retire("globex-prod", "alice", "gone")
    rolled_out.append(new.rolled_out())
    assert rolled_out == [False, True, False, False, True, True]


async def test_an_environment_gone_from_the_model_is_orphaned_over_a_restart_and_comes_back(
    scene: Scene,
    tmp_path: Path,
    store: Store,
) -> None:
    await scene.offer(BASE, MANY)
    await scene.offer(BASE, {path: text for path, text in MANY.items() if path != "t3.yaml"})
    assert scene.orphaned() == ["t3-prod"]
    again = await restarted(scene, tmp_path, store)
    assert again.orphaned() == ["t3-prod"]
    assert again.loop.in_force is not None
    assert scene.loop.in_force is not None
    assert again.loop.in_force.orphaned == scene.loop.in_force.orphaned
    await again.offer(BASE, MANY)
    assert again.orphaned() == []


async def test_a_restart_goes_on_with_the_last_good_model_when_the_source_is_gone(
    scene: Scene,
    tmp_path: Path,
    store: Store,
) -> None:
    await scene.offer(BASE, ACME)
    scene.source.texts = None
    again = await restarted(scene, tmp_path, store)
    assert again.governed() == ["acme-prod"]
    await again.loop.consider()
    assert again.governed() == ["acme-prod"]


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


async def test_a_model_that_governs_driftd_itself_is_refused_and_cannot_be_approved(
    tmp_path: Path, store: Store
) -> None:
    scene = Scene(tmp_path, store, Scripted({}))
    texts = {**BASE, "own.yaml": environment("own", "acme", namespace="driftd")}
    held = await scene.offer(texts)
    assert "driftd" in held
    with pytest.raises(NotApprovable):
        await scene.loop.approve(scene.loop.status.newest, "alice", "")


async def test_a_restart_from_the_cache_and_one_from_the_files_enforce_the_same(
    scene: Scene, tmp_path: Path, store: Store
) -> None:
    await scene.offer(BASE, ACME, GLOBEX)
    cached = await restarted(scene, tmp_path, store)
    (tmp_path / "compiled.cache").unlink()
    compiled = await restarted(scene, tmp_path, store)
    assert scene.loop.in_force is not None
    assert cached.loop.in_force == compiled.loop.in_force == replace(scene.loop.in_force, rolled_out=True)


async def test_a_revision_that_was_in_force_here_is_reached_at_once_and_another_is_waited_for_in_vain(
    scene: Scene,
) -> None:
    await scene.offer(BASE, ACME)
    first = scene.loop.status.commit
    await scene.offer(BASE, ACME, GLOBEX)
    assert await scene.loop.reaches(first, 0.01)
    assert await scene.loop.reaches(scene.loop.status.commit, 0.01)
    assert not await scene.loop.reaches("content-elsewhere", 0.01)


async def test_a_revision_that_the_source_brings_meanwhile_ends_the_wait(scene: Scene) -> None:
    await scene.offer(BASE, ACME)
    waiting = asyncio.create_task(scene.loop.reaches(content_name(files({**BASE, **ACME, **GLOBEX})), 30.0))
    await asyncio.sleep(0)
    assert not waiting.done()
    await scene.offer(BASE, ACME, GLOBEX)
    async with asyncio.timeout(5):
        assert await waiting


async def test_each_revision_that_comes_or_is_held_is_a_trace_that_the_record_and_the_model_name(
    tmp_path: Path, store: Store, scene: Scene
) -> None:
    await scene.offer(BASE, ACME)
    await scene.offer(BASE, ACME)  # nothing new
    first, model = scene.loop.status.commit, scene.loop.in_force
    assert model is not None
    assert model.trace == scene.spans.made[0].trace_id
    assert scene.spans.cluster == model.compiled.cluster
    (accepted,) = [row for row in await store.audit() if row.kind == "model.accepted"]
    assert json.loads(accepted.payload)["trace"] == model.trace
    for _ in range(2):  # the second time is no news
        await scene.offer({**BASE, "cluster.yaml": "kind: Nonsense"}, ACME)
    held = scene.loop.status.newest
    scene.source.refusal = SourceUnreadable("models", "gone")
    for _ in range(2):
        await scene.loop.consider()
    assert scene.loads() == [(first, "accepted"), (held, "held"), ("(unreadable)", "held")]

    again = Scene(tmp_path, store, scene.source)
    await again.loop.recover()
    assert again.loads() == [(first, "recovered")]
    assert again.spans.cluster == model.compiled.cluster


async def test_a_held_revision_that_is_approved_is_a_trace_of_its_own(scene: Scene) -> None:
    await scene.offer(BASE, MANY)
    await scene.offer(BASE)
    await scene.loop.approve(scene.loop.status.newest, "alice", "INC-1")
    await scene.loop.consider()
    first, emptied = scene.spans.made[0], scene.loop.status.commit
    assert scene.loads()[1:] == [(emptied, "held"), (emptied, "accepted")]
    assert scene.loop.in_force is not None
    assert scene.loop.in_force.trace == scene.spans.made[2].trace_id != first.trace_id
