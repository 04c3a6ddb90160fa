"""docs/operations.md leaves out no finding that driftd may tell, and runbooks no direction that counts as open."""

from pathlib import Path

from driftd.values import Direction, FindingType

_DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_every_type_of_finding_has_its_row() -> None:
    page = (_DOCS / "operations.md").read_text()
    assert [one.value for one in FindingType if f"\n| `{one.value}` |" not in page] == []


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
