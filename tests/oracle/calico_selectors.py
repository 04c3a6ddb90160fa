"""Calico's selector language: a small parser and evaluator, from its documentation and grammar.

    expression := and ("||" and)*          and := term ("&&" term)*          term := "!"* (test | "(" expression ")")
    test := "all()" | "global()" | "has(" label ")" | label ("==" | "!=") string
          | label ("contains" | "starts with" | "ends with") string | label ("in" | "not in") "{" string,* "}"

Strings stand in single or double quotes and know no escapes. Only space and tab separate. Empty text selects all.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.oracle.selectors import NotAcceptedError

Labels = Mapping[str, str]
Test = Callable[[Labels], bool]

NAMESPACE = "projectcalico.org/namespace"

LABEL = r"[A-Za-z0-9_./-]+"
TOKEN = re.compile(
    rf"""[ \t]*(?:
      (?P<symbol> \|\| | && | == | != | ! | \( | \) | \{{ | \}} | , )
    | "(?P<double> [^"]* )" | '(?P<single> [^']* )'
    | has\([ \t]*(?P<has> {LABEL} )[ \t]*\)
    | (?P<all> all\([ \t]*\) ) | (?P<global> global\([ \t]*\) )
    | (?P<word> {LABEL} )
    )""",
    re.VERBOSE,
)
OPERATOR = re.compile(r"[ \t]*(contains|starts[ \t]*with|ends[ \t]*with|not[ \t]*in|in)")


@dataclass(frozen=True)
class Token:
    kind: str
    value: str


def matches(text: str, labels: Labels, *, prefix: str = "", over_namespaces: bool = False) -> bool:
    """Whether a selector matches labels.

    `prefix` goes before every label it names (a namespaceSelector reads the labels that endpoints inherit from their
    namespace). `over_namespaces`: all() means "in any namespace", global() "in none"; elsewhere all() is everybody.
    """
    parser = _Parser(tokens(text), prefix, over_namespaces=over_namespaces)
    return parser.parse()(labels)


def tokens(text: str) -> list[Token]:
    """The words of a selector; what follows a label is an operator, never another label."""
    found: list[Token] = []
    at = 0
    while text[at:].strip(" \t"):
        operator = OPERATOR.match(text, at) if found and found[-1].kind == "word" else None
        if operator:
            found.append(Token("operator", re.sub(r"[ \t]", "", operator.group(1))))
            at = operator.end()
            continue
        token = TOKEN.match(text, at)
        if token is None or token.lastgroup is None or (found and found[-1].kind == "word" == token.lastgroup):
            raise NotAcceptedError(f"selector {text!r}: unexpected characters at {at}")
        kind = "string" if token.lastgroup in ("double", "single") else token.lastgroup
        found.append(Token(kind, token.group(token.lastgroup)))
        at = token.end()
    return found


class _Parser:
    def __init__(self, words: list[Token], prefix: str, *, over_namespaces: bool) -> None:
        self.words = words
        self.prefix = prefix
        self.over_namespaces = over_namespaces
        self.at = 0

    def parse(self) -> Test:
        if not self.words:
            return lambda labels: True
        found = self.any_of()
        if self.at < len(self.words):
            raise NotAcceptedError(f"selector ends at {self.words[self.at]}")
        return found

    def any_of(self) -> Test:
        parts = [self.all_of()]
        while self.took("||"):
            parts.append(self.all_of())
        return lambda labels: any(part(labels) for part in parts)

    def all_of(self) -> Test:
        parts = [self.term()]
        while self.took("&&"):
            parts.append(self.term())
        return lambda labels: all(part(labels) for part in parts)

    def term(self) -> Test:
        negated = False
        while self.took("!"):
            negated = not negated
        inner = self.test()
        return (lambda labels: not inner(labels)) if negated else inner

    def test(self) -> Test:
        token = self.next()
        match token:
            case Token("symbol", "("):
                inner = self.any_of()
                self.expect(")")
                return inner
            case Token("all"):
                return (lambda labels: NAMESPACE in labels) if self.over_namespaces else (lambda labels: True)
            case Token("global"):
                if not self.over_namespaces:
                    raise NotAcceptedError("global() outside of a namespaceSelector")
                return lambda labels: NAMESPACE not in labels
            case Token("has", key):
                full = self.prefix + key
                return lambda labels: full in labels
            case Token("word", key):
                return self.comparison(self.prefix + key)
        raise NotAcceptedError(f"unexpected {token}")

    def comparison(self, key: str) -> Test:
        operator = self.next().value
        if operator in ("in", "notin"):
            values = self.set_of_strings()
            # A label that is missing is in no set: "not in" matches then.
            if operator == "in":
                return lambda labels: labels.get(key) in values
            return lambda labels: labels.get(key) not in values
        value = self.string()
        if operator == "==":
            return lambda labels: labels.get(key) == value
        if operator == "!=":
            # A label that is missing is different from any value.
            return lambda labels: labels.get(key) != value
        # The rest looks into the label's value, so the label must be there.
        if operator == "contains":
            return lambda labels: key in labels and value in labels[key]
        if operator == "startswith":
            return lambda labels: key in labels and labels[key].startswith(value)
        if operator == "endswith":
            return lambda labels: key in labels and labels[key].endswith(value)
        raise NotAcceptedError(f"operator {operator}")

    def set_of_strings(self) -> set[str | None]:
        self.expect("{")
        found: set[str | None] = set()
        while not self.took("}"):
            found.add(self.string())
            if not self.took(","):
                self.expect("}")
                break
        return found

    def string(self) -> str:
        token = self.next()
        if token.kind != "string":
            raise NotAcceptedError(f"a quoted string instead of {token}")
        return token.value

    def expect(self, symbol: str) -> None:
        if not self.took(symbol):
            raise NotAcceptedError(f"{symbol} is missing")

    def took(self, symbol: str) -> bool:
        if self.at < len(self.words) and self.words[self.at] == Token("symbol", symbol):
            self.at += 1
            return True
        return False

    def next(self) -> Token:
        if self.at >= len(self.words):
            raise NotAcceptedError("selector ends too early")
        self.at += 1
        return self.words[self.at - 1]
