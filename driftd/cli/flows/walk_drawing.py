"""A walk as an SVG: source, what its egress says, what the target's ingress says, target; the deciding rule marked."""

from dataclasses import dataclass
from typing import Final

from driftd.cli.flows.documents import ConnectionEntry, FlowExplanation, SideEntry, StepEntry
from driftd.cli.flows.explained import VERDICTS, kept, outcome, sentence, who
from driftd.cli.flows.svg import BLUE, FAINT, INK, LINE, ORANGE, line, page, rect, text, wrapped

_WIDTH: Final = 1270
_PANEL: Final = 420
_END: Final = 150
_GAP: Final = 30
_ROW: Final = 16
_CHARS: Final = 58
_TITLE: Final = 108
_SOURCE: Final = 160
"""Letters in a line of a card, of a title and below: of a wide typeface, since readers have any."""
_TONES: Final = {"allow": (BLUE, "#e2f0fa"), "deny": (ORANGE, "#fce9dc"), "open": ("#8a6d00", "#fdf5d3")}
_ANSWERS: Final = {"allowed": "allow", "blocked": "deny", "depends": "open"}
_DEFS: Final = (
    '<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" orient="auto">'
    f'<path d="M0 0 L10 5 L0 10 z" fill="{INK}"/></marker></defs>'
)


@dataclass(frozen=True, slots=True)
class _Card:
    """A box of lines within a panel."""

    lines: tuple[tuple[str, str], ...]
    tone: str
    mark: bool

    @property
    def height(self) -> float:
        return len(self.lines) * _ROW + 12


def drawing(document: FlowExplanation) -> str:
    """All connections of an explanation, one below the other."""
    parts: list[str] = []
    y = 20.0
    for entry in document.connections:
        y = _connection(parts, entry, document.dialect, y) + 24
    y = _legend(parts, y, document.source)
    label = "; ".join(f"{one.source} to {one.target} {VERDICTS[one.answer]}" for one in document.connections)
    return page(_WIDTH, y + 12, label, parts, _DEFS)


def _connection(parts: list[str], entry: ConnectionEntry, dialect: str, top: float) -> float:
    tone = _TONES[_ANSWERS[entry.answer]][0]
    flow = wrapped(f"{entry.source} \N{RIGHTWARDS ARROW} {entry.target} {entry.protocol}/{entry.port}", _TITLE)
    parts.append(rect(20, top, 6, 18 + 22 * len(flow), fill=tone))
    for said in flow:
        parts.append(text(34, top + 16, said, font_size=17, font_weight="bold"))
        top += 22
    parts.append(text(34, top + 14, f"{VERDICTS[entry.answer]} (dialect {dialect})", font_size=14))
    top += 36
    columns = (_cards(entry.egress), _cards(entry.ingress))
    height = max(34 + sum(card.height + 8 for card in cards) for cards in columns) + 8
    middle = top + 54
    left = 20 + _END + _GAP
    right = left + _PANEL + _GAP
    _end(parts, 20, middle, entry.source, "source")
    _end(parts, right + _PANEL + _GAP, middle, entry.target, f"{entry.protocol}/{entry.port}")
    for x, side, cards in ((left, entry.egress, columns[0]), (right, entry.ingress, columns[1])):
        _panel(parts, (x, top, height), side, cards)
    passes = entry.egress.answer != "blocked"
    _arrow(parts, 20 + _END, left, middle, passes=True)
    _arrow(parts, left + _PANEL, right, middle, passes=passes)
    _arrow(parts, right + _PANEL, right + _PANEL + _GAP, middle, passes=passes and entry.ingress.answer != "blocked")
    return top + height


def _end(parts: list[str], x: float, middle: float, name: str, below: str) -> None:
    lines = wrapped(name, 16)
    if len(lines) > 4:
        lines = [*lines[:3], f"{lines[3][:15]}\u2026"]
    height = len(lines) * _ROW + 34
    parts.append(rect(x, middle - height / 2, _END, height, rx=18, fill="#f4f4f4", stroke=INK))
    y = middle - height / 2 + 20
    for one in lines:
        parts.append(text(x + _END / 2, y, one, font_size=13, font_weight="bold", text_anchor="middle"))
        y += _ROW
    parts.append(text(x + _END / 2, y, below, font_size=12, fill=FAINT, text_anchor="middle"))


