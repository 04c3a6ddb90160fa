"""Every single change of an object that its schema allows: each field set, removed, nulled, each list and map edited.

Nothing here knows what a field means. `Words` has values that a server is likely to take in a place; where it has none,
values follow from the type. What the server refuses is no change.
"""

import copy
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.oracle.sameness import KindId, Path, servers
from tests.support.kube import Body
from tests.support.schemas import Node

Place = tuple[str | int, ...]
_BY_TYPE: Mapping[str, tuple[Any, ...]] = {
    "string": ("a", "b"),
    "integer": (1, 2),
    "number": (1, 2.5),
    "boolean": (True, False),
    "object": ({},),
}


@dataclass(frozen=True)
class Words:
    """Values of leaves and keys of maps, by the end of their path: `hard.*`, `except.[]`, `protocol`."""

    values: Mapping[str, Sequence[Any]]
    keys: Mapping[str, Sequence[str]]

    def of(self, path: Path, node: Node) -> Sequence[Any]:
        """Values for a leaf."""
        known = _longest(self.values, path)
        if known is not None:
            return tuple(known)
        return node.choices or tuple(value for one in sorted(node.types) for value in _BY_TYPE.get(one, ()))

    def keys_of(self, path: Path) -> Sequence[str]:
        """Keys for a map."""
        return _longest(self.keys, path) or ("a", "b")


def _longest(table: Mapping[str, Any], path: Path) -> Any:
    ends = (".".join(path[start:]) for start in range(len(path)))
    return next((table[end] for end in ends if end in table), None)


@dataclass(frozen=True)
class Change:
    """One field of an object put to another value, or taken away."""

    place: Place
    value: Any = None
    removed: bool = False

    def applied(self, body: Body) -> Body:
        changed = copy.deepcopy(body)
        holder: Any = changed
        for part in self.place[:-1]:
            holder = holder[part]
        if self.removed:
            del holder[self.place[-1]]
        else:
            holder[self.place[-1]] = copy.deepcopy(self.value)
        return changed

    def __str__(self) -> str:
        where = ".".join(map(str, self.place))
        return f"{where} removed" if self.removed else f"{where} = {self.value!r}"


@dataclass(frozen=True)
class Changes:
    """The changes of a kind's objects.

    `few` is how many values a field is given at most. `wide`: what is new in a list or a map comes with each of its
    fields, one after another, and each field is nulled as well.
    """

    kind: KindId
    schema: Node
    words: Words
    few: int = 1
    wide: bool = False

    def of(self, body: Body) -> Iterator[Change]:
        """All changes of one field of an object."""
        yield from self._within(self.schema, (), (), body)

    def _within(self, node: Node, path: Path, place: Place, value: Any) -> Iterator[Change]:
        if node.is_leaf:
            others = [one for one in self.words.of(path, node) if (type(one), one) != (type(value), value)]
            yield from (Change(place, one) for one in others[: self.few])
        elif value is None:
            return
        elif node.element is not None:
            yield from self._of_list(node.element, path, place, value)
        elif node.entry is not None:
            yield from self._of_keys(dict.fromkeys(self.words.keys_of(path), node.entry), "*", path, place, value)
        else:
            yield from self._of_keys(node.parts, "", path, place, value)

    def _of_keys(self, parts: Mapping[str, Node], mark: str, path: Path, place: Place, value: Body) -> Iterator[Change]:
        for key, part in parts.items():
            below = (*path, mark or key)
            if servers(self.kind, below):
                continue
            there = (*place, key)
            if key in value:
                yield Change(there, removed=True)
                if self._may_be_null(below):
                    yield Change(there, None)
                yield from self._within(part, below, there, value[key])
            else:
                yield from (Change(there, one) for one in self._some(part, below))

    def _may_be_null(self, path: Path) -> bool:
        """In a map of texts null is the empty text, and metadata with nulls is nothing that a model may say."""
        return self.wide and path[-1] != "*" and path[0] != "metadata"

    def _of_list(self, element: Node, path: Path, place: Place, value: list[Any]) -> Iterator[Change]:
        below = (*path, "[]")
        if len(value) > 1:
            yield Change(place, [])
            yield Change(place, value[::-1])
        if value:
            yield Change(place, [*value, *value[:1]])
        yield from (Change(place, [*value, one]) for one in self._some(element, below))
        for index, one in enumerate(value):
            yield Change((*place, index), removed=True)
            yield from self._within(element, below, (*place, index), one)

    def _some(self, node: Node, path: Path) -> Iterator[Any]:
        return self._fresh(node, path) if self.wide else itertools.islice(self._fresh(node, path), 2)

    def _fresh(self, node: Node, path: Path) -> Iterator[Any]:
        """Values for a field that is not there: for each leaf below it, one that has that leaf and what must be."""
        if node.is_leaf:
            yield from self.words.of(path, node)[: self.few]
        elif node.element is not None:
            yield []
            yield from ([one] for one in self._fresh(node.element, (*path, "[]")))
        elif node.entry is not None:
            yield {}
            below = (*path, "*")
            for key in self.words.keys_of(path):
                yield from ({key: one} for one in self._fresh(node.entry, below))
        else:
            needed = {name: next(self._fresh(node.parts[name], (*path, name))) for name in sorted(node.required)}
            yield needed
            for name, part in node.parts.items():
                if servers(self.kind, (*path, name)):
                    continue
                for one in self._fresh(part, (*path, name)):
                    if {**needed, name: one} != needed:
                        yield {**needed, name: one}

    def between(self, one: Body, other: Body) -> Path | None:
        """The field in which two objects differ if it is a single one; what the server sets does not count."""
        here, there = dict(leaves_of(one)), dict(leaves_of(other))
        differing = [place for place in here.keys() | there.keys() if here.get(place) != there.get(place)]
        paths = [path for place in differing if not servers(self.kind, path := path_of(self.schema, place))]
        return paths[0] if len(paths) == 1 else None


def leaves_of(value: Any, place: Place = ()) -> Iterator[tuple[Place, Any]]:
    """Every value of an object that has no parts, and where it stands; empty parts are none."""
    match value:
        case dict():
            for key, part in value.items():
                yield from leaves_of(part, (*place, key))
        case list():
            for index, part in enumerate(value):
                yield from leaves_of(part, (*place, index))
        case _:
            yield place, (type(value), value)


def path_of(schema: Node, place: Place) -> Path:
    """Where a place of an object stands in its kind's schema."""
    path: Path = ()
    node = schema
    for part in place:
        step = "[]" if isinstance(part, int) else "*" if node.entry is not None else part
        path, node = (*path, step), node.below(step)
        if node.is_leaf:
            break
    return path
