"""What a difference means for isolation: the seam for whoever judges it, and the severity that follows (D5)."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from driftd.compile import GovernedNamespace
from driftd.drift.repair import bears_flows
from driftd.drift.state import LiveScope
from driftd.policy.kinds import EVALUATED
from driftd.policy.reach import Dialect, snapshot_of
from driftd.values import Body, Desired, Digest, Direction, FindingType, Live, ObjectRef, Severity, Witness

DifferenceKey = tuple[ObjectRef, FindingType, Digest | None, Digest | None]
"""What a judgement is remembered by: the object, and what exactly the two sides hold."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference before it is judged: what the model has and what the cluster has (None where it has nothing)."""

    type: FindingType
    ref: ObjectRef
    desired: Desired | None
    live: Live | None

    @property
    def key(self) -> DifferenceKey:
        """By what the judgement of this difference is remembered."""
        desired, live = self.desired, self.live
        return self.ref, self.type, desired.digest if desired else None, live.digest if live else None


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

    @property
    def surely_crosses(self) -> bool:
        """Whether a flow of pods that are there, or in the model, is known to be opened between tenants."""
        known = self.direction.may_loosen and self.direction is not Direction.UNKNOWN
        return known and self.crosses_tenant is True and not self.neutral_now


JUDGED = frozenset(
    {
        FindingType.MISSING,
        FindingType.MODIFIED,
        FindingType.UNEXPECTED,
        FindingType.TERMINATING,
        FindingType.FOREIGN,
    }
)
"""The findings that lie between two objects, so that what they mean can be asked."""

UNJUDGED = Judgement(Direction.UNKNOWN)
"""The judgement of a difference that nobody has judged. It ranks as loosening across tenants."""

MOST_WORK = 96
"""Values that a judgement takes in of one object, beyond those of the model's own. Every address and every label makes
all that comes later costlier, for everybody. What is beyond is told as UNKNOWN, which ranks as loosening."""

MOST_OF_ADMIN = 512
"""The same of an admin policy: who may write one is no tenant."""

MOST_STANDING = 384
"""The same of all objects of a tenant that stand open together: each is judged beside all others."""

_TEXT = 32
"""Characters of one value: a selector of Calico's is a text of any length."""


def is_admin_policy(ref: ObjectRef) -> bool:
    """Whether an object is of a kind that is judged and never written."""
    return (ref.group, ref.kind) in EVALUATED


def work_of(difference: Difference) -> int:
    """How much there is to judge: what stands in the live side (addresses, ports, labels) and not in the model's.

    A part that says nothing counts as well, for an empty rule allows everything.
    """
    live, desired = difference.live, difference.desired
    if live is None or not bears_flows(difference.ref):
        return 0
    known = Counter() if desired is None else _values(desired.body())
    return (_values(live.body()) - known).total()


def worse(one: Judgement, other: Judgement) -> Judgement:
    """Two judgements of one difference: it does what any of them says, and the worse one's witness is told."""
    rank = [Direction.NEUTRAL, Direction.TIGHTENS, Direction.LOOSENS, Direction.MIXED, Direction.UNKNOWN]
    both = {one.direction, other.direction}
    worst = max((one, other), key=lambda each: (each.crosses_tenant is not False, rank.index(each.direction)))
    direction = Direction.MIXED if both == {Direction.LOOSENS, Direction.TIGHTENS} else max(both, key=rank.index)
    crosses = None if None in (one.crosses_tenant, other.crosses_tenant) else one.crosses_tenant or other.crosses_tenant
    witness = worst.witness or one.witness or other.witness
    homes = {each.within for each in (one, other) if each.direction.may_loosen}
    within = homes.pop() if len(homes) == 1 else ""
    later = all(each.neutral_now or each.direction is Direction.NEUTRAL for each in (one, other))
    later = later and direction is not Direction.NEUTRAL
    return Judgement(direction, witness, crosses, worst.dialect or one.dialect, within, later)


def judgeable(difference: Difference, dialect: Dialect) -> bool:
    """Whether the engine can read the live side, at a bearable cost; a strange shape shows where it stands alone."""
    if difference.live is None:
        return True
    if work_of(difference) > (MOST_OF_ADMIN if is_admin_policy(difference.ref) else MOST_WORK):
        return False  # before anything of it is read: the engine remembers what it reads
    try:
        snapshot_of((difference.live.body(),), dialect)
    except (AttributeError, LookupError, TypeError, ValueError):
        return False
    return True


def _values(body: Body) -> Counter[tuple[str, str]]:
    """What stands in the spec, by field."""
    found: Counter[tuple[str, str]] = Counter()
    left: list[tuple[str, object]] = [("spec", body.get("spec"))]
    while left:
        field, value = left.pop()
        if isinstance(value, dict) and value:
            left += value.items()
        elif isinstance(value, list) and value:
            left += ((field, one) for one in value)
        else:
            text = str(value)
            found[field, text] += 1 + len(text) // _TEXT
    return found


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
