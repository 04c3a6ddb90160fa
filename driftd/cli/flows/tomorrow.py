"""What an edit means for pods that do not exist yet: the ordinary delta, with every kind of pod that it could touch."""

from dataclasses import dataclass

from driftd.cli.flows.words import UNDEFINED
from driftd.cli.worlds.world import World
from driftd.policy.reach import Edit, Flows, Snapshot, apply, delta, imagine
from driftd.policy.reach.delta import direction
from driftd.values import Direction, ObjectRef


@dataclass(frozen=True, slots=True)
class Tomorrow:
    """The direction for pods that could be made, UNKNOWN where not all kinds were tried, and flows that show it."""

    direction: Direction
    examples: tuple[str, ...]


def tomorrow(before: World, after: World) -> Tomorrow:
    """Judge two worlds of one lineage by pods that could be made in either; what came or went itself is left out."""
    old, new = _common(before.snapshot, after.snapshot), _common(after.snapshot, before.snapshot)
    imagined = imagine(old, new)
    edits = [Edit(put=objects) for objects in imagined.rounds]
    found = [delta(apply(old, edit), apply(new, edit)) for edit in edits]
    opened = [one for one in found if _telling(one.added) or one.added_surely]
    closed = [one for one in found if _telling(one.removed) or one.removed_surely]
    towards = direction(loosens=bool(opened), tightens=bool(closed))
    if not imagined.complete and not opened:
        return Tomorrow(Direction.UNKNOWN, ())
    told = [one.added or one.added_surely for one in opened] or [one.removed or one.removed_surely for one in closed]
    flows = (one for part in told[:1] for one in part.witnesses(after.tenancy))
    examples = tuple(f"{one.source} -> {one.target} {one.protocol}/{one.port}" for one in flows)
    return Tomorrow(towards, examples)


def _telling(flows: Flows) -> bool:
    """Whether any of it is more than traffic that NetworkPolicy does not define."""
    return any(part.traffic - UNDEFINED for part in flows.rectangles)


def _common(snapshot: Snapshot, other: Snapshot) -> Snapshot:
    gone = [
        ObjectRef("", "Pod", name, pod)
        for name, view in snapshot.namespaces.items()
        for pod in view.pods
        if name not in other.namespaces or pod not in other.namespaces[name].pods
    ]
    return apply(snapshot, Edit(remove=tuple(gone))) if gone else snapshot
