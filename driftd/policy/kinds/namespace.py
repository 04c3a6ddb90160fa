"""Namespace (v1): the label and annotation keys that decide isolation, and no others.

Covered (D1): the tenant and everything else under `driftd.dev/` that is a label, Pod Security, the mesh's injection
and policy keys, the name label, every key that a selector in the model reads, and the keys that a Namespace manifest
names for that very namespace. Of annotations: the same mesh prefixes and named keys, the provenance and the condemned
mark. The kind is open: foreign labels, finalizers and the spec belong to whoever set them.

A namespace that driftd makes has no owner: the garbage collector deletes one whose owner does not exist and is of a
kind without namespaces, with all that lives in it (seen on a real one, within 0.1 s). An adopted one may belong to the
operator that made it.
"""

from driftd.policy.kinds.canonical import MalformedObjectError, as_set, mapping, sequence, strings
from driftd.policy.kinds.kind import Coverage, OpenWorldError, World
from driftd.policy.kinds.selectors import NAMESPACE_NAME
from driftd.policy.kinds.whole_spec import PREFIX, as_written, covered_annotations, own_annotations, put
from driftd.values import CONDEMNED, EPOCH, PROVENANCE, Body, Resource

MESH_PREFIXES = ("istio.io/", "linkerd.io/", "config.linkerd.io/", "config.alpha.linkerd.io/")
LABEL_PREFIXES = (PREFIX, "pod-security.kubernetes.io/", *MESH_PREFIXES)
LABEL_KEYS = frozenset({"istio-injection", NAMESPACE_NAME})
_OWN = frozenset({PROVENANCE, CONDEMNED, EPOCH})
_NONE: frozenset[str] = frozenset()


class NamespaceKind:
    """The kind as the registry holds it."""

    resource = Resource("", "v1", "Namespace", "namespaces", namespaced=False)
    world = World.OPEN
    dialect = ""
    rank = 0
    reads_coverage = True

    def covered(self, body: Body, coverage: Coverage) -> Body:
        metadata = mapping(body.get("metadata"), "metadata")
        name = _name(metadata)
        named = coverage.named_keys.get(name, _NONE)
        labels = _covered_labels(metadata, coverage.selector_keys | named)
        labels.setdefault(NAMESPACE_NAME, name)  # the server writes it into every Namespace
        annotations = {**covered_annotations(metadata.get("annotations")), **_mesh_annotations(metadata, named)}
        owners = metadata.get("ownerReferences") if name in coverage.created else None
        found = as_set(sequence(owners, "metadata.ownerReferences")) if owners else []
        return {"metadata": {"annotations": annotations, "labels": labels, "ownerReferences": found}}

    def keyed(self, covered: Body) -> Body:
        return covered

    def merged(self, live: Body, desired: Body, coverage: Coverage) -> Body:
        body = as_written(live, self.resource)
        metadata = body["metadata"]
        name = _name(metadata)
        wanted = self.covered(desired, coverage)["metadata"]
        named = coverage.named_keys.get(name, _NONE)
        ours = _covered_labels(metadata, coverage.selector_keys | named)
        kept = {key: value for key, value in (metadata.get("labels") or {}).items() if key not in ours}
        put(metadata, "labels", {**kept, **wanted["labels"]})
        found = strings(metadata.get("annotations"), "metadata.annotations")
        mesh = _mesh_annotations(metadata, named)
        kept = {key: value for key, value in found.items() if key not in mesh}
        ordered = {key: value for key, value in wanted["annotations"].items() if key not in _OWN}
        put(metadata, "annotations", {**own_annotations(kept, wanted["annotations"]), **ordered})
        if name in coverage.created:
            put(metadata, "ownerReferences", wanted["ownerReferences"])
        return body

    def emptied(self, live: Body) -> Body:
        del live
        raise OpenWorldError(self.resource)


def _name(metadata: Body) -> str:
    name = metadata.get("name")
    if type(name) is not str:
        raise MalformedObjectError("metadata.name", "the namespace's name", name)
    return name


def _covered_labels(metadata: Body, keys: frozenset[str]) -> dict[str, str]:
    labels = strings(metadata.get("labels"), "metadata.labels")
    return {
        key: value
        for key, value in labels.items()
        if key.startswith(LABEL_PREFIXES) or key in LABEL_KEYS or key in keys
    }


def _mesh_annotations(metadata: Body, named: frozenset[str]) -> dict[str, str]:
    annotations = strings(metadata.get("annotations"), "metadata.annotations")
    return {
        key: value
        for key, value in annotations.items()
        if key not in _OWN and (key.startswith(MESH_PREFIXES) or key in named)
    }
