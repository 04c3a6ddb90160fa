"""docs/cli.md and the documents' schemas are what the commands say now."""

from pathlib import Path

import pytest

from tests.docs.cli_reference import PAGES, SCHEMAS


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_the_command_reference_is_what_the_commands_generate(path: Path) -> None:
    assert path.read_text() == PAGES[path](), "run `make docs` and commit docs/cli.md and deploy/schemas"


def test_no_schema_of_a_forgotten_document_lies_about() -> None:
    assert set(SCHEMAS.glob("*.json")) == {path for path in PAGES if path.parent == SCHEMAS}
