"""The model loop: what comes into force, what is held, and what a person lets pass."""

import asyncio
import json

import pytest

from driftd.engine import NotApprovable, NotHeld
from driftd.source import SourceUnreadable
from driftd.source.git import CommitNotSigned, HistoryRewritten
from driftd.store import Store
from tests.support.model_scene import ACME, BASE, GLOBEX, MANY, Scene
from tests.support.model_texts import CLUSTER, PLAN, environment


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


async def test_a_broken_platform_file_holds_everything(scene: Scene) -> None:
    await scene.offer(BASE, ACME)
    assert await scene.offer({**BASE, "plans.yaml": "kind: ["}, ACME, GLOBEX) != ""
    assert scene.governed() == ["acme-prod"]


async def test_an_emptied_model_is_held_until_that_revision_is_approved(scene: Scene, store: Store) -> None:
    await scene.offer(BASE, ACME)
    held = await scene.offer(BASE)
    assert "empty" in held
    assert f"`driftd approve {scene.loop.status.newest}`" in held
    assert scene.loop.status.approvable
    await scene.loop.approve(scene.loop.status.newest[:9], "alice", "INC-1")
    again = await scene.restarted()  # an approval outlives a restart
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


async def test_a_model_that_governs_driftd_itself_is_refused_and_cannot_be_approved(scene: Scene) -> None:
    texts = {**BASE, "own.yaml": environment("own", "acme", namespace="driftd")}
    held = await scene.offer(texts)
    assert "driftd" in held
    with pytest.raises(NotApprovable):
        await scene.loop.approve(scene.loop.status.newest, "alice", "")


async def test_each_revision_that_comes_or_is_held_is_a_trace_that_the_record_and_the_model_name(
    scene: Scene, store: Store
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

    again = await scene.restarted()
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
