"""The model's page and schema are what the classes say now."""

from pathlib import Path

import pytest

from tests.docs.model_reference import PAGES


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_the_model_reference_is_what_the_classes_generate(path: Path) -> None:
    assert path.read_text() == PAGES[path](), "run: python -m tests.docs.model_reference"
