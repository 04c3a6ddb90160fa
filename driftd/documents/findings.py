"""Findings and their lives as documents tell them."""

from typing import TYPE_CHECKING

from pydantic import Field

from driftd.documents.parts import ObjectName, object_name
from driftd.documents.parts import Part as _Part
from driftd.documents.withheld import as_seen_in
from driftd.values import Direction, Finding, FindingType, Severity

if TYPE_CHECKING:  # at runtime it would bring the database into commands that need none
    from driftd.store import Past, Settled


class Place(_Part):
    """Where in the model something stands."""

    file: str = Field(description="Path below the model's directory.")
    line: int = Field(ge=0, description="From 1; 0 means the model as a whole.")
    document: str = Field(description="`Kind/name`.")


class ChangeEntry(_Part):
    """One covered field that differs."""

    path: tuple[str, ...] = Field(description="Keys from the object's root; rules are keyed by what they say.")
    desired: str | None = Field(description="Compact JSON of the model's value; null where it has none.")
    live: str | None = Field(description="Compact JSON of the cluster's value; null where it has none.")
    sentence: str


class WitnessEntry(_Part):
    """A flow that shows what the difference does."""

    source: str
    target: str
    protocol: str
    port: str
    request: str


class ClaimEntry(_Part):
    """Who is said to have made the change. A claim and no proof."""

    who: str
    source: str = Field(description="managedFields, admission, audit-log or unknown.")
    at: str


class FindingEntry(_Part):
    """One difference between model and cluster."""

    id: str = Field(description="Stable: the same difference of the same object keeps it.")
    type: FindingType
    object: ObjectName
    scope: str = Field(description="The namespace it is judged in; empty for the cluster.")
    tenant: str
    direction: Direction
    neutral_now: bool = Field(
        description="For pods that are known nothing changes; the direction is that of pods that could be made."
    )
    severity: Severity
    summary: str
    effect: str = Field(description="What it does to who reaches whom, as a clause; empty where it does nothing.")
    origin: Place | None
    changes: tuple[ChangeEntry, ...]
    omitted: int = Field(ge=0, description="Changes beyond those listed.")
    witness: WitnessEntry | None
    claimed_by: ClaimEntry | None
    dialect: str = Field(description="The reading of NetworkPolicy that the direction holds for.")


class WriteEntry(_Part):
    """One write that driftd made because of a finding."""

    verb: str = Field(description="create, replace, condemn or delete.")
    object: ObjectName
    at: str
    epoch: int = Field(description="Leadership epoch of the writer.")
    commit: str = Field(description="The model in force.")
    result: str | None = Field(description="done, conflict, refused, ...; null while nobody knows.")
    settled: str | None
    message: str


class LifeEntry(_Part):
    """One life of a finding: a difference that comes back has several."""

    finding: FindingEntry
    episode: int = Field(description="From 1: how often it has come.")
    opened: str
    confirmed: str = Field(description="Last seen open.")
    closed: str | None = Field(description="null while it is open.")
    closed_by: str
    open_seconds: float = Field(description="Until it was closed, or last seen.")
    writes: tuple[WriteEntry, ...]


def finding_entry(finding: Finding) -> FindingEntry:
    """One difference."""
    origin, witness, claim = finding.origin, finding.witness, finding.claimed_by
    return FindingEntry(
        id=finding.id,
        type=finding.type,
        object=object_name(finding.ref),
        scope=finding.scope.namespace,
        tenant=finding.tenant,
        direction=finding.direction,
        neutral_now=finding.neutral_now,
        severity=finding.severity,
        summary=finding.summary,
        effect=finding.effect,
        origin=None if origin is None else Place(file=origin.file, line=origin.line, document=origin.document),
        changes=tuple(
            ChangeEntry(path=one.path, desired=one.desired, live=one.live, sentence=one.sentence)
            for one in finding.changes
        ),
        omitted=finding.omitted,
        witness=None
        if witness is None
        else WitnessEntry(
            source=witness.source,
            target=witness.target,
            protocol=witness.protocol,
            port=witness.port,
            request=witness.request,
        ),
        claimed_by=None if claim is None else ClaimEntry(who=claim.who, source=claim.source, at=claim.at),
        dialect=finding.dialect,
    )


def life_entry(past: "Past", only: str | None = None) -> LifeEntry:
    """One life of a finding, with what was written because of it.

    `only` is the one namespace that the reader may look into: nobody elsewhere is named.
    """
    seen = past.seen
    finding = seen.finding if only is None else as_seen_in(only, seen.finding)
    end = seen.closed or seen.confirmed
    return LifeEntry(
        finding=finding_entry(finding),
        episode=past.episode,
        opened=seen.opened.isoformat(),
        confirmed=seen.confirmed.isoformat(),
        closed=None if seen.closed is None else seen.closed.isoformat(),
        closed_by=seen.closed_by,
        open_seconds=max(0.0, (end - seen.opened).total_seconds()),
        writes=tuple(_write(one, told=only is None) for one in past.writes),
    )


def _write(settled: "Settled", *, told: bool) -> WriteEntry:
    """`told`: with the API server's words, which may be about anybody."""
    intent, outcome = settled.intent, settled.outcome
    return WriteEntry(
        verb=intent.verb,
        object=object_name(intent.ref),
        at=intent.at.isoformat(),
        epoch=intent.epoch,
        commit=intent.commit,
        result=None if outcome is None else outcome.result.value,
        settled=None if outcome is None else outcome.at.isoformat(),
        message=outcome.message if outcome is not None and told else "",
    )
