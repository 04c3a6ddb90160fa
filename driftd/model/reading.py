"""One file of the model into typed documents, remembered by content: a changed file is read, the others are not."""

import re
from collections import OrderedDict
from dataclasses import dataclass

import orjson
from pydantic import ValidationError

from driftd.model.explanations import closest, explain
from driftd.model.fast_yaml import read_plainly
from driftd.model.manifests import read_manifest
from driftd.model.places import place_of
from driftd.model.problems import Manifest, Problem, SourceFile
from driftd.model.scalars import Value
from driftd.model.schema import API_VERSION, DOCUMENT_KINDS, AnyDocument
from driftd.model.strict_yaml import MAX_FAULTS, YamlDocument, YamlStream, read_yaml
from driftd.values import Origin

_SANE_PATH = re.compile(r"[A-Za-z0-9_\-.+@ ]+(?:/[A-Za-z0-9_\-.+@ ]+)*")
_GROUP = "driftd.dev/"


@dataclass(frozen=True, slots=True)
class Entry:
    """One document of a file: typed, or as it was found when it is not valid."""

    index: int
    line: int
    document: AnyDocument | Manifest | None
    raw: Value  # what stands there, for a document that is not valid; None for one that is


@dataclass(frozen=True, slots=True)
class ParsedFile:
    """What one file says. `broken`: it could not be read to its end, so more may stand in it."""

    source: SourceFile
    entries: tuple[Entry, ...]
    problems: tuple[Problem, ...]
    broken: bool

    def origin(self, entry: Entry) -> Origin:
        """Origin of a valid entry."""
        if isinstance(entry.document, Manifest):
            return entry.document.origin
        if entry.document is None:
            raise ValueError("an entry that is not valid has no name to be known by")
        return Origin(self.source.path, entry.line, f"{entry.document.kind}/{entry.document.name}")


class Parser:
    """Reads files and remembers what they say, by path and content, the least recently used going first.

    The memory changes no answer: the same bytes always read the same. Not for use from several threads at once.
    """

    def __init__(self, max_files: int = 16_384) -> None:
        self._max_files = max_files
        self._known: OrderedDict[tuple[str, bytes], ParsedFile] = OrderedDict()
        self.read = 0
        """Files that had to be read because they were not remembered: for tests and metrics."""

    def parse(self, file: SourceFile) -> ParsedFile:
        key = (file.path, file.data)
        known = self._known.get(key)
        if known is not None:
            self._known.move_to_end(key)
            return known
        self.read += 1
        parsed = parse_file(file)
        self._known[key] = parsed
        if len(self._known) > self._max_files:
            self._known.popitem(last=False)
        return parsed


def is_document_path(path: str) -> bool:
    """Whether a path is read for documents: `*.yaml` and `*.yml`, with no part of the path beginning with a dot."""
    return path.endswith((".yaml", ".yml")) and not any(part.startswith(".") for part in path.split("/"))


def parse_file(file: SourceFile) -> ParsedFile:
    """Read one file. Never raises, whatever stands in it."""
    if len(file.path) > 512 or _SANE_PATH.fullmatch(file.path) is None:
        name = file.path[:200].encode("ascii", "backslashreplace").decode("ascii")
        name = re.sub(r"[\x00-\x1f\x7f]", "?", name)
        problem = Problem(
            "error",
            name,
            1,
            1,
            "",
            "the file's name holds characters beyond letters, digits and _-.+@",
            "rename the file",
        )
        return ParsedFile(file, (), (problem,), broken=True)
    plain = read_plainly(file.data)
    if plain is not None:
        parsed = _parse(file, plain)
        if not parsed.problems:
            return parsed
    return _parse(file, read_yaml(file.data))


def _parse(file: SourceFile, stream: YamlStream) -> ParsedFile:
    problems = [
        Problem("error", file.path, fault.line, fault.column, "", fault.message, fault.remedy)
        for fault in stream.faults
    ]
    entries: list[Entry] = []
    for index, document in enumerate(stream.documents):
        if document.value is None:
            continue
        if len(problems) > MAX_FAULTS:
            line, column = document.spot.line, document.spot.column
            message = "too many faults to go on"
            problems.append(Problem("error", file.path, line, column, "", message, "correct those above"))
            return ParsedFile(file, tuple(entries), tuple(problems), broken=True)
        typed, found = _read_document(file.path, document)
        problems.extend(found)
        raw = document.value if typed is None else None
        entries.append(Entry(index, document.spot.line, typed, raw))
    return ParsedFile(file, tuple(entries), tuple(problems), stream.broken)


def _read_document(path: str, document: YamlDocument) -> tuple[AnyDocument | Manifest | None, tuple[Problem, ...]]:
    value, spot = document.value, document.spot
    if not isinstance(value, dict):
        remedy = (
            "write `apiVersion`, `kind` and `metadata` at the top; list Falco rule files under a FalcoRuleset's `files`"
        )
        return None, (Problem("error", path, spot.line, spot.column, "", "a document is a mapping", remedy),)
    version = value.get("apiVersion")
    if not isinstance(version, str) or not version.startswith(_GROUP):
        if version is None:
            message, remedy = "the field 'apiVersion' is missing", f"add `apiVersion: {API_VERSION}`"
            return None, (Problem("error", path, spot.line, spot.column, "apiVersion", message, remedy),)
        return read_manifest(path, value, spot)
    if version != API_VERSION:
        line, column = place_of(spot, ("apiVersion",))
        message = f"{version[:60]!r} is no version of this language"
        return None, (Problem("error", path, line, column, "apiVersion", message, f"write {API_VERSION}"),)
    kind = value.get("kind")
    cls = DOCUMENT_KINDS.get(kind) if isinstance(kind, str) else None
    if cls is None:
        line, column = place_of(spot, ("kind",))
        message = f"{str(kind)[:60]!r} is no kind of document"
        return None, (Problem("error", path, line, column, "kind", message, closest(str(kind), DOCUMENT_KINDS)),)
    try:
        return cls.model_validate_json(orjson.dumps(value)), ()
    except ValidationError as error:
        return None, explain(error, cls, path, value, spot)
