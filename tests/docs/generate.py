"""`make docs`: write the generated pages and schemas anew."""

from tests.docs import cli_reference, dashboards, model_reference, telemetry_page
from tests.docs.settings_page import PAGE, settings_page


def main() -> None:
    PAGE.write_text(settings_page())
    telemetry_page.PAGE.write_text(telemetry_page.telemetry_page())
    model_reference.write()
    cli_reference.write()
    dashboards.write()
    for path in (PAGE, telemetry_page.PAGE, *model_reference.PAGES, *cli_reference.PAGES, *dashboards.dashboards()):
        print(f"wrote {path.parent.name}/{path.name}")


if __name__ == "__main__":
    main()
