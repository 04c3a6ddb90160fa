"""The oracle may not learn from what it judges."""

import ast
from pathlib import Path

import pytest

ORACLE = Path(__file__).parent.parent / "oracle"
MODULES = sorted(ORACLE.glob("**/*.py"))


def imported_by(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: say the whole name of what is imported"
            found.add(node.module or "")
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
            name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
            assert name not in {"__import__", "import_module"}, (
                f"{path.name}: imports by name are not seen by this test"
            )
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_an_oracle_module_imports_only_the_standard_library_and_its_siblings(path: Path) -> None:
    import sys

    foreign = {
        name
        for name in imported_by(path)
        if name.split(".")[0] not in sys.stdlib_module_names and not name.startswith("tests.oracle.")
    }
    assert not foreign


def test_there_are_oracle_modules_to_look_at() -> None:
    assert {"networkpolicy.py", "replay.py", "never_looser.py"} <= {path.name for path in MODULES}
