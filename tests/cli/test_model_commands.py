"""`driftd compile`, `lint` and `schema`: the model alone."""

from pathlib import Path

import pytest
import yaml

from driftd.cli.documents import DOCUMENTS, schema_of
from tests.support.cli import driftd, write_model
from tests.support.json_schema import errors
from tests.support.model_texts import environment
from tests.support.models import compiled_example

EXAMPLE = Path(__file__).parents[2] / "models"
LONELY = environment("shop", "acme").replace("    web:", "    lonely:\n      ports: {http: 8080}\n    web:")


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return write_model(tmp_path / "models", shop=environment("shop", "acme"), desk=environment("desk", "globex"))


def test_compile_prints_one_list_that_is_what_the_daemon_wants() -> None:
    listed = driftd("compile", "--models", EXAMPLE, "-o", "json").json()
    assert (listed["apiVersion"], listed["kind"]) == ("v1", "List")
    compiled = compiled_example()
    assert listed["items"] == [one.body() for each in compiled.governed.values() for one in each.objects.values()]


def test_compile_prints_yaml_documents_that_mean_the_same() -> None:
    text = driftd("compile", "--models", EXAMPLE).out
    items = driftd("compile", "--models", EXAMPLE, "-o", "json").json()["items"]
    assert list(yaml.safe_load_all(text)) == items


def test_compile_can_be_narrowed_to_a_tenant_or_a_namespace(models: Path) -> None:
    rows = driftd("compile", "--models", models, "--tenant", "globex", "-o", "table").out.splitlines()
    assert rows[0].split() == ["NAMESPACE", "TENANT", "KIND", "NAME", "MODE", "MODEL"]
    assert {row.split()[0] for row in rows[1:]} == {"desk"}
    items = driftd("compile", "--models", models, "-n", "shop", "-o", "json").json()["items"]
    assert {one["metadata"].get("namespace", "shop") for one in items} == {"shop"}
    assert driftd("compile", "--models", models, "-n", "nowhere").code == 2


def test_lint_is_quiet_about_a_good_model() -> None:
    ran = driftd("lint", "--models", EXAMPLE)
    assert (ran.code, ran.out) == (0, "")
    assert "0 errors, 0 warnings" in ran.err


def test_lint_tells_errors_by_place_with_their_fix(models: Path) -> None:
    (models / "desk.yaml").write_text(environment("desk", "globex", namespace="shop"))
    ran = driftd("lint", "--models", models)
    assert ran.code == 1
    (line,) = ran.out.splitlines()
    assert line.startswith(f"{models}/")
    assert ".yaml:" in line
    assert "error:" in line
    assert "Fix: " in line


def test_warnings_never_change_the_exit_code(tmp_path: Path) -> None:
    ran = driftd("lint", "--models", write_model(tmp_path / "m", shop=LONELY), "-o", "json")
    assert ran.code == 0
    report = ran.json()
    assert report["valid"]
    assert report["warnings"] == len(report["problems"]) == 1
    assert report["problems"][0]["file"] == "shop.yaml"
    assert errors(report, schema_of("LintReport")) == []


def test_what_only_the_compiler_sees_is_linted_too(models: Path) -> None:
    (models / "twice.yaml").write_text(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n"
        "metadata: {name: default-deny, namespace: shop}\nspec: {podSelector: {}}\n"
    )
    ran = driftd("lint", "--models", models, "-o", "json")
    assert ran.code == 1
    assert "already what shop.yaml:1" in ran.json()["problems"][0]["message"]
    assert errors(ran.json(), schema_of("LintReport")) == []


def test_a_model_that_cannot_be_read_is_exit_code_three(models: Path) -> None:
    (models / "gone.yaml").symlink_to(models / "nowhere")
    for command in ("lint", "compile"):
        ran = driftd(command, "--models", models)
        assert (ran.code, ran.out) == (3, "")
        assert "cannot be read" in ran.err


def test_every_document_has_a_schema_and_the_model_has_one() -> None:
    listed = driftd("schema", "--list").out
    for kind in DOCUMENTS:
        assert f"\n{kind} " in listed
        assert driftd("schema", kind).json() == schema_of(kind)
    assert driftd("schema").json() == driftd("schema", "Model").json()
    assert "Environment" in driftd("schema").out
    assert driftd("schema", "Nonsense").code == 2
