"""What a branch, or the server that has it, may try: refused and told alike over https and over ssh."""

import random
from pathlib import Path

import pytest

from driftd.source import LinkLeavesTree, SourceError
from driftd.source.git import (
    Caps,
    GitUnreachable,
    HistoryRewritten,
    PackBroken,
    SubmoduleInModel,
    TooMuchToFetch,
)
from tests.support.git_reader import SMALL, Reader, paths, reader
from tests.support.git_server import GitServer, Upstream


async def test_a_forced_push_is_refused_until_somebody_approves_that_commit(
    upstream: Upstream, remote: GitServer, tmp_path: Path
) -> None:
    root = upstream.commit(SMALL)
    upstream.commit({"cluster.yaml": "a: 2\n"})
    one = reader(remote, tmp_path)
    await one.accept()
    upstream.reset(root)
    forced = upstream.commit({"cluster.yaml": "evil: 1\n"})
    with pytest.raises(HistoryRewritten, match=f"driftd approve {forced}"):
        await one.source.read()
    one.approved = forced
    assert (await one.source.read()).commit == forced


async def test_a_branch_set_back_to_an_older_commit_is_refused(
    upstream: Upstream, remote: GitServer, tmp_path: Path
) -> None:
    root = upstream.commit(SMALL)
    upstream.commit({"cluster.yaml": "a: 2\n"})
    one = reader(remote, tmp_path)
    await one.accept()
    upstream.reset(root)
    upstream.push()
    with pytest.raises(HistoryRewritten, match="does not descend"):
        await one.source.read()


async def test_another_history_altogether_is_refused(upstream: Upstream, remote: GitServer, tmp_path: Path) -> None:
    upstream.commit(SMALL)
    one = reader(remote, tmp_path)
    await one.accept()
    upstream.run("checkout", "--quiet", "--orphan", "other")
    upstream.commit({"cluster.yaml": "evil: 1\n"})
    upstream.run("reflog", "expire", "--expire=now", "--all", cwd=upstream.bare)
    upstream.run("gc", "--quiet", "--prune=now", cwd=upstream.bare)
    with pytest.raises(HistoryRewritten):
        await one.source.read()


async def test_a_link_out_of_the_model_is_refused(upstream: Upstream, remote: GitServer, tmp_path: Path) -> None:
    upstream.commit({"models/a.yaml": "a: 1\n", "secret.yaml": "s: 1\n"})
    (upstream.work / "models" / "b.yaml").symlink_to("../secret.yaml")
    upstream.record()
    with pytest.raises(LinkLeavesTree, match=r"b\.yaml"):
        await Reader(remote.repository("models"), tmp_path).source.read()
    (upstream.work / "models" / "b.yaml").unlink()
    (upstream.work / "models" / "c.yaml").symlink_to("/etc/hostname.yaml")
    upstream.record()
    with pytest.raises(LinkLeavesTree, match=r"c\.yaml"):
        await Reader(remote.repository("models"), tmp_path).source.read()


async def test_a_submodule_in_the_model_is_refused(upstream: Upstream, remote: GitServer, tmp_path: Path) -> None:
    commit = upstream.commit(SMALL)
    upstream.run("update-index", "--add", "--cacheinfo", f"160000,{commit},vendor")
    upstream.run("commit", "--quiet", "-m", "submodule")
    upstream.push()
    with pytest.raises(SubmoduleInModel, match="vendor is a submodule"):
        await reader(remote, tmp_path).source.read()


async def test_a_huge_file_that_travels_small_is_refused_before_it_is_unpacked(
    upstream: Upstream, remote: GitServer, tmp_path: Path
) -> None:
    upstream.commit({"zeros.bin": bytes(40_000_000)})
    caps = Caps(object_bytes=1_000_000)
    with pytest.raises(TooMuchToFetch, match="40000000 bytes"):
        await reader(remote, tmp_path, caps=caps).source.read()
    with pytest.raises(TooMuchToFetch, match="a file on the branch"):
        await reader(remote, tmp_path).source.read()


async def test_a_pack_over_its_limit_is_cut_off_on_the_way(
    upstream: Upstream, remote: GitServer, tmp_path: Path
) -> None:
    upstream.commit({"noise.bin": random.Random(1).randbytes(6_000_000)})
    with pytest.raises(TooMuchToFetch, match="PACK_BYTES"):
        await reader(remote, tmp_path, caps=Caps(pack_bytes=1_000_000)).source.read()


async def test_half_a_pack_is_no_pack(upstream: Upstream, remote: GitServer, tmp_path: Path) -> None:
    upstream.commit(SMALL)
    for length in (0, 3, 12, 40, 90):
        remote.cut(length)
        with pytest.raises((PackBroken, GitUnreachable)):
            await reader(remote, tmp_path).source.read()
    remote.cut(None)
    assert await paths(reader(remote, tmp_path)) == ["cluster.yaml", "environments/acme.yaml"]


async def test_nothing_is_left_on_the_disk(upstream: Upstream, remote: GitServer, tmp_path: Path) -> None:
    upstream.commit(SMALL)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    one = Reader(remote.repository(), scratch)
    await one.accept()
    remote.cut(20)
    upstream.commit({"cluster.yaml": "a: 9\n"})
    with pytest.raises(SourceError):
        await one.source.read()
    assert list(scratch.iterdir()) == []


async def test_what_the_branch_has_removed_again_is_not_fetched(
    upstream: Upstream, remote: GitServer, tmp_path: Path
) -> None:
    upstream.commit({**SMALL, "noise.bin": random.Random(1).randbytes(20_000)})
    newest = upstream.commit({"noise.bin": None})
    revision = await reader(remote, tmp_path, caps=Caps(object_bytes=10_000)).source.read()
    assert revision.commit == newest
