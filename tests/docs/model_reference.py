"""docs/model.md and the JSON Schema for editors, made from the model's classes."""

from collections.abc import Callable, Mapping
from pathlib import Path

from driftd.model.reference import SCHEMA_FILE, json_schema_text, markdown

_ROOT = Path(__file__).resolve().parents[2]

PAGES: Mapping[Path, Callable[[], str]] = {
    _ROOT / "docs" / "model.md": markdown,
    _ROOT / "deploy" / "schemas" / SCHEMA_FILE: json_schema_text,
}
"""What each generated file must hold."""


def write() -> None:
    """Write the files anew."""
    for path, text in PAGES.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text())


if __name__ == "__main__":
    write()
