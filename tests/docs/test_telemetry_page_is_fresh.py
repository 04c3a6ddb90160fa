"""docs/telemetry.md names the metrics that exist."""

from tests.docs.telemetry_page import PAGE, telemetry_page


def test_the_telemetry_page_is_what_the_metrics_generate() -> None:
    assert PAGE.read_text() == telemetry_page(), "run `make docs` and commit docs/telemetry.md"
