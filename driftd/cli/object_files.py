"""Kubernetes objects in files, whoever wrote them: YAML or JSON, any number of files, documents and lists."""

import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Final, TypeAlias

import orjson

from driftd.cli.plain_yaml import UnreadableYaml, documents
from driftd.values import Body

SUFFIXES: Final = (".yaml", ".yml", ".json")
_STDIN: Final = Path("-")
_TEMPLATE: Final = re.compile(rb"\{\{-?\s*(?:[.$#/]|if|range|include|template|with|define|end|toYaml)")
_NO_OBJECT: Final = "no Kubernetes object (apiVersion or kind is missing)"


@dataclass(frozen=True, slots=True)
class FileObject:
    """An object, with apiVersion and kind written out. `content` is the digest of the text that it stands in."""

    where: str
    body: Body
    api_version: str
    kind: str
    content: str


@dataclass(frozen=True, slots=True)
class NoObject:
    """A document, or an item of a list, that is no Kubernetes object."""

    where: str
    why: str


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file that cannot be read, or a text that is no YAML from some place on. `content` is its digest, if known."""

    where: str
    why: str
    content: str = ""


FilePart: TypeAlias = FileObject | NoObject | Unreadable


def objects_in(paths: Iterable[Path], *, root: Path | None = None) -> Iterator[FilePart]:
    """Everything that files and directories hold, in order; `-` is stdin. Below a `root` files are named from there."""
    for path in paths:
        if path == _STDIN:
            yield from objects_of("(stdin)", sys.stdin.buffer.read())
            continue
        for file in files_below(path) if path.is_dir() else [path]:
            name = str(file if root is None else file.relative_to(root))
            try:
                data = file.read_bytes()
            except OSError as error:
                yield Unreadable(name, error.strerror or type(error).__name__)
            else:
                yield from objects_of(name, data)


def objects_of(where: str, text: bytes) -> Iterator[FilePart]:
    """Everything that a text holds. After a document that is no YAML the rest of the text is unreadable."""
    content = blake2b(text, digest_size=8).hexdigest()
    number = 0
    try:
        for number, value in enumerate(_values(text), start=1):
            yield from _objects(where if number == 1 else f"{where} (document {number})", value, content)
    except UnreadableYaml as error:
        why = str(error)
        if _TEMPLATE.search(text):
            why += "; it is a template: render it first (helm template, kustomize build)"
        yield Unreadable(where if number == 0 else f"{where} (after document {number})", why, content)


def files_below(directory: Path) -> list[Path]:
    """Files that may hold objects, by path; hidden names are left out."""
    return sorted(
        file
        for file in directory.rglob("*")
        if file.suffix in SUFFIXES
        and not any(part.startswith(".") for part in file.relative_to(directory).parts)
        and not file.is_dir()
    )


def _objects(where: str, value: object, content: str) -> Iterator[FilePart]:
    """One document: an object, or a list of them; lists may hold lists, and their items leave out what they are."""
    waiting: list[tuple[str, object, str, str]] = [(where, value, "", "")]
    while waiting:
        place, one, version, kind = waiting.pop()
        if not isinstance(one, dict):
            yield NoObject(place, _NO_OBJECT)
            continue
        version, kind = one.get("apiVersion", version), one.get("kind", kind)
        if not isinstance(version, str) or not isinstance(kind, str) or not version or not kind:
            yield NoObject(place, _NO_OBJECT)
        elif kind.endswith("List") and isinstance(one.get("items", []), list | None):
            of = ("", "") if kind == "List" else (version, kind.removesuffix("List"))
            items = one.get("items") or []
            waiting += [(f"{place} item {index}", item, *of) for index, item in enumerate(items)][::-1]
        else:
            yield FileObject(place, {**one, "apiVersion": version, "kind": kind}, version, kind, content)


def _values(text: bytes) -> Iterator[object]:
    """The documents of a text: one JSON value, or a stream of YAML (which other JSON is, too)."""
    if text.lstrip()[:1] in (b"{", b"["):
        try:
            value = orjson.loads(text)
        except orjson.JSONDecodeError:
            pass  # several values, or YAML in flow style: the YAML reader says what is wrong, if anything is
        else:
            yield value
            return
    yield from documents(text)
