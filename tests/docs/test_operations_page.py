"""docs/operations.md leaves out no finding and nothing the log says above info, runbooks no direction that is open."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from driftd.paging import PageClass, Windows
from driftd.values import Direction, FindingType

_ROOT = Path(__file__).resolve().parents[2]
_DOCS = _ROOT / "docs"
_LEVELS = frozenset({"warning", "error", "exception", "critical"})
_SAID_BY_VALUE = {"setback.kind": ("store.quarantined", "store.restored"), "DISCONTINUED": ("chain.discontinued",)}
"""Events that a log call names by a value: what it may be."""


def test_every_type_of_finding_has_its_row() -> None:
    page = (_DOCS / "operations.md").read_text()
    assert [one.value for one in FindingType if f"\n| `{one.value}` |" not in page] == []


def test_every_class_of_page_is_told_after_the_time_that_its_row_says() -> None:
    table = (_DOCS / "operations.md").read_text().partition("## Who is woken")[2].partition("\n\nOne object")[0]
    rows = {name: row for row in table.splitlines() for name in re.findall("`([^`]+)`", row.split(" | ")[0])}
    told = [cls for cls in PageClass if cls not in (PageClass.STORM, PageClass.TEST)]
    assert [cls.value for cls in told if f"after {Windows().of(cls):g} s" not in rows[cls.value]] == []


def test_every_event_of_the_log_above_info_has_its_row() -> None:
    table = (_DOCS / "operations.md").read_text().partition("## When the log says")[2].partition("\n## ")[0]
    told = {name for row in re.findall(r"^\| ([^|]+) \|", table, re.MULTILINE) for name in re.findall("`([^`]+)`", row)}
    events = {event for file in (_ROOT / "driftd").rglob("*.py") for event in _events(ast.parse(file.read_bytes()))}
    assert len(events) > 30
    assert sorted(events - told) == []


def _events(tree: ast.Module) -> Iterator[str]:
    """Of every call of `_log.warning` and above, also where the level is chosen on the spot."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and any(map(_is_log, ast.walk(node.func))):
            said = ast.unparse(node.args[0])
            yield from _SAID_BY_VALUE.get(said) or (ast.literal_eval(said),)


def _is_log(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Attribute)
        and node.attr in _LEVELS
        and isinstance(node.value, ast.Name)
        and node.value.id == "_log"
    )


def test_a_runbook_that_looks_for_what_is_open_asks_for_every_direction_that_may_be() -> None:
    opening = {one.value for one in Direction} - {Direction.TIGHTENS.value, Direction.NEUTRAL.value}
    asked = {
        path.name: set(command.split()[1::2])
        for path in (_DOCS / "runbooks").glob("*.md")
        for command in _histories(path.read_text())
    }
    assert asked == dict.fromkeys(("isolation-open.md", "storm.md"), opening)


def _histories(text: str) -> list[str]:
    """What is asked for by direction, as `--direction A --direction B`."""
    found = [piece.partition("`")[0] for piece in text.split("driftd history ")[1:]]
    return [one.partition(" --since")[0] for one in found if "--direction" in one]
