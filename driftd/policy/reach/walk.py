"""The ordered walk: tiers, policies and rules over undecided traffic, for all peers at once.

One routine serves every question. A rule that surely matches takes traffic out of the undecided; one that perhaps
matches acts on it and leaves it undecided as well. What can end in Allow by some path is the *may*, what can end in
Deny by none is the *must*.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import Final

from driftd.policy.reach.policies import ANYONE, Action, Flow, Policy, Rule, Tier, open_ended
from driftd.policy.reach.ports import ALL, NONE, PortSet
from driftd.policy.reach.relation import EMPTY, FULL, Reached, Relation, join, meet, minus, of_pairs, reached
from driftd.policy.reach.rules import Near, RuleMatcher


@dataclass(frozen=True, slots=True, eq=False)
class Applied:
    """A policy as it applies to a class: surely, or (`certain` False) perhaps. Interned; compared by identity.

    `minding`: what it says depends on the class itself, besides that it is selected.
    """

    policy: Policy
    certain: bool
    tier: Tier
    minding: bool


Stage = tuple[Tier, tuple[Applied, ...]]
_TIER: Final = attrgetter("tier")


class Verdict:
    """What a class may exchange in one direction, over all peers: `must` is allowed in every reading, `may` in some."""

    __slots__ = ("_reached", "_surely_reached", "may", "must")

    def __init__(self, must: Relation, may: Relation) -> None:
        self.must = must
        self.may = may
        self._reached: Reached | None = None
        self._surely_reached: Reached | None = None

    def reached(self, *, surely: bool) -> Reached:
        """The endpoints of any of it, as `relation.reached` tells them; found when first asked for."""
        if surely and self.must is not self.may:
            if self._surely_reached is None:
                self._surely_reached = reached(self.must)
            return self._surely_reached
        if self._reached is None:
            self._reached = reached(self.may)
        return self._reached


UNRESTRICTED: Final = Verdict(FULL, FULL)


def _verdict(must: Relation, may: Relation, matcher: RuleMatcher) -> Verdict:
    """What is kept of many classes at a time: equal bitsets are one object."""
    kept = matcher.same.relation(may)
    return Verdict(kept if must is may else matcher.same.relation(must), kept)


class Plan:
    """Everything that decides one direction of a class: stages in order, and its own port names where they matter.

    Plans are shared by all classes to which the same applies; compare them by identity.
    """

    __slots__ = ("_left_open", "_verdict", "applied", "flow", "near")

    def __init__(self, flow: Flow, applied: tuple[Applied, ...], near: Near) -> None:
        self.flow = flow
        self.near = near
        self.applied = applied
        self._verdict: Verdict | None = None
        self._left_open: PortSet | None = None

    @property
    def stages(self) -> tuple[Stage, ...]:
        """Its policies by tier, in the order in which they are asked."""
        if self.applied[0].tier is self.applied[-1].tier:
            return ((self.applied[0].tier, self.applied),)  # as nearly all have it
        return tuple([(tier, tuple(members)) for tier, members in groupby(self.applied, key=_TIER)])

    def verdict(self, matcher: RuleMatcher) -> Verdict:
        """The verdict over all classes; kept until it is forgotten."""
        if self._verdict is None:
            self._verdict = walk(self.flow, self.stages, self.near, matcher)
        return self._verdict

    def left_open(self, *, surely: bool) -> PortSet:
        """Traffic that may pass with those whom no rule that allows names: all, or what the last tier leaves open.

        It is told from the policies alone, without a verdict, and never too little. A pod's own node is not looked at.
        """
        if self._left_open is None:
            self._left_open = _left_open(self.flow, self.stages)
        return NONE if surely and self._left_open is not ALL else self._left_open

    def forget(self) -> None:
        """Find the verdict anew when asked again: a class has come that a rule of this plan matches."""
        self._verdict = None


def _left_open(flow: Flow, stages: Sequence[Stage]) -> PortSet:
    last, deciding = stages[-1]
    if last.default is not Action.DENY or not last.certain or not any(one.certain for one in deciding):
        return ALL  # what is not decided goes on, and behind the last tier all is allowed
    found = NONE
    for tier, applied in stages:
        rules = [rule for one in applied for rule in one.policy.rules(flow) or ()]
        if (
            tier.default is Action.ALLOW
            or any(rule.action is Action.ALLOW and open_ended(rule.far) for rule in rules)
            or (tier is last and any(rule.action is Action.PASS for rule in rules))
        ):
            return ALL
        found |= tier.open_ports
    return found


def walk(flow: Flow, stages: Sequence[Stage], near: Near, matcher: RuleMatcher) -> Verdict:
    """Evaluate the stages in order and settle what is left after the last one: allowed."""
    if len(stages) == 1 and (plain := _isolation(flow, stages[0], near, matcher)) is not None:
        return plain
    state = _State()
    for tier, applied in stages:
        state.enter()
        for group in _groups(applied):
            start, rest = state.here, FULL
            for one in group:
                state.here = start
                for batch in _batches(flow, one, near):
                    state.act(batch[0][0].action, *_hits(batch, flow, near, matcher))
                rest = meet(rest, state.here) if len(group) > 1 else state.here
            state.here = rest
            state.certain = state.certain and len(group) == 1
        sure = tier.certain and any(one.certain for one in applied)
        state.leave(tier, sure=sure)
    state.allow_rest()
    may = _with_own_node(state.allowed, flow, matcher)
    if state.certain:
        return _verdict(state.allowed, may, matcher)
    return _verdict(meet(minus(FULL, state.denied), state.allowed), may, matcher)


def _with_own_node(allowed: Relation, flow: Flow, matcher: RuleMatcher) -> Relation:
    """The may, with who might be the pod's own node."""
    local = matcher.local_sources if flow is Flow.INGRESS else matcher.local_targets
    return join(allowed, of_pairs(((ALL, local),))) if local else allowed


