"""Who is who in two snapshots: endpoints that kept their class, that exist in one of them only, and that moved."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from itertools import chain
from operator import or_
from typing import Final

from driftd.policy.reach.endpoints import Outside
from driftd.policy.reach.inventory import NamespaceView, Plans
from driftd.policy.reach.policies import Flow
from driftd.policy.reach.ports import PortSet
from driftd.policy.reach.relation import Reached, kinds, of_positions, positions
from driftd.policy.reach.snapshot import NO_PLANS, Snapshot

ABSENT: Final = "absent"
"""Stands where a plan would, for a class without members in one of the snapshots."""


_FEW: Final = 48
_NOBODY: Final = NamespaceView("")


@dataclass(frozen=True, slots=True)
class Moved:
    """Endpoints that are in class `before` and then in class `after`; None where they do not exist. `name` is one's."""

    before: int | None
    after: int | None
    count: int
    name: str = ""

    @property
    def places(self) -> int:
        """The classes, as a bitset."""
        return sum(1 << place for place in {self.before, self.after} if place is not None)


@dataclass(frozen=True, slots=True)
class Group:
    """Classes with the same plans in either snapshot; None where they have no members there."""

    before: Plans | None
    after: Plans | None
    bits: int


@dataclass(frozen=True, slots=True)
class Facing:
    """Whom to look for: classes that may exchange such traffic with those in `bits`.

    `side` 0: what comes in to them, 1: what goes out. `traffic`: any with ports, any without. `surely` asks for what is
    allowed in every reading.
    """

    bits: int
    side: int
    traffic: tuple[bool, bool]
    surely: bool

    @property
    def kind(self) -> tuple[int, tuple[bool, bool], bool]:
        return self.side, self.traffic, self.surely

    def asks_for(self, traffic: PortSet) -> bool:
        """Whether any of the traffic is of a kind that is looked for."""
        with_ports, without = kinds(traffic)
        return (self.traffic[0] and with_ports) or (self.traffic[1] and without)

    def __call__(self, peers: Reached) -> bool:
        return bool((self.traffic[0] and peers[0] & self.bits) or (self.traffic[1] and peers[1] & self.bits))


