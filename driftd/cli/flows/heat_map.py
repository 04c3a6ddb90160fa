"""A square of who and whom as an SVG: a cell an ordered pair, its exact connections in words where there is room."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from driftd.cli.flows.svg import FAINT, INK, LINE, ORANGE, line, page, rect, text, wrapped

NODES: Final = "the cluster's nodes"
OUTSIDE: Final = "outside the cluster"
"""Names of the last rows and columns."""
_LABEL: Final = 6.6
"""Width of a letter of a label."""
_LONGEST: Final = 44
HATCH: Final = "url(#perhaps)"
_DEFS: Final = (
    '<defs><pattern id="perhaps" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
    f'<line x1="0" y1="0" x2="0" y2="6" stroke="{INK}" stroke-width="1.2" stroke-opacity="0.45"/></pattern></defs>'
)


@dataclass(frozen=True, slots=True)
class Square:
    """One cell: where, how it looks, what stands in it, and what a pointer over it tells."""

    source: str
    target: str
    fill: str
    short: str
    told: str
    hatched: bool = False
    framed: bool = False


@dataclass(frozen=True, slots=True)
class Key:
    """One entry of the legend."""

    fill: str
    said: str
    hatched: bool = False
    framed: bool = False


@dataclass(frozen=True, slots=True)
class Chart:
    """Everything that is drawn. `groups` are rows and columns alike, by namespace; `beyond` follow."""

    title: str
    subtitle: str
    groups: tuple[str, ...]
    squares: tuple[Square, ...]
    beyond: tuple[str, ...]
    legend: tuple[Key, ...]


def heat_map(chart: Chart) -> str:
    """The drawing."""
    return _Drawing(chart).drawn()


class _Drawing:
    """One drawing in the making: sizes first, then the parts."""

    def __init__(self, chart: Chart) -> None:
        self._chart = chart
        self._names = (*chart.groups, *chart.beyond)
        count = len(self._names)
        self._cell = 58.0 if count <= 14 else max(9.0, min(44.0, 1100.0 / count))
        self._font = min(12.0, self._cell * 0.8)
        longest = max(len(clipped(name)) for name in self._names)
        self._left = 40 + longest * _LABEL * self._font / 12
        self._top = 96 + longest * _LABEL * self._font / 12 * 0.75
        self._at = {name: index * self._cell for index, name in enumerate(self._names)}
        self._side = count * self._cell
        self._parts: list[str] = []

    def drawn(self) -> str:
        chart = self._chart
        tail = longest_tail(self._names, self._font)
        width = max(self._left + self._side + tail + 20, 20 + max(len(chart.title) * 10, len(chart.subtitle) * 7), 640)
        self._parts.append(text(20, 32, chart.title, font_size=19, font_weight="bold"))
        self._parts.append(text(20, 54, chart.subtitle, font_size=13, fill=FAINT))
        self._grid()
        for square in chart.squares:
            self._square(square)
        self._bands()
        self._labels()
        bottom = self._legend(self._top + self._side + 34, width)
        return page(width, bottom + 16, f"{chart.title}. {chart.subtitle}", self._parts, _DEFS)

    def _grid(self) -> None:
        self._parts.append(rect(self._left, self._top, self._side, self._side, fill="#fbfbfb", stroke=LINE))
        for offset in self._at.values():
            x, y = self._left + offset, self._top + offset
            self._parts.append(line(x, self._top, x, self._top + self._side, stroke="#e6e6e6"))
            self._parts.append(line(self._left, y, self._left + self._side, y, stroke="#e6e6e6"))
            if self._cell >= 12:
                self._parts.append(line(x, y, x + self._cell, y + self._cell, stroke="#e0e0e0"))

    def _square(self, square: Square) -> None:
        x, y = self._left + self._at[square.target], self._top + self._at[square.source]
        size = self._cell - 1
        self._parts.append(rect(x + 0.5, y + 0.5, size, size, fill=square.fill, said=square.told))
        if square.hatched:
            self._parts.append(rect(x + 0.5, y + 0.5, size, size, fill=HATCH, pointer_events="none"))
        if square.framed:
            frame = {"fill": "none", "stroke": ORANGE, "pointer_events": "none"}
            width = f"{max(1.5, min(3.0, self._cell / 14)):g}"
            self._parts.append(rect(x + 2, y + 2, size - 3, size - 3, stroke_width=width, **frame))
        if self._cell < 26 or not square.short:
            return
        lines = wrapped(square.short, max(4, int(self._cell / 6.2)))[:3]
        size = 10.5 if self._cell >= 50 else 8.5
        first = y + self._cell / 2 + size * 0.36 - (len(lines) - 1) * size * 0.56
        for index, said in enumerate(lines):
            style = {"font_size": f"{size:g}", "text_anchor": "middle", "pointer_events": "none"}
            if square.hatched:
                style |= {"paint_order": "stroke", "stroke": square.fill, "stroke_width": "3"}
            self._parts.append(text(x + self._cell / 2, first + index * size * 1.12, said, **style))

    def _bands(self) -> None:
        """A stronger line where one namespace ends and the next begins."""
        before, beyond = "", self._chart.beyond
        for name, offset in self._at.items():
            band = name.partition("/")[0]
            if before and band != before and ("/" in name or name in beyond or len(self._names) < 40):
                x, y = self._left + offset, self._top + offset
                style = {"stroke": "#7a7a7a", "stroke_width": 1.2 if "/" in name or name in beyond else 0.4}
                self._parts.append(line(x, self._top, x, self._top + self._side, **style))
                self._parts.append(line(self._left, y, self._left + self._side, y, **style))
            before = band

    def _labels(self) -> None:
        size = {"font_size": round(self._font, 1)}
        for name, offset in self._at.items():
            middle = offset + self._cell / 2
            y = self._top + middle + self._font * 0.35
            self._parts.append(text(self._left - 8, y, clipped(name), text_anchor="end", **size))
            x = self._left + middle + self._font * 0.2
            turn = f"rotate(-48 {x:g} {self._top - 8:g})"
            self._parts.append(text(x, self._top - 8, clipped(name), transform=turn, **size))
        bold = {"font_size": 13, "font_weight": "bold"}
        self._parts.append(text(self._left - 8, self._top - 26, "to \N{NORTH EAST ARROW}", text_anchor="end", **bold))
        self._parts.append(text(self._left - 8, self._top - 8, "from \N{DOWNWARDS ARROW}", text_anchor="end", **bold))

    def _legend(self, top: float, width: float) -> float:
        x, y = 20.0, top
        for key in self._chart.legend:
            room = 30 + len(key.said) * 6.6 + 20
            if x + room > width and x > 20:
                x, y = 20.0, y + 26
            self._parts.append(rect(x, y - 13, 18, 18, fill=key.fill, stroke=LINE))
            if key.hatched:
                self._parts.append(rect(x, y - 13, 18, 18, fill=HATCH))
            if key.framed:
                self._parts.append(rect(x + 1.5, y - 11.5, 15, 15, fill="none", stroke=ORANGE, stroke_width=2.5))
            self._parts.append(text(x + 26, y, key.said, font_size=12))
            x += room
        return y + 10


def clipped(name: str) -> str:
    """A name as a label: of a long one both ends; what a pointer shows is whole."""
    return name if len(name) <= _LONGEST else f"{name[:26]}\u2026{name[-17:]}"


def longest_tail(names: Sequence[str], font: float) -> float:
    """How far the slanted labels above the last columns reach to the right of the square."""
    last = names[-max(1, len(names) // 3) :]
    return max(len(clipped(name)) for name in last) * _LABEL * font / 12 * 0.7