def _isolation(flow: Flow, stage: Stage, near: Near, matcher: RuleMatcher) -> Verdict | None:
    """The short way for what nearly all pods have: policies that only allow, in one tier that denies the rest."""
    tier, applied = stage
    if near.missed or tier.default is not Action.DENY or not tier.certain or not any(one.certain for one in applied):
        return None
    rules: list[tuple[Rule, bool]] = []
    for one in applied:
        for rule in one.policy.rules(flow) or ():
            if rule.action is not Action.ALLOW or rule.near is not ANYONE:
                return None
            rules.append((rule, one.certain))
    must, may = _hits(rules, flow, near, matcher)
    if tier.open_ports:
        may = join(may, of_pairs(((tier.open_ports, -1),)))
    return _verdict(must, _with_own_node(may, flow, matcher), matcher)


def _groups(applied: tuple[Applied, ...]) -> list[list[tuple[Applied, ...]]]:
    """Runs of policies whose order counts, and between them sets of policies whose mutual order is undefined.

    In such a set any policy that matches may be the one that decides: each member is tried on the same traffic.
    """
    found: list[list[tuple[Applied, ...]]] = []
    run: list[Applied] = []
    for key, members in groupby(applied, key=lambda one: one.policy.ambiguous):
        peers = tuple(members)
        if not key or len(peers) == 1:
            run.extend(peers)
            continue
        if run:
            found.append([tuple(run)])
            run = []
        found.append([(one,) for one in peers])
    if run:
        found.append([tuple(run)])
    return found


def _batches(flow: Flow, applied: tuple[Applied, ...], near: Near) -> list[list[tuple[Rule, bool]]]:
    """Rules in order, neighbours of equal action together: among those, order means nothing."""
    found: list[list[tuple[Rule, bool]]] = []
    for one in applied:
        for rule in one.policy.rules(flow) or ():
            if not near.reaches(rule):
                continue
            item = (rule, one.certain and near.surely(rule))
            if found and found[-1][0][0].action is rule.action:
                found[-1].append(item)
            else:
                found.append([item])
    return found


def _hits(batch: list[tuple[Rule, bool]], flow: Flow, near: Near, matcher: RuleMatcher) -> tuple[Relation, Relation]:
    must_pairs: list[tuple[PortSet, int]] = []
    may_pairs: list[tuple[PortSet, int]] = []
    same = True
    for rule, certain in batch:
        match = matcher.match(rule, flow, near)
        may_pairs.extend(match.may)
        if certain:
            must_pairs.extend(match.must)
            same = same and match.must is match.may
        else:
            same = False
    may = of_pairs(may_pairs)
    return (may if same else of_pairs(must_pairs)), may


class _State:
    """Traffic by fate. All four relations may overlap once something is uncertain."""

    __slots__ = ("allowed", "certain", "denied", "here", "onward")

    def __init__(self) -> None:
        self.allowed = EMPTY
        self.denied = EMPTY
        self.here = EMPTY
        self.onward = FULL
        self.certain = True

    def enter(self) -> None:
        self.here, self.onward = self.onward, EMPTY

    def act(self, action: Action, must: Relation, may: Relation) -> None:
        hit = meet(self.here, may)
        self.settle(action, hit)
        if must is not may:
            self.certain = False
        self.here = minus(self.here, must)

    def settle(self, action: Action, hit: Relation) -> None:
        match action:
            case Action.ALLOW:
                self.allowed = join(self.allowed, hit)
            case Action.DENY:
                self.denied = join(self.denied, hit)
            case Action.PASS:
                self.onward = join(self.onward, hit)

    def leave(self, tier: Tier, *, sure: bool) -> None:
        self.settle(tier.default, self.here)
        if not sure:
            self.certain = False
            self.onward = join(self.onward, self.here)
        elif tier.open_ports and tier.default is Action.DENY:
            self.certain = False
            self.allowed = join(self.allowed, meet(self.here, of_pairs(((tier.open_ports, -1),))))
        self.here = EMPTY

    def allow_rest(self) -> None:
        self.allowed = join(self.allowed, self.onward)
