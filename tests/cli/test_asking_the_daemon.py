"""`driftd approve`, `retire` and `pause` against a real API server of driftd's, and what they say when it refuses."""

import asyncio
from pathlib import Path

import pytest

from driftd.cli.documents import schema_of
from driftd.cli.failures import CommandError
from driftd.cli.pause import seconds_of
from tests.support.api_scene import ACME, ALICE, BASE, GLOBEX, VERA, Scene, scene_in
from tests.support.cli import Ran, driftd
from tests.support.cluster import write_kubeconfig
from tests.support.json_schema import errors


async def run(scene: Scene, *arguments: str, token: str = ALICE) -> Ran:
    """A command beside the API's own loop, with a token in a file."""
    file = scene.folder / "token"
    file.write_text(token + "\n")
    return await asyncio.to_thread(driftd, *arguments, "--api", scene.address, "--token-file", str(file))


async def test_a_held_model_is_seen_approved_and_awaited(tmp_path: Path) -> None:
    async with scene_in(tmp_path) as scene:
        await scene.offer(BASE, ACME)
        assert (await run(scene, "approve")).code == 0
        await scene.offer(BASE)
        commit = scene.models.status.newest
        seen = await run(scene, "approve")
        assert seen.code == 1
        assert f"held: {commit}" in seen.out
        following = asyncio.create_task(scene.models.run())
        done = await run(scene, "approve", commit, "--reason", "meant", "-o", "json")
        following.cancel()
        assert done.code == 0, done.err
        assert errors(done.json(), schema_of("ModelState")) == []
        assert done.json()["commit"] == commit
        assert "approved by alice" in done.err
        again = await run(scene, "approve", commit)
        assert again.code == 3
        assert "nothing is held now" in again.err


async def test_an_orphan_is_retired_and_the_command_says_what_stays(tmp_path: Path) -> None:
    async with scene_in(tmp_path) as scene:
        await scene.offer(BASE, ACME, GLOBEX)
        early = await run(scene, "retire", "acme-prod")
        assert (early.code, early.out) == (3, "")
        assert "take its environment out of the model first" in early.err
        await scene.offer(BASE, GLOBEX)
        done = await run(scene, "retire", "acme-prod", "--reason", "over")
        assert done.code == 0
        assert "acme-prod (acme) is governed no longer; these stay as they are" in done.out
        assert "NetworkPolicy" in done.out


async def test_a_namespace_is_paused_listed_and_resumed(tmp_path: Path) -> None:
    async with scene_in(tmp_path) as scene:
        await scene.offer(BASE, ACME)
        begun = await run(scene, "pause", "-n", "acme-prod", "--for", "1h30m", "--reason", "upgrade", "-o", "json")
        assert begun.code == 0, begun.err
        assert errors(begun.json(), schema_of("PauseList")) == []
        listed = await run(scene, "pause", "--list")
        assert "acme-prod  2026-06-01T13:30:00  alice  upgrade" in listed.out
        assert (await run(scene, "pause", "-n", "acme-prod", "--end")).code == 0
        assert "nothing is paused" in (await run(scene, "pause", "--list")).err


async def test_refusals_come_in_the_daemons_words_and_never_with_the_token(tmp_path: Path) -> None:
    async with scene_in(tmp_path) as scene:
        await scene.offer(BASE, ACME)
        for token, code, words in (
            (VERA, 3, "vera may not create pauses.driftd.dev acme-prod"),
            ("a-token-nobody-knows", 3, "the token is not valid"),
        ):
            ran = await run(scene, "pause", "-n", "acme-prod", "--for", "1m", "--reason", "x", token=token)
            assert (ran.code, ran.out) == (code, "")
            assert words in ran.err
            assert token not in ran.err
        long = await run(scene, "pause", "-n", "acme-prod", "--for", "5h", "--reason", "x")
        assert long.code == 2
        assert "at most 4 h" in long.err


async def test_the_kubeconfigs_token_is_asked_with(tmp_path: Path) -> None:
    async with scene_in(tmp_path) as scene:
        config = write_kubeconfig(tmp_path / "people", scene.kubernetes.host, ALICE)
        ran = await asyncio.to_thread(driftd, "pause", "--list", "--api", scene.address, "--kubeconfig", config)
        assert ran.code == 0, ran.err
        config.write_text(config.read_text().replace(f'"token": "{ALICE}"', '"username": "x", "password": "y"'))
        bare = await asyncio.to_thread(driftd, "pause", "--list", "--api", scene.address, "--kubeconfig", config)
        assert bare.code != 0
        assert "kubectl create token" in bare.err


def test_a_daemon_that_does_not_answer_is_told_with_the_way_to_it(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("t")
    ran = driftd("pause", "--list", "--api", "http://127.0.0.1:1", "--token-file", token)
    assert ran.code == 3
    assert "kubectl -n driftd port-forward" in ran.err


@pytest.mark.parametrize(
    "address",
    ["http://driftd.example.com:8081", "ftp://127.0.0.1", "127.0.0.1:8081", "https://u:s3cret@h", "https://h/x"],
)
def test_a_token_goes_nowhere_it_might_be_read(tmp_path: Path, address: str) -> None:
    token = tmp_path / "token"
    token.write_text("t")
    ran = driftd("pause", "--list", "--api", address, "--token-file", token)
    assert ran.code == 2
    assert "s3cret" not in ran.err


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("-n", "acme-prod"),
        ("-n", "acme-prod", "--for", "30m"),
        ("--for", "30m", "--reason", "x"),
        ("-n", "acme-prod", "--list"),
        ("-n", "acme-prod", "--for", "30m", "--reason", "x", "--end"),
        ("-n", "acme-prod", "--end", "--reason", "x"),
        ("-n", "Not_A_Name", "--for", "30m", "--reason", "x"),
        ("-n", "acme-prod", "--for", "soon", "--reason", "x"),
    ],
)
def test_half_a_wish_is_wrong_usage(arguments: tuple[str, ...]) -> None:
    assert driftd("pause", *arguments).code == 2


@pytest.mark.parametrize(("said", "seconds"), [("90s", 90), ("30m", 1800), ("4h", 14400), ("1h30m5s", 5405)])
def test_lengths_are_read(said: str, seconds: int) -> None:
    assert seconds_of(said) == seconds


@pytest.mark.parametrize("said", ["", "0m", "m", "30", "-5m", "1.5h", "30 m", "5d"])
def test_what_is_no_length_is_refused(said: str) -> None:
    with pytest.raises(CommandError):
        seconds_of(said)
