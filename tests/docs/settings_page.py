"""docs/settings.md, made from the settings classes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from driftd.settings import Settings

PAGE = Path(__file__).resolve().parents[2] / "docs" / "settings.md"

HEAD = """# Settings

Every process setting, made from the classes in `driftd/settings.py` (`make docs`). Each is an environment variable of
`driftd run`; the flags `--models`, `--kubeconfig`, `--namespace` and `--data-dir` go before them. What concerns tenants
is not here but in the model.
"""


def _bounds(field: FieldInfo) -> str:
    found = []
    for rule in field.metadata:
        for name, sign in (
            ("gt", ">"),
            ("ge", ">="),
            ("lt", "<"),
            ("le", "<="),
            ("min_length", "length >="),
            ("max_length", "length <="),
        ):
            value = getattr(rule, name, None)
            if value is not None:
                found.append(f"{sign} {value:g}")
    return ", ".join(found)


def _default(field: FieldInfo) -> str:
    if field.default_factory is not None:
        return "(from another setting)" if field.default_factory_takes_validated_data else "(from the environment)"
    value: Any = field.default
    if isinstance(value, SecretStr) or value in (None, "", ()):
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _rows(model: type[BaseModel], prefix: str) -> Iterator[str]:
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            continue
        bounds = _bounds(field)
        text = (field.description or "") + (f" ({bounds})" if bounds else "")
        yield f"| `{prefix}{name.upper()}` | {_default(field)} | {text} |"


def _sections(model: type[BaseModel], path: tuple[str, ...]) -> Iterator[str]:
    """A part's own variables, then its parts', however deep they lie."""
    if path:
        yield f"\n## {'.'.join(path)}\n\n{model.__doc__}\n"
    prefix = "DRIFTD_" + "".join(f"{name.upper()}__" for name in path)
    yield "\n".join(("| variable | default | meaning |", "|---|---|---|", *_rows(model, prefix)))
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _sections(kind, (*path, name))


def settings_page() -> str:
    """The whole page as Markdown."""
    return "\n".join((HEAD, *_sections(Settings, ()))) + "\n"
