"""Why a connection passes or not: per direction the ordered walk, what decided, why the rest missed, and what if not.

The verdict itself is read from the same plans that answer every other question; the walk here only puts it in words.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from driftd.policy.reach import ports
from driftd.policy.reach.addresses import address
from driftd.policy.reach.dialects import Answer, Dialect
from driftd.policy.reach.inventory import Plans
from driftd.policy.reach.pods import Pod
from driftd.policy.reach.policies import Action, Flow, Policy, Request, Rule, Tier
from driftd.policy.reach.ports import PortSet
from driftd.policy.reach.relation import Relation, at
from driftd.policy.reach.snapshot import Snapshot, is_itself
from driftd.policy.reach.walk import Applied, Plan, Stage, Verdict, walk
from driftd.values import ObjectRef


@dataclass(frozen=True, slots=True)
class Connection:
    """One connection: protocol and destination port (for ICMP: 256 * type + code), and what is known above layer 4."""

    protocol: str
    port: int
    identity: str | None = None
    request: Request | None = None

    def traffic(self) -> PortSet:
        """The single traffic point. Raises ValueError when there is no such port or protocol."""
        if self.protocol in ("ICMP", "ICMPv6"):
            return ports.icmp(self.protocol, self.port // 256, self.port % 256)
        return ports.ports(self.protocol, self.port)

    def __str__(self) -> str:
        return f"{self.protocol}/{self.port}"


@dataclass(frozen=True, slots=True)
class Step:
    """One rule, or (empty `rule`) the end of a tier, as the walk met it."""

    tier: str
    policy: ObjectRef | None
    rule: str
    action: Action
    matched: Answer
    why: str

    def __str__(self) -> str:
        who = f"{self.policy} {self.rule}" if self.policy else f"end of tier {self.tier}"
        word = {Answer.YES: str(self.action), Answer.MAYBE: f"perhaps {self.action}", Answer.NO: "no match"}[
            self.matched
        ]
        return f"{who}: {word}; {self.why}"


@dataclass(frozen=True, slots=True)
class Side:
    """One direction: what the policies of one end say."""

    flow: Flow
    end: str
    allowed: Answer
    steps: tuple[Step, ...]
    decided_by: Step | None
    counterfactual: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """The whole answer for one connection."""

    source: str
    target: str
    connection: Connection
    allowed: Answer
    egress: Side
    ingress: Side
    dialect: Dialect
    caveats: tuple[str, ...] = ()
    """What the answer does not cover, one sentence each."""

    def lines(self) -> tuple[str, ...]:
        """The explanation as text, the verdict first."""
        word = {Answer.YES: "is allowed", Answer.NO: "is blocked", Answer.MAYBE: "may pass"}[self.allowed]
        found = [f"{self.source} -> {self.target} {self.connection} {word} ({self.dialect})"]
        for side in (self.egress, self.ingress):
            state = {Answer.YES: "allowed", Answer.NO: "blocked", Answer.MAYBE: "undecided"}[side.allowed]
            found.append(f"{side.flow} of {side.end}: {state}")
            found.extend(f"  {step}" for step in side.steps)
            if side.counterfactual:
                found.append(f"  {side.counterfactual}")
        return (*found, *self.caveats)

    def __str__(self) -> str:
        return "\n".join(self.lines())


def explain(
    snapshot: Snapshot, source: Pod | str, target: Pod | str, connection: Connection, *, through_service: bool = False
) -> Explanation:
    """The walk of one connection between two endpoints of a snapshot; `through_service` as in `Snapshot.reach`.

    Raises UnknownEndpoint for an end that is not in the snapshot, ValueError for a connection that cannot exist.
    """
    start, end = snapshot.class_of(source), snapshot.class_of(target)
    teller = _Teller(snapshot, connection)
    egress = teller.side(Flow.EGRESS, str(source), snapshot.plans_of(start), end, str(target))
    ingress = teller.side(Flow.INGRESS, str(target), snapshot.plans_of(end), start, str(source))
    allowed = min(egress.allowed, ingress.allowed)
    if not through_service and is_itself(source, target):
        own = snapshot.core.reading.own_pod
        allowed = Answer.YES if own is Answer.YES else max(own, allowed)
        note = f"a pod reaches itself whatever policies say ({snapshot.dialect})"
        egress, ingress = (replace(side, counterfactual=note) for side in (egress, ingress))
    caveats = _caveats(snapshot, target, allowed)
    return Explanation(str(source), str(target), connection, allowed, egress, ingress, snapshot.dialect, caveats)


_OPEN_CONNECTIONS: Final = {
    Dialect.KUBERNETES: "implementations differ",
    Dialect.CALICO: "Calico lets it go on",
    Dialect.CILIUM: "Cilium may let it go on",
}
"""What becomes of a connection that is open when a policy begins to block it (projectcalico/calico #2759, #6399)."""


def open_connections(dialect: Dialect) -> str:
    """What no answer knows: the connections that are open when a policy begins to block them."""
    return f"what is blocked is blocked for new connections; if one was open before, {_OPEN_CONNECTIONS[dialect]}"


def _caveats(snapshot: Snapshot, target: Pod | str, allowed: Answer) -> tuple[str, ...]:
    found: list[str] = []
    if allowed is Answer.NO:
        found.append(open_connections(snapshot.dialect))
    if isinstance(target, str) and address(target) in snapshot.core.endpoints.surroundings.services:
        found.append(
            f"{target} is a virtual address, as Services have it: policies may see what stands behind it instead, so "
            "ask for the Service or its pods"
        )
    return tuple(found)


class _Teller:
    """Tells the walk of one connection."""

    def __init__(self, snapshot: Snapshot, connection: Connection) -> None:
        self._core = snapshot.core
        self._connection = connection
        self._point = connection.traffic()

    def side(self, flow: Flow, end: str, plans: Plans, far: int, far_name: str) -> Side:
        plan = plans[0 if flow is Flow.INGRESS else 1]
        if plan is None:
            return Side(flow, end, Answer.YES, (), None, f"no policy governs {flow} of {end}: everything passes")
        steps = tuple(self._steps(plan, far, far_name))
        allowed = self._answer(self._core.verdict(plan), far)
        decided = next((step for step in reversed(steps) if step.matched is Answer.YES), None)
        return Side(flow, end, allowed, steps, decided, self._counterfactual(plan, steps, far, allowed))

    def _answer(self, verdict: Verdict, far: int) -> Answer:
        if self._holds(verdict.must, far):
            return Answer.YES
        return Answer.MAYBE if self._holds(verdict.may, far) else Answer.NO

    def _holds(self, relation: Relation, far: int) -> bool:
        return self._point <= at(relation, far)

    def _steps(self, plan: Plan, far: int, far_name: str) -> Iterator[Step]:
        for tier, applied in plan.stages:
            passed = False
            for one, rule in _rules(plan.flow, applied):
                matched, why = self._match(plan, one, rule, far, far_name)
                yield Step(tier.name, one.policy.ref, rule.where, rule.action, matched, why)
                if matched is Answer.YES:
                    if rule.action is not Action.PASS:
                        return
                    passed = True
                    break
            if not passed:
                yield self._end(tier, applied)
                if tier.default is not Action.PASS and tier.certain and any(one.certain for one in applied):
                    return

    def _end(self, tier: Tier, applied: Sequence[Applied]) -> Step:
        sure = tier.certain and any(one.certain for one in applied)
        opened = self._point <= tier.open_ports
        names = ", ".join(str(one.policy.ref) for one in applied[:3])
        names += f" and {len(applied) - 3} more" if len(applied) > 3 else ""
        why = f"no rule decided, and {names} applied"
        if opened:
            why += "; the API leaves this protocol open"
        return Step(tier.name, None, "", tier.default, Answer.YES if sure and not opened else Answer.MAYBE, why)

    def _match(self, plan: Plan, one: Applied, rule: Rule, far: int, far_name: str) -> tuple[Answer, str]:
        match = self._core.matcher.match(rule, plan.flow, plan.near)
        if not plan.near.reaches(rule):
            return Answer.NO, f"the rule does not apply to this pod, only to {rule.near}"
        holds = [
            any(bits >> far & 1 and self._point <= port for port, bits in pairs) for pairs in (match.must, match.may)
        ]
        answer = Answer(sum(holds))
        if rule.request is not None and answer is not Answer.NO:
            told = rule.request.matches(self._connection.identity, self._connection.request)
            if told is not None:
                return (Answer.YES, "the request matches") if told else (Answer.NO, "the request does not match")
        if answer is Answer.NO:
            return answer, self._miss(rule, far, far_name)
        sure = one.certain and plan.near.surely(rule)
        if answer is Answer.YES and sure:
            return answer, f"{far_name} and {self._connection} match {rule.far}, {rule.ports}"
        return Answer.MAYBE, rule.note or f"it depends on the implementation whether {far_name} matches {rule.far}"

    def _miss(self, rule: Rule, far: int, far_name: str) -> str:
        if not self._core.matcher.peers.bits(rule.far, far + 1)[1] >> far & 1:
            return f"{far_name} is not {rule.far}"
        if rule.ports.names:
            return f"{self._connection} is not {rule.ports} as the target names its ports"
        return f"{self._connection} is not {rule.ports}"

    def _counterfactual(self, plan: Plan, steps: Sequence[Step], far: int, allowed: Answer) -> str:
        """What would be without that which decided."""
        decided = next((step for step in reversed(steps) if step.matched is Answer.YES), None)
        if decided is None:
            return ""
        if decided.policy is None:
            return self._without_policy(plan, far, allowed)
        for _, applied in plan.stages:
            for one, rule in _rules(plan.flow, applied):
                if one.policy.ref == decided.policy and rule.where == decided.rule:
                    near = replace(plan.near, missed=plan.near.missed | {rule})
                    then = self._answer(walk(plan.flow, plan.stages, near, self._core.matcher), far)
                    return f"without {decided.rule} of {decided.policy} it {_outcome(then, allowed)}"
        return ""

    def _without_policy(self, plan: Plan, far: int, allowed: Answer) -> str:
        for _, applied in plan.stages:
            for one in applied:
                stages = _less(plan.stages, one.policy)
                then = self._answer(walk(plan.flow, stages, plan.near, self._core.matcher), far)
                if then is not allowed:
                    return f"without {one.policy.ref} it {_outcome(then, allowed)}"
        return "no single policy less would change this: only a rule that allows it would"


def _rules(flow: Flow, applied: Sequence[Applied]) -> Iterator[tuple[Applied, Rule]]:
    for one in applied:
        for rule in one.policy.rules(flow) or ():
            yield one, rule


def _less(stages: tuple[Stage, ...], policy: Policy) -> tuple[Stage, ...]:
    found = ((tier, tuple(one for one in applied if one.policy is not policy)) for tier, applied in stages)
    return tuple((tier, applied) for tier, applied in found if applied)


def _outcome(then: Answer, now: Answer) -> str:
    word = {Answer.YES: "allowed", Answer.NO: "blocked", Answer.MAYBE: "undecided"}[then]
    return f"would {'still be' if then is now else 'be'} {word}"
