"""What a plan leaves alone for now: objects of a fight that opens nothing, of failed or refused writes, of rivals."""

from collections.abc import Mapping
from dataclasses import dataclass

from driftd.drift import Comparison, Difference, FightBreaker, decides_flows, twin_ref
from driftd.engine.setbacks import Setbacks
from driftd.engine.stopped import StoppedKinds
from driftd.values import Direction, FindingType, ObjectRef

MOST_CONFLICTS = 2
"""Conflicts over one object in a cycle after which the others go first."""
_REPAIRABLE = frozenset(
    {
        FindingType.MISSING,
        FindingType.MODIFIED,
        FindingType.UNEXPECTED,
        FindingType.TERMINATING,
        FindingType.UNDELETABLE,
    }
)


@dataclass(frozen=True, slots=True)
class LeftAlone:
    """`waiting`: not opened again, by the fight breaker. `stuck`: not written at all. `again`: pauses in seconds.

    `passing` are those of the stuck that have not failed twice in a row: the next try may well go through.
    """

    waiting: frozenset[ObjectRef]
    stuck: frozenset[ObjectRef]
    again: tuple[float, ...]
    passing: frozenset[ObjectRef]


@dataclass(frozen=True, slots=True)
class Patience:
    """Asks everybody who may have a reason to wait."""

    breaker: FightBreaker
    setbacks: Setbacks
    stopped: StoppedKinds

    def left_alone(
        self, comparison: Comparison, conflicts: Mapping[ObjectRef, int], now: float, *, open_everywhere: int
    ) -> LeftAlone:
        """What of a look is left alone.

        `conflicts` are those of the cycle, `open_everywhere` counts open findings that decide flows.
        """
        waiting: set[ObjectRef] = set()
        again: list[float] = []
        # Somebody who keeps writing one object must not keep driftd from the others of its scope.
        stuck = {ref for ref, count in conflicts.items() if count >= MOST_CONFLICTS}
        # Two harmless halves may make a hole: patience is only for what stands alone.
        alone = sum(map(decides_flows, comparison.findings)) <= 1 and open_everywhere <= 1
        for finding in comparison.findings:
            direction = finding.direction if alone else Direction.UNKNOWN
            fight = 0.0
            if finding.type in _REPAIRABLE:
                version = _version(comparison.differences.get(finding.id))
                fight = self.breaker.permit(finding.ref, direction, now, version=version)
            if fight > 0:
                waiting.add(finding.ref)
                again.append(fight)
            for ref in (finding.ref, twin_ref(finding.ref)):
                if ref in self.stopped:  # its lift has every scope looked at again
                    stuck.add(ref)
        paused = self.setbacks.paused(comparison.scope, now)  # a policy that is closed for others has no finding
        stuck.update(paused)
        again += paused.values()
        passing = {ref for ref in stuck if ref not in self.stopped and not self.setbacks.lasts(ref, now)}
        return LeftAlone(frozenset(waiting), frozenset(stuck), tuple(again), frozenset(passing))


def _version(difference: Difference | None) -> str:
    """At which the object was seen, empty where it is missing."""
    return difference.live.resource_version if difference and difference.live else ""
