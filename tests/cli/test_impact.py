"""`driftd impact`: what opens and closes between two revisions, by whom, and the exit code a pipeline goes by."""

from pathlib import Path

import pytest
from dulwich import porcelain

from driftd.cli.documents import schema_of
from tests.support.cli import driftd, write_model
from tests.support.flow_worlds import ACME, GLOBEX, WORKLOADS
from tests.support.json_schema import errors

BEFORE = "calls: [{to: api}, {to: db}]"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return write_model(tmp_path / "old", acme=ACME, globex=GLOBEX)


def edited(tmp_path: Path, before: str, after: str) -> Path:
    assert before in ACME
    return write_model(tmp_path / "new", acme=ACME.replace(before, after), globex=GLOBEX)


def test_the_same_model_twice_changes_nothing(old: Path) -> None:
    ran = driftd("impact", old, old)
    assert (ran.code, ran.out) == (0, "")
    assert ran.err == f"source: model {old} to model {old}; dialect kubernetes\nnothing opens\n"


def test_a_new_call_opens_and_names_both_policies(old: Path, tmp_path: Path) -> None:
    new = edited(tmp_path, "serviceAccount: api}", "serviceAccount: api, calls: [{to: db}]}")
    ran = driftd("impact", old, new, "-o", "json")
    assert ran.code == 1
    document = ran.json()
    assert errors(document, schema_of("ReachabilityImpact")) == []
    assert document["verdict"] == "opens"
    (pair,) = document["pairs"]
    assert (pair["source"], pair["target"], pair["change"]) == ("acme-prod/api", "acme-prod/db", "changes")
    assert pair["opened"]["must"]["text"] == "TCP/5432"
    assert {cause["object"]["name"] for cause in pair["causes"]} == {"api-egress", "db-ingress"}


def test_a_call_less_closes_and_is_no_failure(old: Path, tmp_path: Path) -> None:
    ran = driftd("impact", old, edited(tmp_path, BEFORE, "calls: [{to: db}]"))
    assert ran.code == 0
    (line,) = [line for line in ran.out.splitlines() if line.startswith("-")]
    assert "acme-prod/web" in line
    assert "TCP/9090" in line
    assert "api-ingress" in line
    assert "blocked for new connections" in ran.err


def test_a_new_service_is_its_own_cause(old: Path, tmp_path: Path) -> None:
    new = edited(tmp_path, "  attachments:", "    jobs: {calls: [{to: db}]}\n  attachments:")
    document = driftd("impact", old, new, "-o", "json").json()
    (pair,) = [one for one in document["pairs"] if one["target"] == "acme-prod/db"]
    assert (pair["source"], pair["change"]) == ("acme-prod/jobs", "opens")
    assert pair["causes"][0]["sentence"] == "acme-prod/jobs is new"


def test_manifests_are_compared_too_and_a_policy_that_goes_is_the_cause(tmp_path: Path) -> None:
    before, after = tmp_path / "a", tmp_path / "b"
    for folder in (before, after):
        folder.mkdir()
    (before / "all.yaml").write_text(WORKLOADS)
    (after / "all.yaml").write_text(WORKLOADS.rpartition("---")[0])
    ran = driftd("impact", before, after, "-o", "json")
    assert ran.code == 1
    pair = ran.json()["pairs"][0]
    assert pair["causes"][0]["sentence"] == "NetworkPolicy shop/allow-web is gone"
    back = driftd("impact", after, before)
    assert back.code == 0, "the other way round only closes"


def test_policies_without_any_pods_are_judged_by_pods_that_could_be_made(tmp_path: Path) -> None:
    text = (
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p, namespace: shop}\n"
        "spec: {podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {app: web}}}]}]}\n"
    )
    before, after = tmp_path / "a", tmp_path / "b"
    for folder, selector in ((before, "matchLabels: {app: web}"), (after, "matchExpressions: []")):
        folder.mkdir()
        (folder / "p.yaml").write_text(text.replace("matchLabels: {app: web}", selector))
    ran = driftd("impact", before, after)
    assert ran.code == 1
    assert "opens for pods that could be made" in ran.out
    assert driftd("impact", after, before).code == 0


