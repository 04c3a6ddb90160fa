"""From a path of keys to a line and column: how every problem finds its place."""

from collections.abc import Sequence
from functools import lru_cache
from typing import TypeAlias

from driftd.model.strict_yaml import Spot, YamlStream, read_yaml

Path: TypeAlias = Sequence[str | int]
"""Keys and indices from the document's root."""


def dotted(path: Path) -> str:
    """A path as people read it: `spec.services.web.calls[0].to`; keys that hold dots are put in brackets."""
    text = ""
    for token in path:
        if isinstance(token, int):
            text += f"[{token}]"
        elif "." in token or "[" in token:
            text += f"[{token[:80]!r}]"
        else:
            text += f".{token[:80]}" if text else token[:80]
    return text


def place_of(spot: Spot, path: Path, *, key: bool = False) -> tuple[int, int]:
    """Line and column of the value at a path, or of the nearest thing around it that exists.

    `key=True` asks for the place of the key. Collections are always shown at their key: that is where a reader looks.
    """
    here, complete = spot, True
    for token in path:
        below = _step(here.inside, token)
        if below is None:
            complete = False
            break
        here = below
    if here.key_line and (key or not complete or here.inside is not None):
        return here.key_line, here.key_column
    return here.line, here.column


def _step(inside: dict[str, Spot] | list[Spot] | None, token: str | int) -> Spot | None:
    if isinstance(inside, dict) and isinstance(token, str):
        child: Spot | None = inside.get(token)
        return child
    if isinstance(inside, list) and isinstance(token, int) and 0 <= token < len(inside):
        member: Spot = inside[token]
        return member
    return None


@lru_cache(maxsize=128)
def reread(data: bytes) -> YamlStream:
    """The file with its places, read again: places are not kept, because only problems need them."""
    return read_yaml(data)


def place_in(data: bytes, index: int, path: Path, *, key: bool = False) -> tuple[int, int]:
    """Line and column of a path in the document with this index of a file."""
    documents = reread(data).documents
    return place_of(documents[index].spot, path, key=key) if index < len(documents) else (1, 1)
