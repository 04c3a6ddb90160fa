"""docs/campaign.md has several writers: each replaces its own part and leaves the others' as they are."""

from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "campaign.md"


def put(page: Path, part: str, text: str) -> None:
    """Write one named part of a page; parts that are not there yet go to the end."""
    begin, end = f"<!-- {part} -->", f"<!-- end of {part} -->"
    fresh = f"{begin}\n{text.strip()}\n{end}"
    have = page.read_text() if page.exists() else ""
    if begin in have and end in have:
        before, _, rest = have.partition(begin)
        have = before + fresh + rest.partition(end)[2]
    else:
        have = f"{have.rstrip()}\n\n{fresh}\n" if have.strip() else f"{fresh}\n"
    page.write_text(have)
