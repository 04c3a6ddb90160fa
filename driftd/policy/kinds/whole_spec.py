"""Kinds whose whole spec is ours: the metadata they cover, and how a repair keeps all that is foreign.

Covered metadata (D1): the provenance annotation, the condemned mark (its presence on a canonical object is drift), all
labels under `driftd.dev/`, and `ownerReferences`, which must be empty because the garbage collector deletes an object
whose owner is gone. Not covered: the epoch, finalizers, foreign labels and annotations, `managedFields`, `status`.
"""

from abc import ABC, abstractmethod
from typing import ClassVar

from driftd.policy.kinds.canonical import as_set, mapping, sequence, strings
from driftd.policy.kinds.kind import Coverage, World
from driftd.values import CONDEMNED, PROVENANCE, Body, Resource

PREFIX = "driftd.dev/"
_OWN_ANNOTATIONS = (PROVENANCE, CONDEMNED)


class WholeSpec(ABC):
    """Base of a closed kind; the subclass says what its spec means."""

    resource: ClassVar[Resource]
    rank: ClassVar[int]
    reads_coverage: ClassVar[bool] = False
    world: ClassVar[World] = World.CLOSED
    dialect: ClassVar[str] = ""

    @abstractmethod
    def canonical_spec(self, spec: Body) -> Body:
        """The spec with every default written out and every set sorted; unknown fields word for word."""

    @abstractmethod
    def keyed_spec(self, canonical: Body) -> Body:
        """A canonical spec with its lists as maps."""

    @abstractmethod
    def emptied_spec(self, spec: Body) -> Body:
        """A spec with the same selection that allows or limits nothing."""

    def covered(self, body: Body, coverage: Coverage) -> Body:
        """Metadata of ours and the whole canonical spec."""
        del coverage  # says which labels of a Namespace count
        covered = covered_metadata(mapping(body.get("metadata"), "metadata"))
        return {"metadata": covered, "spec": self.canonical_spec(mapping(body.get("spec"), "spec"))}

    def keyed(self, covered: Body) -> Body:
        return {**covered, "spec": self.keyed_spec(covered["spec"])}

    def merged(self, live: Body, desired: Body, coverage: Coverage) -> Body:
        del coverage
        body = self.as_written(live)
        wanted = mapping(desired.get("metadata"), "metadata")
        metadata = body["metadata"]
        labels = {key: value for key, value in _labels(metadata).items() if not key.startswith(PREFIX)}
        labels |= {key: value for key, value in _labels(wanted).items() if key.startswith(PREFIX)}
        put(metadata, "labels", labels)
        put(metadata, "annotations", own_annotations(_annotations(metadata), _annotations(wanted)))
        put(metadata, "ownerReferences", sequence(wanted.get("ownerReferences"), "metadata.ownerReferences"))
        body["spec"] = mapping(desired.get("spec"), "spec")
        return body

    def emptied(self, live: Body) -> Body:
        body = self.as_written(live)
        body["spec"] = self.emptied_spec(mapping(live.get("spec"), "spec"))
        return body

    def as_written(self, live: Body) -> Body:
        """A shallow copy of a live object fit for a PUT, with metadata of its own."""
        return as_written(live, self.resource)


def covered_metadata(metadata: Body) -> Body:
    """What a closed kind covers of an object's metadata, every key present."""
    annotations = metadata.get("annotations")
    labels = metadata.get("labels")
    owners = metadata.get("ownerReferences")
    return {
        "annotations": covered_annotations(annotations) if annotations else {},
        "labels": {key: value for key, value in _labels(metadata).items() if key.startswith(PREFIX)} if labels else {},
        "ownerReferences": as_set(sequence(owners, "metadata.ownerReferences")) if owners else [],
    }


def covered_annotations(annotations: object) -> dict[str, str]:
    """The provenance and the condemned mark, where they stand."""
    found = strings(annotations, "metadata.annotations")
    return {key: found[key] for key in _OWN_ANNOTATIONS if key in found}


def own_annotations(live: dict[str, str], desired: dict[str, str]) -> dict[str, str]:
    """Annotations of a repair: all foreign ones of `live`, the provenance of `desired`, never a condemned mark."""
    annotations = {key: value for key, value in live.items() if key not in _OWN_ANNOTATIONS}
    if PROVENANCE in desired:
        annotations[PROVENANCE] = desired[PROVENANCE]
    return annotations


def as_written(live: Body, resource: Resource) -> Body:
    """A shallow copy of a live object fit for a PUT: its type named, metadata copied, `managedFields` left out.

    Lists leave out the type of their items; the server keeps `managedFields` itself when a PUT leaves them out.
    """
    metadata = {
        key: value for key, value in mapping(live.get("metadata"), "metadata").items() if key != "managedFields"
    }
    return {"apiVersion": resource.api_version, "kind": resource.kind, **live, "metadata": metadata}


def put(metadata: Body, key: str, value: object) -> None:
    """Set a metadata field, or leave it out when it is empty."""
    if value:
        metadata[key] = value
    else:
        metadata.pop(key, None)


def _labels(metadata: Body) -> dict[str, str]:
    return strings(metadata.get("labels"), "metadata.labels")


def _annotations(metadata: Body) -> dict[str, str]:
    return strings(metadata.get("annotations"), "metadata.annotations")
