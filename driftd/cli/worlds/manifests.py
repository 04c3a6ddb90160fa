"""A world from ordinary Kubernetes YAML or JSON, whoever wrote it; what cannot be read is named."""

import re
import sys
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Final

import orjson

from driftd.cli.plain_yaml import UnreadableYaml, documents
from driftd.cli.worlds.bodies import Bodies
from driftd.cli.worlds.world import Unread, World
from driftd.model import SourceFile
from driftd.policy.reach import Dialect, Surroundings, Tenancy, snapshot_of

SUFFIXES: Final = (".yaml", ".yml", ".json")
_STDIN: Final = Path("-")
_TEMPLATE: Final = re.compile(rb"\{\{-?\s*(?:[.$#/]|if|range|include|template|with|define|end|toYaml)")
_NO_OBJECT: Final = "no Kubernetes object (apiVersion or kind is missing); left out"


def world_of_paths(paths: Iterable[Path], dialect: Dialect, surroundings: Surroundings | None = None) -> World:
    """The world of files and directories; `-` is stdin. `surroundings` place pods without addresses."""
    given = tuple(paths)
    bodies = Bodies(dialect, surroundings or Surroundings())
    for path in given:
        for file, data in _files(path, bodies):
            take_text(bodies, file, data)
    return world_of_bodies(bodies, "manifests " + " ".join(map(str, given)))


def world_of_files(files: Iterable[SourceFile], dialect: Dialect, source: str) -> World:
    """The world of files that are at hand, such as those of a git revision."""
    bodies = Bodies(dialect)
    for file in files:
        take_text(bodies, file.path, file.data)
    return world_of_bodies(bodies, source)


def world_of_bodies(bodies: Bodies, source: str) -> World:
    """What was gathered, as a world. A namespace belongs to the tenant on its label, else it is a party of its own."""
    tenants = {name: bodies.tenants.get(name) or name for name in bodies.namespaces()}
    passed = bodies.passed_over()
    return World(
        source=source,
        snapshot=snapshot_of(bodies.objects(), bodies.dialect, bodies.surroundings),
        tenancy=Tenancy(tenants),
        unread=tuple(bodies.unread),
        remarks=(*bodies.remarks, *((passed,) if passed else ())),
        faces=bodies.faces,
        places=bodies.places,
        owned=any(bodies.tenants.values()),
    )


def take_text(bodies: Bodies, where: str, text: bytes) -> None:
    """Take in every document of a text. After one that is no YAML the rest of that text is unread."""
    content = blake2b(text, digest_size=8).hexdigest()
    number = 0
    try:
        for number, value in enumerate(_values(text), start=1):
            _take_value(bodies, where if number == 1 else f"{where} (document {number})", value, content)
    except UnreadableYaml as error:
        why = str(error)
        if _TEMPLATE.search(text):
            why += "; it is a template: render it first (helm template, kustomize build)"
        bodies.unread.append(Unread(where if number == 0 else f"{where} (after document {number})", why, content))


def _take_value(bodies: Bodies, where: str, value: object, content: str) -> None:
    """One document: an object or a list of them; lists may hold lists."""
    waiting: list[tuple[str, object, str, str]] = [(where, value, "", "")]
    while waiting:
        place, one, version, kind = waiting.pop()
        if not isinstance(one, dict):
            bodies.remarks.append(f"{place}: {_NO_OBJECT}")
            continue
        version, kind = one.get("apiVersion", version), one.get("kind", kind)
        if not isinstance(version, str) or not isinstance(kind, str) or not version or not kind:
            bodies.remarks.append(f"{place}: {_NO_OBJECT}")
        elif kind.endswith("List") and isinstance(one.get("items", []), list | None):
            of = ("", "") if kind == "List" else (version, kind.removesuffix("List"))
            items = one.get("items") or []
            waiting += [(f"{place} item {index}", item, *of) for index, item in enumerate(items)][::-1]
        elif kind == "Kustomization" and version.startswith("kustomize."):
            bodies.remarks.append(f"{place}: a kustomization; what it would change is not seen (kustomize build first)")
        else:
            bodies.take({**one, "apiVersion": version, "kind": kind}, place, content)


def _values(text: bytes) -> Iterator[object]:
    if text.lstrip()[:1] in (b"{", b"["):
        try:
            value = orjson.loads(text)
        except orjson.JSONDecodeError:
            pass  # several values, or YAML in flow style: the YAML reader says what is wrong, if anything is
        else:
            yield value
            return
    yield from documents(text)


def _files(path: Path, bodies: Bodies) -> Iterator[tuple[str, bytes]]:
    if path == _STDIN:
        yield "(stdin)", sys.stdin.buffer.read()
        return
    for file in _below(path) if path.is_dir() else [path]:
        try:
            data = file.read_bytes()
        except OSError as error:
            bodies.unread.append(Unread(str(file), error.strerror or type(error).__name__))
        else:
            yield str(file), data


def _below(directory: Path) -> list[Path]:
    """Files by path; hidden names are left out."""
    return sorted(
        file
        for file in directory.rglob("*")
        if file.suffix in SUFFIXES
        and not any(part.startswith(".") for part in file.relative_to(directory).parts)
        and not file.is_dir()
    )
