"""The documents that `explain`, `matrix` and `impact` print: who can reach whom, why, and what an edit changes."""

from typing import Literal

from pydantic import Field

from driftd.documents import Document, GapEntry, ObjectName, Part

Answered = Literal["allowed", "blocked", "depends"]
"""`depends`: the dialect leaves it open, or something was not understood; then it must be taken for allowed."""


class Ports(Part):
    """What one protocol has in a set of connections."""

    protocol: str = Field(description="TCP, UDP, SCTP, ICMP, ICMPv6, or `other`.")
    ports: str = Field(
        description="`all`, or numbers and ranges: `80,8000-8099`. ICMP: type or type:code; other: IP protocol numbers."
    )


class Traffic(Part):
    """A set of connections."""

    all: bool = Field(description="Every protocol and every port.")
    text: str = Field(description="The same in words: `TCP/80,443`, `all` or `none`.")
    protocols: tuple[Ports, ...]


class Interval(Part):
    """Both ends of an answer: `must` passes in every reading of the dialect, `may` in some."""

    must: Traffic
    may: Traffic


class StepEntry(Part):
    """One rule as the walk met it, or the end of a tier."""

    tier: str
    policy: ObjectName | None = Field(description="null at the end of a tier.")
    rule: str = Field(description="Field of the policy, such as `spec.ingress[1]`; empty at the end of a tier.")
    place: str = Field(description="Where the policy stands in what was read, if that is known.")
    action: Literal["allow", "deny", "pass"]
    matched: Literal["yes", "perhaps", "no"]
    why: str


class SideEntry(Part):
    """One direction of a connection: what the policies of that end say."""

    direction: Literal["egress", "ingress"]
    end: str
    answer: Answered
    steps: tuple[StepEntry, ...] = Field(description="In the order in which they are looked at.")
    decided_by: int | None = Field(description="Index of the step that decided; null where no policy applies.")
    counterfactual: str = Field(description="What would be without that which decided.")


class ConnectionEntry(Part):
    """One connection between two pods or addresses, which stand for all of their kind."""

    source: str
    target: str
    protocol: str
    port: int
    answer: Answered = Field(description="Both directions together.")
    egress: SideEntry
    ingress: SideEntry
    caveats: tuple[str, ...] = Field(default=(), description="What the answer does not cover, one sentence each.")


class FlowExplanation(Document):
    """What `driftd explain` found."""

    kind: Literal["FlowExplanation"] = "FlowExplanation"
    source: str = Field(description="What was read.")
    dialect: str = Field(description="The reading of NetworkPolicy that the answers hold for.")
    connections: tuple[ConnectionEntry, ...]
    unread: tuple[GapEntry, ...] = Field(description="What could not be read: it is in no answer.")
    notes: tuple[str, ...] = Field(description="What was not understood and widened answers, and what was assumed.")


class MatrixCell(Part):
    """An ordered pair of groups."""

    source: str
    target: str
    crosses_tenants: bool = Field(description="A border between tenants lies between the two.")
    connections: Interval


class OutsideCell(Part):
    """A group and outside addresses that its policies do not tell apart."""

    group: str
    direction: Literal["egress", "ingress"] = Field(description="egress: the group opens the connections.")
    blocks: tuple[str, ...] = Field(description="Disjoint CIDR blocks.")
    connections: Interval


class ReachabilityMatrix(Document):
    """What `driftd matrix` found. Pairs that are not listed have no connections."""

    kind: Literal["ReachabilityMatrix"] = "ReachabilityMatrix"
    source: str = Field(description="What was read.")
    by: Literal["workload", "environment", "tenant"]
    dialect: str
    groups: tuple[str, ...]
    cells: tuple[MatrixCell, ...]
    outside: tuple[OutsideCell, ...]
    unread: tuple[GapEntry, ...]
    notes: tuple[str, ...]


class CauseEntry(Part):
    """What brings a change about."""

    object: ObjectName | None = Field(description="The policy, pod or namespace; null where it is no single one.")
    change: Literal["added", "removed", "changed", "unchanged"]
    rule: str = Field(description="Field of the policy that decides now; empty where none does.")
    place: str
    sentence: str


class FlowChange(Part):
    """An ordered pair between which flows open, close or change."""

    source: str
    target: str
    change: Literal["opens", "closes", "changes"] = Field(
        description="`opens`: nothing passed before; `closes`: nothing passes any more; `changes`: all else."
    )
    crosses_tenants: bool
    before: Interval
    after: Interval
    opened: Interval = Field(description="What passes now and did not, in every reading (must) and in some (may).")
    closed: Interval
    causes: tuple[CauseEntry, ...]


class OutsideChange(Part):
    """Flows between a group and outside addresses that open, close or change."""

    group: str
    direction: Literal["egress", "ingress"]
    blocks: tuple[str, ...]
    change: Literal["opens", "closes", "changes"]
    before: Interval
    after: Interval
    opened: Interval
    closed: Interval
    causes: tuple[CauseEntry, ...]


class FutureChange(Part):
    """What becomes of pods that do not exist yet but could be made."""

    direction: str = Field(description="LOOSENS, TIGHTENS, MIXED, NEUTRAL, or UNKNOWN when not all kinds were tried.")
    examples: tuple[str, ...]


class ChangeSummary(Part):
    """Counts of pairs, and of pairs with outside addresses."""

    opens: int
    closes: int
    changes: int
    crossing: int = Field(description="Pairs of different tenants between which something opens.")


class ReachabilityImpact(Document):
    """What `driftd impact` found between two revisions."""

    kind: Literal["ReachabilityImpact"] = "ReachabilityImpact"
    old: str
    new: str
    dialect: str
    verdict: Literal["nothing-opens", "opens", "unknown"]
    summary: ChangeSummary
    pairs: tuple[FlowChange, ...]
    outside: tuple[OutsideChange, ...]
    future: FutureChange
    unread: tuple[GapEntry, ...]
    notes: tuple[str, ...]


class ReachabilityDifference(Document):
    """What `driftd matrix --against` found: where live state and model differ in what passes."""

    kind: Literal["ReachabilityDifference"] = "ReachabilityDifference"
    live: str
    model: str
    by: Literal["workload", "environment", "tenant"]
    dialect: str
    groups: tuple[str, ...]
    pairs: tuple[FlowChange, ...] = Field(description="`before` is the model, `after` the live state.")
    outside: tuple[OutsideChange, ...]
    unread: tuple[GapEntry, ...]
    notes: tuple[str, ...]


FLOW_DOCUMENTS: dict[str, type[Document]] = {
    one.__name__: one for one in (FlowExplanation, ReachabilityMatrix, ReachabilityImpact, ReachabilityDifference)
}
