"""`make docs`: write the generated pages and schemas anew."""

from tests.docs import cli_reference, dashboards, model_reference
from tests.docs.settings_page import PAGE, settings_page


def main() -> None:
    PAGE.write_text(settings_page())
    model_reference.write()
    cli_reference.write()
    dashboards.write()
    for path in (PAGE, *model_reference.PAGES, *cli_reference.PAGES, *dashboards.dashboards()):
        print(f"wrote {path.parent.name}/{path.name}")


if __name__ == "__main__":
    main()
