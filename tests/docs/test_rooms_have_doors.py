"""What docs/architecture.md says of doors: a room is entered by what its `__init__` re-exports."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
DEEPER = {
    ("drift", "driftd.policy.reach.pods"),
    ("app", "driftd.telemetry.otlp"),  # loaded only where a collector is named
}
"""Who goes past which door, besides `cli`: docs/architecture.md names them."""


def past_doors() -> Iterator[tuple[str, str]]:
    """Rooms, each with a module inside of another room that it imports from."""
    for path in (ROOT / "driftd").rglob("*.py"):
        here = path.relative_to(ROOT).parts
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.ImportFrom) or not (node.module or "").startswith("driftd."):
                continue
            there = str(node.module).split(".")
            is_door = len(there) == 2 or ROOT.joinpath(*there).is_dir()
            if not is_door and there[1] != here[1]:
                yield here[1], str(node.module)


def test_only_the_commands_and_the_named_few_go_past_a_door() -> None:
    found = set(past_doors())
    assert {one for one in found if one[0] != "cli"} == DEEPER
    assert ("cli", "driftd.cluster.wire") in found, "the search finds what is there"
