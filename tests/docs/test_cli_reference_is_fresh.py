"""docs/cli.md and the documents' schemas are what the commands say now."""

from pathlib import Path

import pytest

from tests.docs.cli_reference import PAGE, PAGES, SCHEMAS


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_the_command_reference_is_what_the_commands_generate(path: Path) -> None:
    assert path.read_text() == PAGES[path](), "run `make docs` and commit docs/cli.md and deploy/schemas"


def test_no_schema_of_a_forgotten_document_lies_about() -> None:
    assert set(SCHEMAS.glob("*.json")) == {path for path in PAGES if path.parent == SCHEMAS}


def test_every_command_that_prints_a_document_prints_it_as_json_and_as_yaml() -> None:
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| `--output`")]
    assert len(rows) > 10
    assert [
        row for row in rows if not {"`json`", "`yaml`"} <= set(row.replace(",", " ").replace(".", " ").split())
    ] == []
