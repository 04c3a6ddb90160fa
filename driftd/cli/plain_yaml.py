"""YAML in and out: objects as any Kubernetes tool writes them, and text that every reader of YAML takes the same way.

Reading goes along libyaml's events with a stack of its own: its composer recurses in C and crashes the process on a
file of two hundred thousand opening brackets.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any

import yaml

from driftd.model.scalars import UnsafeNumberError, resolve

_DEEPEST = 256
_STRING_TAGS = frozenset({"tag:yaml.org,2002:str", "!"})
_READ_AS_NUMBER = re.compile(
    r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|0o[0-7]+|0x[0-9a-fA-F]+|[-+]?\.(?:inf|nan)",
    re.IGNORECASE,
)
"""Numbers of YAML 1.2 that PyYAML, which speaks 1.1, would write without quotes: `12e5` is a fine label value."""


class UnreadableYaml(ValueError):
    """One document, or the stream from here on, cannot be read; the text says why and where."""

    def __init__(self, why: str, mark: Any) -> None:
        where = f"line {mark.line + 1}: " if mark is not None else ""
        super().__init__(f"{where}{why}")


def documents(text: bytes) -> Iterator[object]:
    """The values of a stream's documents, one by one; empty documents are left out.

    Raises:
        UnreadableYaml: at the first thing that is no YAML, or that Kubernetes' own tools never write (aliases,
            tags, a key twice): what it would mean depends on the reader.
    """
    builder = _Builder()
    try:
        for event in yaml.parse(text, Loader=yaml.CSafeLoader):
            if builder.take(event) and builder.value is not None:
                yield builder.value
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise UnreadableYaml(getattr(error, "problem", None) or str(error).splitlines()[0], mark) from error
    except UnsafeNumberError as error:
        raise UnreadableYaml("a number that JSON cannot carry", None) from error


class _Builder:
    """Values from events, without recursion."""

    def __init__(self) -> None:
        self.value: object = None
        self._stack: list[dict[str, object] | list[object]] = []
        self._keys: list[str | None] = []

    def take(self, event: yaml.Event) -> bool:
        """Take one event; True at the end of a document, which is then in `value`."""
        match event:
            case yaml.DocumentStartEvent():
                self.value = None
            case yaml.DocumentEndEvent():
                return True
            case yaml.AliasEvent():
                raise UnreadableYaml("an alias (*name); write the value out", event.start_mark)
            case yaml.ScalarEvent():
                self._scalar(event)
            case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                self._open(event)
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                self._stack.pop()
                self._keys.pop()
        return False

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        if event.tag is not None and event.tag not in _STRING_TAGS:
            raise UnreadableYaml(f"the tag {event.tag[:80]}; write plain YAML", event.start_mark)
        if self._stack and isinstance(self._stack[-1], dict) and self._keys[-1] is None:
            if event.value in self._stack[-1]:
                raise UnreadableYaml(f"the key {event.value[:80]!r} stands twice", event.start_mark)
            self._keys[-1] = event.value
            return
        self._put(resolve(event.value) if event.implicit[0] and event.tag is None else event.value)

    def _open(self, event: yaml.CollectionStartEvent) -> None:
        if len(self._stack) >= _DEEPEST:
            raise UnreadableYaml(f"nested deeper than {_DEEPEST}", event.start_mark)
        if self._stack and isinstance(self._stack[-1], dict) and self._keys[-1] is None:
            raise UnreadableYaml("a key that is not a string", event.start_mark)
        opened: dict[str, object] | list[object] = {} if isinstance(event, yaml.MappingStartEvent) else []
        self._put(opened)
        self._stack.append(opened)
        self._keys.append(None)

    def _put(self, value: object) -> None:
        if not self._stack:
            self.value = value
            return
        top = self._stack[-1]
        if isinstance(top, list):
            top.append(value)
            return
        key = self._keys[-1]
        assert key is not None  # noqa: S101 - a value follows its key
        top[key] = value
        self._keys[-1] = None


class _Dumper(yaml.CSafeDumper):
    """Block style, no aliases, and quotes round everything that some reader would not take for a string."""

    def ignore_aliases(self, data: object) -> bool:
        del data
        return True


def _string(dumper: yaml.CSafeDumper, value: str) -> yaml.ScalarNode:
    style = '"' if _READ_AS_NUMBER.fullmatch(value) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _string)


def dumped(value: object) -> str:
    """One document, keys in the order in which they stand."""
    text: str = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=False, width=120)
    return text


def dumped_all(values: Iterable[object]) -> str:
    """Several documents, each after a `---`."""
    return "".join(f"---\n{dumped(value)}" for value in values)
