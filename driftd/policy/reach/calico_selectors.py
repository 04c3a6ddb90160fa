"""Calico's selector language, read into the one selector algebra.

Grammar as in Calico's `libcalico-go/lib/selector`: `||` binds weakest, then `&&`, then any number of `!`; texts stand
in single or double quotes and know no escapes; only space and tab are white; an empty text is `all()`.
"""

import re
from functools import lru_cache
from typing import Final

from driftd.policy.reach.selectors import (
    ALWAYS,
    Always,
    And,
    Global,
    Has,
    In,
    MalformedSelector,
    Not,
    Or,
    Selector,
    Text,
)

_TOKEN: Final = re.compile(
    r"""[ \t]*(?:
      (?P<text>'[^']*'|"[^"]*")
    | (?P<mark>&&|\|\||==|!=|!|\(|\)|\{|\}|,)
    | (?P<word>[A-Za-z0-9_./-]+)
    )""",
    re.VERBOSE,
)
_Token = tuple[str, str]
_END: Final[_Token] = ("end", "the end")


_SHORT: Final = 512
"""Characters of a text that is remembered: a tenant's may be as long as an object, and would outlive it."""


def calico_selector(text: str) -> Selector:
    """The selector a text means. Raises MalformedSelector with the place and what was expected there."""
    read = _selector if len(text) <= _SHORT else _selector.__wrapped__
    return read(text)


@lru_cache(maxsize=8_192)
def _selector(text: str) -> Selector:
    parser = _Parser(text)
    if parser.peek() == _END:
        return ALWAYS
    found = parser.either()
    parser.expect("end")
    return found


def endpoint_selector(text: str) -> Selector:
    """The same where `global()` is not legal: anywhere but in the namespaceSelector of a rule."""
    found = calico_selector(text)
    if _says_global(found):
        raise MalformedSelector(f"selector {text!r}: global() belongs into the namespaceSelector of a rule alone")
    return found


def _says_global(selector: Selector) -> bool:
    match selector:
        case Global():
            return True
        case Not(inner):
            return _says_global(inner)
        case And(parts) | Or(parts):
            return any(map(_says_global, parts))
        case _:
            return False


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = _tokens(text)
        self._at = 0

    def peek(self, ahead: int = 0) -> _Token:
        index = self._at + ahead
        return self._tokens[index] if index < len(self._tokens) else _END

    def take(self) -> _Token:
        found = self.peek()
        self._at += 1
        return found

    def expect(self, *wanted: str) -> str:
        kind, value = self.take()
        if kind not in wanted and value not in wanted:
            raise MalformedSelector(f"selector {self._text!r}: found {value}, expected {' or '.join(wanted)}")
        return value

    def either(self) -> Selector:
        parts = [self.both()]
        while self.peek() == ("mark", "||"):
            self.take()
            parts.append(self.both())
        return parts[0] if len(parts) == 1 else Or(tuple(parts))

    def both(self) -> Selector:
        parts = [self.one()]
        while self.peek() == ("mark", "&&"):
            self.take()
            parts.append(self.one())
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def one(self) -> Selector:
        negated = False
        while self.peek() == ("mark", "!"):
            self.take()
            negated = not negated
        found = self.plain()
        return Not(found) if negated else found

    def plain(self) -> Selector:
        if self.peek() == ("mark", "("):
            self.take()
            found = self.either()
            self.expect(")")
            return found
        word = self.expect("word")
        if self.peek() == ("mark", "(") and word in ("has", "all", "global"):
            self.take()
            return self.call(word)
        return self.comparison(word)

    def call(self, name: str) -> Selector:
        if name == "has":
            key = self.expect("word")
            self.expect(")")
            return Has(key)
        self.expect(")")
        return Always() if name == "all" else Global()

    def comparison(self, key: str) -> Selector:
        operator = self.expect("==", "!=", "in", "not", "contains", "starts", "startswith", "ends", "endswith")
        match operator:
            case "==":
                return In(key, (self.text(),))
            case "!=":
                return Not(In(key, (self.text(),)))
            case "in":
                return In(key, self.set())
            case "not":
                self.expect("in")
                return Not(In(key, self.set()))
            case "contains":
                return Text(key, "contains", self.text())
            case "starts" | "ends":
                self.expect("with")
        return Text(key, "starts with" if operator.startswith("starts") else "ends with", self.text())

    def text(self) -> str:
        kind, value = self.take()
        if kind != "text":
            raise MalformedSelector(f"selector {self._text!r}: found {value}, expected a text in quotes")
        return value[1:-1]

    def set(self) -> tuple[str, ...]:
        self.expect("{")
        found: set[str] = set()
        while self.peek() != ("mark", "}"):
            found.add(self.text())
            if self.peek() != ("mark", ","):
                break
            self.take()
        self.expect("}")
        return tuple(sorted(found))


def _tokens(text: str) -> list[_Token]:
    found: list[_Token] = []
    at = 0
    stripped = text.rstrip(" \t")
    while at < len(stripped):
        match = _TOKEN.match(stripped, at)
        if match is None or match.lastgroup is None:
            raise MalformedSelector(f"selector {text!r}: nothing valid starts at character {at + 1}")
        found.append((match.lastgroup, match.group(match.lastgroup)))
        at = match.end()
    return found
