"""What a plain YAML scalar means: the YAML 1.2.2 core schema (chapter 10.3.2), less what JSON cannot say."""

import math
import re
from typing import TypeAlias

Value: TypeAlias = bool | int | float | str | list["Value"] | dict[str, "Value"] | None
"""A YAML value; the same as a JSON value."""

_INT = re.compile(r"[-+]?[0-9]+")
_OCTAL = re.compile(r"0o[0-7]+")
_HEX = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_SPECIAL = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_MAY_BE_NUMBER = frozenset("+-.0123456789")
_WORDS: dict[str, Value] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_LONGEST_NUMBER = 64


class UnsafeNumberError(ValueError):
    """A number that readers of JSON do not agree on: infinite, not a number, or beyond 64 bits."""


def resolve(text: str) -> Value:
    """The value of a plain (unquoted) scalar.

    `no`, `on`, dates and `12:30` are strings; `010` is ten. UnsafeNumberError for what JSON cannot carry exactly.
    """
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _MAY_BE_NUMBER:
        return text
    return _number(text)


def _number(text: str) -> Value:
    if _SPECIAL.fullmatch(text):
        raise UnsafeNumberError
    base = 10 if _INT.fullmatch(text) else 8 if _OCTAL.fullmatch(text) else 16 if _HEX.fullmatch(text) else 0
    if not base and not _FLOAT.fullmatch(text):
        return text
    if len(text) > _LONGEST_NUMBER:
        raise UnsafeNumberError
    if base:
        number = int(text if base == 10 else text[2:], base)
        if not -(1 << 63) <= number < 1 << 64:
            raise UnsafeNumberError
        return number
    real = float(text)
    if not math.isfinite(real):
        raise UnsafeNumberError
    return real
