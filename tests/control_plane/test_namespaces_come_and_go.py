"""Namespaces of the model that are relabelled, deleted, made again by somebody else, or on their way out."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from driftd.lab import Lab
from tests.support.faulty import Scene, allow_all
from tests.support.shared_stage import Standing, gone, on, quiet, sound, standing, told, types_about
from tests.support.stage import Body, copy_models

pytestmark = [pytest.mark.control_plane, pytest.mark.timeout(300)]  # judging every state costs CPU

HOLD = "example.com/hold"
ADOPTED = "globex-staging"


@pytest.fixture(scope="module")
def driftd(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    """The example platform, but its adopted namespace is enforced, and is there."""
    root = tmp_path_factory.mktemp("namespaces")
    models = copy_models(root / "models")
    adopted = models / "environments" / "globex-stage.yaml"
    text = adopted.read_text()
    assert "  remediation: {mode: report}\n" in text
    adopted.write_text(text.replace("  remediation: {mode: report}\n", ""))
    with standing(lab, root / "data", models=models) as one:
        yield one


@pytest.fixture
async def scene(driftd: Standing) -> AsyncIterator[Scene]:
    async with on(driftd, first=adopted_is_there) as one:
        yield one


async def adopted_is_there(scene: Scene) -> None:
    if await scene.kube.find("Namespace", "", ADOPTED) is None:
        await make(scene, ADOPTED)


async def make(scene: Scene, name: str) -> Body:
    return await scene.kube.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})


async def uid(scene: Scene, name: str) -> str:
    return str((await scene.kube.get("Namespace", "", name))["metadata"]["uid"])


async def test_labels_that_decide_isolation_come_back_and_others_stay(scene: Scene) -> None:
    labels = {"driftd.dev/tenant": "acme", "pod-security.kubernetes.io/enforce": "privileged", "team": "mine"}
    await scene.kube.merge("Namespace", "", "globex-prod", {"metadata": {"labels": labels}})
    await scene.kube.merge("Namespace", "", "acme-prod", {"metadata": {"labels": {"driftd.dev/tenant": None}}})
    await sound(scene)
    found = (await scene.kube.get("Namespace", "", "globex-prod"))["metadata"]["labels"]
    assert found["driftd.dev/tenant"] == "globex"
    assert found["pod-security.kubernetes.io/enforce"] == "restricted"
    assert found["team"] == "mine"
    assert [name for _, name in sorted((key.resource, key.name) for _, key in scene.repairs())] == [
        "acme-prod",
        "globex-prod",
    ]
    await scene.kube.merge("Namespace", "", "globex-prod", {"metadata": {"labels": {"team": None}}})


async def test_a_namespace_that_is_deleted_is_made_again_governed_and_told(scene: Scene) -> None:
    known = await uid(scene, "acme-stage")
    await scene.kube.delete("Namespace", "", "acme-stage")

    async def new() -> bool:
        live = await scene.kube.find("Namespace", "", "acme-stage")
        return live is not None and live["metadata"]["uid"] != known

    await scene.until("driftd makes the namespace again", new, 60.0)
    await sound(scene, 60.0)
    await told(scene, "recreated", "acme-stage")
    assert "terminating" in types_about(await scene.evidence(), "acme-stage")


async def test_a_namespace_made_again_by_somebody_else_is_governed_at_once_and_its_new_uid_is_told(
    scene: Scene,
) -> None:
    known = await uid(scene, ADOPTED)
    await scene.kube.delete("Namespace", "", ADOPTED)
    await gone(scene, "Namespace", "", ADOPTED, 60.0)
    await told(scene, "missing", ADOPTED)
    await quiet()
    assert await scene.kube.find("Namespace", "", ADOPTED) is None, "an adopted namespace is not driftd's to make"

    await make(scene, ADOPTED)
    await scene.kube.create(allow_all(ADOPTED, "squatter"))
    await told(scene, "recreated", ADOPTED)
    found = await sound(scene, 60.0)
    (past,) = [one for one in found.about(ADOPTED) if one.seen.finding.type.value == "recreated"]
    assert known in past.seen.finding.summary
    assert await uid(scene, ADOPTED) in past.seen.finding.summary
    assert await scene.kube.find("NetworkPolicy", ADOPTED, "squatter") is None


async def test_a_namespace_that_is_held_on_its_way_out_gets_no_writes(scene: Scene) -> None:
    holder: Body = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "holder", "namespace": "initech-prod", "finalizers": [HOLD]},
    }
    await scene.kube.create(holder)
    await scene.kube.delete("Namespace", "", "initech-prod")
    await gone(scene, "NetworkPolicy", "initech-prod", "default-deny")
    await quiet(2.0)
    into = [
        record
        for record in scene.attempts()
        if "initech-prod" in (record.key.namespace, record.key.name) and record.user.endswith("driftd")
    ]
    assert into == []
    assert (await scene.kube.get("Namespace", "", "initech-prod"))["metadata"]["deletionTimestamp"]
    await told(scene, "terminating", "initech-prod")
    await scene.kube.merge("ConfigMap", "initech-prod", "holder", {"metadata": {"finalizers": None}})
    await scene.canonical(60.0)
    await sound(scene, 60.0)


async def test_all_namespaces_at_once_come_back(scene: Scene) -> None:
    names = ["acme-prod", "initech-legacy"]
    before = {name: await uid(scene, name) for name in names}
    await asyncio.gather(*(scene.kube.delete("Namespace", "", name) for name in names))

    async def new() -> bool:
        lives = [await scene.kube.find("Namespace", "", name) for name in names]
        return all(live is not None and live["metadata"]["uid"] not in before.values() for live in lives)

    await scene.until("driftd makes the namespaces again", new, 60.0)
    await sound(scene, 60.0)
