"""Findings, clocks and destinations for tests of pages."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from driftd.paging import Instant, Machine, NotAccepted, Page, PageState, Refused, Rules, Step, Windows
from driftd.values import Direction, Finding, FindingType, ObjectRef, Severity, scope_of

START = datetime(2026, 11, 22, 2, 0, tzinfo=UTC)
SHAPES = {
    "crossing": (Direction.LOOSENS, Severity.CRITICAL),
    "unjudged": (Direction.UNKNOWN, Severity.CRITICAL),
    "loosening": (Direction.LOOSENS, Severity.HIGH),
    "tightening": (Direction.TIGHTENS, Severity.LOW),
    "neutral": (Direction.NEUTRAL, Severity.INFO),
}


@dataclass
class HandClock:
    """Time that stands still until a test moves it; the wall may be pushed on its own."""

    seconds: float = 1000.0
    wall: datetime = START

    def now(self) -> datetime:
        return self.wall

    def monotonic(self) -> float:
        return self.seconds

    def instant(self) -> Instant:
        return Instant(self.seconds, self.wall)

    def pass_(self, seconds: float) -> None:
        self.seconds += seconds
        self.wall += timedelta(seconds=seconds)

    def jump(self, seconds: float) -> None:
        """The wall clock is set; nothing else has happened."""
        self.wall += timedelta(seconds=seconds)


def drift(
    id: str = "f1",
    shape: str = "crossing",
    *,
    name: str = "default-deny",
    namespace: str = "acme-prod",
    tenant: str = "acme",
    type_: FindingType = FindingType.MODIFIED,
    summary: str = "differs from the model",
) -> Finding:
    direction, severity = SHAPES[shape]
    ref = ObjectRef("networking.k8s.io", "NetworkPolicy", namespace, name)
    return Finding(id, type_, ref, scope_of(ref), tenant, direction, severity, summary)


def machine(windows: Windows | None = None, rules: Rules | None = None) -> Machine:
    return Machine(windows or Windows(), rules or Rules(), lambda: "shared-eu-1")


class Watched:
    """A machine with its clock, and the newest state of every page it gave away."""

    def __init__(self, windows: Windows | None = None, rules: Rules | None = None) -> None:
        self.clock = HandClock()
        self.machine: Machine = machine(windows, rules)
        self.pages: dict[tuple[str, int], Page] = {}

    def __call__(self, seconds: float = 0.0) -> list[Page]:
        self.clock.pass_(seconds)
        self.machine.advance(self.clock.instant())
        for page in self.machine.take():
            self.pages[page.key, page.life] = page
        return [page for page in self.pages.values() if not page.gone]

    def open(self, id: str = "f1", shape: str = "crossing", **more: str) -> None:
        self.machine.opened(drift(id, shape, **more), self.clock.instant())  # type: ignore[arg-type]

    def close(self, *ids: str) -> None:
        self.machine.closed(ids or ("f1",), self.clock.instant())

    def judge(self, shape: str, id: str = "f1", *, rollout: bool = False) -> None:
        self.machine.reported(drift(id, shape), self.clock.instant(), rollout=rollout)

    def only(self, seconds: float = 0.0) -> Page:
        (page,) = self(seconds)
        return page


@dataclass
class Scripted:
    """A destination that does what a test says, and keeps what it accepted."""

    name: str = "scripted"
    takes_changes: bool = True
    refresh_seconds: float = 0.0
    script: Callable[[Step], Exception | None] = lambda _: None
    accepted: list[tuple[str, Page]] = field(default_factory=list)
    refreshed: list[list[str]] = field(default_factory=list)
    tries: int = 0
    closed: bool = False

    async def send(self, step: Step, at: datetime) -> None:
        self.tries += 1
        error = self.script(step)
        if error is not None:
            raise error
        self.accepted.append((step.action.value, step.page))

    async def refresh(self, steps: Sequence[Step], at: datetime) -> None:
        self.refreshed.append([step.page.key for step in steps])

    async def close(self) -> None:
        self.closed = True

    def down(self, retry_after: float | None = None) -> None:
        self.script = lambda _: NotAccepted(self.name, "down", retry_after)

    def up(self) -> None:
        self.script = lambda _: None

    def refusing(self) -> None:
        self.script = lambda _: Refused(self.name, "HTTP 400")

    @property
    def said(self) -> list[str]:
        return [action for action, _ in self.accepted]


@dataclass
class Incidents:
    """What a service with PagerDuty's rules makes of events: one open incident a key."""

    opened: list[str] = field(default_factory=list)
    open: set[str] = field(default_factory=set)

    def take(self, action: str, key: str) -> None:
        if action == "trigger" and key not in self.open:
            self.opened.append(key)
            self.open.add(key)
        elif action == "resolve":
            self.open.discard(key)


def told_of(pages: Sequence[Page]) -> list[Page]:
    return [page for page in pages if page.told]


def ended(page: Page) -> Page:
    return replace(page, state=PageState.RESOLVED, version=page.version + 1)
