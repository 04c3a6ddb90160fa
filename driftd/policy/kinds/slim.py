"""What a write may leave out when an object is too large to be stored with it.

etcd takes a megabyte and a half of an object, whatever fills it. Trap: somebody who fills one with labels to its last
byte leaves no room for the few that driftd adds to each write, and so would keep a hole from being closed.
"""

from driftd.policy.kinds.calico_names import CALICO
from driftd.policy.kinds.canonical import mapping
from driftd.policy.kinds.whole_spec import PREFIX, put
from driftd.values import CONDEMNED, EPOCH, PROVENANCE, Body, ObjectRef

_OURS = (PROVENANCE, EPOCH, CONDEMNED)
_POLICY = ("networking.k8s.io", "NetworkPolicy")
_FREE = frozenset(
    {
        _POLICY,
        ("", "ResourceQuota"),
        ("", "LimitRange"),
        (CALICO, "NetworkPolicy"),
        (CALICO, "GlobalNetworkPolicy"),
    }
)


def labels_are_free(ref: ObjectRef) -> bool:
    """Whether labels and annotations of the object decide nothing: no rule finds it by them, and none reads them."""
    return (ref.group, ref.kind) in _FREE


def slim_repair(ref: ObjectRef, body: Body) -> Body:
    """A repair without foreign labels and annotations, where these decide nothing; else as it is."""
    if not labels_are_free(ref):
        return body
    metadata = dict(body["metadata"])
    labels = mapping(metadata.get("labels"), "metadata.labels")
    put(metadata, "labels", {key: value for key, value in labels.items() if key.startswith(PREFIX)})
    put(metadata, "annotations", _our_annotations(metadata))
    return {**body, "metadata": metadata}


def slim_condemned(ref: ObjectRef, body: Body) -> Body:
    """The least that condemns an object: it is emptied and goes next, so nothing decides by its labels any more.

    Finalizers stay (only their owners know what they wait for). A NetworkPolicy that allows nothing may isolate more
    pods than it selected: whatever the canonical policies allow them, they still may.
    """
    metadata = {key: value for key, value in body["metadata"].items() if key not in ("labels", "ownerReferences")}
    put(metadata, "annotations", _our_annotations(metadata))
    slim = {**body, "metadata": metadata}
    if (ref.group, ref.kind) == _POLICY:
        slim["spec"] = {**mapping(body.get("spec"), "spec"), "podSelector": {}}
    return slim


def taken_off(before: Body, after: Body) -> str:
    """What of others' labels and annotations the second body of an object lacks, in words; empty for none."""
    labels, notes = (len(_keys(before, part) - _keys(after, part)) for part in ("labels", "annotations"))
    return f"without {labels} labels, {notes} annotations" if labels or notes else ""


def _our_annotations(metadata: Body) -> Body:
    annotations = mapping(metadata.get("annotations"), "metadata.annotations")
    return {key: value for key, value in annotations.items() if key in _OURS}


def _keys(body: Body, part: str) -> set[str]:
    return {*(body["metadata"].get(part) or {})} - {*_OURS}
