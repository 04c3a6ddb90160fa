"""SVG as text: escaped, with the few colours and shapes that driftd's drawings are made of.

Colours are from Okabe and Ito's palette, which people with any common colour vision tell apart; no meaning hangs on
colour alone. Text is dark on light whatever the page around it is.
"""

from typing import Final
from xml.sax.saxutils import escape, quoteattr

INK: Final = "#111111"
FAINT: Final = "#5a5a5a"
LINE: Final = "#c4c4c4"
PAPER: Final = "#ffffff"
BLUE: Final = "#0072B2"
ORANGE: Final = "#D55E00"
FONT: Final = "Helvetica, Arial, 'DejaVu Sans', sans-serif"


def text(x: float, y: float, said: str, **attributes: object) -> str:
    """One line of text; a `transform` or `text_anchor` among the attributes."""
    return f'<text x="{x:g}" y="{y:g}"{_attributes(attributes)}>{escape(_plain(said))}</text>'


def rect(x: float, y: float, width: float, height: float, *, said: str = "", **attributes: object) -> str:
    """A rectangle, with a tooltip if something is said."""
    head = f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}"{_attributes(attributes)}'
    return f"{head}><title>{escape(_plain(said))}</title></rect>" if said else f"{head}/>"


def line(x1: float, y1: float, x2: float, y2: float, **attributes: object) -> str:
    """A line."""
    return f'<line x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}"{_attributes(attributes)}/>'


def page(width: float, height: float, label: str, parts: list[str], defs: str = "") -> str:
    """The whole drawing."""
    size = f'width="{width:g}" height="{height:g}" viewBox="0 0 {width:g} {height:g}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label={quoteattr(_plain(label))}'
    body = "\n".join(parts)
    ground = rect(0, 0, width, height, fill=PAPER)
    return (
        f'{head} font-family="{FONT}" fill="{INK}">\n<title>{escape(_plain(label))}</title>\n{defs}\n{ground}\n'
        f"{body}\n</svg>"
    )


def wrapped(said: str, width: int) -> list[str]:
    """Lines of at most `width` characters, cut at spaces, or anywhere in a longer word."""
    lines: list[str] = []
    rest = _plain(said)
    while len(rest) > width:
        cut = rest.rfind(" ", width // 2, width + 1)
        cut = width if cut < 0 else cut
        lines.append(rest[:cut].rstrip())
        rest = rest[cut:].lstrip()
    return [*lines, rest] if rest or not lines else lines


def _attributes(attributes: dict[str, object]) -> str:
    return "".join(f" {name.replace('_', '-')}={quoteattr(str(value))}" for name, value in attributes.items())


def _plain(said: str) -> str:
    """Without characters that XML forbids: names come from whoever may write to the cluster."""
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in said)
