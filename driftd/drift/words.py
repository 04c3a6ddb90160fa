"""Text from the cluster made fit for a reader: control characters escaped, long values cut."""

_LONGEST = 240


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


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
