"""The impact of an edit: what was found, and the verdict that a reviewer or a pipeline goes by."""

from dataclasses import dataclass

from driftd.cli.flows.differences import Difference
from driftd.cli.flows.documents import ChangeSummary, FutureChange, ReachabilityImpact
from driftd.cli.flows.tomorrow import Tomorrow
from driftd.cli.worlds.world import Unread, World
from driftd.documents import GapEntry
from driftd.values import Direction


@dataclass(frozen=True, slots=True)
class Impact:
    """Two worlds, what differs between them, and what of either could not be read and is not the same in both."""

    before: World
    after: World
    difference: Difference
    tomorrow: Tomorrow
    unread: tuple[Unread, ...]
    remarks: tuple[str, ...]

    @property
    def opens(self) -> bool:
        """Whether anything opens, for pods that are there or for pods that could be made."""
        return self.difference.opens or self.tomorrow.direction in (Direction.LOOSENS, Direction.MIXED)

    @property
    def unknown(self) -> bool:
        """Whether it cannot be told that nothing (else) opens."""
        return bool(self.unread) or self.tomorrow.direction is Direction.UNKNOWN

    @property
    def verdict(self) -> str:
        """In one line."""
        if self.unknown:
            return "could not be told whole"
        return "something opens" if self.opens else "nothing opens"


def unread_changes(before: World, after: World) -> tuple[tuple[Unread, ...], tuple[str, ...]]:
    """What cannot be read: that which differs between two revisions, and in words that which is the same in both.

    What stands in both revisions, byte for byte, is not what an edit changed.
    """
    old = {(one.why, one.content) for one in before.unread if one.content}
    new = {(one.why, one.content) for one in after.unread if one.content}
    same = old & new
    differing = [one for one in (*before.unread, *after.unread) if (one.why, one.content) not in same]
    told = [f"{one} (the same in both)" for one in after.unread if (one.why, one.content) in same]
    return tuple({(one.where, one.why): one for one in differing}.values()), tuple(told)


def impact_document(found: Impact) -> ReachabilityImpact:
    """The document."""
    difference = found.difference
    entries = [one.entry for one in difference.told]
    verdict = "unknown" if found.unknown else "opens" if found.opens else "nothing-opens"
    return ReachabilityImpact(
        old=found.before.source,
        new=found.after.source,
        dialect=found.after.dialect,
        verdict=verdict,
        summary=ChangeSummary(
            opens=sum(one.change == "opens" for one in entries),
            closes=sum(one.change == "closes" for one in entries),
            changes=sum(one.change == "changes" for one in entries),
            crossing=sum(one.crosses and bool(one.opened) for one in difference.told),
        ),
        pairs=difference.pairs,
        outside=difference.outside,
        future=FutureChange(direction=found.tomorrow.direction.name, examples=found.tomorrow.examples),
        unread=tuple(GapEntry(where=one.where, why=one.why) for one in found.unread),
        notes=found.remarks,
    )
