"""Live objects from files, as `kubectl get` writes them: YAML or JSON, any number of files, documents and lists."""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import orjson

from driftd.cli.live import Gap, LiveState, reader_of
from driftd.cli.plain_yaml import UnreadableYaml, documents
from driftd.policy.kinds import ALIASES, KINDS, Bearing, Coverage, bearing, stored
from driftd.values import Live, ObjectRef, Resource

_SUFFIXES = (".yaml", ".yml", ".json")
_STDIN = Path("-")


def read_dumps(paths: Iterable[Path], coverage: Coverage) -> LiveState:
    """Everything that the paths hold. What cannot be read is a gap, and the rest is read all the same."""
    reading = _Reading(coverage)
    given = tuple(paths)
    for path in given:
        reading.path(path)
    return LiveState(
        source="manifests " + " ".join(map(str, given)),
        objects={ref: live for ref, live in reading.found.items() if (ref.group, ref.kind) in KINDS},
        unknown=tuple(live for ref, live in reading.found.items() if (ref.group, ref.kind) not in KINDS),
        gaps=tuple(reading.gaps),
        absence_proved=not reading.gaps,
    )


class _Reading:
    """One walk over all paths."""

    def __init__(self, coverage: Coverage) -> None:
        self._coverage = coverage
        self.found: dict[ObjectRef, Live] = {}
        self.gaps: list[Gap] = []

    def path(self, path: Path) -> None:
        if path == _STDIN:
            self._text("(stdin)", sys.stdin.buffer.read())
        elif path.is_dir():
            for file in _files_below(path):
                self._file(file)
        else:
            self._file(path)

    def _file(self, file: Path) -> None:
        try:
            text = file.read_bytes()
        except OSError as error:
            self._gap(str(file), error.strerror or type(error).__name__)
            return
        self._text(str(file), text)

    def _text(self, where: str, text: bytes) -> None:
        number = 0
        try:
            for number, value in enumerate(_values(text), start=1):
                self._value(where if number == 1 else f"{where} (document {number})", value)
        except UnreadableYaml as error:
            self._gap(where if number == 0 else f"{where} (after document {number})", str(error))

    def _value(self, where: str, value: object) -> None:
        """One document: an object, or a list of them; lists may hold lists."""
        waiting: list[tuple[str, object, str, str]] = [(where, value, "", "")]
        while waiting:
            place, one, version, kind = waiting.pop()
            if not isinstance(one, dict):
                self._gap(place, "not an object: a document is a mapping with apiVersion, kind and metadata")
                continue
            version, kind = one.get("apiVersion", version), one.get("kind", kind)
            if not isinstance(version, str) or not isinstance(kind, str) or not version or not kind:
                self._gap(place, "not an object: apiVersion or kind is missing")
            elif kind.endswith("List") and isinstance(one.get("items", []), list | None):
                of = ("", "") if kind == "List" else (version, kind.removesuffix("List"))
                items = one.get("items") or []
                waiting += [(f"{place} item {index}", item, *of) for index, item in enumerate(items)][::-1]
            else:
                self._object(place, {**one, "apiVersion": version, "kind": kind}, version, kind)

    def _object(self, where: str, body: dict[str, object], version: str, name: str) -> None:
        group, _, number = version.rpartition("/")
        kind = KINDS.get((ALIASES.get(group, group), name))
        if kind is None:
            if bearing(group, name) not in (Bearing.POLICY, Bearing.UNLISTED):
                return  # none of driftd's business: pods, services, whatever else a dump holds
            resource = Resource(group, number, name, f"{name.lower()}s", namespaced=bool(_namespace(body)))
        else:
            resource = kind.resource if group == kind.resource.group else stored(kind.resource)
            if resource.api_version != version:
                self._gap(where, f"{name} of {version}: driftd reads {resource.api_version}; dump that version")
                return
        try:
            live = reader_of(resource, self._coverage).live(orjson.dumps(body), stored=False)
        except (ValueError, TypeError) as error:
            self._gap(where, str(error))
            return
        if bool(live.ref.namespace) != resource.namespaced:
            self._gap(where, f"{name} {live.ref.name}: metadata.namespace is {'missing' if kind else 'wrong'}")
            return
        before = self.found.setdefault(live.ref, live)
        if before.raw != live.raw:
            self._gap(where, f"{live.ref} was read before with other content: which of the two is live?")

    def _gap(self, where: str, why: str) -> None:
        self.gaps.append(Gap(where, why))


def _files_below(directory: Path) -> list[Path]:
    """Files by path; hidden names are left out."""
    return sorted(
        file
        for file in directory.rglob("*")
        if file.suffix in _SUFFIXES
        and not any(part.startswith(".") for part in file.relative_to(directory).parts)
        and not file.is_dir()
    )


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


def _namespace(body: dict[str, object]) -> object:
    metadata = body.get("metadata")
    return metadata.get("namespace") if isinstance(metadata, dict) else None
