"""Files in which nothing is out of the ordinary, read in half the time: of places only the line of each document.

Reading a thousand environments anew is much of a first start, and the places of all their parts are thrown away.
Whatever the strict reader refuses, or might refuse, has no answer here: then `strict_yaml` reads the file and tells.
The two never read a file differently; a property test holds them against each other.
"""

from collections.abc import Callable
from typing import Any, Final

import yaml
from yaml._yaml import CParser

from driftd.model.scalars import UnsafeNumberError, resolve
from driftd.model.strict_yaml import FORBIDDEN, MAX_BYTES, MAX_DEPTH, Spot, YamlDocument, YamlStream

_STARTS: Final = frozenset({yaml.MappingStartEvent, yaml.SequenceStartEvent})
_ENDS: Final = frozenset({yaml.MappingEndEvent, yaml.SequenceEndEvent})


def read_plainly(data: bytes) -> YamlStream | None:
    """What `read_yaml` says of the file, each document with its line as its only place; None: ask `read_yaml`."""
    if len(data) > MAX_BYTES:
        return None
    try:
        text = data.decode("utf-8")
        return None if FORBIDDEN.search(text) else _read(CParser(text))
    except (UnicodeDecodeError, UnsafeNumberError, yaml.YAMLError):
        return None


def _read(parser: CParser) -> YamlStream | None:  # noqa: C901, PLR0912 - see below
    """All events in one function: a call for each of a quarter of a million would cost more than all else here."""
    get_event: Callable[[], Any] = parser.get_event
    documents: list[YamlDocument] = []
    around: list[tuple[Any, str | None]] = []
    here: Any = None  # the collection that is being read, None outside of all
    key: str | None = None  # in a mapping, the key whose value comes next
    line = 0
    while (event := get_event()) is not None:
        kind = type(event)
        if kind in _ENDS:
            value, (here, key) = here, around.pop()
        elif kind is yaml.ScalarEvent or kind in _STARTS:
            if event.anchor is not None or event.tag is not None:
                return None
            if here is None:
                line = event.start_mark.line + 1
            if kind in _STARTS:
                if (key is None and type(here) is dict) or len(around) >= MAX_DEPTH:
                    return None
                around.append((here, key))
                here, key = ({} if kind is yaml.MappingStartEvent else []), None
                continue
            value = resolve(event.value) if event.implicit[0] else event.value
            if event.style == '"' and FORBIDDEN.search(event.value):
                return None
            if key is None and type(here) is dict:
                if type(value) is not str or value in here or value == "<<":
                    return None
                key = value
                continue
        elif kind is yaml.AliasEvent or (kind is yaml.DocumentStartEvent and (event.version or event.tags)):
            return None
        else:
            continue
        if here is None:
            documents.append(YamlDocument(value, Spot(line, 1, 0, 0, None)))
        elif key is None:
            here.append(value)
        else:
            here[key], key = value, None
    return YamlStream(tuple(documents), (), broken=False)
