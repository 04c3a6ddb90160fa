"""Label selectors: one small algebra that both the Kubernetes and the Calico grammar are read into.

Nodes are frozen and hashable, so equal selectors are one key of every cache. They are evaluated in one place only,
`LabelIndex.match`, as algebra over bitsets; nothing else interprets a selector.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, TypeAlias

from driftd.values import Body


@dataclass(frozen=True, slots=True)
class Always:
    """Matches whatever it is asked about."""

    def __str__(self) -> str:
        return "all()"


@dataclass(frozen=True, slots=True)
class Has:
    """The key is present, with any value."""

    key: str

    def __str__(self) -> str:
        return f"has({self.key})"


@dataclass(frozen=True, slots=True)
class In:
    """The key is present and its value is one of these."""

    key: str
    values: tuple[str, ...]

    def __str__(self) -> str:
        if len(self.values) == 1:
            return f"{self.key}={self.values[0]}"
        return f"{self.key} in ({', '.join(self.values)})"


@dataclass(frozen=True, slots=True)
class Text:
    """The key is present and its value stands in a relation to a text: Calico's contains, starts with, ends with."""

    key: str
    relation: str
    text: str

    def __str__(self) -> str:
        return f"{self.key} {self.relation} {self.text!r}"


@dataclass(frozen=True, slots=True)
class Not:
    """Whatever the inner selector misses, things without the key included."""

    inner: "Selector"

    def __str__(self) -> str:
        return f"!({self.inner})"


@dataclass(frozen=True, slots=True)
class And:
    """All of them."""

    parts: tuple["Selector", ...]

    def __str__(self) -> str:
        return " && ".join(str(part) for part in self.parts)


@dataclass(frozen=True, slots=True)
class Or:
    """Any of them."""

    parts: tuple["Selector", ...]

    def __str__(self) -> str:
        return "(" + " || ".join(str(part) for part in self.parts) + ")"


@dataclass(frozen=True, slots=True)
class Global:
    """Calico's `global()`: things that live in no namespace."""

    def __str__(self) -> str:
        return "global()"


Selector: TypeAlias = Always | Has | In | Text | Not | And | Or | Global
ALWAYS: Final = Always()
_FEW: Final = 8


class MalformedSelector(ValueError):
    """A selector that no API server accepts; the message says where and what was expected."""


def every(*parts: Selector) -> Selector:
    """The conjunction, flattened, without what is always true."""
    flat: list[Selector] = []
    for part in parts:
        flat.extend(part.parts if isinstance(part, And) else () if isinstance(part, Always) else (part,))
    if not flat:
        return ALWAYS
    return flat[0] if len(flat) == 1 else And(tuple(flat))


def keys_of(selector: Selector) -> frozenset[str]:
    """The label keys whose presence or value the selector can tell apart."""
    match selector:
        case Has(key) | In(key, _) | Text(key, _, _):
            return frozenset((key,))
        case Not(inner):
            return keys_of(inner)
        case And(parts) | Or(parts):
            return frozenset().union(*(keys_of(part) for part in parts))
        case Always() | Global():
            return frozenset()


def asks_presence(selector: Selector) -> frozenset[str]:
    """The keys of which it asks whether they are there at all: only these tell a value nobody mentions from none."""
    match selector:
        case Has(key):
            return frozenset((key,))
        case Not(inner):
            return asks_presence(inner)
        case And(parts) | Or(parts):
            return frozenset().union(*(asks_presence(part) for part in parts))
        case In() | Text() | Always() | Global():
            return frozenset()


def reads_texts(selector: Selector) -> bool:
    """Whether it looks into values: then those that it mentions do not stand for all the others."""
    match selector:
        case Text():
            return True
        case Not(inner):
            return reads_texts(inner)
        case And(parts) | Or(parts):
            return any(map(reads_texts, parts))
        case Has() | In() | Always() | Global():
            return False


def is_little(selector: Selector) -> bool:
    """Whether it may be remembered: a tenant's may be as long as an object, and would outlive it."""
    match selector:
        case In(_, values):
            return len(values) <= _FEW
        case And(parts) | Or(parts):
            return len(parts) <= _FEW and all(map(is_little, parts))
        case Not(inner):
            return is_little(inner)
        case _:
            return True


def values_of(selector: Selector) -> dict[str, set[str]]:
    """By key, values that the selector mentions (for texts, one value that is in the relation)."""
    found: dict[str, set[str]] = {}
    match selector:
        case Has(key):
            found.setdefault(key, set())
        case In(key, values):
            found.setdefault(key, set()).update(values)
        case Text(key, _, text):
            found.setdefault(key, set()).add(text)
        case Not(inner):
            found = values_of(inner)
        case And(parts) | Or(parts):
            for part in parts:
                for key, values_found in values_of(part).items():
                    found.setdefault(key, set()).update(values_found)
        case Always() | Global():
            pass
    return found