class Cells:
    """The endpoints of two snapshots of one lineage, put side by side.

    `shared` holds classes that stand for the same endpoints in both, or for endpoints of only one. `moved` holds the
    others. `changed` groups the shared classes whose plans differ.
    """

    def __init__(self, before: Snapshot, after: Snapshot) -> None:
        self.before = before
        self.after = after
        self.moved: list[Moved] = []
        self.shared = 0
        self.changed: list[Group] = []
        self._nearby: dict[tuple[int, tuple[bool, bool], bool], dict[Plans, list[tuple[int, ...]]]] = {}
        self._noisy: set[str] = set()
        self._loud: list[Group] = []
        self._loud_bits = 0
        self._counts: dict[int, int] = {}
        self._names: dict[tuple[int | None, int | None], str] = {}
        self._views()
        self._outside()

    def _views(self) -> None:
        old_views, new_views = self.before.namespaces, self.after.namespaces
        noisy = self.before.unlike(self.after)
        self._noisy.update(noisy)
        changing = 0
        for name in noisy:
            new = new_views.get(name)
            changing |= new.live if new is not None else 0
        self.shared = self.after.live & self.after.core.endpoints.labels.everything & ~changing
        for name in noisy:
            self._compare(old_views.get(name), new_views.get(name))

    def _compare(self, old: NamespaceView | None, new: NamespaceView | None) -> None:
        old, new = old or _NOBODY, new or _NOBODY
        was, now = old.classes, new.classes
        # What is left of a class when those who came to it are taken off, where that is not what it was.
        left = {position: new.counts.get(position, 0) for position, _ in old.plans.items() ^ new.plans.items()}
        gone: Counter[tuple[int | None, int | None]] = Counter()
        for name in sorted({name for name, _ in was.items() ^ now.items()}):
            pair = (was.get(name), now.get(name))
            gone[pair] += 1
            if pair[1] is not None:
                left[pair[1]] = left.get(pair[1], new.counts[pair[1]]) - 1
            if pair not in self._names:
                view = new if name in new.pods else old
                self._names[pair] = f"{view.name}/{view.pods[name].workload}"
        left.update(self._appearing(gone, old.live, new.live))
        groups: dict[tuple[Plans | None, Plans | None], int] = {}
        for position, count in left.items():
            if count:
                self._counts[position] = count
                pair_of_plans = (old.plans.get(position), new.plans.get(position))
                groups[pair_of_plans] = groups.get(pair_of_plans, 0) | (1 << position)
        found = [Group(*plans, bits) for plans, bits in groups.items()]
        self.changed += [group for group in found if group.before != group.after]
        for plans, places in new.groups.items():
            if rest := [place for place in places if place not in left]:
                found.append(Group(plans, plans, of_positions(rest)))
        self._loud += found
        here = reduce(or_, [group.bits for group in found], 0)
        self._loud_bits |= here
        self.shared |= here

    def _appearing(self, gone: Counter[tuple[int | None, int | None]], old_live: int, new_live: int) -> dict[int, int]:
        """Of the endpoints that do not stay: those that a class of their own can stand for; the rest is `moved`."""
        alone: dict[int, int] = {}
        for (was, now), count in gone.items():
            if was is None and now is not None and not old_live >> now & 1:
                arriving = sum(n for (_, there), n in gone.items() if there == now)
                if arriving == count:
                    alone[now] = count
                    continue
            if now is None and was is not None and not new_live >> was & 1:
                leaving = sum(n for (there, _), n in gone.items() if there == was)
                if leaving == count:
                    alone[was] = count
                    continue
            self.moved.append(Moved(was, now, count, self._names.get((was, now), "")))
        return alone

    def _outside(self) -> None:
        pods = self.after.core.endpoints.labels.everything
        old, new = self.before.live & ~pods, self.after.live & ~pods
        self.shared |= old & new
        if old == new:
            return
        classes = self.after.core.endpoints.classes
        for was in positions(old & ~new):
            for now in positions(new & ~old):
                left, right = classes[was], classes[now]
                if (
                    isinstance(left, Outside)
                    and isinstance(right, Outside)
                    and left.low <= right.high
                    and right.low <= left.high
                ):
                    self.moved.append(Moved(was, now, 2))

    def groups(self, within: int, facing: Facing) -> Iterator[Group]:
        """Shared classes in a bitset, by their plans; those that exchange nothing of what is asked are left out."""
        within &= self.shared
        pods = within & self.after.core.endpoints.labels.everything
        if pods.bit_count() <= _FEW:
            yield from self._groups_of_few(pods)
        else:
            yield from self._quiet_groups(pods, facing)
            for group in self._loud:
                if group.bits & pods and self._faces(group, facing):
                    yield Group(group.before, group.after, group.bits & pods)
        if within != pods:
            yield Group(NO_PLANS, NO_PLANS, within & ~pods)

    def _quiet_groups(self, pods: int, facing: Facing) -> Iterator[Group]:
        """Of namespaces in which nothing differs, with the classes of equal plans as one group across namespaces."""
        core, side, surely = self.after.core, facing.side, facing.surely
        for plans, places in self._near(facing).items():
            if facing(core.verdict(plans[side]).reached(surely=surely)):
                bits = of_positions(list(chain.from_iterable(places))) & pods
                if bits:
                    yield Group(plans, plans, bits)

    def _faces(self, group: Group, facing: Facing) -> bool:
        """Whether it exchanges any of the traffic before or after; any traffic at all, where its own plans differ."""
        core, differs = self.after.core, group.before != group.after
        for plans in (group.before, group.after) if differs else (group.before,):
            if plans is not None:
                peers = core.verdict(plans[facing.side]).reached(surely=facing.surely)
                if facing(peers) or (differs and (peers[0] | peers[1]) & facing.bits):
                    return True
        return False

    def _near(self, facing: Facing) -> dict[Plans, list[tuple[int, ...]]]:
        """Classes, by their plans, of namespaces in which nothing differs: at least those that face anybody who does.

        Told once for all who do. Verdicts are found of those alone that some policy brings together with them: in a
        world of thousands of policies hardly any is asked for.
        """
        found = self._nearby.get(facing.kind)
        if found is None:
            found = self._nearby[facing.kind] = {}
            side, surely = facing.side, facing.surely
            differing = reduce(or_, [group.bits for group in self.changed], 0)
            differing = reduce(or_, [moved.places for moved in self.moved], differing)
            speaking = self.after.core.speaking_of(differing, (Flow.INGRESS, Flow.EGRESS)[side])
            for name, view in self.after.namespaces.items():
                if name in self._noisy:
                    continue
                if name in speaking or "" in speaking or facing.asks_for(view.left_open(side, surely=surely)):
                    for plans, places in view.groups.items():
                        found.setdefault(plans, []).append(places)
        return found

    def _groups_of_few(self, bits: int) -> Iterator[Group]:
        found: dict[Plans, int] = {}
        if bits & self._loud_bits:
            for group in self._loud:
                if here := group.bits & bits:
                    yield Group(group.before, group.after, here)
                    bits ^= here
        for position in positions(bits):
            plans = self.after.plans_of(position)
            found[plans] = found.get(plans, 0) | (1 << position)
        for plans, members in found.items():
            yield Group(plans, plans, members)

    def alone(self, bits: int) -> int:
        """Those classes of a bitset that have only one member here, so that they hold no pair of distinct pods."""
        found = 0
        classes = self.after.core.endpoints.classes
        for position in positions(bits & self.after.core.endpoints.labels.everything):
            count = self._counts.get(position)
            if count is None:
                endpoint = classes[position]
                view = None if isinstance(endpoint, Outside) else self.after.namespaces.get(endpoint.namespace)
                count = 0 if view is None else view.counts.get(position, 0)
            if count <= 1:
                found |= 1 << position
        return found
