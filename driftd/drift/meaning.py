"""What a difference means for isolation: the seam for whoever judges it, and the severity that follows (D5)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from driftd.compile import GovernedNamespace
from driftd.drift.state import LiveScope
from driftd.policy.reach import Dialect, snapshot_of
from driftd.values import Body, Desired, Direction, FindingType, Live, ObjectRef, Severity, Witness


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference before it is judged: what the model has and what the cluster has (None where it has nothing)."""

    type: FindingType
    ref: ObjectRef
    desired: Desired | None
    live: Live | None


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a difference does to the flows, with one flow that shows it.

    `crosses_tenant` says whether a flow that it opens leaves its tenant; None is "not known", which ranks as yes.
    `within` is the one namespace between whose pods all lies that it opens; empty where that is not so or not known.
    `neutral_now`: nothing changes for pods that are there or that the model names, only for pods that could be made.
    """

    direction: Direction
    witness: Witness | None = None
    crosses_tenant: bool | None = None
    dialect: str = ""
    within: str = ""
    neutral_now: bool = False


UNJUDGED = Judgement(Direction.UNKNOWN)
"""The judgement of a difference that nobody has judged. It ranks as loosening across tenants."""

MOST_WORK = 512
"""What a judgement may cost. A policy of 400 rules with exceptions and ports of their own takes seconds in which nobody
else's drift is judged; what is beyond is told as UNKNOWN, which ranks as loosening."""


def work_of(difference: Difference) -> int:
    """How much there is to judge: the peers and exceptions of the live side's rules, times the ports of each."""
    spec = difference.live.body().get("spec") if difference.live is not None else None
    rules = [rule for flow in ("ingress", "egress") for rule in (spec or {}).get(flow) or ()]
    return sum(_width(rule) for rule in rules)


def judgeable(difference: Difference, dialect: Dialect) -> bool:
    """Whether the engine can read the live side, at a bearable cost; a strange shape shows where it stands alone."""
    if difference.live is None:
        return True
    try:
        snapshot_of((difference.live.body(),), dialect)
        return work_of(difference) <= MOST_WORK
    except (AttributeError, LookupError, TypeError, ValueError):
        return False


def _width(rule: Body) -> int:
    ends = [*(rule.get("from") or ()), *(rule.get("to") or ())]
    ends += [rule[end] for end in ("source", "destination") if rule.get(end)]
    peers = sum(1 + sum(len(one.get(key) or ()) for key in ("nets", "notNets", "ports", "notPorts")) for one in ends)
    excepted = sum(len((one.get("ipBlock") or {}).get("except") or ()) for one in ends)
    return max(1, peers + excepted) * max(1, len(rule.get("ports") or ()))


Judge: TypeAlias = Callable[[GovernedNamespace, LiveScope, Sequence[Difference]], Mapping[ObjectRef, Judgement]]
"""Judges the differences of one scope together, since policies add up: a hole may need two of them.

It is called once a scope, only when something differs, with differences of type missing, modified, unexpected and
terminating. A ref that it leaves out stays UNKNOWN.
"""


def severity(direction: Direction, *, crosses_tenant: bool | None) -> Severity:
    """How bad a difference is, by what it does to the flows.

    LOOSENS, MIXED and UNKNOWN are critical unless it is known that no opened flow crosses a tenant's border; then
    they are high. TIGHTENS breaks something and opens nothing: low. NEUTRAL is information.
    """
    if direction.may_loosen:
        return Severity.HIGH if crosses_tenant is False else Severity.CRITICAL
    return Severity.LOW if direction is Direction.TIGHTENS else Severity.INFO
