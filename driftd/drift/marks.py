"""What the metadata of a live object says about its end: who holds it with a finalizer, and who condemned it."""

from driftd.policy.kinds import Coverage, MalformedObject, OpenWorldError, digest_of, kind_of
from driftd.values import CONDEMNED, PROVENANCE, Body, Live

ORDINARY_FINALIZERS = frozenset(
    {
        "networking.k8s.aws/resources",  # AWS VPC CNI puts it on every NetworkPolicy, and takes it off itself
        "foregroundDeletion",  # the garbage collector's own two
        "orphan",
    }
)
"""Finalizers of controllers that belong to the cluster: they go by themselves, and say nothing."""


def foreign_finalizers(live: Live) -> tuple[str, ...]:
    """Names of the finalizers that somebody other than the cluster itself put on the object, in their order."""
    listed = _metadata(live).get("finalizers") or ()
    return tuple(name for name in map(str, listed) if name not in ORDINARY_FINALIZERS)


def condemned_by(live: Live) -> str | None:
    """The epoch in the condemned mark; None without a mark."""
    annotations = _metadata(live).get("annotations") or {}
    mark = annotations.get(CONDEMNED)
    return None if mark is None else str(mark)


def is_of_driftds_making(live: Live) -> bool:
    """Whether the object names the document of the model that it was made from."""
    return PROVENANCE in (_metadata(live).get("annotations") or {})


def is_emptied(live: Live, coverage: Coverage) -> bool:
    """Whether an object of a closed kind allows and limits nothing any more."""
    kind = kind_of(live.ref)
    try:
        return digest_of(kind, kind.emptied(live.body()), coverage) == live.digest
    except (MalformedObject, OpenWorldError):
        return False


def _metadata(live: Live) -> Body:
    metadata: Body = live.body().get("metadata") or {}
    return metadata
