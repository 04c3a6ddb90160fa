"""What happens in the cluster when the model changes: tenants broken, environments gone, everything gone, too much."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from driftd.lab import Lab
from tests.support.faulty import OPEN, Scene, allow_all
from tests.support.people import approve
from tests.support.shared_stage import Standing, gone, noted, on, quiet, restored, standing, told, until_event
from tests.support.stage import MODELS, Body, copy_models

pytestmark = [pytest.mark.control_plane, pytest.mark.timeout(300)]  # judging every state costs CPU


@pytest.fixture(scope="module")
def driftd(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    root = tmp_path_factory.mktemp("model")
    with standing(lab, root / "data", models=copy_models(root / "models")) as one:
        yield one


@pytest.fixture
async def scene(driftd: Standing) -> AsyncIterator[Scene]:
    """Each test finds the example platform in force, and leaves it so."""
    async with on(driftd) as one:
        yield one
        restored(driftd.models)
        await one.canonical(60.0)


def change(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text, f"{file} has no {old!r}"
    file.write_text(text.replace(old, new))


def events(scene: Scene, kind: str) -> list[Body]:
    return [event for event in scene.daemon.events() if event.get("event") == kind]


async def accepted(scene: Scene, known: int) -> Body:
    """Wait for one more model to be accepted; the event that says so."""
    return await until_event(scene, "model.accepted", known)


async def held(scene: Scene, known: int, why: str) -> Body:
    """Wait for one more model to be held; the event that says so."""

    async def one_more() -> bool:
        return any(why in event["why"] for event in events(scene, "model.held")[known:])

    await scene.until(f"a model is held because {why!r}", one_more, 30.0)
    return events(scene, "model.held")[-1]


async def healed(scene: Scene, namespace: str) -> None:
    """Tamper in a namespace and wait for the repair, against the policy as it was before."""
    before = await scene.kube.get("NetworkPolicy", namespace, "default-deny")
    await scene.kube.merge("NetworkPolicy", namespace, "default-deny", OPEN)

    async def back() -> bool:
        live = await scene.kube.get("NetworkPolicy", namespace, "default-deny")
        return bool(live["spec"] == before["spec"])

    await scene.until(f"{namespace} is healed", back, 30.0)


async def test_a_comment_and_another_order_write_nothing(scene: Scene) -> None:
    known = len(events(scene, "model.accepted"))
    for file in sorted((scene.models / "environments").glob("*.yaml")):
        file.write_text(f"# reviewed\n{file.read_text()}# to here\n")
    cpu, memory = '    requests.cpu: "4"\n', "    requests.memory: 8Gi\n"
    change(scene.models / "plans.yaml", cpu + memory, memory + cpu)
    await accepted(scene, known)
    await quiet()
    assert scene.writes() == []


async def test_a_new_edge_is_written_in_its_own_namespace_only(scene: Scene) -> None:
    known = len(events(scene, "model.accepted"))
    change(scene.models / "environments" / "acme-stage.yaml", "- {to: shared/logs}", "- {to: web}")
    await accepted(scene, known)
    await scene.canonical(30.0)
    assert scene.writes()
    assert {record.key.namespace for record in scene.writes()} == {"acme-stage"}


async def test_a_bad_file_keeps_that_tenant_at_its_last_good_version_and_lets_the_others_go_on(scene: Scene) -> None:
    known = len(events(scene, "model.accepted"))
    before = await scene.kube.list("NetworkPolicy", "acme-prod")
    bad = scene.models / "environments" / "acme-prod.yaml"
    bad.write_text(bad.read_text().replace("      ports: {http: 8080}", "      ports: {http: eighty}") + "\n: [")
    change(scene.models / "environments" / "globex-prod.yaml", "203.0.113.8/32", "203.0.113.9/32")
    said = await accepted(scene, known)
    assert said["quarantined"] == ["acme"]

    async def other() -> bool:
        return "203.0.113.9/32" in str(await scene.kube.list("NetworkPolicy", "globex-prod"))

    await scene.until("the other tenant's change is in force", other)
    await healed(scene, "acme-prod")
    await healed(scene, "acme-stage")
    await healed(scene, "globex-prod")
    after = await scene.kube.list("NetworkPolicy", "acme-prod")
    assert [body["spec"] for body in after] == [body["spec"] for body in before]
    restored(scene.models)
    await accepted(scene, known + 1)


async def test_a_broken_platform_file_holds_everything_and_healing_goes_on(scene: Scene) -> None:
    known = len(events(scene, "model.held"))
    change(scene.models / "environments" / "globex-prod.yaml", "203.0.113.8/32", "203.0.113.9/32")
    change(scene.models / "cluster.yaml", "    dialect: kubernetes", "    dialect: unheard-of")
    await held(scene, known, "cluster.yaml")
    await healed(scene, "globex-prod")
    assert "203.0.113.9/32" not in str(await scene.kube.list("NetworkPolicy", "globex-prod"))
    restored(scene.models)
    await quiet()
    assert {(record.key.namespace, record.key.name) for record in scene.writes()} == {("globex-prod", "default-deny")}


@pytest.mark.parametrize("namespace", ["driftd", "kube-system"])
async def test_a_model_that_governs_what_driftd_lives_on_is_refused(scene: Scene, namespace: str) -> None:
    known = len(events(scene, "model.held"))
    change(
        scene.models / "cluster.yaml",
        "platformNamespaces: [kube-system, ingress, platform-logs, falco, driftd, redis-acme]",
        "platformNamespaces: [ingress, platform-logs, falco, redis-acme]",
    )
    (scene.models / "environments" / "mine.yaml").write_text(
        "apiVersion: driftd.dev/v1alpha1\nkind: Environment\nmetadata: {name: mine}\n"
        f"spec: {{tenant: mallory, plan: shared, namespace: {{name: {namespace}, lifecycle: adopt}}}}\n"
    )
    if namespace == "driftd":  # nothing else of the model speaks of it, so that only the guard stands in the way
        said = await held(scene, known, f"the model governs {namespace}")
        assert "driftd approve" not in said["why"]
    else:
        await noted(scene, "model.problem", lambda event: namespace in str(event["problem"]))
    await quiet()
    assert scene.writes() == []
    assert await scene.kube.find("NetworkPolicy", namespace, "default-deny") is None
    restored(scene.models)
    await healed(scene, "acme-prod")


async def test_an_environment_gone_from_the_model_is_held_as_it_was_last_and_over_a_restart(
    scene: Scene, driftd: Standing
) -> None:
    known = len(events(scene, "model.accepted"))
    (scene.models / "environments" / "initech-prod.yaml").unlink()
    said = await accepted(scene, known)
    assert said["orphaned"] == ["initech-prod"]
    await told(scene, "orphaned", "initech-prod")
    await quiet()
    assert scene.writes() == []
    await healed(scene, "initech-prod")
    await scene.kube.create(allow_all("initech-prod", "squatter"))
    await gone(scene, "NetworkPolicy", "initech-prod", "squatter")

    await asyncio.to_thread(driftd.restart)
    scene.daemon = driftd.daemon
    await scene.mark()
    await quiet()
    assert scene.writes() == []
    await healed(scene, "initech-prod")
    found = await scene.evidence()
    (past,) = [one for one in found.about("initech-prod") if one.seen.finding.type.value == "orphaned"]
    assert past.seen.closed is None

    shutil.copy(MODELS / "environments" / "initech-prod.yaml", scene.models / "environments" / "initech-prod.yaml")

    async def closed() -> bool:
        about = (await scene.evidence()).about("initech-prod")
        return all(one.seen.closed for one in about if one.seen.finding.type.value == "orphaned")

    await scene.until("the namespace is no orphan any more", closed, 30.0)


async def test_an_emptied_model_is_held_writes_nothing_and_can_be_approved(scene: Scene) -> None:
    known = len(events(scene, "model.held"))
    for folder in ("environments", "manifests", "exemptions"):
        shutil.rmtree(scene.models / folder)
    said = await held(scene, known, "the model is empty")
    await quiet()
    assert scene.writes() == []
    await healed(scene, "acme-prod")
    assert said["newest"] in said["why"]

    await approve(scene, said["newest"])
    await accepted_now(scene, said["newest"])
    await scene.mark()
    await told(scene, "orphaned", "acme-prod")
    await quiet()
    assert scene.writes() == [], "what nobody governs any more is held, not taken away"
    await healed(scene, "acme-prod")


async def accepted_now(scene: Scene, commit: str) -> None:
    await noted(scene, "model.accepted", lambda event: event["commit"] == commit)


async def test_a_mass_deletion_is_held_writes_nothing_and_is_done_once_approved(scene: Scene) -> None:
    known = len(events(scene, "model.held"))
    for name in ("acme-prod", "globex-prod"):
        file = scene.models / "environments" / f"{name}.yaml"
        text = file.read_text()
        file.write_text(text[: text.index("  services:\n")])
    said = await held(scene, known, "would delete")
    await quiet()
    assert scene.writes() == []
    await healed(scene, "acme-prod")
    await scene.mark()

    await approve(scene, said["newest"])
    await scene.canonical(60.0)
    assert {record.verb for record in scene.writes()} >= {"update", "delete"}
    left = {body["metadata"]["name"] for body in await scene.kube.list("NetworkPolicy", "acme-prod")}
    assert "default-deny" in left
    assert not any("web" in name for name in left)
    assert scene.loosened() == []
    await scene.mark()


async def test_a_model_that_opens_too_much_at_once_is_held_and_writes_nothing(scene: Scene) -> None:
    known = len(events(scene, "model.held"))
    plans = scene.models / "plans.yaml"
    text = plans.read_text()
    opened = text.replace("https: none", "https: public").replace("podSecurity: restricted", "podSecurity: privileged")
    assert opened != text
    plans.write_text(opened)  # at once: a reading between two changes is a model of its own
    said = await held(scene, known, "would loosen")
    assert f"`driftd approve {said['newest']}`" in said["why"]
    await quiet()
    assert scene.writes() == []
    await healed(scene, "acme-stage")
    await scene.mark()
