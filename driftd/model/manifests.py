"""Plain Kubernetes manifests in the model: what may stand there, and what must not stand in them."""

from collections.abc import Mapping

from driftd.model.explanations import closest, shown
from driftd.model.kinds import CALICO, MANIFEST_KINDS, ManifestKind, governed_kinds
from driftd.model.places import Path, dotted, place_of
from driftd.model.problems import Manifest, Problem
from driftd.model.scalars import Value
from driftd.model.schema.names import is_dns_label, is_subdomain
from driftd.model.strict_yaml import Spot
from driftd.values import CONDEMNED, EPOCH, PROVENANCE, Body, ObjectRef, Origin, kind_name

_SERVER_SET = (
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "managedFields",
    "selfLink",
    "generateName",
    "ownerReferences",
    "finalizers",
)
_OURS = (PROVENANCE, EPOCH, CONDEMNED)
_NAME_LABEL = "kubernetes.io/metadata.name"
_CALICO_STORAGE = "crd.projectcalico.org"
"""Known by name only, so that a manifest of that group is told which one to write."""


class _Report:
    """Collects the problems of one manifest with their places."""

    def __init__(self, file: str, spot: Spot) -> None:
        self.file = file
        self.spot = spot
        self.problems: list[Problem] = []

    def add(self, path: Path, message: str, remedy: str) -> None:
        line, column = place_of(self.spot, path)
        self.problems.append(Problem("error", self.file, line, column, dotted(path), message, remedy))


def read_manifest(file: str, value: Body, spot: Spot) -> tuple[Manifest | None, tuple[Problem, ...]]:
    """The manifest, or what is wrong with it. Its spec is judged later, by the kind itself."""
    report = _Report(file, spot)
    kind = _kind(value, report)
    metadata = value.get("metadata")
    if not isinstance(metadata, dict):
        report.add(("metadata",), "the field 'metadata' is missing or no mapping", "add `metadata: {name: ...}`")
        return None, tuple(report.problems)
    if "status" in value:
        report.add(("status",), "`status` is written by the cluster, never by the model", "delete it")
    for name in _SERVER_SET:
        if name in metadata:
            report.add(("metadata", name), f"`{name}` is not the model's to set", "delete it")
    _check_texts(metadata, report)
    if kind is None:
        return None, tuple(report.problems)
    name, namespace = _identity(kind, metadata, report)
    if report.problems:
        return None, tuple(report.problems)
    ref = ObjectRef(kind.group, kind.kind, namespace, name)
    document = "/".join(part for part in (kind_name(kind.group, kind.kind), namespace, name) if part)
    return Manifest(value, ref, Origin(file, spot.line, document)), ()


def _kind(value: Body, report: _Report) -> ManifestKind | None:
    version, name = value.get("apiVersion"), value.get("kind")
    if not isinstance(version, str) or not isinstance(name, str):
        report.add(("kind",), "a document needs `apiVersion` and `kind`, both strings", "add them at its top")
        return None
    group = version.rpartition("/")[0]
    kind = MANIFEST_KINDS.get((CALICO if group == _CALICO_STORAGE else group, name))
    if kind is None and name.endswith("List"):
        report.add(("kind",), f"lists such as {name[:60]} are not taken", "write each item as a document of its own")
    elif kind is None:
        report.add(
            ("kind",),
            f"{shown(name)} of {shown(version)} is no kind that driftd governs",
            f"keep it elsewhere; {closest(name, governed_kinds())}",
        )
    elif version != kind.api_version:
        report.add(
            ("apiVersion",), f"{shown(version)} is not the version that driftd writes", f"write {kind.api_version}"
        )
    return kind


def _identity(kind: ManifestKind, metadata: Mapping[str, Value], report: _Report) -> tuple[str, str]:
    name, namespace = metadata.get("name"), metadata.get("namespace")
    valid = is_dns_label if kind.kind == "Namespace" else is_subdomain
    if not isinstance(name, str) or not valid(name):
        report.add(("metadata", "name"), "`metadata.name` is missing or no name for this kind", "write a DNS name")
        name = ""
    if not kind.namespaced:
        if namespace is not None:
            report.add(("metadata", "namespace"), f"a {kind.kind} has no namespace", "delete it")
        labels = metadata.get("labels")
        if kind.kind == "Namespace" and isinstance(labels, dict) and labels.get(_NAME_LABEL, name) != name:
            message = f"{_NAME_LABEL} says another name, and the API server keeps it equal to the namespace's"
            report.add(("metadata", "labels", _NAME_LABEL), message, "delete it")
        return name, ""
    if not isinstance(namespace, str) or not is_dns_label(namespace):
        report.add(("metadata", "namespace"), "`metadata.namespace` is missing or no namespace", "name the namespace")
        namespace = ""
    return name, namespace


def _check_texts(metadata: Mapping[str, Value], report: _Report) -> None:
    """Labels and annotations are maps of strings; driftd's own annotations are its own."""
    for field in ("labels", "annotations"):
        texts = metadata.get(field)
        if texts is None:
            continue
        if not isinstance(texts, dict):
            report.add(("metadata", field), f"`{field}` is no mapping", "write `key: value` lines below it")
            continue
        for key, text in texts.items():
            if not isinstance(text, str):
                report.add(("metadata", field, key), f"expected a string, found {shown(text)}", "put it in quotes")
            if key in _OURS:
                report.add(("metadata", field, key), f"{key} is written by driftd alone", "delete it")
