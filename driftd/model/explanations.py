"""pydantic's findings in the reader's words: where, what, and what to write instead."""

import difflib
import json
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from driftd.model.places import dotted, place_of
from driftd.model.problems import Problem
from driftd.model.scalars import Value
from driftd.model.strict_yaml import MAX_FAULTS, Spot

_EMPTY: Mapping[str, str] = {"a mapping": "{}", "a list": "[]"}
_MANY = 100
"""Above so many names only those that begin alike are compared: a hostile file must not buy minutes of CPU."""

_TYPES: Mapping[str, tuple[str, str]] = {
    "string_type": ("a string", "put the value in quotes"),
    "int_type": ("a whole number", "write it without quotes and without a fraction"),
    "int_from_float": ("a whole number", "write it without a fraction"),
    "bool_type": ("true or false", "write `true` or `false` without quotes"),
    "dict_type": ("a mapping", "write `key: value` lines below it"),
    "mapping_type": ("a mapping", "write `key: value` lines below it"),
    "model_type": ("a mapping", "write `field: value` lines below it"),
    "model_attributes_type": ("a mapping", "write `field: value` lines below it"),
    "list_type": ("a list", "write `- item` lines below it, or [item, item]"),
    "tuple_type": ("a list", "write `- item` lines below it, or [item, item]"),
    "date_type": ("a date", "write it as 2026-12-01"),
    "date_parsing": ("a date", "write it as 2026-12-01"),
    "date_from_datetime_parsing": ("a date", "write it as 2026-12-01"),
    "date_from_datetime_inexact": ("a date without a time", "write it as 2026-12-01"),
}


def explain(error: ValidationError, cls: type[BaseModel], file: str, value: Value, spot: Spot) -> tuple[Problem, ...]:
    """One problem for each thing that the schema refuses in a document, up to MAX_FAULTS."""
    details = error.errors(include_url=False)[:MAX_FAULTS]
    return tuple(dict.fromkeys(_problem(detail, cls, file, value, spot) for detail in details))


def closest(word: str, known: Iterable[str]) -> str:
    """`did you mean "x"?`, or the known words when none is near."""
    words = sorted(known)
    likely = words if len(words) <= _MANY else [one for one in words if one[:2] == word[:2]][:_MANY]
    near = difflib.get_close_matches(word[:64], likely, n=1, cutoff=0.6)
    if near:
        return f'did you mean "{near[0]}"?'
    shown = ", ".join(words[:16]) + (", ..." if len(words) > 16 else "")
    return f"known are: {shown}" if words else "delete it"


def shown(value: object) -> str:
    """A value as a short piece of a message."""
    try:
        text = json.dumps(value, ensure_ascii=True)
    except (TypeError, ValueError):
        text = type(value).__name__
    return text if len(text) <= 60 else text[:57] + "..."


def _problem(detail: ErrorDetails, cls: type[BaseModel], file: str, value: Value, spot: Spot) -> Problem:
    path = _real_path(detail, value)
    kind = detail["type"]
    context: Mapping[str, Any] = detail.get("ctx") or {}
    at_key = kind == "extra_forbidden" or "[key]" in detail["loc"]
    line, column = place_of(spot, path, key=at_key)
    message, remedy = _words(kind, context, detail, cls, path)
    return Problem("error", file, line, column, dotted(path), message, remedy)


def _real_path(detail: ErrorDetails, value: Value) -> list[str | int]:
    """Pydantic's location without the names of union members, which stand in no file."""
    path: list[str | int] = []
    here: Value = value
    for token in detail["loc"]:
        below = _below(here, token)
        if below is not None:
            here = below[0]
            path.append(token)
    if detail["type"] == "missing":
        path.append(detail["loc"][-1])
    return path


def _below(value: Value, token: str | int) -> tuple[Value] | None:
    if isinstance(value, dict) and isinstance(token, str) and token in value:
        return (value[token],)
    if isinstance(value, list) and isinstance(token, int) and token < len(value):
        return (value[token],)
    return None


def _words(
    kind: str, context: Mapping[str, Any], detail: ErrorDetails, cls: type[BaseModel], path: list[str | int]
) -> tuple[str, str]:
    last = str(path[-1]) if path else ""
    given = detail.get("input")
    if kind == "missing":
        described = str(_member(cls, path).get("description", ""))
        return f"the field {last!r} is missing", f"add `{last}`{': ' + described if described else ''}"
    if kind == "extra_forbidden":
        known = fields_at(cls, path[:-1])
        if last in known:
            return f"the field {last!r} does not go with the other fields here", "keep the fields of one form"
        return f"unknown field {last[:80]!r}", closest(last, known)
    if kind == "driftd":
        return str(context["message"]), str(context["remedy"])
    if kind == "literal_error":
        expected = str(context.get("expected", ""))
        words = [part.strip(" '") for part in expected.replace(" or ", ", ").split(",")]
        return f"{shown(given)} is not one of {expected}", closest(str(given), words)
    if kind == "model_type" and context.get("class_name") == "PortSpec":
        return f"expected a port, found {shown(given)}", "write its number, or {number: 8080, app: http}"
    if kind in _TYPES:
        expected, remedy = _TYPES[kind]
        if given is None and expected in _EMPTY:
            remedy = f"write `{_EMPTY[expected]}` if it is meant to be empty, or delete the line"
        return f"expected {expected}, found {shown(given)}", remedy
    if kind == "attachment_form":
        return detail["msg"], closest(_only_key(given), ("service", "namespace", "cidr"))
    return f"{detail['msg']}, found {shown(given)}", "correct the value"


def _only_key(given: object) -> str:
    return next((str(key) for key in given if key != "port"), "") if isinstance(given, dict) else ""


@lru_cache(maxsize=16)
def _schema(cls: type[BaseModel]) -> dict[str, Any]:
    return cls.model_json_schema()


def fields_at(cls: type[BaseModel], path: Iterable[str | int]) -> set[str]:
    """Names of the fields that the schema knows at a path."""
    return {name for node in _nodes(cls, path) for name in node.get("properties", {})}


def _member(cls: type[BaseModel], path: list[str | int]) -> Mapping[str, Any]:
    for node in _nodes(cls, path[:-1]):
        member = node.get("properties", {}).get(path[-1])
        if isinstance(member, dict):
            return member
    return {}


def _nodes(cls: type[BaseModel], path: Iterable[str | int]) -> list[dict[str, Any]]:
    """All schema nodes at a path: several where a union stands."""
    root = _schema(cls)
    here = list(_unfold(root, root))
    for token in path:
        below: list[dict[str, Any]] = []
        for node in here:
            if isinstance(token, int):
                below.append(node.get("items", {}))
            elif token in node.get("properties", {}):
                below.append(node["properties"][token])
            else:
                below.extend(node.get("patternProperties", {}).values())
                if isinstance(node.get("additionalProperties"), dict):
                    below.append(node["additionalProperties"])
        here = [leaf for node in below for leaf in _unfold(node, root)]
    return here


def _unfold(node: dict[str, Any], root: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if "$ref" in node:
        yield from _unfold(root["$defs"][node["$ref"].rpartition("/")[2]], root)
    for union in ("anyOf", "oneOf", "allOf"):
        for member in node.get(union, ()):
            yield from _unfold(member, root)
    yield node
