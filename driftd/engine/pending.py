"""How many live objects a model would write over where it newly enforces: what its guard is told."""

from collections.abc import Mapping

from driftd.cluster import Mirror
from driftd.compile import Compiled, GovernedNamespace
from driftd.drift import switched_on
from driftd.policy.kinds import KINDS, Coverage, MalformedObject, World, digest_of
from driftd.values import Live


def pending(before: Compiled | None, after: Compiled, mirror: Mirror) -> Mapping[str, int]:
    """Live objects that enforcing `after` would delete or replace now, for each scope where enforcement is new."""
    counts = {}
    for governed in switched_on(before, after):
        lives = mirror.scope(governed.scope).values()
        counts[governed.name] = sum(_written_over(live, governed, after.coverage) for live in lives)
    return counts


def _written_over(live: Live, governed: GovernedNamespace, coverage: Coverage) -> bool:
    kind = KINDS.get((live.ref.group, live.ref.kind))
    if kind is None:
        return False
    desired = governed.objects.get(live.ref)
    if desired is None:
        return governed.closed and kind.world is World.CLOSED
    if live.hollow or not kind.reads_coverage:
        # The mirror's digest is the newest there is; of what nobody can read it equals no desired one.
        return live.digest != desired.digest
    try:
        return digest_of(kind, live.body(), coverage) != desired.digest
    except MalformedObject:
        return True  # nobody can read it: whatever it is, it is not what the model has
