"""A CRD that learns a default while driftd runs: the kind's objects differ at once, though nobody wrote them."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from driftd.lab import Lab
from driftd.values import Finding
from tests.support.calico import MODEL, TieredScene
from tests.support.calico_crds import GROUP, PLURALS, installed, path
from tests.support.faulty import OPEN
from tests.support.kube import KubeError
from tests.support.stage import stage

pytestmark = [pytest.mark.control_plane, pytest.mark.timeout(300)]

KIND, GUARD, LEARNED = "GlobalNetworkPolicy", "security.blocked", "assumed"


@pytest.fixture
async def scene(lab: Lab, tmp_path: Path) -> AsyncIterator[TieredScene]:
    models = tmp_path / "models"
    shutil.copytree(MODEL, models)
    env = {"DRIFTD_ENGINE__RELEARN_SECONDS": "1"}
    async with stage(lab, tmp_path / "data", models=models, start=False, env=env) as one, installed(one.kube):
        await one.daemon.start()
        here = TieredScene(lab, one.kube, one.daemon, models, data=tmp_path / "data")
        await here.canonical(60.0)
        await here.mark()
        yield here
        assert not here.daemon.unhandled(), here.daemon.unhandled()
        await here.daemon.stop()


async def learns(scene: TieredScene, default: str | None) -> None:
    """The CRD gets a field that is filled in where it is missing, or loses it again; waits until that shows."""
    kube = scene.kube
    name = f"{PLURALS[KIND]}.{GROUP}"
    versions = (await kube.get("CustomResourceDefinition", "", name))["spec"]["versions"]
    fields = versions[0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    fields.pop(LEARNED, None)
    if default is not None:
        fields[LEARNED] = {"type": "string", "default": default}
    await kube.merge("CustomResourceDefinition", "", name, {"spec": {"versions": versions}})

    async def shows() -> bool:
        try:
            guard = await kube.request("GET", path(KIND, "", GUARD))
        except KubeError as error:
            if error.status != 429:  # its storage is just being opened
                raise
            return False
        return (LEARNED in guard["spec"]) is (default is not None)

    await scene.until(f"{LEARNED} is {default}", shows, 30.0)


async def test_a_default_that_a_crd_learns_is_one_finding_and_no_endless_writing(scene: TieredScene) -> None:
    async def stopped() -> bool:
        return "kinds_stopped" in await scene.readiness() and bool(await defaulted())

    async def defaulted() -> list[Finding]:
        seen = (past.seen for past in (await scene.evidence()).findings)
        return [one.finding for one in seen if one.closed is None and one.finding.type.value == "defaulted"]

    def written() -> int:
        return sum(record.key.resource == PLURALS[KIND] for record in scene.writes())

    await learns(scene, "yes")
    await scene.until("the kind is stopped and told", stopped, 60.0)  # by the next reading past the watch
    before = written()
    assert before <= 4, "one write at most for each worker that was at it"
    await scene.kube.merge("NetworkPolicy", "tiers-red", "default-deny", OPEN)

    async def others_healed() -> bool:
        return all(KIND in one for one in await scene.differing())

    await scene.until("other kinds are healed", others_healed, 30.0)
    await asyncio.sleep(3.0)
    assert written() == before, "a stopped kind is not written"
    (found,) = await defaulted()
    assert (found.scope.namespace, found.ref.kind) == ("", KIND)
    assert LEARNED in found.summary

    await learns(scene, None)
    await scene.canonical(60.0)

    async def over() -> bool:
        return not await defaulted()

    await scene.until("the finding is over", over, 60.0)
    assert written() <= before + 8
