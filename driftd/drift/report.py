"""What differs, path by path, with a sentence each: DeepDiff over rule-keyed maps, bounded before it starts (D2)."""

from dataclasses import dataclass, replace
from typing import Any

from deepdiff import DeepDiff
from deepdiff.helper import notpresent

from driftd.drift.sentences import sentence
from driftd.drift.words import shown
from driftd.policy.kinds import Coverage, Kind, MalformedObject, World, canonical_bytes, kind_of
from driftd.values import Body, Change, Desired, Finding, FindingType, Live

MOST_CHANGES = 64
MOST_TEXT = 64 * 1024
"""Characters of paths, values and sentences in one report."""
_LONGEST_VALUE = 512
_LARGEST_PART = 2048
"""Bytes of JSON above which DeepDiff is given a fingerprint of a value instead of the value."""
_ABSENT = object()


@dataclass(slots=True)
class _Pruned:
    """Two maps that hold only what differs between them, and how many differing entries were left out."""

    desired: Body
    live: Body
    kept: int = 0
    omitted: int = 0


def report(finding: Finding, desired: Desired | None, live: Live | None, coverage: Coverage) -> Finding:
    """The finding with its changes: at most 64 and 64 KiB of text, the rest counted in `omitted`.

    A missing object is shown with what it would allow as removed, an unexpected one with what it allows as added. The
    cost is bounded by the caps, not by the policy: a keyed set difference of canonical bytes comes first, and DeepDiff
    sees at most 64 pairs of at most 2 KiB. Text from the cluster is escaped and cut. CPU bound: call it in a thread,
    one at a time. Findings without two sides to compare come back as they are.
    """
    kind = kind_of(finding.ref)
    try:
        sides = _sides(kind, finding.type, desired, live, coverage)
        pruned = None if sides is None else _pruned(kind, *sides)
    except MalformedObject as fault:
        return replace(finding, summary=f"{finding.summary}; it cannot be read: {shown(str(fault))}")
    if pruned is None:
        return finding
    changes, beyond = _changes(pruned)
    omitted = pruned.omitted + beyond
    return replace(finding, changes=changes, omitted=omitted, summary=_summary(finding.summary, changes, omitted))


def _sides(
    kind: Kind, type_: FindingType, desired: Desired | None, live: Live | None, coverage: Coverage
) -> tuple[Body, Body] | None:
    """The two covered forms to compare; an absent side of a closed kind is the same object without its rules."""
    wanted = None if desired is None else desired.body()
    found = None if live is None else live.body()
    if type_ is FindingType.MODIFIED and wanted is not None and found is not None:
        return kind.covered(wanted, coverage), kind.covered(found, coverage)
    if kind.world is World.OPEN:
        return None
    if type_ is FindingType.MISSING and wanted is not None:
        return kind.covered(wanted, coverage), kind.covered(kind.emptied(wanted), coverage)
    if type_ is FindingType.UNEXPECTED and found is not None:
        return kind.covered(kind.emptied(found), coverage), kind.covered(found, coverage)
    return None


def _pruned(kind: Kind, desired: Body, live: Body) -> _Pruned:
    """Both sides keyed, and only what differs. Equal rules go first, before words are made for any of them."""
    pruned = _Pruned({}, {})
    wanted, found = dict(desired), dict(live)
    if isinstance(desired.get("spec"), dict) and isinstance(live.get("spec"), dict):
        wanted["spec"], found["spec"] = _without_equal_items(desired["spec"], live["spec"], pruned)
    _walk(_even(kind.keyed(wanted)), _even(kind.keyed(found)), pruned.desired, pruned.live, pruned)
    return pruned


def _even(keyed: Body) -> Body:
    """With every part of a pod selector present, so that one label more is one label, not a map that appears."""
    spec = keyed.get("spec")
    if not isinstance(spec, dict) or not isinstance(spec.get("podSelector"), dict):
        return keyed
    selector = {"matchLabels": {}, "matchExpressions": {}, **spec["podSelector"]}
    return {**keyed, "spec": {**spec, "podSelector": selector}}


