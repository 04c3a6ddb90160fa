"""The model as the other rooms see it: documents by kind and name, manifests, and where each of them stands."""

from collections.abc import Mapping
from dataclasses import dataclass

from driftd.model.places import Path, place_in
from driftd.model.problems import Manifest
from driftd.model.schema import Cluster, Environment, Exemption, FalcoRuleset, Plan, SharedService
from driftd.values import TENANT, Origin


@dataclass(frozen=True, slots=True)
class Place:
    """Where a document stands, with the bytes of its file to find single fields in."""

    origin: Origin
    data: bytes
    index: int

    def find(self, path: Path, *, key: bool = False) -> tuple[int, int]:
        """Line and column of a field, or of the nearest thing around it. Reads the file again: for problems only."""
        return place_in(self.data, self.index, path, key=key)


@dataclass(frozen=True, slots=True)
class Model:
    """A whole model that has passed the schema. Mappings are by `metadata.name`, in the order of the files' paths.

    `falco_files` holds the bytes of the rule files that rulesets list and that exist. `places` is keyed by document
    (`Environment/acme-prod`, `NetworkPolicy/acme-prod/web`).
    """

    cluster: Cluster
    plans: Mapping[str, Plan]
    environments: Mapping[str, Environment]
    shared_services: Mapping[str, SharedService]
    falco_rulesets: Mapping[str, FalcoRuleset]
    exemptions: tuple[Exemption, ...]
    manifests: tuple[Manifest, ...]
    falco_files: Mapping[str, bytes]
    places: Mapping[str, Place]

    def origin(self, kind: str, name: str, *path: str | int) -> Origin:
        """Where a document stands, or with a path the line of one of its fields.

        KeyError for a document that is not there. `name` of a namespaced manifest is `namespace/name`.
        Asking for a field reads the file again (about 0.5 ms).
        """
        place = self.places[f"{kind}/{name}"]
        if not path:
            return place.origin
        line, _ = place.find(path, key=True)
        return Origin(place.origin.file, line, place.origin.document)

    def namespace_manifests(self) -> Mapping[str, Manifest]:
        """The plain Namespace manifests by the namespace they stand for."""
        return {manifest.ref.name: manifest for manifest in self.manifests if manifest.ref.kind == "Namespace"}

    def tenants(self) -> Mapping[str, str]:
        """Tenant of every governed namespace: from its Environment, else from its manifest's tenant label."""
        found: dict[str, str] = {}
        for namespace, manifest in self.namespace_manifests().items():
            found[namespace] = tenant_label(manifest)
        for environment in self.environments.values():
            found[environment.namespace] = environment.tenant
        return found


def tenant_label(manifest: Manifest) -> str:
    """The tenant that a Namespace manifest names, or the empty string."""
    labels = manifest.body["metadata"].get("labels") or {}
    return str(labels.get(TENANT, ""))
