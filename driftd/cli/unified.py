"""A difference as a unified YAML diff: what is compared, in canonical form, live against model."""

from collections.abc import Sequence
from difflib import unified_diff

from driftd.cli.plain_yaml import dumped
from driftd.cli.verdict import Judged
from driftd.policy.kinds import Coverage, MalformedObject, kind_of
from driftd.values import Body, Desired, FindingType, Live, ObjectRef

_CONTEXT = 3
_MOST_PAIRS = 4_000_000
"""Lines of one side times lines of the other, above which the sides are shown one after the other: matching lines
takes time in the square of their number, and a tenant chooses how long its policy is."""
_BETWEEN = frozenset({FindingType.MISSING, FindingType.MODIFIED, FindingType.UNEXPECTED, FindingType.UNDELETABLE})


def diff_of(judged: Judged, coverage: Coverage) -> str | None:
    """The diff, `-` as it is in the cluster and `+` as the model has it; None where no content lies between the two.

    Only the covered part is shown, with defaults written out and sets sorted, so that every line of the diff is a
    difference that counts. The second header names the model's file and line.
    """
    difference = judged.difference
    if difference is None or judged.finding.type not in _BETWEEN:
        return None
    ref, desired, live = difference.ref, difference.desired, difference.live
    if judged.finding.type in (FindingType.UNEXPECTED, FindingType.UNDELETABLE):
        desired = None  # a twin that is no longer needed has a desired side, and is to go all the same
    before = _lines(ref, live, coverage)
    after = _lines(ref, desired, coverage)
    return "\n".join(
        _unified(
            before,
            after,
            f"{ref} (live)" if live is not None else f"{ref} (not in the cluster)",
            str(desired.origin) if desired is not None else "(not in the model)",
        )
    )


def _lines(ref: ObjectRef, side: Desired | Live | None, coverage: Coverage) -> list[str]:
    return [] if side is None else dumped(_shown(ref, side.body(), coverage)).splitlines()


def _shown(ref: ObjectRef, body: Body, coverage: Coverage) -> Body:
    kind = kind_of(ref)
    identity = {"name": ref.name, "namespace": ref.namespace} if ref.namespace else {"name": ref.name}
    try:
        covered = dict(kind.covered(body, coverage))
    except MalformedObject:
        return body  # it cannot be read as its kind: then it is shown as it is
    metadata = {**identity, **covered.pop("metadata", {})}
    return {"apiVersion": kind.resource.api_version, "kind": ref.kind, "metadata": metadata, **covered}


def _unified(before: Sequence[str], after: Sequence[str], left: str, right: str) -> list[str]:
    shared = _shared(before, after)
    tail = _shared(before[shared:][::-1], after[shared:][::-1])
    if (len(before) - shared - tail) * (len(after) - shared - tail) <= _MOST_PAIRS:
        return list(unified_diff(before, after, left, right, lineterm="", n=_CONTEXT))
    gone, new = before[shared : len(before) - tail], after[shared : len(after) - tail]
    head = f"@@ -{shared + 1},{len(gone)} +{shared + 1},{len(new)} @@"
    return [f"--- {left}", f"+++ {right}", head, *(f"-{line}" for line in gone), *(f"+{line}" for line in new)]


def _shared(before: Sequence[str], after: Sequence[str]) -> int:
    """How many lines both begin with."""
    count = 0
    for one, other in zip(before, after, strict=False):
        if one != other:
            break
        count += 1
    return count
