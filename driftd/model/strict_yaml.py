"""Strict YAML with a position for everything: the part of YAML 1.2 that means the same to every reader.

libyaml's event stream is read without recursion, and scalars follow the YAML 1.2 core schema (`scalars.py`). Refused,
each with its place: aliases, anchors, tags, duplicate keys, keys that are not strings, merge keys, numbers that JSON
cannot carry, control and bidirectional characters (CVE-2021-42574), files over 1 MiB, nesting over 64. Nothing that
stands in a file makes `read_yaml` raise.
"""

import re
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

import yaml
from yaml._yaml import CParser

from driftd.model.scalars import UnsafeNumberError, Value, resolve

MAX_BYTES = 1 << 20
MAX_DEPTH = 64
MAX_FAULTS = 50

FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ufffe\uffff]")
_Inside: TypeAlias = "dict[str, Spot] | list[Spot] | None"
_Start: TypeAlias = yaml.MappingStartEvent | yaml.SequenceStartEvent


class Spot(NamedTuple):
    """Where a value and its key stand, with the places of what is inside. Counted from 1; a key of 0, 0 is no key."""

    line: int
    column: int
    key_line: int
    key_column: int
    inside: _Inside


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that the strict reader refuses."""

    line: int
    column: int
    message: str
    remedy: str


@dataclass(frozen=True, slots=True)
class YamlDocument:
    """One document of a stream: its value and the places of all its parts."""

    value: Value
    spot: Spot


@dataclass(frozen=True, slots=True)
class YamlStream:
    """What a file holds: complete documents, and what is wrong. `broken`: the file could not be read to its end."""

    documents: tuple[YamlDocument, ...]
    faults: tuple[Fault, ...]
    broken: bool


def read_yaml(data: bytes) -> YamlStream:
    """Read a whole file. Documents that end before the place where reading stops are returned, with `broken` set."""
    if len(data) > MAX_BYTES:
        return _unreadable(1, 1, f"the file has {len(data)} bytes, more than {MAX_BYTES}", "split the file")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8", "replace")
        return _unreadable(*_end(before), "the file is not UTF-8", "save it as UTF-8")
    text = text.removeprefix("\ufeff")
    if found := FORBIDDEN.search(text):
        message = f"the file holds the control character U+{ord(found.group()):04X}"
        return _unreadable(*_end(text[: found.start()]), message, "delete it")
    builder = _Builder()
    broken = builder.read(text)
    return YamlStream(tuple(builder.documents), tuple(builder.faults), broken)


def _unreadable(line: int, column: int, message: str, remedy: str) -> YamlStream:
    return YamlStream((), (Fault(line, column, message, remedy),), broken=True)


def _end(text: str) -> tuple[int, int]:
    """Line and column just behind a text."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text.count("\n") + 1, len(text) - text.rfind("\n")


class _Stop(Exception):  # not a fault: the reader has said enough
    """Reading this file any further helps nobody."""


@dataclass(slots=True)
class _Open:
    """A collection that is being read, and the key whose value comes next."""

    value: list[Value] | dict[str, Value]
    spot: Spot
    key: str | None = None
    place: tuple[int, int] = (0, 0)


