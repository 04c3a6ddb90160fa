"""The judgement of a difference: which way it goes, whom it concerns, and a flow that shows it."""

from dataclasses import dataclass, replace
from typing import Final

from driftd.policy.reach.delta import Delta, delta, direction
from driftd.policy.reach.dialects import Dialect
from driftd.policy.reach.edits import apply
from driftd.policy.reach.flows import Flows, Tenancy
from driftd.policy.reach.future import imagine
from driftd.policy.reach.pods import Pod
from driftd.policy.reach.snapshot import Edit, Snapshot
from driftd.policy.reach.steps import lies_within, opens_nothing
from driftd.values import Direction, Witness

MOST_PAIRS: Final = 10_000
"""Pairs of groups that a judgement compares; what one namespace's objects can change needs far fewer."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the step between two snapshots means (D5).

    `now` is about endpoints that exist, `direction` about pods that could be made as well. A change that is NEUTRAL
    now and not with those is `neutral_now`. `witness` shows what opens, across tenants if anything does, or else what
    closes. `crosses_tenant` is about all that opens, now or for pods to come; `within` is the namespace between whose
    pods all of it lies, empty when there is no such namespace, nothing opens, or not all of it is known.
    """

    direction: Direction
    now: Direction
    witness: Witness | None
    crosses_tenant: bool
    dialect: Dialect
    within: str = ""

    @property
    def neutral_now(self) -> bool:
        return self.now is Direction.NEUTRAL and self.direction is not Direction.NEUTRAL


def judge(
    before: Snapshot,
    after: Snapshot,
    tenants: Tenancy,
    bound: int = 256,
    most: int = MOST_PAIRS,
    *,
    among: frozenset[str] | None = None,
) -> Judgement:
    """Judge the step from one snapshot to another.

    With `among`, of two snapshots of one lineage: what it does to flows between pods of these namespaces, of those in
    which pods to come are imagined, and addresses outside. The rest is not looked at.

    Pods to come are imagined unless the live ones show the worst already: a rule that opens something harmless must
    not hide what the next one opens to a namespace that nobody has made yet. Imagined pods are bounded, and so is the
    comparison, since a change to everybody's policies concerns every pair in a cluster. Where a bound is reached,
    what opens crosses tenants' borders (but for the bound of pods, where the rules themselves show that it cannot); if
    nothing was seen to open the direction is UNKNOWN, or TIGHTENS where the rules show that nothing can.
    Raises DifferentDialects.
    """
    live = delta(*_parts(before, after, among), most)
    earlier = live.before if among is None else before
    now = live.direction if live.complete or live.direction.may_loosen else Direction.UNKNOWN
    found = [live]
    home: str | None = None
    if live.complete and not any(_crosses(flows, tenants) for flows in _opened(live)):
        imagined = imagine(earlier, after, bound)
        if not imagined.complete:
            home = lies_within(earlier, after)
        for objects in filter(None, imagined.rounds):
            edit = Edit(put=objects)
            homes = {one.namespace for one in objects if isinstance(one, Pod)}
            places = None if among is None else among | homes
            found.append(delta(*_parts(apply(earlier, edit), apply(after, edit), places), most))
    if not all(one.complete for one in found):
        home = ""
    judgement = _judgement(found, now, tenants, home)
    if judgement.direction is Direction.UNKNOWN and opens_nothing(earlier, after):
        return replace(judgement, direction=Direction.TIGHTENS, crosses_tenant=False)
    return judgement


def _judgement(found: list[Delta], now: Direction, tenants: Tenancy, home: str | None) -> Judgement:
    """`home` is where all that was not tried lies, "" where it may lie anywhere, None where everything was tried."""
    both = direction(
        loosens=any(one.direction in (Direction.LOOSENS, Direction.MIXED) for one in found),
        tightens=any(one.direction in (Direction.TIGHTENS, Direction.MIXED) for one in found),
    )
    if home is not None and not both.may_loosen:
        both = Direction.UNKNOWN
    opening = [flows for one in found for flows in _opened(one)]
    closing = [flows for one in found for flows in (one.removed, one.removed_surely) if flows]
    across = [flows for flows in opening if _crosses(flows, tenants)]
    told = next(iter((*across, *opening, *closing)), None)
    imagined = told is not None and all(told.snapshot is not one for one in (found[0].before, found[0].after))
    homes = {flows.home() for flows in opening} | ({home} if opening and home is not None else set())
    return Judgement(
        direction=both,
        now=now,
        witness=next(iter(told.witnesses(tenants, 1, plain=imagined) if told is not None else ()), None),
        crosses_tenant=bool(across) or (both.may_loosen and home == ""),
        dialect=found[0].after.dialect,
        within=homes.pop() if len(homes) == 1 else "",
    )


def _parts(before: Snapshot, after: Snapshot, names: frozenset[str] | None) -> tuple[Snapshot, Snapshot]:
    return (before, after) if names is None else (before.within(names), after.within(names))


def _opened(one: Delta) -> list[Flows]:
    return [flows for flows in (one.added, one.added_surely) if flows]


def _crosses(flows: Flows, tenants: Tenancy) -> bool:
    return any(pair is not None for pair in flows.crossing(tenants))
