"""What a difference means for isolation: the seam for whoever judges it, and the severity that follows (D5)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from driftd.compile import GovernedNamespace
from driftd.drift.state import LiveScope
from driftd.values import Desired, Direction, FindingType, Live, ObjectRef, Severity, Witness


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
    """

    direction: Direction
    witness: Witness | None = None
    crosses_tenant: bool | None = None
    dialect: str = ""
    within: str = ""


UNJUDGED = Judgement(Direction.UNKNOWN)
"""The judgement of a difference that nobody has judged. It ranks as loosening across tenants."""

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
