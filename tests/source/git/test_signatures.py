"""Signed commits: git and ssh-keygen make them, driftd says by whom, and whatever is changed is refused."""

import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from driftd.source.git import CommitNotSigned, GitSource, SignersUnusable
from driftd.source.git.commit import Commit, parse_commit
from driftd.source.git.pack import Damaged
from driftd.source.git.signatures import Signer, allowed_signers, verified
from tests.support.git_server import GitServer, Upstream, allowed, public, signing_key

NOW = datetime(2026, 6, 1, tzinfo=UTC)
KINDS = [
    ("ed25519", ()),
    ("rsa", ("-b", "2048")),
    ("ecdsa", ("-b", "256")),
    ("ecdsa", ("-b", "384")),
    ("ecdsa", ("-b", "521")),
]


class Now:
    def now(self) -> datetime:
        return NOW

    def monotonic(self) -> float:
        return 0.0


def commit_of(upstream: Upstream, name: str) -> Commit:
    done = subprocess.run(
        [str(upstream.git_program), "cat-file", "commit", name], cwd=upstream.bare, capture_output=True, check=True
    )
    return parse_commit(done.stdout)


def who(commit: Commit, signers: tuple[Signer, ...], now: datetime = NOW) -> str:
    return verified("c0ffee", commit.signature, commit.signed, signers, now)


@pytest.mark.parametrize(("kind", "more"), KINDS, ids="".join)
def test_what_git_signs_is_verified(upstream: Upstream, tmp_path: Path, kind: str, more: tuple[str, ...]) -> None:
    key = signing_key(tmp_path, "ops", kind, *more)
    commit = commit_of(upstream, upstream.commit({"a.yaml": "a: 1\n"}, key=key))
    assert who(commit, allowed_signers("f", f'ops@example.com namespaces="git" {public(key)}\n')) == "ops@example.com"


def test_a_key_nobody_allowed_is_refused(upstream: Upstream, tmp_path: Path) -> None:
    ours, other = signing_key(tmp_path, "ours"), signing_key(tmp_path, "other")
    commit = commit_of(upstream, upstream.commit({"a.yaml": "a: 1\n"}, key=other))
    with pytest.raises(CommitNotSigned, match="key is not allowed"):
        who(commit, allowed_signers("f", f"ops {public(ours)}\n"))


def test_a_commit_without_a_signature_is_refused(upstream: Upstream, tmp_path: Path) -> None:
    key = signing_key(tmp_path, "ops")
    commit = commit_of(upstream, upstream.commit({"a.yaml": "a: 1\n"}))
    with pytest.raises(CommitNotSigned, match="not signed"):
        who(commit, allowed_signers("f", f"ops {public(key)}\n"))


def test_a_signature_for_something_else_is_refused(upstream: Upstream, tmp_path: Path) -> None:
    key = signing_key(tmp_path, "ops")
    commit = commit_of(upstream, upstream.commit({"a.yaml": "a: 1\n"}))
    made = subprocess.run(
        ["ssh-keygen", "-Y", "sign", "-q", "-n", "file", "-f", str(key)],
        input=commit.signed,
        capture_output=True,
        check=True,
    )
    with pytest.raises(CommitNotSigned, match="other than git"):
        verified("c0ffee", made.stdout, commit.signed, allowed_signers("f", f"ops {public(key)}\n"), NOW)


def test_a_key_counts_within_its_span_and_by_the_clock_of_who_checks(upstream: Upstream, tmp_path: Path) -> None:
    key = signing_key(tmp_path, "ops")
    commit = commit_of(upstream, upstream.commit({"a.yaml": "a: 1\n"}, key=key))
    span = f'ops valid-after="20260101",valid-before="20260701120000Z" {public(key)}\n'
    signers = allowed_signers("f", span)
    assert who(commit, signers) == "ops"
    for moment in (datetime(2025, 12, 31, tzinfo=UTC), datetime(2026, 7, 1, 12, tzinfo=UTC)):
        with pytest.raises(CommitNotSigned, match="not at this time"):
            who(commit, signers, moment)


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Commit, tuple[Signer, ...]]:
    folder = tmp_path_factory.mktemp("signed")
    upstream, key = Upstream(folder / "git"), signing_key(folder, "ops")
    return commit_of(upstream, upstream.commit({"a.yaml": "a: 1\n"}, key=key)), allowed_signers(
        "f", f"ops {public(key)}"
    )


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_byte_of_a_signed_commit_can_be_changed(
    signed: tuple[Commit, tuple[Signer, ...]], data: st.DataObject
) -> None:
    commit, signers = signed
    at = data.draw(st.integers(0, len(commit.signed) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != commit.signed[at]))
    changed = commit.signed[:at] + bytes([byte]) + commit.signed[at + 1 :]
    with pytest.raises(CommitNotSigned):
        verified("c0ffee", commit.signature, changed, signers, NOW)


