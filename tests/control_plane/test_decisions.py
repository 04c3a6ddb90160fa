"""What only people may decide, on a real API server: with a token, by RBAC, audited, and over when it should be."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import quote

import aiohttp
import pytest

from driftd.lab import Lab
from tests.support.cli import driftd
from tests.support.control_plane import run_apart
from tests.support.faulty import OPEN, Scene
from tests.support.git_server import PASSWORD, USER, Upstream, https_server
from tests.support.people import OPERATOR, account, run_as
from tests.support.shared_stage import Standing, on, quiet, restored, standing, told, until_event
from tests.support.stage import MODELS, Stage, copy_models, stage

pytestmark = [pytest.mark.control_plane, pytest.mark.timeout(300)]

HOOK = "a-knock-that-nobody-guesses"
PEOPLE = {"operator": "driftd-operator", "viewer": "driftd-viewer", "nobody": ""}


@pytest.fixture(scope="module")
def driftds(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    root = tmp_path_factory.mktemp("decisions")
    with standing(lab, root / "data", models=copy_models(root / "models")) as one:
        yield one


@pytest.fixture(scope="module")
def people(lab: Lab, driftds: Standing) -> dict[str, Path]:
    """A kubeconfig for each of them."""

    async def made() -> dict[str, Path]:
        return {name: await account(lab, name, role) for name, role in PEOPLE.items()}

    return run_apart(made())


@pytest.fixture
async def scene(driftds: Standing) -> AsyncIterator[Scene]:
    async with on(driftds) as one:
        yield one
        restored(driftds.models)
        await one.canonical(60.0)


async def decided(scene: Scene) -> list[tuple[str, str, str]]:
    """Act, subject and author of every decision in `driftd history`."""
    ran = await asyncio.to_thread(driftd, "history", "--data-dir", scene.data, "-o", "json")
    return [(one["act"], one["subject"], one["by"]) for one in ran.json()["acts"]]


async def test_a_held_mass_deletion_is_done_once_it_is_approved(scene: Scene, people: dict[str, Path]) -> None:
    known = len([event for event in scene.daemon.events() if event.get("event") == "model.held"])
    for name in ("acme-prod", "globex-prod"):
        file = scene.models / "environments" / f"{name}.yaml"
        text = file.read_text()
        file.write_text(text[: text.index("  services:\n")])
    held = await until_event(scene, "model.held", known)
    commit = held["newest"]
    await quiet()
    assert scene.writes() == []

    refused = await run_as(scene, people["viewer"], "approve", commit)
    assert refused.code == 3
    assert "may not create approvals.driftd.dev" in refused.err
    assert "may not get models.driftd.dev" in (await run_as(scene, people["nobody"], "approve")).err
    assert scene.writes() == []

    done = await run_as(scene, people["operator"], "approve", commit, "--reason", "INC-1")
    assert done.code == 0, done.err
    await scene.canonical(60.0)
    assert {record.verb for record in scene.writes()} >= {"update", "delete"}
    assert ("model.approved", commit, OPERATOR) in await decided(scene)


async def test_an_orphan_is_retired_and_nothing_of_it_is_touched(scene: Scene, people: dict[str, Path]) -> None:
    (scene.models / "environments" / "acme-stage.yaml").unlink()
    await told(scene, "orphaned", "acme-stage")
    before = await scene.kube.list("NetworkPolicy", "acme-stage")
    await scene.mark()
    assert (await run_as(scene, people["viewer"], "retire", "acme-stage")).code == 3
    done = await run_as(scene, people["operator"], "retire", "acme-stage", "--reason", "contract ended")
    assert done.code == 0, done.err
    assert f"{len(before)} NetworkPolicy" in done.out
    await scene.kube.merge("NetworkPolicy", "acme-stage", "default-deny", OPEN)
    await quiet()
    assert scene.writes() == []
    assert (await scene.kube.get("NetworkPolicy", "acme-stage", "default-deny"))["spec"]["egress"] == [{}]
    assert await scene.kube.find("Namespace", "", "acme-stage") is not None
    assert ("namespace.retired", "acme-stage", OPERATOR) in await decided(scene)


async def test_in_a_paused_namespace_tampering_is_told_and_healed_when_the_pause_ends(
    scene: Scene, people: dict[str, Path], driftds: Standing
) -> None:
    wish = ("pause", "-n", "acme-prod", "--for", "1h", "--reason", "upgrade")
    assert "may not create pauses" in (await run_as(scene, people["viewer"], *wish)).err
    assert (await run_as(scene, people["operator"], *wish)).code == 0
    await told(scene, "paused", "acme-prod")
    readiness = await scene.readiness()
    assert readiness["paused"] == "1"
    assert "acme" not in str(readiness), "anybody may ask: no tenant is named"
    assert await scene.metric("driftd_paused_namespaces") == 1.0

    await scene.kube.merge("NetworkPolicy", "acme-prod", "default-deny", OPEN)
    await scene.kube.merge("NetworkPolicy", "globex-prod", "default-deny", OPEN)
    await told(scene, "modified", "default-deny", "acme-prod")
    await until_closed(scene, "globex-prod")
    assert {record.key.namespace for record in scene.writes()} == {"globex-prod"}

    await asyncio.to_thread(driftds.restart)  # a pause outlives it
    scene.daemon = driftds.daemon
    await quiet()
    assert {record.key.namespace for record in scene.writes()} == {"globex-prod"}
    assert "acme-prod" in (await run_as(scene, people["viewer"], "pause", "--list")).out

    assert (await run_as(scene, people["operator"], "pause", "-n", "acme-prod", "--end")).code == 0
    await scene.canonical(30.0)
    assert (await scene.readiness())["paused"] == "0"
    acts = await decided(scene)
    assert ("pause.begun", "acme-prod", OPERATOR) in acts
    assert ("pause.ended", "acme-prod", OPERATOR) in acts


async def test_who_may_do_everything_in_a_namespace_still_cannot_stop_driftd_there(
    scene: Scene, people: dict[str, Path], lab: Lab
) -> None:
    owner = await account(lab, "owner")
    everything = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "test-owner", "namespace": "acme-prod"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": "owner", "namespace": "driftd"}],
    }
    await scene.kube.create(everything)
    refused = await run_as(scene, owner, "pause", "-n", "acme-prod", "--for", "1h", "--reason", "mine")
    assert refused.code == 3
    assert "may not create pauses.driftd.dev acme-prod" in refused.err
    await scene.kube.delete("RoleBinding", "acme-prod", "test-owner")


async def until_closed(scene: Scene, namespace: str) -> None:
    async def closed() -> bool:
        past = (await scene.evidence()).about("default-deny", namespace)
        return bool(past) and all(one.seen.closed is not None for one in past)

    await scene.until(f"what was found in {namespace} is closed", closed, 30.0)


async def test_a_pause_ends_by_itself(scene: Scene, people: dict[str, Path]) -> None:
    done = await run_as(scene, people["operator"], "pause", "-n", "acme-prod", "--for", "4s", "--reason", "short")
    assert done.code == 0, done.err
    await scene.kube.merge("NetworkPolicy", "acme-prod", "default-deny", OPEN)
    await quiet()
    assert scene.writes() == []
    await scene.canonical(30.0)
    assert ("pause.ended", "acme-prod", "its time") in await decided(scene)


async def test_a_token_that_nobody_knows_gets_nothing(scene: Scene, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("not-a-token-of-this-cluster")
    arguments = ("pause", "--list", "--api", scene.daemon.api, "--token-file", str(token))
    ran = await asyncio.to_thread(driftd, *arguments)
    assert (ran.code, ran.out) == (3, "")
    assert "the token is not valid" in ran.err


async def test_a_model_from_git_moves_forward_only_and_its_password_shows_nowhere(
    lab: Lab, people: dict[str, Path], tmp_path: Path, driftds: Standing
) -> None:
    await driftds.daemon.stop()  # one leads at a time
    upstream = Upstream(tmp_path / "git")
    shutil.copytree(MODELS, upstream.work / "models")
    first = upstream.record("first")
    hook = tmp_path / "hook"
    hook.write_text(HOOK)
    async with https_server(upstream) as server:
        env = {
            "DRIFTD_MODEL__GIT__URL": f"https://{USER}:{quote(PASSWORD, safe='')}@127.0.0.1:{server.port}/model.git",
            "DRIFTD_MODEL__GIT__FOLDER": "models",
            "DRIFTD_MODEL__GIT__CA_FILE": str(server.ca_file),
            "DRIFTD_WEB__HOOK_SECRET_FILE": str(hook),
            "DRIFTD_LOG__LEVEL": "debug",
        }
        data = tmp_path / "data"
        async with stage(lab, data, models=upstream.work / "models", env=env) as one:
            lease = await one.kube.get("Lease", "driftd", "driftd")
            assert first in str(lease["metadata"]["annotations"])
            change = upstream.work / "models" / "plans.yaml"
            change.write_text(change.read_text() + "\n# nothing\n")
            second = upstream.record("second")
            await knock(one)
            await in_force(one, second)

            upstream.reset(first)
            forced = upstream.commit({"models/extra.yaml": "# forced\n"})
            await knock(one)
            await in_words(one, "model.held", "does not descend from")
            assert (await run_as(one, people["operator"], "approve")).code == 1
            done = await run_as(one, people["operator"], "approve", forced[:12], "--reason", "history was cleaned")
            assert done.code == 0, done.err
            await in_force(one, forced)

            server.misconduct.redirect = f"https://{USER}:{PASSWORD}@elsewhere.example/"
            upstream.commit({"models/extra.yaml": "# more\n"})
            for _ in range(3):  # a server that is away for a moment is nobody's alarm
                await knock(one)
                await quiet()
            await in_words(one, "model.held", "it has moved")
            await one.canonical()

            await one.daemon.kill()
            server.misconduct.redirect, server.misconduct.silent = "", True
            async with asyncio.timeout(45):  # the git server says nothing for a minute
                await one.daemon.start()
                await one.kube.merge("NetworkPolicy", "acme-prod", "default-deny", OPEN)
                await one.canonical(45)
    leaked = [file for file in data.rglob("*") if file.is_file() and secret_in(file.read_bytes())]
    assert leaked == []


def secret_in(content: bytes) -> bool:
    return any(
        form in content for form in (PASSWORD.encode(), HOOK.encode(), quote(PASSWORD, safe="").encode(), b"cmVhZGVyOn")
    )


async def knock(one: Stage) -> None:
    """What a git server does after a push."""
    async with aiohttp.ClientSession() as http:
        async with http.post(
            f"{one.daemon.api}/hooks/model", data=b"{}", headers={"X-Gitlab-Token": "other"}
        ) as refused:
            assert refused.status == 401
        async with http.post(f"{one.daemon.api}/hooks/model", data=b"{}", headers={"X-Gitlab-Token": HOOK}) as heard:
            assert heard.status == 202


async def in_force(one: Stage, commit: str) -> None:
    async def accepted() -> bool:
        return any(
            e.get("event") == "model.accepted" and e["commit"] == f"{commit}:models" for e in one.daemon.events()
        )

    await one.until(f"{commit} is in force", accepted, 30.0)


async def in_words(one: Stage, event: str, words: str) -> None:
    async def there() -> bool:
        return any(e.get("event") == event and words in e["why"] for e in one.daemon.events())

    await one.until(f"{event}: {words}", there, 30.0)
