"""The nouns of paging: what wakes somebody, how loudly, why, and how far it has come."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import msgspec

from driftd.store import PageRow
from driftd.values import Direction, Finding, FindingType, ObjectRef, Severity, redacted


class PageClass(StrEnum):
    """Why somebody is told; each class has a window, an urgency and a runbook page of its name."""

    CROSSING = "crossing"  # opens a way across a tenant's border, or nobody can say that it does not
    LOOSENING = "loosening"  # opens something inside a tenant, or to the internet
    TIGHTENING = "tightening"  # breaks what ought to work
    FIGHT = "fight"  # somebody keeps changing an object back
    BLIND = "blind"  # a kind cannot be seen: nothing is said of it
    HELD = "held"  # a newer model is not in force
    PAUSED = "paused"  # somebody has stopped the repairs of a namespace
    STORE = "store"  # records go to the journal, or nowhere
    EVIDENCE = "evidence"  # what was recorded is not there any more
    STORM = "storm"  # many pages at once, told as one
    TEST = "test"  # nothing is wrong: somebody tries whether pages arrive


class Urgency(StrEnum):
    """How loudly; the words are those of PagerDuty's Events API v2."""

    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        return _RANKS[self]


_RANKS = {Urgency.WARNING: 1, Urgency.ERROR: 2, Urgency.CRITICAL: 3}


class PageState(StrEnum):
    """How far a life of a page has come. All but the first two are ends."""

    WAITING = "waiting"  # its window runs: nobody has been told
    OPEN = "open"  # somebody is to be told, and that it is not over
    RESOLVED = "resolved"  # over, and stayed over
    CHANGE = "change"  # repaired in its window: told as a change event, which wakes nobody
    MUTED = "muted"  # over, and a maintenance window covered all of it


@dataclass(frozen=True, slots=True)
class Reason:
    """One finding or condition that a page is about.

    `cls` is None for drift that opens and breaks nothing. `rollout`: nobody has touched the cluster, the model asks for
    something else than before. `later`: it opens or breaks something for pods that could be made, for no known one.
    """

    id: str
    cls: PageClass | None
    what: str
    summary: str
    judged: bool
    opened: datetime
    closed: datetime | None = None
    times: int = 1
    direction: str = ""
    witness: str = ""
    claimed_by: str = ""
    origin: str = ""
    trace: str = ""
    rollout: bool = False
    effect: str = ""
    later: bool = False


@dataclass(frozen=True, slots=True)
class About:
    """What a page is about: one object, or one part of driftd. `id` stays the same over lives and restarts."""

    id: str
    kind: str
    name: str
    namespace: str = ""
    tenant: str = ""

    def __str__(self) -> str:
        where = f"{self.namespace}/{self.name}" if self.namespace and self.kind != "Namespace" else self.name
        return f"{self.kind} {where}"


@dataclass(frozen=True, slots=True)
class Condition:
    """Something wrong with driftd's own powers, true while it is named; `part` tells those of one page apart."""

    cls: PageClass
    about: About
    summary: str
    part: str = ""

    @property
    def id(self) -> str:
        return f"{self.cls.value}/{self.about.id}/{self.part}"


@dataclass(frozen=True, slots=True)
class Page:
    """One life of one page: from the first reason to the end of the last.

    `key` is stable: the deduplication key at every destination, the same for every life. `revision` counts what people
    are to be told (0: nothing yet), `version` every change of this value. `storm` is the key of the storm that took
    this page in, so that it is told nowhere itself; `members` and `standing` are a storm's counts.
    """

    key: str
    life: int
    about: About
    route: str
    state: PageState
    cls: PageClass | None
    urgency: Urgency
    opened: datetime
    reasons: tuple[Reason, ...] = ()
    revision: int = 0
    version: int = 0
    triggered: datetime | None = None
    quiet: datetime | None = None  # since when every reason is gone
    resolved: datetime | None = None
    muted: str = ""
    storm: str = ""
    members: int = 0
    standing: int = 0
    samples: tuple[str, ...] = ()
    gone: bool = False  # came to nothing: forget it

    @property
    def over(self) -> bool:
        return self.gone or self.state not in (PageState.WAITING, PageState.OPEN)

    @property
    def told(self) -> bool:
        """Whether destinations hear of it at all."""
        return self.revision > 0 and not self.storm and not self.gone


_DECODER = msgspec.json.Decoder(Page)


def row_of(page: Page, *, settled: bool) -> PageRow:
    """The page as the store keeps it."""
    return PageRow(
        key=page.key,
        life=page.life,
        state=page.state.value,
        page_class=page.cls.value if page.cls else "",
        urgency=page.urgency.value,
        tenant=page.about.tenant,
        namespace=page.about.namespace,
        opened=page.opened,
        body=msgspec.json.encode(page).decode(),
        settled=settled,
        gone=page.gone,
    )


def page_of(row: PageRow) -> Page:
    """The inverse of `row_of`; raises `msgspec.MsgspecError` on anything else."""
    return _DECODER.decode(row.body)


def class_of(finding: Finding) -> PageClass | None:
    """UNKNOWN and MIXED count as crossing wherever nobody has shown that they do not: severity says that."""
    if finding.direction.may_loosen:
        return PageClass.CROSSING if finding.severity is Severity.CRITICAL else PageClass.LOOSENING
    return PageClass.TIGHTENING if finding.direction is Direction.TIGHTENS else None


def about_object(ref: ObjectRef, tenant: str) -> About:
    """One object, whatever is wrong with it: a fight that deletes and loosens by turns is one page."""
    namespace = ref.name if ref.kind == "Namespace" and not ref.group else ref.namespace
    return About(f"object {ref.group} {ref.kind} {ref.namespace} {ref.name}", ref.kind, ref.name, namespace, tenant)


def reason_of(finding: Finding, opened: datetime, trace: str, *, rollout: bool = False) -> Reason:
    """A finding as a reason to page. Nothing of its fields' values: pages leave the house."""
    told_by_server = finding.type is FindingType.BLOCKED
    return Reason(
        id=finding.id,
        cls=class_of(finding),
        what=finding.type.value,
        summary=line("its repair is refused or fails; `driftd history` has the server's words")
        if told_by_server
        else line(finding.summary),
        judged=finding.direction is not Direction.UNKNOWN,
        opened=opened,
        direction=finding.direction.value,
        witness=line(str(finding.witness)) if finding.witness else "",
        claimed_by=line(f"{finding.claimed_by.who} ({finding.claimed_by.source})", 160) if finding.claimed_by else "",
        origin=line(str(finding.origin)) if finding.origin else "",
        trace=trace,
        rollout=rollout,
        effect=line(finding.effect),
        later=finding.neutral_now,
    )


def line(text: str, longest: int = 240) -> str:
    """Text of others, fit for a page: one printable line, bounded, without the logins of URLs."""
    safe = redacted(text)
    printable = "".join(one if one.isprintable() else " " for one in safe)
    return printable if len(printable) <= longest else f"{printable[: longest - 1]}…"
