"""`driftd lab -o json` and `-o yaml`: documents like those of all other commands."""

from pathlib import Path

import pytest
import yaml

from driftd.cli.documents import schema_of
from tests.support.cli import driftd
from tests.support.json_schema import errors


@pytest.mark.parametrize(("command", "kind"), [("doctor", "LabExamination"), ("status", "LabList")])
def test_what_the_lab_prints_as_json_or_yaml_is_a_document_with_a_schema(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, kind: str
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    document = driftd("lab", command, "-o", "json").json()
    assert list(document)[:2] == ["apiVersion", "kind"]
    assert document["kind"] == kind
    assert errors(document, schema_of(kind)) == []
    shown = yaml.safe_load(driftd("lab", command, "-o", "yaml").out)
    assert (shown["kind"], shown.keys()) == (kind, document.keys())


def test_the_address_of_a_lab_stands_at_the_top_of_its_document_under_the_names_that_scripts_know() -> None:
    required = schema_of("Lab")["required"]
    assert isinstance(required, list)
    assert {"name", "kubeconfig", "server", "audit_log", "data_dir", "pids", "nodes"} <= set(required)


def test_people_get_a_line_a_field_and_no_version(tmp_path: Path) -> None:
    ran = driftd("lab", "down", "--all", env={"XDG_STATE_HOME": str(tmp_path)})
    assert (ran.code, ran.out) == (0, "ended: \n")