def _without_equal_items(desired: Body, live: Body, pruned: _Pruned) -> tuple[Body, Body]:
    wanted, found = dict(desired), dict(live)
    for key in desired.keys() & live.keys():
        one, other = desired[key], live[key]
        if not (isinstance(one, list) and isinstance(other, list)):
            continue
        ours = {canonical_bytes(item): item for item in one}
        theirs = {canonical_bytes(item): item for item in other}
        gone = [item for name, item in ours.items() if name not in theirs]
        new = [item for name, item in theirs.items() if name not in ours]
        pruned.omitted += max(0, len(gone) - MOST_CHANGES) + max(0, len(new) - MOST_CHANGES)
        wanted[key], found[key] = gone[:MOST_CHANGES], new[:MOST_CHANGES]
    return wanted, found


def _walk(desired: Body, live: Body, ours: Body, theirs: Body, pruned: _Pruned) -> None:
    """Copy the entries that differ into `ours` and `theirs`, what the cluster added first, until the cap."""
    keys = sorted(live.keys() - desired.keys()) + sorted(desired)
    for key in keys:
        one, other = desired.get(key, _ABSENT), live.get(key, _ABSENT)
        if one is not _ABSENT and other is not _ABSENT:
            if canonical_bytes(one) == canonical_bytes(other):
                continue
            if isinstance(one, dict) and isinstance(other, dict):
                ours[key], theirs[key] = {}, {}
                _walk(one, other, ours[key], theirs[key], pruned)
                continue
        if pruned.kept >= MOST_CHANGES:
            pruned.omitted += 1
            continue
        pruned.kept += 1
        if one is not _ABSENT:
            ours[key] = _sized(one)
        if other is not _ABSENT:
            theirs[key] = _sized(other)


def _sized(value: Any) -> Any:
    encoded = canonical_bytes(value)
    if len(encoded) <= _LARGEST_PART:
        return value
    text = encoded.decode(errors="replace")
    return f"{text[:_LONGEST_VALUE]}… ({len(encoded)} bytes)"


def _changes(pruned: _Pruned) -> tuple[tuple[Change, ...], int]:
    """The changes DeepDiff finds, what the cluster added first, and how many lie beyond the caps.

    Private keys are not ignored: by default a key that begins with two underscores would be invisible. Its threshold is
    off: by default two maps with little in common are one change of the whole map.
    """
    tree = DeepDiff(
        pruned.desired,
        pruned.live,
        view="tree",
        ignore_private_variables=False,
        threshold_to_diff_deeper=0,
    )
    found = [_change(level) for levels in tree.values() for level in levels]
    found.sort(key=lambda change: (change.desired is not None, change.path))
    changes: list[Change] = []
    text = 0
    for change in found[:MOST_CHANGES]:
        text += sum(map(len, change.path)) + len(change.desired or "") + len(change.live or "") + len(change.sentence)
        if text > MOST_TEXT:
            break
        changes.append(change)
    return tuple(changes), len(found) - len(changes)


def _change(level: Any) -> Change:
    parts = tuple(str(part) for part in level.path(output_format="list"))
    desired = None if level.t1 is notpresent else level.t1
    live = None if level.t2 is notpresent else level.t2
    return Change(
        path=tuple(shown(part) for part in parts),
        desired=_json(level.t1),
        live=_json(level.t2),
        sentence=sentence(parts, desired, live),
    )


def _json(value: Any) -> str | None:
    """Compact JSON, escaped and cut; None where there is nothing. A JSON null is the text `null`."""
    if value is notpresent:
        return None
    return shown(canonical_bytes(value).decode(errors="replace"), _LONGEST_VALUE)


def _summary(said: str, changes: tuple[Change, ...], omitted: int) -> str:
    if not changes:
        return said
    more = len(changes) - 1 + omitted
    return f"{said}: {changes[0].sentence}" + (f", and {more} more" if more else "")
