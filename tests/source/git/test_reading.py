"""A branch read over https and ssh from real servers: what is taken, what is refused, and what is said of it."""

import asyncio
from pathlib import Path

import pytest

from driftd.source import SourceTooLarge, SourceUnreadable
from driftd.source.git import (
    Address,
    Caps,
    GitDenied,
    GitMissing,
    GitTooSlow,
    GitUnreachable,
    HostKeyUnknown,
    LargeFileElsewhere,
    Login,
    Repository,
    TooMuchToFetch,
)
from tests.support.git_reader import SMALL, Reader, paths, reader
from tests.support.git_server import HttpsServer, SshServer, Upstream, signing_key

# -- what is taken ----------------------------------------------------------------------------------------------------


async def test_the_newest_commit_is_read_over_https(upstream: Upstream, server: HttpsServer, tmp_path: Path) -> None:
    upstream.commit({"cluster.yaml": "old: 1\n"})
    newest = upstream.commit(SMALL)
    revision = await reader(server, tmp_path).source.read()
    assert revision.commit == newest
    assert {file.path: file.data for file in revision.files} == {
        "cluster.yaml": b"a: 1\n",
        "environments/acme.yaml": b"b: 2\n",
    }


async def test_the_newest_commit_is_read_over_ssh(upstream: Upstream, sshd: SshServer, tmp_path: Path) -> None:
    first = upstream.commit(SMALL)
    one = reader(sshd, tmp_path)
    assert await one.accept() == first
    second = upstream.commit({"cluster.yaml": "a: 2\n"})
    assert (await one.source.read()).commit == second
    assert await one.source.is_descendant(second, first)
    assert not await one.source.is_descendant(first, second)


async def test_a_folder_of_the_repository_can_be_the_model(
    upstream: Upstream, server: HttpsServer, tmp_path: Path
) -> None:
    upstream.commit({"deploy/models/a.yaml": "a: 1\n", "other.yaml": "no: 1\n"})
    one = Reader(server.repository("deploy/models"), tmp_path)
    assert await paths(one) == ["a.yaml"]
    first = await one.accept()
    assert first == f"{upstream.run('rev-parse', 'HEAD')}:deploy/models"  # another folder is another model
    second = upstream.commit({"deploy/models/a.yaml": "a: 2\n"})
    assert await one.accept() == f"{second}:deploy/models"
    assert await one.source.is_descendant(f"{second}:deploy/models", first)
    with pytest.raises(SourceUnreadable, match="no such folder"):
        await Reader(server.repository("deploy/nothing"), tmp_path).source.read()


async def test_later_commits_are_taken_when_they_descend_from_the_one_in_force(
    upstream: Upstream, server: HttpsServer, tmp_path: Path
) -> None:
    upstream.commit(SMALL)
    one = reader(server, tmp_path)
    await one.accept()
    for number in range(3):
        newest = upstream.commit({"cluster.yaml": f"a: {number + 10}\n"})
    assert await one.accept() == newest


async def test_a_branch_that_began_before_the_commit_in_force_may_be_merged_after_it(
    upstream: Upstream, server: HttpsServer, tmp_path: Path
) -> None:
    root = upstream.commit(SMALL)
    upstream.run("branch", "feature", root)
    upstream.commit({"cluster.yaml": "a: 2\n"})
    one = reader(server, tmp_path)
    await one.accept()
    upstream.run("checkout", "--quiet", "feature")
    upstream.commit({"environments/globex.yaml": "c: 1\n"})
    upstream.run("checkout", "--quiet", "main")
    upstream.run("merge", "--quiet", "--no-ff", "-m", "merge", "feature")
    merged = upstream.push()
    assert await one.accept() == merged


async def test_links_inside_the_model_are_followed_like_in_a_directory(
    upstream: Upstream, server: HttpsServer, tmp_path: Path
) -> None:
    upstream.commit({"base/a.yaml": "a: 1\n", "base/up.txt": "x"})
    (upstream.work / "also.yaml").symlink_to("base/a.yaml")
    (upstream.work / "copy").symlink_to("base")
    (upstream.work / "base" / "self").symlink_to(".")
    (upstream.work / "base" / "again.yaml").symlink_to("../also.yaml")
    upstream.record()
    assert await paths(reader(server, tmp_path)) == [
        "also.yaml",
        "base/a.yaml",
        "base/again.yaml",
        "copy/a.yaml",
        "copy/again.yaml",
    ]


