"""The dashboards in deploy/grafana/ are the generated ones."""

from tests.docs.dashboards import FOLDER, dashboards


def test_every_dashboard_is_as_generated_and_none_is_left_over() -> None:
    made = dashboards()
    assert {path: path.read_text() for path in FOLDER.glob("*.json")} == made, "run `make docs`"
