"""What the cluster holds made fit for a reader: control characters escaped, long values cut, large counts rounded."""

_LONGEST = 240
_STEPS = (20, 50, 100, 500, 1_000, 5_000, 10_000, 50_000, 100_000)


def shown(text: str, longest: int = _LONGEST) -> str:
    """`text` on one line, at most `longest` characters; what a terminal or a log would act upon is escaped.

    Everything that Python does not call printable is escaped: control characters, line and paragraph separators,
    lone surrogates, and the marks that turn the direction of text around.
    """
    cut = text if len(text) <= longest else f"{text[: longest - 1]}…"
    if cut.isprintable():
        return cut
    escaped = "".join(one if one.isprintable() else _escape(one) for one in cut)
    return escaped if len(escaped) <= longest else f"{escaped[: longest - 1]}…"


def roughly(count: int) -> str:
    """How many there are, in words that rarely change: a finding is stored and logged anew whenever its text does."""
    below = max((step for step in _STEPS if step < count), default=0)
    return f"more than {below:,}" if below else f"up to {_STEPS[0]}"


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
