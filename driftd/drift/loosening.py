"""How many objects of a new model let more through than before: what its guard is told (D8)."""

from collections.abc import Iterator
from dataclasses import replace

from driftd.compile import Compiled
from driftd.drift.meaning import Difference
from driftd.drift.world import World
from driftd.values import Desired, FindingType, Live

EXAMINED = 2000
"""Changed objects that are looked at. What lies beyond is not known, and what is not known opens something."""


def loosened(before: Compiled, after: Compiled, enough: int) -> int:
    """Objects whose change opens flows, alone or with the others; counting ends above `enough`.

    Only scopes that both models govern count: a new environment is no loosening, and one that left is held as it
    is. Of an object that is new in its scope only what it opens between pods that the old model knew counts, for a
    new service has to be let in somewhere. The dialect is the new model's.
    """
    changes = list(_changes(before, after))
    if not changes:
        return 0
    world = World(replace(before, dialect=after.dialect, pod_ranges=after.pod_ranges, node_ranges=after.node_ranges))
    count = max(0, len(changes) - EXAMINED)
    for change in changes[:EXAMINED]:
        if count > enough:
            break
        if change.type is FindingType.UNEXPECTED:
            count += world.opens(change)
        else:
            count += world.judge([change])[change.ref].direction.may_loosen
    return count


def _changes(before: Compiled, after: Compiled) -> Iterator[Difference]:
    """The objects of both models' common scopes that differ, the old one in the place of the model."""
    for name, old in before.governed.items():
        new = after.governed.get(name)
        if new is None or old.objects == new.objects:
            continue
        for ref in sorted(old.objects.keys() | new.objects.keys()):
            was, now = old.objects.get(ref), new.objects.get(ref)
            if was is None and now is not None:
                yield Difference(FindingType.UNEXPECTED, ref, None, _live(now))
            elif now is None:
                yield Difference(FindingType.MISSING, ref, was, None)
            elif was is not None and was.kept != now.kept:
                yield Difference(FindingType.MODIFIED, ref, was, _live(now))


def _live(desired: Desired) -> Live:
    return Live(desired.ref, desired.kept, desired.digest, "", "", terminating=False, managers=())