@dataclass(slots=True)
class _Builder:
    """Values and places from libyaml's events, with a stack of its own: depth is a number here and never a crash."""

    documents: list[YamlDocument] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    stack: list[_Open] = field(default_factory=list)
    root: YamlDocument | None = None

    def read(self, text: str) -> bool:
        """Read a text; True when it could not be read to its end."""
        try:
            self._consume(CParser(text))
        except _Stop:
            return True
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line, column = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
            what = ", ".join(part for part in (error.context, error.problem) if part)
            self.faults.append(Fault(line, column, f"this is not YAML: {what}", _syntax_remedy(what)))
            return True
        except yaml.YAMLError as error:
            self.faults.append(Fault(1, 1, f"this is not YAML: {str(error)[:200]}", "correct the syntax"))
            return True
        return False

    def _consume(self, parser: CParser) -> None:
        while parser.check_event():
            event = parser.get_event()
            if isinstance(event, yaml.ScalarEvent):
                self._scalar(event)
            elif isinstance(event, yaml.MappingStartEvent):
                self._start(event, {}, {})
            elif isinstance(event, yaml.SequenceStartEvent):
                self._start(event, [], [])
            elif isinstance(event, yaml.CollectionEndEvent):
                closed = self.stack.pop()
                self._put(closed.value, closed.spot)
            elif isinstance(event, yaml.AliasEvent):
                self._fault(event, "aliases are not taken", "write the value out")
                raise _Stop
            elif isinstance(event, yaml.DocumentStartEvent):
                self._directives(event)
            elif isinstance(event, yaml.DocumentEndEvent) and self.root is not None:
                self.documents.append(self.root)
                self.root = None

    def _start(self, event: _Start, value: list[Value] | dict[str, Value], inside: _Inside) -> None:
        if event.anchor is not None or event.tag is not None:
            self._refuse_marks(event)
        if len(self.stack) >= MAX_DEPTH:
            self._fault(event, f"nested more than {MAX_DEPTH} deep", "flatten the document")
            raise _Stop
        key_line = key_column = 0
        if self.stack:
            top = self.stack[-1]
            if isinstance(top.value, dict) and top.key is None:
                self._fault(event, "a key must be a plain string", "write the key as a string")
                raise _Stop
            key_line, key_column = top.place
        self.stack.append(_Open(value, Spot(*_start_of(event), key_line, key_column, inside)))

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        if event.anchor is not None or event.tag is not None:
            self._refuse_marks(event)
        value: Value = event.value
        if event.style == '"' and (found := FORBIDDEN.search(event.value)):
            self._fault(event, f"the text holds the control character U+{ord(found.group()):04X}", "delete the escape")
        if event.implicit[0]:
            try:
                value = resolve(event.value)
            except UnsafeNumberError:
                self._fault(
                    event, f"{event.value[:40]!r} is no number that JSON can carry", "quote it if it is meant as text"
                )
        line, column = _start_of(event)
        if not self.stack:
            self._put(value, Spot(line, column, 0, 0, None))
            return
        top = self.stack[-1]
        if isinstance(top.value, dict) and top.key is None:
            top.key = self._key(event, value, top.value)
            top.place = (line, column)
            return
        self._put(value, Spot(line, column, *top.place, None))

    def _key(self, event: yaml.ScalarEvent, value: Value, mapping: dict[str, Value]) -> str:
        if not isinstance(value, str):
            self._fault(event, f"the key {event.value[:60]!r} is not a string", f'write "{event.value[:60]}" in quotes')
            return str(event.value)
        if value == "<<" and event.implicit[0]:
            self._fault(event, "merge keys are not taken", "write the fields out")
        elif value in mapping:
            self._fault(event, f"the key {value[:60]!r} stands here twice", "keep one of the two")
        return value

    def _put(self, value: Value, spot: Spot) -> None:
        """Hand a finished value to the collection around it, or make it the document."""
        if not self.stack:
            self.root = YamlDocument(value, spot)
            return
        top = self.stack[-1]
        if isinstance(top.value, list):
            top.value.append(value)
            if isinstance(top.spot.inside, list):
                top.spot.inside.append(spot)
        elif top.key is not None:
            top.value.setdefault(top.key, value)
            if isinstance(top.spot.inside, dict):
                top.spot.inside.setdefault(top.key, spot)
            top.key, top.place = None, (0, 0)

    def _directives(self, event: yaml.DocumentStartEvent) -> None:
        if event.version is not None and tuple(event.version) != (1, 2):
            self._fault(event, "the %YAML directive asks for another version than 1.2", "delete the directive")
        if event.tags:
            self._fault(event, "%TAG directives are not taken", "delete the directive")

    def _refuse_marks(self, event: yaml.NodeEvent) -> None:
        if event.anchor is not None:
            self._fault(event, f"the anchor &{str(event.anchor)[:40]} is not taken", "delete it and write values out")
        tag = getattr(event, "tag", None)
        if tag is not None:
            self._fault(event, f"the tag {str(tag)[:60]} is not taken", "delete it; quote the value if it is text")

    def _fault(self, event: yaml.Event, message: str, remedy: str) -> None:
        line, column = _start_of(event)
        self.faults.append(Fault(line, column, message, remedy))
        if len(self.faults) >= MAX_FAULTS:
            self.faults.append(Fault(line, column, "too many faults to go on", "correct those above"))
            raise _Stop


def _start_of(event: yaml.Event) -> tuple[int, int]:
    mark = event.start_mark
    return (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)


def _syntax_remedy(what: str) -> str:
    if "tab" in what or "cannot start any token" in what:
        return "indent with spaces, and quote values that begin with a special character"
    if "mapping values are not allowed" in what:
        return "check the indentation, and quote a value that holds ': '"
    return "check indentation, brackets and quotes near this place"
