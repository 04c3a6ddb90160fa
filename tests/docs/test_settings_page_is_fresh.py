"""docs/settings.md says what the settings classes say."""

from tests.docs.settings_page import PAGE, settings_page


def test_the_settings_page_is_what_the_classes_generate() -> None:
    assert PAGE.read_text() == settings_page(), "run `make docs` and commit docs/settings.md"