async def test_a_push_is_announced_and_a_poke_makes_it_quick(
    upstream: Upstream, server: HttpsServer, tmp_path: Path
) -> None:
    first = upstream.commit(SMALL)
    one = reader(server, tmp_path)
    one.source._poll = 60.0
    told: list[str] = []

    async def follow() -> None:
        async for _ in one.source.changes():
            told.append((await one.source.read()).commit)

    following = asyncio.create_task(follow())
    async with asyncio.timeout(20):
        while told != [first]:
            await asyncio.sleep(0.02)
        second = upstream.commit({"cluster.yaml": "a: 3\n"})
        one.source.poke()
        while told != [first, second]:
            await asyncio.sleep(0.02)
    following.cancel()


async def test_a_reading_that_failed_is_announced_again(
    upstream: Upstream, server: HttpsServer, tmp_path: Path
) -> None:
    upstream.commit(SMALL)
    one = reader(server, tmp_path)
    server.misconduct.redirect = "https://example.com/"
    with pytest.raises(GitUnreachable):
        await one.source.read()
    async with asyncio.timeout(10):
        async for _ in one.source.changes():
            break


async def test_a_server_that_is_away_for_a_moment_is_nobodys_alarm(
    upstream: Upstream, server: HttpsServer, tmp_path: Path
) -> None:
    upstream.commit(SMALL)
    one = reader(server, tmp_path)
    await one.accept()
    server.misconduct.redirect = "https://example.com/"
    assert [await one.source._moved() for _ in range(3)] == [False, False, True]
    server.misconduct.redirect = ""
    assert not await one.source._moved()
    server.misconduct.redirect = "https://example.com/"
    assert not await one.source._moved()


# -- history ----------------------------------------------------------------------------------------------------------


async def test_descent_is_known_both_ways_and_between_branches(
    upstream: Upstream, server: HttpsServer, tmp_path: Path
) -> None:
    commits = [upstream.commit({"cluster.yaml": f"a: {number}\n"}) for number in range(4)]
    source = reader(server, tmp_path).source
    assert await source.is_descendant(commits[2], commits[0])
    assert await source.is_descendant(commits[2], commits[2])
    assert not await source.is_descendant(commits[0], commits[2])
    assert not await source.is_descendant(commits[3], "0" * 40)
    assert not await source.is_descendant("dir:0123456789ab", commits[0])


# -- content that is refused ------------------------------------------------------------------------------------------


async def test_links_to_nothing_and_in_a_circle_are_refused(
    upstream: Upstream, server: HttpsServer, tmp_path: Path
) -> None:
    upstream.commit(SMALL)
    (upstream.work / "x.yaml").symlink_to("gone.yaml")
    upstream.record()
    with pytest.raises(SourceUnreadable, match="link to nothing"):
        await reader(server, tmp_path).source.read()
    (upstream.work / "x.yaml").unlink()
    (upstream.work / "y.yaml").symlink_to("z.yaml")
    (upstream.work / "z.yaml").symlink_to("y.yaml")
    upstream.record()
    with pytest.raises(SourceUnreadable, match="circle"):
        await reader(server, tmp_path).source.read()


async def test_a_pointer_into_a_large_file_store_is_refused(
    upstream: Upstream, server: HttpsServer, tmp_path: Path
) -> None:
    upstream.commit({"a.yaml": "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"})
    with pytest.raises(LargeFileElsewhere):
        await reader(server, tmp_path).source.read()


async def test_a_model_file_over_its_limit_is_refused(upstream: Upstream, server: HttpsServer, tmp_path: Path) -> None:
    upstream.commit({"big.yaml": "x" * 1_100_000})
    with pytest.raises(SourceTooLarge, match=r"big\.yaml"):
        await reader(server, tmp_path).source.read()


async def test_more_objects_than_the_limit_are_refused(upstream: Upstream, server: HttpsServer, tmp_path: Path) -> None:
    upstream.commit({f"f{number}.yaml": f"a: {number}\n" for number in range(60)})
    with pytest.raises(TooMuchToFetch, match="62 objects"):
        await reader(server, tmp_path, caps=Caps(objects=50)).source.read()


# -- servers that misbehave -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["silent", "drip"])
async def test_a_server_that_takes_for_ever_is_cut_off(
    upstream: Upstream, server: HttpsServer, tmp_path: Path, how: str
) -> None:
    upstream.commit(SMALL)
    server.misconduct.silent = how == "silent"
    server.misconduct.drip_seconds = 0.05 if how == "drip" else 0.0
    loop = asyncio.get_running_loop()
    began = loop.time()
    with pytest.raises(GitTooSlow, match=r"within 1\.5 s"):
        await reader(server, tmp_path, timeout=1.5).source.read()
    assert loop.time() - began < 5