def test_what_cannot_be_read_only_matters_where_the_edit_touched_it(tmp_path: Path) -> None:
    before, after = tmp_path / "a", tmp_path / "b"
    foreign = "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: x, namespace: shop}\nspec: {}\n"
    for folder in (before, after):
        folder.mkdir()
        (folder / "all.yaml").write_text(WORKLOADS)
        (folder / "cilium.yaml").write_text(foreign)
    same = driftd("impact", before, after)
    assert same.code == 0
    assert "the same in both" in same.err
    (after / "cilium.yaml").write_text(foreign.replace("spec: {}", "spec: {egress: []}"))
    assert driftd("impact", before, after).code == 3


def test_files_are_named_from_their_revision_so_that_what_is_in_both_is_told_once(tmp_path: Path) -> None:
    before, after = tmp_path / "a", tmp_path / "b"
    for folder in (before, after):
        folder.mkdir()
        (folder / "values.yaml").write_text("replicas: 1\n")
        (folder / "bad.yaml").write_text(f"kind: [ # {folder}\n")
    ran = driftd("impact", before, after)
    assert ran.code == 3
    assert ran.err.count("values.yaml: no Kubernetes object") == 1
    assert ran.err.count("could not tell: bad.yaml: line 2") == 1


def test_markdown_is_fit_for_a_comment(old: Path, tmp_path: Path) -> None:
    new = edited(tmp_path, "serviceAccount: api}", "serviceAccount: api, calls: [{to: db}]}")
    ran = driftd("impact", old, new, "-o", "markdown")
    assert ran.out.startswith("### Network reachability: 1 opens\n")
    assert "| acme-prod/api | acme-prod/db | TCP/5432 |" in ran.out
    assert "NetworkPolicy acme-prod/db-ingress" in ran.out


def test_names_mean_nothing_to_markdown(tmp_path: Path) -> None:
    before, after = tmp_path / "a", tmp_path / "b"
    for folder in (before, after):
        folder.mkdir()
    named = WORKLOADS.replace("name: allow-web", "name: '@team|<b>[x](y)'")
    (before / "all.yaml").write_text(named)
    (after / "all.yaml").write_text(named.rpartition("---")[0])
    out = driftd("impact", before, after, "-o", "markdown").out
    assert "&#64;team\\|&lt;b&gt;\\[x\\](y)" in out


def test_revisions_of_a_git_repository_are_read_without_a_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "repo"
    repo = porcelain.init(str(root))
    with repo:
        for text in (ACME, ACME.replace(BEFORE, "calls: [{to: db}]")):
            write_model(root / "platform" / "models", acme=text, globex=GLOBEX)
            names = [str(path) for path in (root / "platform").rglob("*.yaml")]
            porcelain.add(repo, paths=names)
            porcelain.commit(repo, message=b"edit", author=b"a <a@example.org>", committer=b"a <a@example.org>")
    monkeypatch.chdir(root)
    closing = driftd("impact", "HEAD~1:platform/models", "HEAD:platform/models")
    assert (closing.code, "TCP/9090" in closing.out) == (0, True)
    opening = driftd("impact", "HEAD:platform/models", "HEAD^:platform/models")
    assert opening.code == 1
    for wrong, told in (
        ("nope:platform/models", "no revision 'nope'"),
        ("HEAD:nowhere", "has no directory 'nowhere'"),
        ("nowhere", "no such directory"),
    ):
        ran = driftd("impact", wrong, "HEAD:platform/models")
        assert (ran.code, told in ran.err) == (2, True), ran.err


def test_a_model_with_errors_is_wrong_usage(old: Path, tmp_path: Path) -> None:
    ran = driftd("impact", old, edited(tmp_path, "{to: api}", "{to: nobody}"))
    assert ran.code == 2
    assert "nobody" in ran.err
