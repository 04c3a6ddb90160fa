"""Twins: what stands in for a canonical object that is being deleted and cannot be created again yet.

A terminating object still works, and stops working the moment its last finalizer goes: somebody else chooses that
moment. A twin has the same spec under a reserved name, so nothing opens then.
"""

from hashlib import blake2b

import orjson

from driftd.policy.kinds import Coverage, World, digest_of, kind_of
from driftd.values import Desired, ObjectRef, pack

SUFFIX = "-driftd-twin"
"""Ends the name of every twin. A name that ends so in the model has a twin of its own, with the ending twice."""
_LONGEST_NAME = 253
_FINGERPRINT = 8


def twin_name(name: str) -> str:
    """The reserved name for the twin of `name`: at most 253 characters, valid and different for different names.

    A name is a DNS subdomain (RFC 1123): where it is cut, no dot or hyphen may be left at the end.
    """
    if len(name) + len(SUFFIX) <= _LONGEST_NAME:
        return name + SUFFIX
    fingerprint = blake2b(name.encode(), digest_size=_FINGERPRINT // 2).hexdigest()
    kept = name[: _LONGEST_NAME - len(SUFFIX) - _FINGERPRINT - 1].rstrip(".-")
    return f"{kept}-{fingerprint}{SUFFIX}"


def twin_ref(ref: ObjectRef) -> ObjectRef:
    """Identity of the twin of an object."""
    return ObjectRef(ref.group, ref.kind, ref.namespace, twin_name(ref.name))


def has_twin(ref: ObjectRef) -> bool:
    """Whether the kind of `ref` is one whose objects add up, so that a second one of equal content changes nothing."""
    return kind_of(ref).world is World.CLOSED


def twin_of(desired: Desired, coverage: Coverage) -> Desired:
    """The twin of a canonical object: the same content and provenance under the reserved name."""
    ref = twin_ref(desired.ref)
    body = desired.body()
    body["metadata"]["name"] = ref.name
    return Desired(ref, pack(orjson.dumps(body)), digest_of(kind_of(ref), body, coverage), desired.origin)