@settings(max_examples=150)
@given(data=st.data())
def test_a_damaged_signature_is_refused_in_words(
    signed: tuple[Commit, tuple[Signer, ...]], data: st.DataObject
) -> None:
    commit, signers = signed
    at = data.draw(st.integers(0, len(commit.signature) - 2))
    piece = data.draw(st.binary(max_size=4).filter(lambda value: value != commit.signature[at : at + 1]))
    damaged = commit.signature[:at] + piece + commit.signature[at + 1 :]
    try:
        assert verified("c0ffee", damaged, commit.signed, signers, NOW) == "ops"
    except CommitNotSigned:
        return
    # What still verifies differs in white space alone: the signature itself is the same.
    assert damaged.replace(b"\n", b"") == commit.signature.replace(b"\n", b"")


@pytest.mark.parametrize(
    "line",
    [
        "ops",
        "ops ssh-ed25519",
        "ops ssh-ed25519 notbase64!",
        "ops cert-authority ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGqf5n3H3XGpRqPSTwXBn0mXXp0Ww8Cj1fEAVuHnhm2J",
        "ops ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIGqf5n3H3XGpRqPSTwXBn0mXXp0Ww8Cj1fEAVuHnhm2J",
        "ops valid-before=soon ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGqf5n3H3XGpRqPSTwXBn0mXXp0Ww8Cj1fEAVuHnhm2J",
        "",
        "# nobody",
        "ops namespaces=file ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGqf5n3H3XGpRqPSTwXBn0mXXp0Ww8Cj1fEAVuHnhm2J",
    ],
)
def test_a_file_that_is_not_understood_allows_nobody(line: str) -> None:
    with pytest.raises(SignersUnusable):
        allowed_signers("signers", line + "\n")


def test_a_commit_that_two_readers_could_read_differently_is_damaged() -> None:
    tree, parent = b"tree " + b"a" * 40, b"parent " + b"b" * 40
    rest = b"author a <a> 0 +0000\ncommitter a <a> 0 +0000"
    assert parse_commit(b"\n".join([tree, parent, rest]) + b"\n\ntext").parents == ("b" * 40,)
    for lines in (
        [tree, tree, rest],
        [parent, tree, rest],
        [tree, rest, parent],
        [tree, rest, b"gpgsig one", b"gpgsig two"],
        [tree[:-1], rest],
        [rest],
    ):
        with pytest.raises(Damaged):
            parse_commit(b"\n".join(lines) + b"\n\ntext")
    with pytest.raises(Damaged):
        parse_commit(b"\n".join([tree, rest]))


async def test_only_signed_commits_of_a_branch_are_read(upstream: Upstream, remote: GitServer, tmp_path: Path) -> None:
    key = signing_key(tmp_path, "ops")
    source = GitSource(
        remote.repository(),
        clock=Now(),
        scratch=tmp_path,
        in_force=str,
        signers_file=allowed(tmp_path, f"ops {public(key)}\n"),
    )
    good = upstream.commit({"a.yaml": "a: 1\n"}, key=key)
    assert (await source.read()).commit == good
    bad = upstream.commit({"a.yaml": "a: 2\n"})
    with pytest.raises(CommitNotSigned, match=f"commit {bad} is not accepted: it is not signed"):
        await source.read()
    better = upstream.commit({"a.yaml": "a: 3\n"}, key=key)  # what comes before the newest is covered by its signature
    assert (await source.read()).commit == better
    (tmp_path / "allowed-signers").unlink()
    with pytest.raises(SignersUnusable):
        await source.read()
