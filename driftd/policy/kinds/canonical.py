"""The pieces canonical forms are made of: sets as sorted lists, guarded access, and the digest."""

import reprlib
from collections.abc import Iterable
from hashlib import blake2b
from typing import Any

import orjson

from driftd.values import Body, Digest

_SORTED = orjson.OPT_SORT_KEYS
_SHOWN = reprlib.Repr()  # a hostile body may be megabytes wide or nested a thousand deep
_SHOWN.maxlevel = 2
_SHOWN.maxstring = 80


class MalformedObjectError(ValueError):
    """A body that is not an object of its kind: no canonical form exists, so nothing can be said about it.

    The API server never hands one out; it comes from a manifest in the model, or from a server that speaks another
    dialect. Whoever compares treats it as unknown, never as equal.
    """

    def __init__(self, where: str, expected: str, found: object) -> None:
        super().__init__(f"{where}: expected {expected}, found {_SHOWN.repr(found)}; correct the field")
        self.where = where


MalformedObject = MalformedObjectError
"""The name that other rooms use."""


def canonical_bytes(value: object) -> bytes:
    """Compact JSON with sorted keys: equal bytes mean equal values, and `True` is not `1`.

    Raises:
        MalformedObjectError: what JSON cannot say (a number beyond 64 bits, nesting beyond 250, a lone surrogate).
    """
    try:
        return orjson.dumps(value, option=_SORTED)
    except orjson.JSONEncodeError as fault:
        raise MalformedObjectError("object", f"plain JSON values ({fault})", type(value).__name__) from fault


def digest(covered: Body) -> Digest:
    """BLAKE2b-128 of the canonical bytes of a covered part (D2)."""
    return Digest(blake2b(canonical_bytes(covered), digest_size=16).digest())


def as_set(items: list[Any]) -> list[Any]:
    """The list read as a set: sorted by canonical bytes, each element once."""
    if len(items) < 2:
        return items
    keyed = {canonical_bytes(item): item for item in items}
    return [keyed[key] for key in sorted(keyed)]


def mapping(value: object, where: str) -> Body:
    """A map; absent and null are the empty map."""
    if value is None:
        return {}
    if type(value) is not dict:
        raise MalformedObjectError(where, "a map", value)
    return value


def sequence(value: object, where: str) -> list[Any]:
    """A list; absent and null are the empty list."""
    if value is None:
        return []
    if type(value) is not list:
        raise MalformedObjectError(where, "a list", value)
    return value


def strings(value: object, where: str) -> dict[str, str]:
    """A map of strings to strings, as labels and annotations are."""
    found = mapping(value, where)
    for key, entry in found.items():
        if type(entry) is not str:
            raise MalformedObjectError(f"{where}, key {key}", "a string", entry)
    return found


def fingerprint(value: object) -> str:
    """Six hexadecimal digits that tell two values apart in a report."""
    return blake2b(canonical_bytes(value), digest_size=3).hexdigest()


def by_text(entries: Iterable[tuple[str, Any]]) -> Body:
    """A map from readable text to value; a text already taken by another value carries its fingerprint too."""
    named: Body = {}
    for text, value in entries:
        name = text
        if "…" in text or text in named:
            name = f"{text} #{fingerprint(value)}"
        named[name] = value
    return named
