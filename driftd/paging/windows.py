"""How long each class of page may wait before somebody is told, and what it then deserves."""

from dataclasses import dataclass
from datetime import datetime

from driftd.paging.pages import PageClass, Reason, Urgency


@dataclass(frozen=True, slots=True)
class Windows:
    """Seconds. A page is told when its window is over, or earlier where `due` says so.

    `gather` is how long a repaired crossing waits for others of its kind, so that a storm is one page and not its first
    page and the rest; it lies within the window. A repair that does not hold for `steady` counts as none: the window
    runs on. `resolve` is how long all must be well before a page is resolved. More than `storm_pages` within `storm`
    seconds on one route are a storm.
    """

    crossing: float = 1.0
    loosening: float = 5.0
    tightening: float = 60.0
    condition: float = 2.0
    gather: float = 0.5
    steady: float = 1.0
    resolve: float = 60.0
    storm: float = 60.0
    storm_pages: int = 10

    def of(self, cls: PageClass) -> float:
        """The window of a class: so long may it be open before people are told."""
        match cls:
            case PageClass.CROSSING:
                return self.crossing
            case PageClass.LOOSENING:
                return self.loosening
            case PageClass.TIGHTENING:
                return self.tightening
            case _:
                return self.condition


@dataclass(frozen=True, slots=True)
class Instant:
    """One moment: monotonic seconds to reckon with, wall time to write down."""

    monotonic: float
    wall: datetime


@dataclass(slots=True)
class Timed:
    """A reason with its times in monotonic seconds, which no step of the wall clock moves."""

    reason: Reason
    opened: float
    closed: float | None = None


def due(timed: Timed, windows: Windows) -> float | None:
    """When this reason is to be told, as things stand; None if never.

    A way across tenants is told even when it is closed already: at once, but for the time to see whether it is part of
    a storm, and for its judgement, which comes a moment after the repair; both within the window. Everything else is
    told only if it outlasts its window. What a new model asks for is no drift: it has the longest window to be done.
    """
    cls = timed.reason.cls
    if cls is None:
        return None
    if timed.reason.rollout:
        return timed.opened + windows.tightening if timed.closed is None else None
    last = timed.opened + windows.of(cls)
    if timed.closed is None:
        return last
    if cls is not PageClass.CROSSING:
        return None
    if not timed.reason.judged:
        return last
    return min(last, max(timed.closed, timed.opened + windows.gather))


def deserved(timed: Timed) -> Urgency:
    """How loudly a reason that is due is told: an open way across tenants wakes people, a closed one informs them."""
    match timed.reason.cls:
        case PageClass.CROSSING:
            return Urgency.CRITICAL if timed.closed is None else Urgency.WARNING
        case PageClass.LOOSENING:
            return Urgency.ERROR
        case _:
            return Urgency.WARNING
