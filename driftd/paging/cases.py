"""The lives of pages that are not over: found by object, by reason and by when to look at them, and counted.

What is asked of them again and again costs what has changed meanwhile, however many stand.
"""

import heapq
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from driftd.paging.pages import Page, PageClass, PageState, Urgency
from driftd.paging.windows import Timed

CONDITIONS = frozenset(
    {PageClass.FIGHT, PageClass.BLIND, PageClass.HELD, PageClass.PAUSED, PageClass.STORE, PageClass.EVIDENCE}
)
"""Classes of what driftd says of itself: true while it is named, not until it is closed."""


@dataclass(slots=True)
class Case:
    """A life that is not over. `quiet` is since when all reasons are gone, `next` when it must be looked at."""

    page: Page
    timed: dict[str, Timed] = field(default_factory=dict)
    quiet: float | None = None
    next: float | None = None

    @property
    def matters(self) -> bool:
        """Drift that opens and breaks nothing is followed, since it may become worse, but leaves no page."""
        return self.page.version > 0 or any(one.reason.cls is not None for one in self.timed.values())


class Cases:
    """Every case there is, one an object.

    The reasons of a case, its page and its date are changed here and nowhere else (`bind`, `turn`, `schedule`), so that
    what is kept beside them is always true: `next` stands in the agenda, and `open_counts` is what counting would give.
    """

    def __init__(self) -> None:
        self._by_about: dict[str, Case] = {}
        self._by_reason: dict[str, Case] = {}
        self._by_condition: dict[str, Case] = {}
        self._agenda: list[tuple[float, str]] = []
        self._open: Counter[tuple[PageClass, Urgency]] = Counter()

    def __len__(self) -> int:
        return len(self._by_about)

    def __iter__(self) -> Iterator[Case]:
        return iter(self._by_about.values())

    def about(self, id: str) -> Case | None:
        """The case about this object, or part of driftd."""
        return self._by_about.get(id)

    def of(self, reason: str) -> Case | None:
        """The case that has this reason."""
        return self._by_reason.get(reason)

    def conditions(self) -> list[str]:
        """The conditions that stand."""
        return [id for id, case in self._by_condition.items() if case.timed[id].closed is None]

    def open_counts(self) -> dict[tuple[PageClass, Urgency], int]:
        """How many pages are open, by class and urgency; none are left out."""
        return {kind: count for kind, count in self._open.items() if count}

    # -- what changes ---------------------------------------------------------------------------------------------

    def add(self, case: Case) -> None:
        """A case about what no other case is about."""
        self._by_about[case.page.about.id] = case
        self._tally(case.page, 1)
        for timed in case.timed.values():
            self.bind(case, timed)

    def bind(self, case: Case, timed: Timed) -> None:
        """A case has this reason, too."""
        id = timed.reason.id
        case.timed[id] = timed
        self._by_reason[id] = case
        if timed.reason.cls in CONDITIONS:
            self._by_condition[id] = case

    def turn(self, case: Case, page: Page) -> None:
        """The page of a case is this from now on."""
        self._tally(case.page, -1)
        case.page = page
        self._tally(page, 1)

    def remove(self, case: Case) -> None:
        """A case is over."""
        del self._by_about[case.page.about.id]
        self._tally(case.page, -1)
        for id in case.timed:
            del self._by_reason[id]
            self._by_condition.pop(id, None)

    def clear(self) -> None:
        """Nothing is known any more."""
        self._by_about.clear()
        self._by_reason.clear()
        self._by_condition.clear()
        self._agenda.clear()
        self._open.clear()

    def _tally(self, page: Page, by: int) -> None:
        if page.state is PageState.OPEN and page.cls is not None:
            self._open[page.cls, page.urgency] += by

    # -- when to look ---------------------------------------------------------------------------------------------

    def schedule(self, case: Case, at: float) -> None:
        """A case must be looked at then, and no sooner."""
        if case.next != at:
            case.next = at
            heapq.heappush(self._agenda, (at, case.page.about.id))

    @property
    def due(self) -> float | None:
        """When a case must be looked at, at the earliest; it may turn out to be none."""
        return self._agenda[0][0] if self._agenda else None

    def take_due(self, now: float) -> Case | None:
        """The case that has been due for the longest; it has no date any more."""
        while self._agenda and self._agenda[0][0] <= now:
            at, about = heapq.heappop(self._agenda)
            case = self._by_about.get(about)
            if case is not None and case.next == at:
                case.next = None
                return case
        return None

    def soon(self, until: float) -> Iterator[Case]:
        """Cases that must be looked at by then, in no order."""
        seen: set[str] = set()
        places = [0]
        while places:  # the agenda is a heap: below an entry that is later than that, all are
            place = places.pop()
            if place >= len(self._agenda) or self._agenda[place][0] > until:
                continue
            places += (2 * place + 1, 2 * place + 2)
            at, about = self._agenda[place]
            case = self._by_about.get(about)
            if case is not None and case.next == at and about not in seen:
                seen.add(about)
                yield case
