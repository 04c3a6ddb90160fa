"""What every rule is given: the model, who governs which namespace, and a way to say what is wrong and where."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date

from driftd.model.model import Model
from driftd.model.places import Path, dotted
from driftd.model.problems import Problem, Severity
from driftd.model.schema import AnyDocument, Environment


@dataclass(frozen=True, slots=True)
class Linted:
    """A model under the linter's eyes."""

    model: Model
    today: date | None
    governed: Mapping[str, str] = field(init=False)
    """Tenant by governed namespace."""

    _governors: Mapping[str, tuple[str, ...]] = field(init=False)

    def __post_init__(self) -> None:
        governors: dict[str, tuple[str, ...]] = {}
        for environment in self.model.environments.values():
            before = governors.get(environment.namespace, ())
            governors[environment.namespace] = (*before, f"Environment/{environment.name}")
        for namespace, manifest in self.model.namespace_manifests().items():
            governors[namespace] = (*governors.get(namespace, ()), manifest.origin.document)
        object.__setattr__(self, "governed", self.model.tenants())
        object.__setattr__(self, "_governors", governors)

    def governors(self, namespace: str) -> tuple[str, ...]:
        """Documents that make a namespace governed: environments first, then a Namespace manifest."""
        return self._governors.get(namespace, ())

    def environments(self) -> Iterator[Environment]:
        yield from self.model.environments.values()

    def tell(
        self,
        severity: Severity,
        document: AnyDocument | str,
        path: Path,
        message: str,
        remedy: str,
        *,
        against: tuple[str, ...] = (),
        key: bool = False,
    ) -> Problem:
        """A problem at a field of a document; `against` names documents that take part in the contradiction."""
        name = document if isinstance(document, str) else f"{document.kind}/{document.name}"
        place = self.model.places[name]
        line, column = place.find(path, key=key)
        files = {self.model.places[other].origin.file for other in against if other in self.model.places}
        others = tuple(sorted(files - {place.origin.file}))
        return Problem(severity, place.origin.file, line, column, dotted(path), message, remedy, others)

    def where(self, document: str) -> str:
        """File and line of a document, for messages."""
        origin = self.model.places[document].origin
        return f"{origin.file}:{origin.line}"