def _arrow(parts: list[str], x1: float, x2: float, y: float, *, passes: bool) -> None:
    if passes:
        parts.append(line(x1 + 2, y, x2 - 2, y, stroke=INK, stroke_width=2, marker_end="url(#tip)"))
        return
    x = (x1 + x2) / 2
    parts.append(line(x1 + 2, y, x2 - 2, y, stroke=ORANGE, stroke_width=2, stroke_dasharray="3 3"))
    parts.append(line(x - 6, y - 8, x + 6, y + 8, stroke=ORANGE, stroke_width=3))
    parts.append(line(x - 6, y + 8, x + 6, y - 8, stroke=ORANGE, stroke_width=3))


def _panel(parts: list[str], place: tuple[float, float, float], side: SideEntry, cards: list[_Card]) -> None:
    x, top, height = place
    stroke = _TONES[_ANSWERS[side.answer]][0]
    parts.append(rect(x, top, _PANEL, height, rx=6, fill="#ffffff", stroke=stroke, stroke_width=1.5))
    head = f"{side.direction} of {side.end}: {side.answer}"
    parts.append(
        text(x + 12, top + 22, head if len(head) < 48 else f"{head[:46]}\u2026", font_size=13, font_weight="bold")
    )
    y = top + 34
    for card in cards:
        edge, fill = _TONES.get(card.tone, (LINE, "#fafafa"))
        width = 2.5 if card.mark else 1
        parts.append(rect(x + 10, y, _PANEL - 20, card.height, rx=4, fill=fill, stroke=edge, stroke_width=width))
        line_y = y + 18
        for said, weight in card.lines:
            colour = INK if card.tone else FAINT
            style = {"font_style": "italic"} if weight == "italic" else {"font_weight": weight}
            parts.append(text(x + 18, line_y, said, font_size=11.5, fill=colour, **style))
            line_y += _ROW
        y += card.height + 8


def _cards(side: SideEntry) -> list[_Card]:
    steps = kept(side, misses=6)
    found = [_card(step, decided=index == side.decided_by) for index, step in steps]
    skipped = len(side.steps) - len(steps)
    if skipped:
        found.append(_Card(((f"and {skipped} more rules that do not match", "normal"),), "", mark=False))
    if side.counterfactual:
        lines = tuple((one, "italic") for one in wrapped(sentence(side.counterfactual), _CHARS))
        found.append(_Card(lines, "", mark=False))
    return found


def _card(step: StepEntry, *, decided: bool) -> _Card:
    sign = {"yes": "\N{BLACK RIGHT-POINTING TRIANGLE}", "perhaps": "?", "no": "\N{EN DASH}"}[step.matched]
    lines = [(one, "bold" if step.matched != "no" else "normal") for one in wrapped(f"{sign} {who(step)}", _CHARS - 6)]
    said = wrapped(f"{outcome(step)}; {step.why}", _CHARS)
    if len(said) > 4:
        said = [*said[:3], f"{said[3][: _CHARS - 1]}\u2026"]
    lines += [(one, "normal") for one in said]
    if step.place and step.matched != "no":
        lines += [(one, "normal") for one in wrapped(step.place, _CHARS)]
    tone = "" if step.matched == "no" else "open" if step.matched == "perhaps" or step.action == "pass" else step.action
    return _Card(tuple(lines), tone, mark=decided)


def _legend(parts: list[str], y: float, source: str) -> float:
    """What the signs mean, and what was read; the end of the drawing."""
    marks = "\N{BLACK RIGHT-POINTING TRIANGLE} matches    ? matches perhaps    \N{EN DASH} does not match"
    style = {"font_size": 12, "fill": FAINT, "xml:space": "preserve"}
    for said in (f"{marks}    thick border: decides", *wrapped(f"source: {source}", _SOURCE)):
        parts.append(text(20, y + 8, said, **style))
        y += 18
    return y
