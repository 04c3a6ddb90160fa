"""Why a pair changed: the policy that lets it pass or no longer blocks it, or labels that moved somebody.

Both snapshots are of one lineage, so that a policy of equal meaning is one and the same object in both.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice, product
from typing import Final

from driftd.cli.flows.borders import PLATFORM
from driftd.cli.flows.changes import Ends, OutsideShift, PairChange, Shift
from driftd.cli.flows.documents import CauseEntry
from driftd.cli.flows.words import rule_words
from driftd.cli.worlds.world import World
from driftd.documents import ObjectName, object_name
from driftd.policy.reach import (
    PORTED,
    Answer,
    Connection,
    Explanation,
    Grouping,
    Pod,
    PortSet,
    Side,
    Snapshot,
    UnknownEndpoint,
    explain,
)
from driftd.policy.reach.policies import Flow, Policy
from driftd.values import ObjectRef

_PAIRS: Final = 400
"""Pairs of kinds of pods that are looked at to find one that shows a change."""
_MOST: Final = 4
_End = Pod | str


@dataclass(frozen=True, slots=True)
class Tense:
    """How the two sides are spoken of."""

    added: str = "is new"
    removed: str = "is gone"
    changed: str = "has changed"


IMPACT: Final = Tense()
AGAINST: Final = Tense("is not in the model", "is missing", "differs from the model")


class Causes:
    """Finds causes between two worlds."""

    def __init__(self, before: World, after: World, by: Grouping, tense: Tense) -> None:
        self._worlds = (before, after)
        self._tense = tense
        self._members = (_members(before, by), _members(after, by))

    def of_pair(self, change: PairChange) -> tuple[CauseEntry, ...]:
        """Causes of a change between two groups."""
        gone = self._gone(change.source) or self._gone(change.target)
        if gone is not None:
            return (gone,)
        found: list[CauseEntry] = []
        for opening in _ways(change.shift):
            sources = self._members[opening].get(change.source, ())
            targets = self._members[opening].get(change.target, ())
            found += self._shown(islice(product(sources, targets), _PAIRS), opening=opening)
        return tuple(dict.fromkeys(found))

    def of_outside(self, change: OutsideShift) -> tuple[CauseEntry, ...]:
        """Causes of a change between a group and outside addresses."""
        gone = self._gone(change.group)
        if gone is not None:
            return (gone,)
        address = change.blocks[0].partition("/")[0]
        found: list[CauseEntry] = []
        for opening in _ways(change.shift):
            members = self._members[opening].get(change.group, ())
            pairs = (((one, address) if change.flow is Flow.EGRESS else (address, one)) for one in members)
            found += self._shown(pairs, opening=opening)
        return tuple(dict.fromkeys(found))

    def _gone(self, group: str) -> CauseEntry | None:
        """A group that is in one of the worlds only is cause enough."""
        there = [group in members for members in self._members]
        if all(there):
            return None
        word = self._tense.added if there[1] else self._tense.removed
        return _cause(None, "added" if there[1] else "removed", f"{group} {word}")

    def _shown(self, pairs: Iterator[tuple[_End, _End]], *, opening: bool) -> tuple[CauseEntry, ...]:
        """Causes as the first pair shows them that takes part in the change."""
        for source, target in pairs:
            connection = self._connection(source, target, opening=opening)
            if connection is None:
                continue
            found = [explain(world.snapshot, *_there(world, source, target), connection) for world in self._worlds]
            causes = tuple(dict.fromkeys(self._of_connection(source, target, (found[0], found[1]), opening=opening)))
            if causes:
                return causes[:_MOST]
        return ()

    def _connection(self, source: _End, target: _End, *, opening: bool) -> Connection | None:
        """A connection between the two that changes, if there is one."""
        try:
            old, new = (world.snapshot.reach(*_there(world, source, target)) for world in self._worlds)
        except UnknownEndpoint:
            return None
        before, after = Ends(old.must, old.may), Ends(new.must, new.may)
        moved = after.less(before) if opening else before.less(after)
        return _point(moved.may or moved.must)

    def _of_connection(
        self, source: _End, target: _End, found: tuple[Explanation, Explanation], *, opening: bool
    ) -> Iterator[CauseEntry]:
        for end, far, sides in (
            (source, target, (found[0].egress, found[1].egress)),
            (target, source, (found[0].ingress, found[1].ingress)),
        ):
            before, after = sides
            if (after.allowed > before.allowed) if opening else (after.allowed < before.allowed):
                policies = list(self._of_policies(end, before, after, opening=opening))
                yield from policies or self._of_ends(end, far)

    def _of_policies(self, end: _End, before: Side, after: Side, *, opening: bool) -> Iterator[CauseEntry]:
        """The rule that lets it pass, if it differs; else the policies that isolate on one side only."""
        letting = after if opening else before
        step = letting.decided_by
        if step is None and letting.allowed is Answer.MAYBE:
            step = next((one for one in reversed(letting.steps) if one.matched is Answer.MAYBE and one.policy), None)
        if step is not None and step.policy is not None:
            cause = self._of_policy(step.policy, step.rule)
            if cause is not None:
                yield cause
                return
        sides = [self._applied(index, end, before.flow) for index in (0, 1)]
        blocking = sides[0] if opening else sides[1]
        passing = sides[1] if opening else sides[0]
        for ref, policy in blocking.items():
            if passing.get(ref) is not policy:
                cause = self._of_policy(ref, "")
                if cause is not None:
                    yield cause

    def _applied(self, index: int, end: _End, flow: Flow) -> Mapping[ObjectRef, Policy]:
        """Policies that isolate an end in one of the worlds."""
        snapshot = self._worlds[index].snapshot
        if isinstance(end, str):
            return {}
        plans = snapshot.plans_of(snapshot.class_of(snapshot.pod(end.namespace, end.name)))
        plan = plans[0 if flow is Flow.INGRESS else 1]
        return {} if plan is None else {one.policy.ref: one.policy for _, applied in plan.stages for one in applied}

    def _of_policy(self, ref: ObjectRef, rule: str) -> CauseEntry | None:
        """A policy that is not the same in both worlds."""
        old, new = (_policy(world.snapshot, ref) for world in self._worlds)
        if old is new:
            return None
        place = self._worlds[0 if new is None else 1].places.get(ref, "")
        which = f", {rule_words(rule)}," if rule else ""
        if old is None:
            return _cause(ref, "added", f"{ref}{which} {self._tense.added}", rule, place)
        if new is None:
            return _cause(ref, "removed", f"{ref}{which} {self._tense.removed}", rule, place)
        return _cause(ref, "changed", f"{ref}{which} {self._tense.changed}", rule, place)

    def _of_ends(self, end: _End, far: _End) -> Iterator[CauseEntry]:
        """Pods or namespaces that policies see with other eyes now."""
        old, new = (world.snapshot for world in self._worlds)
        for one in (end, far):
            if isinstance(one, str):
                continue
            was, now = (snapshot.pod(one.namespace, one.name) for snapshot in (old, new))
            name = ObjectRef("", "Pod", one.namespace, one.name)
            if was.labels != now.labels:
                yield _cause(name, "changed", f"labels of {name}: {_difference(was.labels, now.labels)}")
            if was.service_account != now.service_account or was.ports != now.ports:
                yield _cause(name, "changed", f"the service account or a port name of {name} {self._tense.changed}")
            if was.host_network != now.host_network:
                yield _cause(name, "changed", f"{name} {'is' if now.host_network else 'is not'} in the host's network")
            spaces = [snapshot.namespaces[one.namespace].labels for snapshot in (old, new)]
            if dict(spaces[0]) != dict(spaces[1]):
                space = ObjectRef("", "Namespace", "", one.namespace)
                yield _cause(space, "changed", f"labels of {space}: {_difference(*spaces)}")


def _members(world: World, by: Grouping) -> dict[str, tuple[Pod, ...]]:
    """Two pods of each kind in each group: the second is for traffic within the group."""
    found: dict[str, dict[int, list[Pod]]] = {}
    for view in world.snapshot.namespaces.values():
        for name, position in view.classes.items():
            pod = view.pods[name]
            kinds = found.setdefault(_group(world, pod, by), {}).setdefault(position, [])
            if len(kinds) < 2:
                kinds.append(pod)
    return {group: tuple(pod for pods in kinds.values() for pod in pods) for group, kinds in found.items()}


def _group(world: World, pod: Pod, by: Grouping) -> str:
    match by:
        case Grouping.WORKLOAD:
            return f"{pod.namespace}/{pod.workload}"
        case Grouping.ENVIRONMENT:
            return pod.namespace
        case Grouping.TENANT:
            return world.tenancy.tenant(pod.namespace) or PLATFORM


def _ways(shift: Shift) -> tuple[bool, ...]:
    return tuple(way for way, moved in ((True, shift.opened), (False, shift.closed)) if moved)


def _there(world: World, source: _End, target: _End) -> tuple[_End, _End]:
    """The two ends as one world has them."""
    source_there, target_there = (
        one if isinstance(one, str) else world.snapshot.pod(one.namespace, one.name) for one in (source, target)
    )
    return source_there, target_there


def _policy(snapshot: Snapshot, ref: ObjectRef) -> Policy | None:
    view = snapshot.namespaces.get(ref.namespace) if ref.namespace else None
    policies = view.policies if view is not None else snapshot.cluster.policies
    return policies.get(ref)


def _point(traffic: PortSet) -> Connection | None:
    """One connection of a set: the lowest port of TCP, else of UDP or SCTP."""
    for protocol, ports in (traffic & PORTED).pieces():
        first = "0" if ports == "all" else ports.partition(",")[0].partition("-")[0]
        return Connection(protocol, int(first) or (1 if ports == "all" else 0))
    return None


def _difference(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    keys = sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))
    told = [f"{key}={before.get(key, '(none)')} -> {after.get(key, '(none)')}" for key in keys]
    return ", ".join(told[:4]) + (f" and {len(told) - 4} more" if len(told) > 4 else "")


def _cause(ref: ObjectRef | None, change: str, sentence: str, rule: str = "", place: str = "") -> CauseEntry:
    name: ObjectName | None = None if ref is None else object_name(ref)
    match change:
        case "added" | "removed" | "changed":
            return CauseEntry(object=name, change=change, rule=rule, place=place, sentence=sentence)
        case _:
            raise ValueError(f"no such change: {change}")
