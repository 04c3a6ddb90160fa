"""docs/settings.md says what the settings classes say."""

from driftd.settings import Settings
from tests.docs.settings_page import PAGE, settings_page


def test_the_settings_page_is_what_the_classes_generate() -> None:
    assert PAGE.read_text() == settings_page(), "run `make docs` and commit docs/settings.md"


def test_every_setting_that_there_is_has_its_row_in_the_page() -> None:
    variables = _variables(Settings().model_dump(), "DRIFTD")
    assert "DRIFTD_MODEL__GIT__URL" in variables
    page = PAGE.read_text()
    assert [one for one in variables if f"| `{one}` |" not in page] == []


def _variables(values: dict[str, object], above: str) -> list[str]:
    """The variables of a tree of values: told by what settings hold, not by the classes that the page is made from."""
    found: list[str] = []
    for name, value in values.items():
        variable = f"{above}{'__' if above != 'DRIFTD' else '_'}{name.upper()}"
        found += _variables(value, variable) if isinstance(value, dict) else [variable]
    return found
