"""`make docs`: write the generated pages anew."""

from tests.docs.settings_page import PAGE, settings_page


def main() -> None:
    PAGE.write_text(settings_page())
    print(f"wrote docs/{PAGE.name}")


if __name__ == "__main__":
    main()
