"""Whose file is it? Derived from what stands in it, so that no folder layout has to be trusted.

An Environment and a tenant's FalcoRuleset are their tenant's; a manifest is of the tenant who governs its namespace;
Cluster, Plan, SharedService, a FalcoRuleset without a tenant and every Exemption are the platform's: closing a hole
must not wait for the tenant in whose favour it was opened.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from driftd.model.loader import parse_all, rule_files
from driftd.model.model import tenant_label
from driftd.model.problems import Manifest, SourceFile
from driftd.model.reading import Entry, Parser
from driftd.model.scalars import Value
from driftd.model.schema import Environment, FalcoRuleset
from driftd.model.schema.names import is_dns_label
from driftd.values import TENANT

Namespaces = Mapping[str, frozenset[str]]
"""Tenants by the namespace that they claim to govern."""


@dataclass(frozen=True, slots=True)
class Owner:
    """To whom one file belongs; `unknown` if something in it cannot be attributed."""

    tenants: frozenset[str] = frozenset()
    platform: bool = False
    unknown: bool = False

    def __or__(self, other: "Owner") -> "Owner":
        return Owner(self.tenants | other.tenants, self.platform or other.platform, self.unknown or other.unknown)

    @property
    def is_tenants(self) -> bool:
        """Whether it belongs to tenants and to nobody else."""
        return bool(self.tenants) and not self.platform and not self.unknown


PLATFORM = Owner(platform=True)
UNKNOWN = Owner(unknown=True)
NOBODY = Owner()


@dataclass(frozen=True, slots=True)
class Owners:
    """Owners of all files of one revision, by path. Files without documents are nobody's."""

    by_path: Mapping[str, Owner]
    namespaces: Namespaces

    def of(self, path: str) -> Owner:
        return self.by_path.get(path, NOBODY)


def owners_of(files: Sequence[SourceFile], parser: Parser, before: Owners | None = None) -> Owners:
    """Who owns each file.

    A file with a fault belongs to whom the same path belonged before, and so does one that does not say it itself. A
    file that `before` does not know is judged by its readable documents alone.
    """
    parsed = parse_all(files, parser)
    namespaces: dict[str, frozenset[str]] = {}
    for file in parsed:
        for entry in file.entries:
            for namespace, tenant in _claims(entry):
                namespaces[namespace] = namespaces.get(namespace, frozenset()) | {tenant}
    known = {**(before.namespaces if before else {}), **namespaces}
    by_path: dict[str, Owner] = {}
    for file in parsed:
        path = file.source.path
        if file.problems and before is not None and path in before.by_path:
            by_path[path] = before.by_path[
                path
            ]  # what a broken file says of itself may be the very thing that is wrong
            continue
        owner = NOBODY
        for entry in file.entries:
            owner |= _owner(entry, known)
        if owner.unknown and before is not None and path in before.by_path:
            owner = Owner(owner.tenants, owner.platform) | before.by_path[path]
        by_path[path] = UNKNOWN if file.problems and owner == NOBODY else owner
    for file in parsed:
        for path in rule_files(file):
            by_path[path] = by_path.get(path, NOBODY) | by_path[file.source.path]
    return Owners(by_path, namespaces)


def _claims(entry: Entry) -> Iterable[tuple[str, str]]:
    """Namespaces that a document governs, and for whom. A document that is not valid claims nothing."""
    document = entry.document
    if isinstance(document, Environment):
        yield document.namespace, document.tenant
    elif isinstance(document, Manifest) and document.ref.kind == "Namespace":
        tenant = tenant_label(document)
        if is_dns_label(tenant):
            yield document.ref.name, tenant


def _owner(entry: Entry, namespaces: Namespaces) -> Owner:
    match entry.document:
        case None:
            return _owner_of_raw(entry.raw, namespaces)
        case Environment() as environment:
            return Owner(frozenset({environment.tenant}))
        case FalcoRuleset() as ruleset:
            return Owner(frozenset({ruleset.spec.tenant})) if ruleset.spec.tenant else PLATFORM
        case Manifest(ref=ref) if not ref.namespace and ref.kind != "Namespace":
            return PLATFORM  # what holds for the whole cluster is no tenant's
        case Manifest() as manifest:
            tenants = namespaces.get(manifest.ref.namespace or manifest.ref.name)
            return Owner(tenants) if tenants else UNKNOWN
        case _:
            return PLATFORM


def _owner_of_raw(raw: Value, namespaces: Namespaces) -> Owner:
    """Owner of a document that is not valid, as far as it still says."""
    if not isinstance(raw, dict):
        return UNKNOWN
    spec, metadata = _mapping(raw.get("spec")), _mapping(raw.get("metadata"))
    match raw.get("kind"):
        case "Environment":
            return _tenant(spec.get("tenant"))
        case "FalcoRuleset":
            return _tenant(spec["tenant"]) if spec.get("tenant") is not None else PLATFORM
        case "Cluster" | "Plan" | "SharedService" | "Exemption":
            return PLATFORM
        case "Tier" | "GlobalNetworkPolicy" | "GlobalNetworkSet":
            return PLATFORM
        case "Namespace":
            return _tenant(_mapping(metadata.get("labels")).get(TENANT))
        case _:
            tenants = namespaces.get(str(metadata.get("namespace")))
            return Owner(tenants) if tenants else UNKNOWN


def _tenant(value: Value) -> Owner:
    return Owner(frozenset({value})) if isinstance(value, str) and is_dns_label(value) else UNKNOWN


def _mapping(value: Value) -> Mapping[str, Value]:
    return value if isinstance(value, dict) else {}
