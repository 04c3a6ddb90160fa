"""The difference between two snapshots as sets of flows, exact, touching only what can differ.

Flows are between endpoints that exist. For classes that stand for the same endpoints in both snapshots whole
rectangles are compared; endpoints that moved between classes are compared one by one, and only with those whose
policies can tell their two classes apart.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from driftd.policy.reach.cells import ABSENT, Cells, Facing, Group, Moved
from driftd.policy.reach.edits import align
from driftd.policy.reach.flows import Flows, Rectangle
from driftd.policy.reach.inventory import Plans
from driftd.policy.reach.policies import Flow, Policy
from driftd.policy.reach.ports import NONE, PortSet
from driftd.policy.reach.relation import EMPTY, Relation, at, joint, kinds
from driftd.policy.reach.snapshot import NO_PLANS, Snapshot
from driftd.policy.reach.walk import Plan
from driftd.values import Direction

_Joint = tuple[tuple[PortSet, int, int], ...]
_OF_A_GROUP: Final = 8
"""Pairs that it takes as long to compare as to find out what the policies of a group that differs say."""


class DifferentDialects(ValueError):
    """Two snapshots read in different dialects were compared; their difference would mean nothing."""


@dataclass(frozen=True, slots=True)
class Delta:
    """What `after` lets pass and `before` does not (`added`), and the other way round (`removed`).

    `added` and `removed` are about what may pass in some reading; `added_surely` and `removed_surely` about what
    must pass in every one. Where nothing is open both are equal.
    """

    before: Snapshot
    after: Snapshot
    added: Flows
    removed: Flows
    added_surely: Flows
    removed_surely: Flows
    complete: bool = True
    """False: the comparison was cut short, and what it holds is some of the difference."""

    @property
    def direction(self) -> Direction:
        """The difference on endpoints that exist now; see `judge` for those that could exist tomorrow."""
        return direction(
            loosens=bool(self.added or self.added_surely), tightens=bool(self.removed or self.removed_surely)
        )

    def __bool__(self) -> bool:
        return self.direction is not Direction.NEUTRAL


def direction(*, loosens: bool, tightens: bool) -> Direction:
    """The word for what opened and what closed."""
    if loosens:
        return Direction.MIXED if tightens else Direction.LOOSENS
    return Direction.TIGHTENS if tightens else Direction.NEUTRAL


def delta(before: Snapshot, after: Snapshot, most: int | None = None) -> Delta:
    """Every flow that the step from `before` to `after` opens or closes.

    A change to everybody's policies can concern every pair in the cluster. With `most`, the comparison ends after so
    many pairs of groups, each group that differs counted as eight, and `complete` says so.
    Snapshots of different lineages are compared too, at the cost of reading `before` into the lineage of `after`.
    Raises DifferentDialects.
    """
    if before.dialect is not after.dialect:
        raise DifferentDialects(f"{before.dialect} against {after.dialect}: build both snapshots with one dialect")
    if before.core is not after.core:
        before = align(before, onto=after)
    before, after = before.outside_as_cut(), after.outside_as_cut()
    cells = Cells(before, after)
    may = _Comparison(cells, most, surely=False)
    may.run()
    if may.certain:
        surely = may
    else:
        surely = _Comparison(cells, most, surely=True)
        surely.run()
    return Delta(
        before,
        after,
        Flows(after, tuple(may.added)),
        Flows(before, tuple(may.removed)),
        Flows(after, tuple(surely.added)),
        Flows(before, tuple(surely.removed)),
        may.complete and surely.complete,
    )


class _Comparison:
    """One bound of the difference."""

    def __init__(self, cells: Cells, most: int | None, *, surely: bool) -> None:
        self.cells = cells
        self.core = cells.after.core
        self.surely = surely
        self.certain = True
        self.complete = True
        self._left = most
        self._joints: dict[tuple[Plan | str | None, Plan | str | None], _Joint] = {}
        self._ways: dict[tuple[int, int], tuple[Relation, Relation]] = {}
        self.added: list[Rectangle] = []
        self.removed: list[Rectangle] = []

    def run(self) -> None:
        cells = self.cells
        for group in cells.changed:
            if self.complete:
                self._changed_targets(group)
        for group in cells.changed:
            if self.complete:
                self._changed_sources(group)
        for moved in cells.moved:
            if self.complete:
                self._moved_against_shared(moved)
        for source in cells.moved:
            for target in cells.moved:
                self._moved_pair(source, target)

    def _spent(self, work: int = 1) -> bool:
        """Whether the work that was allowed is done; counts more of it."""
        if self._left is not None:
            self._left -= work
            if self._left < 0:
                self.complete = False
        return not self.complete

    # -- relations -------------------------------------------------------------------------------------------------

    def _relation(self, plans: Plans | None, side: int) -> Relation:
        if plans is None:
            return EMPTY
        verdict = self.core.verdict(plans[side])
        if verdict.must is not verdict.may:
            self.certain = False
        return verdict.must if self.surely else verdict.may

    def _both(self, before: Plans | None, after: Plans | None, side: int) -> _Joint:
        key = (before[side] if before else ABSENT, after[side] if after else ABSENT)
        found = self._joints.get(key)
        if found is None:
            found = self._joints[key] = joint(self._relation(before, side), self._relation(after, side))
        return found

    # -- shared classes --------------------------------------------------------------------------------------------

    def _changed_targets(self, target: Group) -> None:
        if _same(target.before, target.after, 0) or self._spent(_OF_A_GROUP):
            return
        into = self._both(target.before, target.after, 0)
        changed = _changed(into)
        facing = Facing(target.bits, 1, _kinds(changed), self.surely)
        alike: dict[tuple[_Joint, _Joint], int] = {}
        for source in self.cells.groups(_differing(changed), facing):
            if self._spent():
                break
            out = _within(self._both(source.before, source.after, 1), target.bits)
            # Where the other side stays as it is, only what differs on this one can make a difference.
            key = (changed if _same(source.before, source.after, 1) else into, out)
            alike[key] = alike.get(key, 0) | source.bits
        for (coming, out), sources in alike.items():
            self._rectangles(_within(coming, sources), out)

    def _changed_sources(self, source: Group) -> None:
        if _same(source.before, source.after, 1) or self._spent(_OF_A_GROUP):
            return
        out = self._both(source.before, source.after, 1)
        changed = _changed(out)
        facing = Facing(source.bits, 0, _kinds(changed), self.surely)
        alike: dict[tuple[_Joint, _Joint], int] = {}
        for target in self.cells.groups(_differing(changed), facing):
            if self._spent():
                break
            into = self._both(target.before, target.after, 0)
            same = _same(target.before, target.after, 0)
            # The other pass has seen every source that this target's own change could concern.
            key = (_within(into, source.bits if same else source.bits & ~_differing(into)), changed if same else out)
            alike[key] = alike.get(key, 0) | target.bits
        for (into, going), targets in alike.items():
            self._rectangles(into, _within(going, targets))

    def _rectangles(self, into: _Joint, out: _Joint) -> None:
        """What differs between the sources in `into` and the targets in `out`."""
        for in_ports, from_before, from_after in into if out else ():
            for out_ports, to_before, to_after in out:
                traffic = in_ports & out_ports
                if traffic:
                    self._split(self.added, traffic, (from_after, to_after), (from_before, to_before))
                    self._split(self.removed, traffic, (from_before, to_before), (from_after, to_after))

    def _split(self, found: list[Rectangle], traffic: PortSet, have: tuple[int, int], less: tuple[int, int]) -> None:
        """Append `have` minus `less`, both being sources times targets."""
        sources, targets = have
        if not sources or not targets or have == less:
            return
        self._keep(found, sources & ~less[0], targets, traffic)
        self._keep(found, sources & less[0], targets & ~less[1], traffic)

    def _keep(self, found: list[Rectangle], sources: int, targets: int, traffic: PortSet) -> None:
        """Append a rectangle without the pairs of a pod with itself, which no policy governs."""
        if not sources or not targets:
            return
        alone = self.cells.alone(sources & targets)
        if not alone:
            found.append(Rectangle(sources, targets, traffic))
            return
        if sources & ~alone:
            found.append(Rectangle(sources & ~alone, targets, traffic))
        while alone:
            one = alone & -alone
            alone ^= one
            if targets & ~one:
                found.append(Rectangle(one, targets & ~one, traffic))

    # -- endpoints that moved --------------------------------------------------------------------------------------

    def _moved_against_shared(self, moved: Moved) -> None:
        before, after = self._plans(moved)
        looking = self._looking(moved)
        outside = ~self.core.endpoints.labels.everything
        is_pod = before is not NO_PLANS or after is not NO_PLANS or not self._is_outside(moved)
        for side in (1, 0):
            mine = self._both(before, after, side)
            changed = _changed(mine)
            told = watching = looking[1 - side]
            for group in self.cells.changed:
                if not _same(group.before, group.after, 1 - side):
                    told |= group.bits
            rest = _differing(changed) & ~told
            if not is_pod:
                told, rest = told & ~outside, rest & ~outside
            for candidates, traffic in ((told, (True, True)), (rest, _kinds(changed))):
                for group in self.cells.groups(candidates, Facing(moved.places, 1 - side, traffic, self.surely)):
                    if self._spent():
                        return
                    theirs = self._at_moved(moved, group, 1 - side, told_apart=bool(group.bits & watching))
                    self._one_against_many(moved, group.bits, mine, theirs, outgoing=side == 1)

    def _at_moved(self, moved: Moved, group: Group, side: int, *, told_apart: bool) -> list[tuple[PortSet, bool, bool]]:
        """What a group's policies let it exchange with the moved endpoint: (traffic, before, after)."""
        was, now = moved.before, moved.after
        if was is not None and now is not None and not told_apart and _same(group.before, group.after, side):
            # No rule can tell the two classes apart: what held of the one holds of the other.
            relation = self._relation(group.before, side)
            return [(ports, bool(bits >> was & 1), bool(bits >> was & 1)) for ports, bits in relation]
        parts = self._both(group.before, group.after, side)
        return [(ports, _has(before, was), _has(after, now)) for ports, before, after in parts]

    def _one_against_many(
        self, moved: Moved, others: int, mine: _Joint, theirs: list[tuple[PortSet, bool, bool]], *, outgoing: bool
    ) -> None:
        for my_ports, my_before, my_after in mine:
            for their_ports, had, has in theirs:
                met_before = others & my_before if had else 0
                met_after = others & my_after if has else 0
                if met_before == met_after:
                    continue
                traffic = my_ports & their_ports
                if not traffic:
                    continue
                for found, gained, place in (
                    (self.added, met_after & ~met_before, moved.after),
                    (self.removed, met_before & ~met_after, moved.before),
                ):
                    if gained and place is not None:
                        one = 1 << place
                        found.append(
                            Rectangle(one, gained, traffic, source=moved.name)
                            if outgoing
                            else Rectangle(gained, one, traffic, target=moved.name)
                        )

    def _moved_pair(self, source: Moved, target: Moved) -> None:
        if source is target and source.count <= 1:
            return
        if self._is_outside(source) and self._is_outside(target):
            return
        before = self._traffic(source.before, target.before, 0)
        after = self._traffic(source.after, target.after, 1)
        if before == after:
            return
        for found, traffic, ends in (
            (self.added, after - before, (source.after, target.after)),
            (self.removed, before - after, (source.before, target.before)),
        ):
            if traffic and ends[0] is not None and ends[1] is not None:
                found.append(Rectangle(1 << ends[0], 1 << ends[1], traffic, source.name, target.name))

    def _traffic(self, source: int | None, target: int | None, when: int) -> PortSet:
        if source is None or target is None:
            return NONE
        return at(self._at(source, when)[1], target) & at(self._at(target, when)[0], source)

    def _at(self, position: int, when: int) -> tuple[Relation, Relation]:
        """What one class may exchange, in and out."""
        found = self._ways.get((position, when))
        if found is None:
            plans = (self.cells.after if when else self.cells.before).plans_of(position)
            found = self._ways[position, when] = (self._relation(plans, 0), self._relation(plans, 1))
        return found

    def _plans(self, moved: Moved) -> tuple[Plans | None, Plans | None]:
        return (
            None if moved.before is None else self.cells.before.plans_of(moved.before),
            None if moved.after is None else self.cells.after.plans_of(moved.after),
        )

    def _is_outside(self, moved: Moved) -> bool:
        at = moved.after if moved.after is not None else moved.before
        return at is not None and not self.core.endpoints.labels.everything >> at & 1

    def _looking(self, moved: Moved) -> tuple[int, int]:
        """Shared classes whose rules for what comes in, and for what goes out, can tell the two classes apart."""
        if moved.before is None or moved.after is None:
            return 0, 0
        endpoints, peers = self.core.endpoints, self.core.matcher.peers
        classes = (endpoints.classes[moved.before], endpoints.classes[moved.after])
        local = self.core.matcher.local_sources
        if (local >> moved.before ^ local >> moved.after) & 1:
            return self.cells.shared, self.cells.shared
        found = dict.fromkeys(Flow, 0)
        alike = endpoints.placed_alike(moved.before, moved.after)
        uses = self.core.watch.telling_apart(peers, moved.before, moved.after, classes, placed_alike=alike)
        for policy, flow in uses:
            if self._in_force(policy):
                found[flow] |= peers.bits(policy.subject, self.cells.shared.bit_length())[1]
        return found[Flow.INGRESS] & self.cells.shared, found[Flow.EGRESS] & self.cells.shared

    def _in_force(self, policy: Policy) -> bool:
        for snapshot in (self.cells.before, self.cells.after):
            view = snapshot.namespaces.get(policy.namespace) if policy.namespace else snapshot.cluster
            if view is not None and view.policies.get(policy.ref) is policy:
                return True
        return False


def _same(before: Plans | None, after: Plans | None, side: int) -> bool:
    if before is None or after is None:
        return before is after
    return before[side] is after[side]


def _changed(parts: _Joint) -> _Joint:
    return tuple(part for part in parts if part[1] != part[2])


def _within(parts: _Joint, bits: int) -> _Joint:
    """What the parts say of the endpoints in a bitset; parts that say nothing of them are left out."""
    found = [(ports, bits & had, bits & has) for ports, had, has in parts]
    return tuple([part for part in found if part[1] or part[2]])


def _kinds(parts: _Joint) -> tuple[bool, bool]:
    """Whether any of the traffic has ports, and whether any has none."""
    found = [kinds(ports) for ports, _, _ in parts]
    return any(one for one, _ in found), any(other for _, other in found)


def _differing(parts: Iterable[tuple[PortSet, int, int]]) -> int:
    found = 0
    for _, before, after in parts:
        found |= before ^ after
    return found


def _has(bits: int, position: int | None) -> bool:
    return position is not None and bool(bits >> position & 1)
