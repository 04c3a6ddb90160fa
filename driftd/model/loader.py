"""All files of a model root into one Model, or into every reason why not."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from driftd.model.model import Model, Place
from driftd.model.problems import Manifest, Problem, SourceFile
from driftd.model.reading import ParsedFile, Parser, is_document_path
from driftd.model.schema import Cluster, Environment, Exemption, FalcoRuleset, Plan, SharedService


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model and its problems. `model` is None exactly when one of the problems is an error."""

    model: Model | None
    problems: tuple[Problem, ...]


def load(files: Sequence[SourceFile], parser: Parser | None = None) -> Loaded:
    """Read and join all files: strict YAML, schema, one Cluster, no name twice. What crosses documents is `lint`'s.

    Files ending in .yaml or .yml are read for documents, but for those that a FalcoRuleset lists: those are Falco's own
    format and stand in the model as bytes. Anything else is ignored. The order of `files` does not matter.
    """
    parsed = parse_all(files, parser or Parser())
    problems = [problem for file in parsed for problem in file.problems]
    joined = _Join()
    for file in parsed:
        joined.add(file)
    problems.extend(joined.problems)
    if not joined.clusters and not any(_holds_cluster(file) for file in parsed):
        message, remedy = (
            "the model has no Cluster",
            "add one document `kind: Cluster` with `ranges`, `dns` and `gateway`",
        )
        problems.append(Problem("error", "", 0, 0, "", message, remedy))
    ordered = tuple(sorted(problems, key=order))
    if ordered or not joined.clusters:
        return Loaded(None, ordered)
    rules = {path for ruleset in joined.rulesets.values() for path in ruleset.spec.files}
    model = Model(
        cluster=joined.clusters[0],
        plans=joined.plans,
        environments=joined.environments,
        shared_services=joined.shared,
        falco_rulesets=joined.rulesets,
        exemptions=tuple(joined.exemptions),
        manifests=tuple(joined.manifests),
        falco_files={file.path: file.data for file in files if file.path in rules},
        places=joined.places,
    )
    return Loaded(model, ())


def order(problem: Problem) -> tuple[str, int, int, str, str]:
    """Sort key of problems: by place, errors before warnings."""
    return problem.file, problem.line, problem.column, problem.severity, problem.message


def parse_all(files: Iterable[SourceFile], parser: Parser) -> tuple[ParsedFile, ...]:
    """All files that are read for documents, by path; Falco's rule files are left out."""
    by_path = {file.path: file for file in files if is_document_path(file.path)}
    parsed = {path: parser.parse(by_path[path]) for path in sorted(by_path)}
    claimed = {path for file in parsed.values() for path in rule_files(file)}
    return tuple(file for path, file in parsed.items() if path not in claimed)


def rule_files(file: ParsedFile) -> Iterable[str]:
    """Paths that the file's rulesets claim, also those of a ruleset that is not valid: fewer false alarms follow."""
    for entry in file.entries:
        if isinstance(entry.document, FalcoRuleset):
            yield from entry.document.spec.files
        elif isinstance(entry.raw, dict) and entry.raw.get("kind") == "FalcoRuleset":
            spec = entry.raw.get("spec")
            listed = spec.get("files") if isinstance(spec, dict) else None
            if isinstance(listed, list):
                yield from (path for path in listed if isinstance(path, str))


def _holds_cluster(file: ParsedFile) -> bool:
    return file.broken or any(
        isinstance(entry.raw, dict) and entry.raw.get("kind") == "Cluster" for entry in file.entries
    )


class _Join:
    """Collects documents by kind and name; the first of a name stays, each further one is a problem."""

    def __init__(self) -> None:
        self.clusters: list[Cluster] = []
        self.plans: dict[str, Plan] = {}
        self.environments: dict[str, Environment] = {}
        self.shared: dict[str, SharedService] = {}
        self.rulesets: dict[str, FalcoRuleset] = {}
        self.exemptions: list[Exemption] = []
        self.manifests: list[Manifest] = []
        self.places: dict[str, Place] = {}
        self.problems: list[Problem] = []

    def add(self, file: ParsedFile) -> None:
        for entry in file.entries:
            if entry.document is None:
                continue
            origin = file.origin(entry)
            place = Place(origin, file.source.data, entry.index)
            if isinstance(entry.document, Cluster) and self.clusters:
                self._twice(
                    place,
                    self.places[f"Cluster/{self.clusters[0].name}"],
                    "a model has one Cluster, and this is another",
                )
                continue
            if origin.document in self.places:
                self._twice(place, self.places[origin.document], f"{origin.document} stands in the model twice")
                continue
            self.places[origin.document] = place
            self._keep(entry.document)

    def _keep(self, document: object) -> None:
        match document:
            case Cluster():
                self.clusters.append(document)
            case Plan():
                self.plans[document.name] = document
            case Environment():
                self.environments[document.name] = document
            case SharedService():
                self.shared[document.name] = document
            case FalcoRuleset():
                self.rulesets[document.name] = document
            case Exemption():
                self.exemptions.append(document)
            case Manifest():
                self.manifests.append(document)

    def _twice(self, place: Place, first: Place, message: str) -> None:
        line, column = place.find(("metadata", "name"))
        remedy = f"rename or delete one; the other is {first.origin.file}:{first.origin.line}"
        others = (first.origin.file,) if first.origin.file != place.origin.file else ()
        self.problems.append(
            Problem("error", place.origin.file, line, column, "metadata.name", message, remedy, others)
        )