async def test_who_is_cancelled_breaks_the_exchange_off(
    upstream: Upstream, server: HttpsServer, tmp_path: Path
) -> None:
    upstream.commit(SMALL)
    server.misconduct.silent = True
    reading = asyncio.create_task(reader(server, tmp_path, timeout=60.0).source.read())
    while not any("git-upload-pack" in one and one.startswith("POST") for one in server.misconduct.requests):
        await asyncio.sleep(0.02)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    await asyncio.wait_for(asyncio.get_running_loop().shutdown_default_executor(), 5)


async def test_a_redirect_is_told_and_no_password_goes_there(
    upstream: Upstream, server: HttpsServer, tmp_path: Path
) -> None:
    upstream.commit(SMALL)
    server.misconduct.redirect = "https://elsewhere.example/model.git/info/refs"
    with pytest.raises(GitUnreachable, match="it has moved"):
        await reader(server, tmp_path).source.read()


async def test_a_wrong_password_an_unknown_repository_and_a_missing_branch_are_told_apart(
    upstream: Upstream, server: HttpsServer, tmp_path: Path
) -> None:
    upstream.commit(SMALL)
    with pytest.raises(GitMissing, match="repository"):
        await Reader(server.repository(path="/none.git"), tmp_path).source.read()
    found = server.repository()
    with pytest.raises(GitMissing, match="branch nowhere"):
        await Reader(Repository(found.address, "nowhere", "", found.login), tmp_path).source.read()
    server.password_file.write_text("wrong")
    with pytest.raises(GitDenied, match="HTTP 401"):
        await reader(server, tmp_path).source.read()


async def test_a_server_with_a_certificate_of_another_authority_is_not_believed(
    upstream: Upstream, server: HttpsServer, tmp_path: Path
) -> None:
    upstream.commit(SMALL)
    found = server.repository()
    login = Login(username=found.login.username, password_file=found.login.password_file)
    with pytest.raises(GitUnreachable, match="CERTIFICATE_VERIFY_FAILED"):
        await Reader(Repository(found.address, "main", "", login), tmp_path).source.read()
    assert server.misconduct.requests == []


async def test_a_server_that_is_not_there_is_told(tmp_path: Path) -> None:
    repository = Repository(Address("https", "127.0.0.1", 1, "/x.git"), "main")
    with pytest.raises(GitUnreachable, match="refused"):
        await Reader(repository, tmp_path).source.read()


async def test_an_ssh_server_with_another_key_is_not_asked_anything(
    upstream: Upstream, sshd: SshServer, tmp_path: Path
) -> None:
    upstream.commit(SMALL)
    other = signing_key(tmp_path, "other")
    known = tmp_path / "known"
    known.write_text(f"[127.0.0.1]:{sshd.port} {' '.join(other.with_suffix('.pub').read_text().split()[:2])}\n")
    with pytest.raises(HostKeyUnknown, match="KNOWN_HOSTS_FILE"):
        await Reader(sshd.repository(known_hosts_file=known), tmp_path).source.read()
    known.write_text("")
    with pytest.raises(HostKeyUnknown):
        await Reader(sshd.repository(known_hosts_file=known), tmp_path).source.read()


async def test_an_ssh_key_that_is_not_authorized_is_told(upstream: Upstream, sshd: SshServer, tmp_path: Path) -> None:
    upstream.commit(SMALL)
    with pytest.raises(GitDenied, match="permission denied"):
        await Reader(sshd.repository(ssh_key_file=signing_key(tmp_path, "other")), tmp_path).source.read()


async def test_an_ssh_server_stopped_in_the_middle_is_cut_off(
    upstream: Upstream, sshd: SshServer, tmp_path: Path
) -> None:
    upstream.commit(SMALL)
    hook = upstream.bare / "slow"
    hook.write_text("#!/bin/sh\nsleep 60\n")
    hook.chmod(0o755)
    upstream.run("config", "--global", "uploadpack.packObjectsHook", str(hook))
    sshd.answer_by(f"#!/bin/sh\nexec env HOME={upstream.home} git upload-pack {upstream.bare}\n")
    with pytest.raises(GitTooSlow):
        await reader(sshd, tmp_path, timeout=2.0).source.read()
