"""The impact of an edit as Markdown, fit for a comment on a pull request."""

from collections.abc import Iterable, Iterator
from typing import Final

from driftd.cli.flows.differences import Told
from driftd.cli.flows.impact_document import Impact
from driftd.values import Direction

_ROWS: Final = 60
"""Changes in one table; hosts of code cut long comments off. The rest is counted."""
_ESCAPED: Final = str.maketrans({one: f"\\{one}" for one in "\\`*_[]<>|#~&@"})


def impact_markdown(found: Impact) -> str:
    """The whole comment."""
    return "\n".join(_lines(found)) + "\n"


def _lines(found: Impact) -> Iterator[str]:
    told = found.difference.told
    opening = [one for one in told if one.opened]
    closing = [one for one in told if one.closed]
    crossing = [one for one in opening if one.crosses]
    yield "### Network reachability: " + _headline(found, len(opening), len(closing))
    yield ""
    if crossing:
        count = len(crossing)
        yield f"**{count} {'pair' if count == 1 else 'pairs'} of different tenants can talk that could not before.**"
        yield ""
    if opening:
        yield "#### Opens"
        yield ""
        yield from _table(sorted(opening, key=lambda one: not one.crosses), opening=True)
    if closing:
        yield "#### Closes"
        yield ""
        yield from _table(closing, opening=False)
    if found.tomorrow.direction in (Direction.LOOSENS, Direction.MIXED) and not opening:
        yield "#### Opens for pods that could be made"
        yield ""
        yield "No pod that is known gains anything, but pods made later would:"
        yield ""
        yield from (f"- {_safe(one)}" for one in found.tomorrow.examples)
        yield ""
    if found.unread or found.tomorrow.direction is Direction.UNKNOWN:
        yield "#### Could not be told"
        yield ""
        yield from (f"- {_safe(str(one))}" for one in found.unread)
        if found.tomorrow.direction is Direction.UNKNOWN:
            yield "- the edit touches more kinds of pods than could be tried"
        yield ""
    if found.remarks:
        yield "<details><summary>Notes</summary>"
        yield ""
        yield from (f"- {_safe(one)}" for one in found.remarks)
        yield ""
        yield "</details>"
        yield ""
    yield f"<sub>{_safe(found.before.source)} to {_safe(found.after.source)}; dialect {found.after.dialect}</sub>"


def _headline(found: Impact, opening: int, closing: int) -> str:
    parts = [f"{opening} {'opens' if opening == 1 else 'open'}"] * bool(opening)
    parts += [f"{closing} {'closes' if closing == 1 else 'close'}"] * bool(closing)
    if found.unknown:
        parts.append("not all could be told")
    if not parts:
        return "opens for pods that could be made" if found.opens else "nothing changes"
    return ", ".join(parts)


def _table(rows: list[Told], *, opening: bool) -> Iterator[str]:
    yield "| from | to | connections | by |"
    yield "|---|---|---|---|"
    for one in rows[:_ROWS]:
        mark = " **(crosses tenants)**" if one.crosses and opening else ""
        traffic = _safe(one.opened if opening else one.closed)
        by = "<br>".join(_causes(one))
        yield f"| {_safe(one.source)} | {_safe(one.target)}{mark} | {traffic} | {by} |"
    if len(rows) > _ROWS:
        yield f"| | | and {len(rows) - _ROWS} more | |"
    yield ""


def _causes(one: Told) -> Iterable[str]:
    for cause in one.entry.causes:
        yield _safe(f"{cause.sentence} ({cause.place})" if cause.place else cause.sentence)


def _safe(text: str) -> str:
    """Text without meaning to Markdown, HTML or whoever is mentioned with an @."""
    plain = "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in text)
    return (
        plain.translate(_ESCAPED)
        .replace("\\<", "&lt;")
        .replace("\\>", "&gt;")
        .replace("\\@", "&#64;")
        .replace("\\&", "&amp;")
    )
