"""The judgement of a difference: which way it goes, whom it concerns, how bad it is, and a flow that shows it."""

from dataclasses import dataclass
from typing import Final

from driftd.policy.reach.delta import Delta, delta, direction
from driftd.policy.reach.dialects import Dialect
from driftd.policy.reach.edits import apply
from driftd.policy.reach.flows import Flows, Tenancy
from driftd.policy.reach.future import imagine
from driftd.policy.reach.snapshot import Edit, Snapshot
from driftd.values import Direction, Severity, Witness

MOST_PAIRS: Final = 10_000
"""Pairs of groups that a judgement compares; what one namespace's objects can change needs far fewer."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the step between two snapshots means (D5).

    `now` is about endpoints that exist, `direction` about pods that could be made as well. A change that is NEUTRAL
    now and not with those is `neutral_now`. `witness` shows what opens, or else what closes. `crosses_tenant` is about
    what opens; `within` is the namespace between whose pods all of it lies, empty when there is no such namespace or
    nothing opens.
    """

    direction: Direction
    now: Direction
    witness: Witness | None
    witnesses: tuple[Witness, ...]
    crosses_tenant: bool
    severity: Severity
    dialect: Dialect
    notes: tuple[str, ...] = ()
    within: str = ""

    @property
    def neutral_now(self) -> bool:
        return self.now is Direction.NEUTRAL and self.direction is not Direction.NEUTRAL


def judge(before: Snapshot, after: Snapshot, tenants: Tenancy, bound: int = 256, most: int = MOST_PAIRS) -> Judgement:
    """Judge the step from one snapshot to another.

    Imagined pods are bounded: where the bound is reached and nothing is known to open, the direction is UNKNOWN
    and a note says so. So is the comparison, since a change to everybody's policies concerns every pair in a cluster:
    one that is cut short crosses tenants' borders if it opens anything, and is UNKNOWN if nothing was seen to open.
    Raises DifferentDialects.
    """
    live = delta(before, after, most)
    now = live.direction if live.complete or live.direction.may_loosen else Direction.UNKNOWN
    found = [live]
    complete = True
    if live.complete and not live.direction.may_loosen:
        imagined = imagine(live.before, after, bound)
        complete = imagined.complete
        if imagined.objects:
            edit = Edit(put=imagined.objects)
            found.append(delta(apply(live.before, edit), apply(after, edit), most))
    both = direction(
        loosens=any(one.direction in (Direction.LOOSENS, Direction.MIXED) for one in found),
        tightens=any(one.direction in (Direction.TIGHTENS, Direction.MIXED) for one in found),
    )
    notes: tuple[str, ...] = ()
    if not complete and not both.may_loosen:
        both = Direction.UNKNOWN
        notes = (f"more than {bound} kinds of pods could be made that this touches: not all were tried",)
    if not all(one.complete for one in found):
        notes += (f"the change concerns more than {most} pairs of groups of pods: not all were compared",)
        if not both.may_loosen:
            both = Direction.UNKNOWN
    return _judgement(found, both, now, tenants, notes)


def _judgement(
    found: list[Delta], both: Direction, now: Direction, tenants: Tenancy, notes: tuple[str, ...]
) -> Judgement:
    opening = [flows for one in found for flows in (one.added, one.added_surely) if flows]
    closing = [flows for one in found for flows in (one.removed, one.removed_surely) if flows]
    told = opening or closing
    witnesses = told[0].witnesses(tenants, plain=not found[0]) if told else ()
    whole = all(one.complete for one in found)
    crossing = any(_crosses(flows, tenants) for flows in opening) or (both.may_loosen and not whole)
    if both.may_loosen:
        severity = Severity.CRITICAL if crossing else Severity.HIGH
    else:
        severity = Severity.LOW if both is Direction.TIGHTENS else Severity.INFO
    return Judgement(
        direction=both,
        now=now,
        witness=witnesses[0] if witnesses else None,
        witnesses=witnesses,
        crosses_tenant=crossing,
        severity=severity,
        dialect=found[0].after.dialect,
        notes=notes,
        within=_within(opening),
    )


def _crosses(flows: Flows, tenants: Tenancy) -> bool:
    return any(pair is not None for pair in flows.crossing(tenants))


def _within(opening: list[Flows]) -> str:
    homes = {flows.home() for flows in opening}
    return homes.pop() if len(homes) == 1 else ""