def kubernetes_selector(body: Body | None) -> Selector:
    """A LabelSelector of the Kubernetes API; missing and `{}` match everything.

    `NotIn` and `DoesNotExist` match things that lack the key. Raises MalformedSelector where the API server would
    refuse. Source: apimachinery `labels.Requirement` and `meta/v1` LabelSelector.
    """
    if not body:
        return ALWAYS
    plain = body.get("matchLabels")
    if plain and len(body) == 1 and len(plain) == 1:
        [(key, value)] = plain.items()
        return has_label(key, _text(value, key))
    parts: list[Selector] = []
    unknown = body.keys() - {"matchLabels", "matchExpressions"}
    if unknown:
        raise MalformedSelector(
            f"label selector has unknown field {min(unknown)!r}: only matchLabels, matchExpressions"
        )
    labels = body.get("matchLabels") or {}
    parts.extend(has_label(key, _text(labels[key], key)) for key in sorted(labels))
    parts.extend(_requirement(item) for item in body.get("matchExpressions") or ())
    return every(*parts)


@lru_cache(maxsize=4096)
def has_label(key: str, value: str) -> In:
    """One value for all the policies that ask for this label: a platform repeats the same few in every namespace."""
    return In(key, (value,))


def _requirement(item: Body) -> Selector:
    key, operator = item.get("key"), item.get("operator")
    if not isinstance(key, str) or not key:
        raise MalformedSelector("matchExpressions entry without a key: every requirement names a label key")
    values = tuple(sorted({_text(value, key) for value in item.get("values") or ()}))
    if operator in ("In", "NotIn"):
        if not values:
            raise MalformedSelector(f"matchExpressions {key!r}: {operator} needs at least one value")
        return In(key, values) if operator == "In" else Not(In(key, values))
    if operator in ("Exists", "DoesNotExist"):
        if values:
            raise MalformedSelector(f"matchExpressions {key!r}: {operator} takes no values")
        return Has(key) if operator == "Exists" else Not(Has(key))
    raise MalformedSelector(f"matchExpressions {key!r}: operator {operator!r} is none of In NotIn Exists DoesNotExist")


def _text(value: object, key: str) -> str:
    if isinstance(value, str):
        return value
    raise MalformedSelector(f"label {key!r}: value {value!r} is not text; write it in quotes")


_NO_VALUES: Final[Mapping[str, int]] = {}


class LabelIndex:
    """Labelled things, each a bit, with an inverted index; grows only, so that a bit keeps its meaning for ever."""

    __slots__ = ("_has", "_values", "everything", "size")

    def __init__(self) -> None:
        self._values: dict[str, dict[str, int]] = {}
        self._has: dict[str, int] = {}
        self.everything = 0
        self.size = 0

    def add(self, labels: Mapping[str, str]) -> int:
        """Take in the next thing and return its bit position."""
        position = self.size
        self.put(position, labels)
        return position

    def put(self, position: int, labels: Mapping[str, str]) -> None:
        """Take in a thing at a position that the caller counts (positions in between stay empty)."""
        bit = 1 << position
        for key, value in labels.items():
            by_value = self._values.setdefault(key, {})
            by_value[value] = by_value.get(value, 0) | bit
            self._has[key] = self._has.get(key, 0) | bit
        self.everything |= bit
        self.size = position + 1

    def by_value(self, key: str) -> Mapping[str, int]:
        """For one key, the things that carry each value."""
        return self._values.get(key, _NO_VALUES)

    def having(self, key: str) -> int:
        """The things that carry the key."""
        return self._has.get(key, 0)

    def match(self, selector: Selector) -> int:
        """The things that the selector matches, as a bitset."""
        match selector:
            case In(key, values):
                by_value = self.by_value(key)
                if len(values) == 1:
                    return by_value.get(values[0], 0)
                return _union(by_value.get(value, 0) for value in values)
            case Has(key):
                return self.having(key)
            case Text(key, relation, text):
                return _union(bits for value, bits in self.by_value(key).items() if _related(relation, value, text))
            case Always():
                return self.everything
            case Global():
                return 0
            case Not() | And() | Or():
                return self._combined(selector)

    def _combined(self, selector: Not | And | Or) -> int:
        match selector:
            case Not(inner):
                return self.everything & ~self.match(inner)
            case And(parts):
                found = self.everything
                for part in parts:
                    found &= self.match(part)
                return found
            case Or(parts):
                return _union(self.match(part) for part in parts)


def _union(parts: Iterable[int]) -> int:
    found = 0
    for bits in parts:
        found |= bits
    return found


def _related(relation: str, value: str, text: str) -> bool:
    match relation:
        case "contains":
            return text in value
        case "starts with":
            return value.startswith(text)
        case _:
            return value.endswith(text)
